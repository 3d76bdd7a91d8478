"""Metrics on plain arrays: the numbers of runs and of independent references; what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

import hmbench
from hmbench.case import Case
from hmbench.data.disc_world import DiscWorld
from hmbench.metrics.fidelity import Psnr, Ssim

RNG = np.random.default_rng(5)
A = RNG.integers(0, 256, (2, 3, 40, 56, 3), np.uint8)
B = np.clip(A.astype(int) + RNG.integers(-40, 40, A.shape), 0, 255).astype(np.uint8)


def boxes(*rows: tuple[int, float | None]) -> np.ndarray:
    """[T, 4] of runs (frames, left side or None), 10 wide and 20 high at the top."""
    found = []
    for count, x in rows:
        found += [[np.nan] * 4 if x is None else [x, 5, x + 10, 25]] * count
    return np.array(found, np.float32)


def test_psnr_and_ssim_equal_scikit_image() -> None:
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    psnr = [peak_signal_noise_ratio(x, y) for x, y in zip(A[0], B[0], strict=True)]
    assert hmbench.metrics.psnr(A[0], B[0]) == pytest.approx(np.mean(psnr), abs=1e-4)
    keys = {"channel_axis": 2, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    ssim = [structural_similarity(x, y, **keys) for x, y in zip(A[0], B[0], strict=True)]
    assert hmbench.metrics.ssim(A[0], B[0]) == pytest.approx(np.mean(ssim), abs=1e-5)


def test_pictures_and_batches() -> None:
    batch = hmbench.metrics.psnr(A, B)
    assert batch.shape == (2,)
    assert batch.tolist() == [hmbench.metrics.psnr(x, y) for x, y in zip(A, B, strict=True)]
    pictures = [hmbench.metrics.ssim(x, y) for x, y in zip(A[1], B[1], strict=True)]
    assert hmbench.metrics.ssim(A, B)[1] == pytest.approx(np.mean(pictures))


def test_torch_tensors_are_taken() -> None:
    import torch

    assert hmbench.metrics.psnr(torch.from_numpy(A[0]), torch.from_numpy(B[0])) == hmbench.metrics.psnr(A[0], B[0])


def test_masks_are_those_of_a_run() -> None:
    sample = DiscWorld().load(DiscWorld().ids("all")[0])
    case = Case(sample, np.repeat(sample.prompt.context[-1:], 21, axis=0))
    background = case.truth.target_labels == 0
    for function, metric in ((hmbench.metrics.psnr, Psnr), (hmbench.metrics.ssim, Ssim)):
        found = function(case.prediction, case.truth.target, mask=background)
        assert found == metric("background")(case).value
        assert found != function(case.prediction, case.truth.target)
    assert math.isnan(hmbench.metrics.psnr(A[0], B[0], np.zeros(A.shape[1:4], bool)))


@pytest.mark.parametrize("bad", [A[0] / 255, A[0].transpose(0, 3, 1, 2), A[0, 0, 0]])
def test_what_is_no_video_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"a video is uint8 \[T, H, W, 3\]"):
        hmbench.metrics.psnr(bad, bad)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        hmbench.metrics.psnr(A[0], B[0, :2])
    with pytest.raises(ValueError, match="mask must be"):
        hmbench.metrics.psnr(A[0], B[0], np.ones((3, 2, 2), bool))


def test_hota_by_hand() -> None:
    truth, split = boxes((8, 10.0)), [boxes((4, 10.0), (4, None)), boxes((4, None), (4, 10.0))]
    assert tuple(hmbench.metrics.hota([truth], [truth])) == pytest.approx((1.0, 1.0, 1.0))
    cut = hmbench.metrics.hota(truth[None], np.stack(split))
    assert (cut.deta, cut.assa) == pytest.approx((1.0, 0.5)) and cut.hota == pytest.approx(0.5**0.5)
    assert hmbench.metrics.idf1([truth], split) == pytest.approx(0.5)
    assert hmbench.metrics.hota([truth], []).hota == 0
    with pytest.raises(ValueError, match="no reference"):
        hmbench.metrics.hota([], [truth])


def test_boxes_that_are_none_are_refused() -> None:
    """Boxes as x, y, width, height had no area: equal tracks had a HOTA of 0."""
    box = np.tile([50.0, 40, 60, 70], (5, 1))
    assert hmbench.metrics.hota([box], [box]).hota == 1.0
    bad = {
        "x, y, width, height": box - [0, 0, 50, 40],
        "infinite": box * np.inf,
        "half": np.where(box == 60, np.nan, box),
    }
    for boxes in bad.values():
        for call in (
            lambda b: hmbench.metrics.hota([b], [box]),
            lambda b: hmbench.metrics.idf1([box], [b]),
            lambda b: hmbench.metrics.reentry(b[1:], box, (96, 160)),
        ):
            with pytest.raises(ValueError, match=r"boxes are xyxy .*NaN in all four, got \[.*\] at 0"):
                call(boxes)
    with pytest.raises(ValueError, match="all tracks must cover the same frames, got 3 and 5"):
        hmbench.metrics.hota([box, box[:3]], [box])
    with pytest.raises(ValueError, match="no reference box in any frame"):
        hmbench.metrics.hota([box * np.nan], [box])


def test_sizes_rates_and_lengths_that_are_none_are_refused() -> None:
    box = np.tile([5.0, 5, 20, 25], (8, 1))
    for size in ((0, 0), (96, 160, 3), (96,)):
        with pytest.raises(ValueError, match=r"size is \(height, width\) of the frame"):
            hmbench.metrics.reentry(box[4:], box, size)
    for fps in (0, -15, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="fps is a positive number"):
            hmbench.metrics.reentry(box[4:], box, (96, 160), fps=fps)
    empty = np.zeros((0, 32, 32, 3), np.uint8)
    for metric in (hmbench.metrics.psnr, hmbench.metrics.ssim):
        with pytest.raises(ValueError, match="at least one frame"):
            metric(empty, empty)


def test_reentry_by_hand() -> None:
    truth = boxes((10, 30.0), (10, None), (10, 30.0))  # 12 frames of context: hidden 10 .. 19, back at 20
    late = boxes((11, None), (7, 33.0))  # the target's frames 12 .. 29: back at 23, three pixels beside
    (found,) = hmbench.metrics.reentry(late, truth, (48, 80))
    assert (found.exit, found.reentry, found.seen, found.offset_frames) == (10, 20, True, 3.0)
    assert found.coverage == pytest.approx(0.7) and found.iou == pytest.approx(7 / 13)
    assert found.centre_error == pytest.approx(3 / math.hypot(48, 80)) and found.size_ratio == 1
    (gone,) = hmbench.metrics.reentry(boxes((18, None)), truth, (48, 80))
    assert not gone.seen and math.isnan(gone.offset_frames) and (gone.coverage, gone.iou) == (0, 0)
    assert hmbench.metrics.reentry(boxes((18, 30.0)), boxes((30, 30.0)), (48, 80)) == []
    with pytest.raises(ValueError, match="context and target"):
        hmbench.metrics.reentry(truth, truth, (48, 80))


def test_reentry_counts_no_sight_of_before_the_exit() -> None:
    truth = boxes((14, 30.0), (6, None), (10, 30.0))
    stays = boxes((2, 30.0), (16, None))  # leaves as it should, and never comes back
    (found,) = hmbench.metrics.reentry(stays, truth, (48, 80))
    assert (found.exit, found.reentry, found.seen) == (14, 20, False)


def test_dsc_is_the_mean_cosine_of_all_pairs() -> None:
    from hmbench.networks.backbones import find_backbones

    sample = DiscWorld().load(DiscWorld().ids("all")[0])
    subject, video = sample.truth.subjects[0], sample.truth.target
    seen = subject.boxes[-21:]
    encoder = find_backbones(profile="mini", weights=None, device="cpu").crops[""].get()
    first, second = encoder.crops(video, seen), encoder.crops(sample.prompt.context, subject.boxes[:21])
    pairs = float((first.double() @ second.double().T).mean())
    found = hmbench.metrics.dsc(video, seen, sample.prompt.context, subject.boxes[:21])
    assert found == pytest.approx(pairs, abs=1e-6) and 0 < found < 1
    assert math.isnan(hmbench.metrics.dsc(video, np.full((21, 4), np.nan), video, seen))
    with pytest.raises(ValueError, match="21 frames has boxes for 20"):
        hmbench.metrics.dsc(video, seen[:20], video, seen)


def test_lpips_without_weights_says_what_to_do(tmp_path) -> None:
    with pytest.raises(hmbench.UserError, match="hmbench weights pull"):
        hmbench.metrics.lpips(A[0], B[0], weights=tmp_path)


def test_functions_stay_beside_modules_of_their_name() -> None:
    from hmbench.metrics.dsc import DynamicSubjectConsistency
    from hmbench.metrics.hota import ALPHAS
    from hmbench.metrics.reentry.verdict import decide

    assert all((DynamicSubjectConsistency, len(ALPHAS), decide))
    assert all(callable(getattr(hmbench.metrics, name)) for name in hmbench.metrics.__all__)


def placed(frames: int, where: dict[range, float]) -> np.ndarray:
    """Boxes of so many frames: squares with these sides, at (20, 20), where they are; nowhere else."""
    out = np.full((frames, 4), np.nan, np.float32)
    for stretch, side in where.items():
        out[list(stretch)] = (20, 20, 20 + side, 20 + side)
    return out


HIDDEN_LATE = placed(80, {range(45): 20, range(50, 80): 20})
"""40 context and 40 target frames: it leaves in the target's frame 5 and is back in 10."""


@pytest.mark.parametrize(
    ("where", "offset", "seen"),
    [
        ({range(5): 20, range(12, 40): 20}, 2, True),  # it had not left yet in the first five
        ({range(6, 40): 20}, -4, True),  # early, but after it left
        ({range(5, 11): 20}, None, False),  # a single frame of it from the re-entry on
        ({range(5, 13): 20}, -5, True),
    ],
)
def test_an_early_return_is_one_after_the_exit_and_must_last(where, offset, seen) -> None:
    (found,) = hmbench.metrics.reentry(placed(40, where), HIDDEN_LATE, (100, 100), fps=10)
    assert (found.exit, found.reentry, found.seen) == (45, 50, seen)
    assert found.offset_frames == offset if seen else math.isnan(found.offset_frames)


def test_sizes_are_sides_and_windows_of_slow_clips_have_six_frames() -> None:
    (found,) = hmbench.metrics.reentry(placed(40, {range(14, 40): 10}), HIDDEN_LATE, (100, 100), fps=1)
    assert found.size_ratio == pytest.approx(0.5) and found.iou == pytest.approx(0.25)
    assert found.coverage == pytest.approx(2 / 6), "frames 14 and 15 of 10 to 15"
    assert found.centre_error == pytest.approx(math.hypot(5, 5) / math.hypot(100, 100))
    assert not found.seen
