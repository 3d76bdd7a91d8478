"""VBench's dimensions of motion against its released formulas, written out here in NumPy as its scripts have them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from hmbench.case import Case
from hmbench.errors import UserError
from hmbench.metrics.vbench import (
    DynamicDegree,
    MotionSmoothness,
    TemporalFlickering,
    dynamic_limits,
    fast_speeds,
    looked_at,
    vbench_metrics,
)
from hmbench.networks.backbones import FILES, Backbone
from hmbench.networks.motion_networks import load_flow
from hmbench.networks.pull import SOURCES
from hmbench.types import Intrinsics, Prompt, Sample


def case(video: np.ndarray, fps: float = 15) -> Case:
    poses = np.tile(np.eye(4), (len(video), 1, 1))
    height, width = video.shape[1:3]
    lens = Intrinsics(focal=width, width=width, height=height)
    prompt = Prompt(context=video, context_poses=poses, target_poses=poses, caption="", fps=fps, intrinsics=lens)
    return Case(Sample(id="s", prompt=prompt, truth=None), video)


def noise(frames: int, height: int = 40, width: int = 56, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def released_flicker(video: np.ndarray) -> float:
    cv2 = pytest.importorskip("cv2")
    scores = [
        np.mean(cv2.absdiff(np.array(a, dtype=np.float32), np.array(b, dtype=np.float32)))
        for a, b in itertools.pairwise(video)
    ]
    return (255.0 - np.mean(np.array(scores)).item()) / 255.0


def blend(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return 0.5 * first + 0.5 * second + 0.001


def released_smoothness(video: np.ndarray) -> float:
    """The released class's steps for one iteration: take every second frame, interpolate, compare from frame 1 on."""
    cv2 = pytest.importorskip("cv2")
    inputs = [torch.tensor(frame.copy()).permute(2, 0, 1).unsqueeze(0) / 255.0 for frame in video[0::2]]
    outputs = [inputs[0]]
    for in_0, in_1 in itertools.pairwise(inputs):
        outputs += [blend(in_0, in_1), in_1]
    pictures = [
        (out * 255.0).detach().squeeze(0).permute(1, 2, 0).cpu().numpy().clip(0, 255).astype(np.uint8)
        for out in outputs
    ]
    real, guessed = video[1::2], pictures[1::2]
    scores = [np.mean(cv2.absdiff(real[i], guessed[i])) for i in range(len(guessed))]
    return (255.0 - np.mean(np.array(scores))) / 255.0


def toy_flow(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Something that depends on both pictures at every pixel."""
    difference = (second - first)[:, :2]
    return difference * torch.tensor([0.3, 0.2])[None, :, None, None] + first[:, 2:] / 1000


def released_dynamic(video: np.ndarray, fps: float) -> tuple[bool, list[float]]:
    interval = max(1, round(fps / 8))
    frames = [torch.from_numpy(f.astype(np.uint8)).permute(2, 0, 1).float()[None] for f in video][::interval]
    scale = min(list(frames[0].shape)[-2:])
    threshold, count_num = 6.0 * (scale / 256.0), round(4 * (len(frames) / 16.0))
    scores = []
    for one, two in itertools.pairwise(frames):
        ht, wd = one.shape[-2:]
        pad_ht = (((ht // 8) + 1) * 8 - ht) % 8
        pad_wd = (((wd // 8) + 1) * 8 - wd) % 8
        pad = [pad_wd // 2, pad_wd - pad_wd // 2, pad_ht // 2, pad_ht - pad_ht // 2]
        one, two = (torch.nn.functional.pad(x, pad, mode="replicate") for x in (one, two))
        flo = toy_flow(one, two)[0].permute(1, 2, 0).cpu().numpy()
        rad = np.sqrt(np.square(flo[:, :, 0]) + np.square(flo[:, :, 1]))
        h, w = rad.shape
        scores.append(np.mean(abs(np.sort(-rad.flatten()))[: int(h * w * 0.05)]).item())
    count = 0
    for score in scores:
        count += score > threshold
        if count >= count_num:
            return True, scores
    return False, scores


@pytest.mark.parametrize("frames", [2, 7])
def test_flicker_equals_the_released_formula(frames) -> None:
    video = noise(frames)
    assert TemporalFlickering()(case(video)).value == pytest.approx(released_flicker(video), abs=1e-6)
    still = np.repeat(video[:1], frames, axis=0)
    assert TemporalFlickering()(case(still)).value == 1.0
    assert TemporalFlickering()(case(video[:1])).reason == "the prediction has fewer than two frames"


@pytest.mark.parametrize("frames", [3, 6, 9])
def test_smoothness_equals_the_released_formula(frames) -> None:
    video = noise(frames, seed=frames)
    found = MotionSmoothness(Backbone("blend", lambda: blend))(case(video))
    assert found.value == pytest.approx(released_smoothness(video), abs=1e-6)
    assert found.details == {"interpolator": "blend"}


@pytest.mark.parametrize(("size", "fps"), [((40, 56), 15), ((37, 51), 8), ((64, 30), 3)])
def test_dynamic_degree_equals_the_released_formula(size, fps) -> None:
    rng = np.random.default_rng(fps)
    answers = set()
    for strength in (2, 4, 12):  # calm to wild
        base = rng.integers(40, 60, (1, *size, 3))
        video = (base + rng.integers(0, strength, (24, *size, 3))).astype(np.uint8)
        expected, scores = released_dynamic(video, fps)
        found = DynamicDegree(Backbone("toy", lambda: toy_flow))(case(video, fps))
        assert found.value == float(expected)
        np.testing.assert_allclose(fast_speeds(looked_at(video, fps), toy_flow), scores, rtol=1e-6)
        answers.add(expected)
    assert answers == {True, False}, "the toys must fall on both sides"


def test_limits_are_those_of_the_paper_at_its_size() -> None:
    assert dynamic_limits(256, 16) == (6.0, 4)
    assert dynamic_limits(128, 39) == (3.0, 10)


@pytest.mark.parametrize(("fast", "expected"), [(3, 0.0), (4, 1.0), (5, 1.0)])
def test_as_many_fast_pairs_as_are_needed_make_a_clip_dynamic(fast: int, expected: float) -> None:
    """Sixteen frames need four; frames that are bright move fast from there on."""
    video = np.zeros((16, 64, 64, 3), np.uint8)
    video[2 : 2 + fast] = 255

    def flow(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        return before[:, :2] / 255 * 2.0  # 2.8 pixels, where 1.5 are fast

    found = DynamicDegree(Backbone("toy", lambda: flow))(case(video, fps=8))
    assert (found.value, found.details["frames_needed"], found.details["threshold"]) == (expected, 4, 1.5)


def test_raft_reads_torchvisions_file_and_no_other(tmp_path) -> None:
    """The real network with random weights: shapes, scaling and the reader."""
    from torchvision.models.optical_flow import raft_large

    path = tmp_path / FILES["raft"]
    path.parent.mkdir()
    torch.manual_seed(0)
    model = raft_large(weights=None).eval()
    torch.save(model.state_dict(), path)
    first, second = (torch.from_numpy(f).permute(2, 0, 1)[None].float() for f in noise(2, 128, 128))
    with torch.inference_mode():
        expected = model(first / 127.5 - 1, second / 127.5 - 1, num_flow_updates=20)[-1]
        found = load_flow(path, "cpu")(first, second)
    assert found.shape == (1, 2, 128, 128)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    torch.save({"conv.weight": torch.zeros(2)}, path)
    with pytest.raises(UserError, match="do not fit the network"):
        load_flow(path, "cpu")


def test_an_exported_interpolator_is_used(tmp_path) -> None:
    class Middle(torch.nn.Module):
        def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
            return 0.5 * first + 0.5 * second + 0.001

    path = tmp_path / FILES["interpolator"]
    path.parent.mkdir()
    torch.jit.script(Middle()).save(str(path))
    metric = next(m for m in vbench_metrics(tmp_path, "cpu") if isinstance(m, MotionSmoothness))
    video = noise(5)
    assert metric(case(video)).value == pytest.approx(released_smoothness(video), abs=1e-6)
    path.write_bytes(b"no module")
    broken = next(m for m in vbench_metrics(tmp_path, "cpu") if isinstance(m, MotionSmoothness))
    with pytest.raises(UserError, match="is no TorchScript module"):
        broken(case(video))


def test_what_is_missing_is_said(tmp_path) -> None:
    by_name = {m.info.name: m for m in vbench_metrics(tmp_path, "cpu")}
    assert by_name["temporal_flickering"](case(noise(3))).reason is None
    assert f"run: hmbench weights pull {tmp_path} --only raft" in by_name["dynamic_degree"](case(noise(3))).reason
    reason = by_name["motion_smoothness"](case(noise(3))).reason
    assert "no frame interpolator" in reason and "weights pull" not in reason
    assert "raft" in {source.name for source in SOURCES if source.optional}
