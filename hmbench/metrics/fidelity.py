"""Fidelity against the real continuation: PSNR and SSIM, over the whole frame, subject pixels, background pixels.

Per frame, then mean over frames; the benchmark then averages clips. The regions come from the target's label maps, so
that a model that keeps the background and loses the subject shows it.

Letters: T frames, H height, W width.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from hmbench.case import Case
from hmbench.metrics.needs import LABELS, TRUTH
from hmbench.protocols import MetricInfo
from hmbench.types import Score, Video

Region = Literal["frame", "subject", "background"]
Maps = NDArray[np.float32]

PSNR_CAP = 100.0
"""dB for identical frames, whose PSNR is infinite; capped frames are counted in the details."""
MIN_REGION = 16
"""Pixels: frames that show less of a region do not count for it."""
SSIM_BORDER = 5
"""Pixels at each edge that the 11-tap window does not fully cover; they are left out (Wang et al.)."""
SSIM_BAND = 32
"""Rows that are worked on at once."""
_C1, _C2 = 0.01**2, 0.03**2


class Psnr:
    """Peak signal-to-noise ratio of 8-bit RGB on [0, 1]: 10 log10(1 / MSE) per frame, mean over frames.

    Details hold `pooled`, the PSNR of the MSE over all frames together: the two differ by most of a decibel on one and
    the same clip, and papers rarely say which they print.

    Args:
        region: Which pixels of the target count; frames with fewer than `MIN_REGION` of them are left out.
    """

    def __init__(self, region: Region = "frame") -> None:
        self.region = region
        self.info = MetricInfo(
            name=_named("psnr", region),
            version=1,
            higher_is_better=True,
            unit="dB",
            bounds=(0.0, PSNR_CAP),
            needs=_needs(region),
            source="mean of per-frame PSNR; HyDRA publishes no definition",
            headline=region != "subject",
        )

    def __call__(self, case: Case) -> Score:
        """The score; skipped where no frame shows the region."""
        errors = case.memo("squared_error", lambda: squared_error(case.prediction, case.truth.target))
        mse, pixels = region_means(errors, region_masks(case, self.region))
        if not len(mse):
            return Score.skipped(f"no target frame shows the {self.region}")
        values = psnr_from_mse(mse)
        pooled = psnr_from_mse(np.array([np.average(mse, weights=pixels)]))[0]
        details = {"pooled": float(pooled), "frames": len(values), "capped_frames": int((values >= PSNR_CAP).sum())}
        return Score(float(values.mean()), details=details)


class Ssim:
    """Structural similarity after Wang et al. 2004: Gaussian window of 11 taps, sigma 1.5, mean over RGB.

    The map without its outer `SSIM_BORDER` pixels, averaged over the region's pixels, then over frames. Equals
    scikit-image with ``gaussian_weights=True, sigma=1.5, use_sample_covariance=False`` and torchmetrics' map cropped.

    Args:
        region: Which pixels of the target count.
    """

    def __init__(self, region: Region = "frame") -> None:
        self.region = region
        self.info = MetricInfo(
            name=_named("ssim", region),
            version=1,
            higher_is_better=True,
            bounds=(-1.0, 1.0),
            needs=_needs(region),
            source="Wang et al. 2004, section III",
            headline=region == "frame",
        )

    def __call__(self, case: Case) -> Score:
        """The score; skipped where no frame shows the region."""
        maps = case.memo("ssim_maps", lambda: ssim_maps(case.prediction, case.truth.target))
        inner = slice(SSIM_BORDER, -SSIM_BORDER)
        masks = region_masks(case, self.region)
        values, _ = region_means(maps, None if masks is None else masks[:, inner, inner])
        if not len(values):
            return Score.skipped(f"no target frame shows the {self.region}")
        return Score(float(values.mean()), details={"frames": len(values)})


def squared_error(a: Video, b: Video) -> Maps:
    """Squared difference on [0, 1], mean over RGB, float32 ``[T, H, W]``."""
    check_same_shape(a, b)
    out = np.empty(a.shape[:3], np.float32)
    for t, (x, y) in enumerate(zip(a, b, strict=True)):
        red, green, blue = cv2.split(cv2.absdiff(x, y))
        squares = cv2.multiply(red, red, dtype=cv2.CV_32F)  # whole numbers below 2^24: exact until they are scaled
        squares = cv2.accumulateSquare(blue, cv2.accumulateSquare(green, squares))
        out[t] = squares * np.float32(1 / (3 * 255**2))
    return out


def psnr_from_mse(mse: NDArray[np.floating]) -> NDArray[np.float64]:
    """Decibels of mean squared errors on [0, 1], capped at `PSNR_CAP`."""
    floor = 10 ** (-PSNR_CAP / 10)
    return -10 * np.log10(np.maximum(np.asarray(mse, np.float64), floor))


def ssim_maps(a: Video, b: Video) -> Maps:
    """SSIM maps, mean over RGB, without their border, float32 ``[T, H - 10, W - 10]``."""
    check_same_shape(a, b)
    if min(a.shape[1:3]) <= 2 * SSIM_BORDER:
        raise ValueError(f"SSIM needs frames larger than {2 * SSIM_BORDER} pixels, got {a.shape[1:3]}")
    return np.stack([_ssim_of_frame(x, y) for x, y in zip(a, b, strict=True)])


def region_masks(case: Case, region: Region) -> NDArray[np.bool_] | None:
    """Which pixels of the target belong to a region, ``[T, H, W]``; None for all of them."""
    if region == "frame":
        return None
    labels = case.truth.target_labels
    assert labels is not None, f"sample {case.sample.id!r} has no labels"
    return labels > 0 if region == "subject" else labels == 0


def region_means(
    maps: NDArray[np.floating], masks: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean per frame over a region, and its pixels, for the frames that show enough of it.

    Args:
        maps: ``[T, H, W]``.
        masks: ``[T, H, W]``, or None for every pixel.
    """
    if masks is None:
        means = maps.reshape(len(maps), -1).mean(axis=1, dtype=np.float64)
        return means, np.full(len(maps), maps[0].size)
    pixels = masks.reshape(len(masks), -1).sum(axis=1)
    sums = np.array([m[k].sum(dtype=np.float64) for m, k in zip(maps, masks, strict=True)])
    shown = pixels >= MIN_REGION
    return sums[shown] / pixels[shown], pixels[shown]


def check_same_shape(a: Video, b: Video) -> None:
    """Refuses to compare clips of different length or size, or of another type than uint8.

    Raises:
        ValueError: If they differ.
    """
    if a.shape != b.shape or a.dtype != np.uint8 or b.dtype != np.uint8:
        raise ValueError(f"clips must be uint8 of one shape, got {a.dtype} {a.shape} and {b.dtype} {b.shape}")


def _ssim_of_frame(x: Video, y: Video) -> Maps:
    """The map of a frame, band by band: the same numbers, and arrays that stay in the processor's cache."""
    rows = x.shape[0] - 2 * SSIM_BORDER
    out = np.empty((rows, x.shape[1] - 2 * SSIM_BORDER), np.float32)
    for first in range(0, rows, SSIM_BAND):
        last = min(first + SSIM_BAND, rows)
        seen = slice(first, last + 2 * SSIM_BORDER)
        out[first:last] = _ssim_map(x[seen], y[seen])
    return out


def _ssim_map(x: Video, y: Video) -> Maps:
    # centred: half the rounding error; the squares' means are only needed in sum: four blurs instead of five
    x32, y32 = x * np.float32(1 / 255) - np.float32(0.5), y * np.float32(1 / 255) - np.float32(0.5)
    mean_x, mean_y, product = _blur(x32), _blur(y32), _blur(x32 * y32)
    np.square(x32, out=x32)
    x32 += np.square(y32, out=y32)
    spread = _blur(x32)
    shared, level = mean_x * mean_y, mean_x + mean_y
    level += 0.5 + _C1
    squares = np.square(mean_x, out=mean_x)
    squares += np.square(mean_y, out=mean_y)
    spread -= squares
    spread += _C2
    squares += level  # (mean_x + 0.5)^2 + (mean_y + 0.5)^2 + C1
    spread *= squares
    product -= shared
    product *= 2
    product += _C2
    shared *= 2
    shared += level  # 2 (mean_x + 0.5) (mean_y + 0.5) + C1
    product *= shared
    product /= spread
    inner: Maps = product.mean(axis=2)
    return inner


def _blur(image: NDArray[np.floating]) -> NDArray[np.float32]:
    blurred = cv2.GaussianBlur(image, (11, 11), 1.5)
    return np.asarray(blurred, np.float32)[SSIM_BORDER:-SSIM_BORDER, SSIM_BORDER:-SSIM_BORDER].copy()


def _named(name: str, region: Region) -> str:
    return name if region == "frame" else f"{name}_{region}"


def _needs(region: Region) -> frozenset[str]:
    return frozenset({TRUTH} if region == "frame" else {TRUTH, LABELS})
