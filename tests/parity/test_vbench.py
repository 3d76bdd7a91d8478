"""VBench's released numbers, reproduced through the public metric classes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from hmbench.case import Case
from hmbench.metrics.consistency import BackgroundConsistency, SubjectConsistency
from hmbench.networks import encoders
from hmbench.networks.backbones import Backbone
from hmbench.networks.encoders import ClipFrames, DinoFrames
from hmbench.types import Intrinsics, Prompt, Sample
from hmbench.video.files import read_video

SHARED = Path(os.environ.get("HMBENCH_SHARED", Path(__file__).parents[3] / "shared"))
FOLDER = Path(os.environ.get("HMBENCH_PARITY", SHARED / "parity")) / "vbench"
CLIPS = SHARED / "data" / "hm-world-examples"

pytestmark = pytest.mark.skipif(
    not (FOLDER / "expected.json").is_file() or not CLIPS.is_dir(),
    reason=f"no VBench fixture at {FOLDER} or no clips at {CLIPS} (set HMBENCH_SHARED, HMBENCH_PARITY)",
)


@pytest.fixture(scope="module")
def expected():
    return json.loads((FOLDER / "expected.json").read_text())


def prediction_case(video) -> Case:
    height, width = video.shape[1:3]
    prompt = Prompt(
        context=video[:1],
        context_poses=np.eye(4)[None],
        target_poses=np.repeat(np.eye(4)[None], len(video), axis=0),
        caption="",
        fps=15.0,
        intrinsics=Intrinsics(focal=width, width=width, height=height),
    )
    return Case(Sample(id="clip", prompt=prompt, truth=None), video)


def scores(metric, expected) -> list[float]:
    return [metric(prediction_case(read_video(CLIPS / name))).value for name in expected["clips"]]


TOLERANCE = 3e-7
"""What float32 sums of two machines may differ by; the fixture's own 2e-4 would let a wrong resize pass."""


def test_subject_consistency_equals_vbench(expected):
    weights = next(FOLDER.glob("dino*.safetensors"))
    heads = expected["dino"]["num_heads"]
    encoder = Backbone("dino", lambda: DinoFrames.load(weights, "cpu", num_heads=heads))
    want = expected["subject_consistency"]["per_video"]
    assert scores(SubjectConsistency(encoder), expected) == pytest.approx(want, abs=TOLERANCE)


def test_background_consistency_equals_vbench(expected):
    folder = next(p.parent for p in FOLDER.glob("clip*/config.json"))
    encoder = Backbone("clip_b32", lambda: ClipFrames.load(folder, "cpu"))
    want = expected["background_consistency"]["per_video"]
    assert scores(BackgroundConsistency(encoder), expected) == pytest.approx(want, abs=TOLERANCE)


def resized(mode=None, antialias=False):
    def resize(images, size, given):
        return nn.functional.interpolate(
            images, size=size, mode=mode or given, align_corners=False, antialias=antialias
        )

    return resize


def beside(images, side):
    top, left = round((images.shape[2] - side) / 2), round((images.shape[3] - side) / 2) + 1
    return images[:, :, top : top + side, left : left + side]


MUTATIONS = {
    "antialiasing": ("_resize", resized(antialias=True)),
    "bilinear": ("_resize", resized("bilinear")),
    "nearest": ("_resize", lambda images, size, mode: nn.functional.interpolate(images, size=size, mode="nearest")),
    "a crop one pixel beside": ("_centre_crop", beside),
    "ImageNet's normalisation": ("_CLIP", encoders._IMAGENET),
    "colours swapped": ("_floats", lambda video, device: FLOATS(video[..., ::-1], device)),
    "clamped": ("_resize", lambda images, size, mode: RESIZE(images, size, mode).clamp(0, 255)),
    "rounded": ("_resize", lambda images, size, mode: RESIZE(images, size, mode).round()),
}
FLOATS, RESIZE = encoders._floats, encoders._resize


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_wrong_preprocessing_of_clip_is_noticed(expected, monkeypatch, mutation):
    """The test above must fail for each: what it allows is far below what a wrong pixel costs."""
    monkeypatch.setattr(encoders, *MUTATIONS[mutation])
    folder = next(p.parent for p in FOLDER.glob("clip*/config.json"))
    metric = BackgroundConsistency(Backbone("clip_b32", lambda: ClipFrames.load(folder, "cpu")))
    name, want = expected["clips"][0], expected["background_consistency"]["per_video"][0]
    assert abs(metric(prediction_case(read_video(CLIPS / name))).value - want) > 2 * TOLERANCE


@pytest.mark.parametrize("mutation", ["antialiasing", "nearest", "colours swapped", "rounded"])
def test_wrong_preprocessing_of_dino_is_noticed(expected, monkeypatch, mutation):
    monkeypatch.setattr(encoders, *MUTATIONS[mutation])
    weights, heads = next(FOLDER.glob("dino*.safetensors")), expected["dino"]["num_heads"]
    metric = SubjectConsistency(Backbone("dino", lambda: DinoFrames.load(weights, "cpu", num_heads=heads)))
    name, want = expected["clips"][0], expected["subject_consistency"]["per_video"][0]
    assert abs(metric(prediction_case(read_video(CLIPS / name))).value - want) > 2 * TOLERANCE
