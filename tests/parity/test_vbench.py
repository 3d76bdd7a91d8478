"""VBench's released numbers, reproduced through the public metric classes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from hmbench.case import Case
from hmbench.metrics.consistency import BackgroundConsistency, SubjectConsistency
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


def test_subject_consistency_equals_vbench(expected):
    weights = next(FOLDER.glob("dino*.safetensors"))
    heads = expected["dino"]["num_heads"]
    encoder = Backbone("dino", lambda: DinoFrames.load(weights, "cpu", num_heads=heads))
    want = expected["subject_consistency"]["per_video"]
    assert scores(SubjectConsistency(encoder), expected) == pytest.approx(want, abs=expected["tolerance"])


def test_background_consistency_equals_vbench(expected):
    folder = next(p.parent for p in FOLDER.glob("clip*/config.json"))
    encoder = Backbone("clip_b32", lambda: ClipFrames.load(folder, "cpu"))
    want = expected["background_consistency"]["per_video"]
    assert scores(BackgroundConsistency(encoder), expected) == pytest.approx(want, abs=expected["tolerance"])
