"""Distances between all generated and all real videos: FID, KID and FVD, as people expect them in a table.

They are numbers of a run, not of a clip, and say nothing about memory: a model that always shows another plausible
place has a good one. They are refused where the sample is too small, with the reason:

* FID and FVD compare Gaussians in D dimensions (2,048 and 512). With D samples or fewer the covariance has no full
  rank, and the distance then depends on how many samples there are more than on what they show.
* KID has no such bias, but its spread is told from subsets, for which there must be pictures enough.

FID and KID look through the Inception network of the original FID, by torch-fidelity: comparable with published numbers
on equal data and counts. FVD is published with an I3D network whose weights no package brings; `fvd_r3d18` looks
through torchvision's R3D-18 (Kinetics-400) and is comparable with itself only.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

EVERY = 4
"""Frames between those that FID and KID look at: neighbours are almost the same picture."""
SNIPPET = 16
"""Frames of a snippet for FVD, as in its paper; snippets do not overlap."""
MIN_CLIPS = 10
"""Pictures of fewer clips are too much alike to stand for a distribution."""
MIN_PICTURES = 100
"""For KID."""
SUBSET = 100
SUBSETS = 100
"""KID: pictures of a subset at most, and subsets."""


@dataclass(frozen=True, kw_only=True)
class Distance:
    """One number of a run, or why there is none."""

    metric: str
    """``fid``, ``kid`` or ``fvd_r3d18``."""
    value: float | None
    """Smaller is better, 0 for equal distributions; KID may fall below."""
    spread: float | None
    """KID's standard deviation over subsets."""
    reason: str | None
    """Why there is no value."""
    clips: int
    """Clips of each side."""
    samples: int
    """Pictures or snippets of each side."""
    version: int = 1
    """Raised when the number may change."""


class _Given(torch.nn.Module):
    """Stands for a network whose features are known already: the library then only computes the distance."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.num_features = features

    def forward(self, features: Tensor) -> Tensor:
        return features


def frechet(real: Tensor, generated: Tensor) -> float:
    """Squared Frechet distance of Gaussians fitted to features (Heusel et al. 2017), by torchmetrics.

    Args:
        real: ``[N, D]``.
        generated: ``[M, D]``.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    distance = FrechetInceptionDistance(feature=_Given(real.shape[1]))
    distance.update(real.double(), real=True)
    distance.update(generated.double(), real=False)
    return float(distance.compute())


def kernel(
    real: Tensor, generated: Tensor, *, subset: int, subsets: int = SUBSETS, seed: int = 0
) -> tuple[float, float]:
    """Mean and standard deviation over subsets of the unbiased squared MMD (Binkowski et al. 2018), by torchmetrics.

    Args:
        real: ``[N, D]``.
        generated: ``[M, D]``.
        subset: Samples of a subset.
        subsets: How many.
        seed: Seed of the subsets.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that features are kept: they are here already
        distance = KernelInceptionDistance(feature=_Given(real.shape[1]), subsets=subsets, subset_size=subset)
    distance.update(real.double(), real=True)
    distance.update(generated.double(), real=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mean, spread = distance.compute()
    return float(mean), float(spread)


def gaussian_distance(metric: str, real: Tensor, generated: Tensor, clips: int) -> Distance:
    """FID or FVD of features ``[N, D]``, or the reason why there is none."""
    samples, dimensions = min(len(real), len(generated)), real.shape[1]
    what = "pictures" if metric == "fid" else "snippets"
    reason = _few_clips(clips)
    if reason is None and samples <= dimensions:
        reason = (
            f"{samples} {what} of each side: a Gaussian in {dimensions} dimensions needs more than {dimensions}, or "
            "the distance tells how many there are"
        )
    value = None if reason else frechet(real, generated)
    return Distance(metric=metric, value=value, spread=None, reason=reason, clips=clips, samples=samples)


def kernel_distance(real: Tensor, generated: Tensor, clips: int, *, seed: int = 0) -> Distance:
    """KID of features ``[N, D]``, or the reason why there is none."""
    samples = min(len(real), len(generated))
    reason = _few_clips(clips)
    if reason is None and samples < MIN_PICTURES:
        reason = f"{samples} pictures of each side: fewer than {MIN_PICTURES} leave no room for subsets"
    value, spread = (None, None) if reason else kernel(real, generated, subset=min(SUBSET, samples // 2), seed=seed)
    return Distance(metric="kid", value=value, spread=spread, reason=reason, clips=clips, samples=samples)


def _few_clips(clips: int) -> str | None:
    if clips >= MIN_CLIPS:
        return None
    return f"{clips} clips: fewer than {MIN_CLIPS} are too much alike to stand for a distribution"
