"""Metrics order oracle >= copy-last >= noise, and the oracle reaches its bound; those that cannot are named."""

from pathlib import Path

import pytest

from hmbench.data.examples import import_examples
from hmbench.run.evaluate import EvalRequest, EvalResult, evaluate

LADDER = ("oracle", "copy-last", "noise")
RUNGS_APART = {"psnr", "psnr_background", "ssim", "ssim_background", "psnr_subject", "ssim_subject"}
"""Metrics that tell every rung from the next on any data; the others may tie below the oracle."""
STILL_IS_BEST = {"subject_consistency", "background_consistency", "background_consistency_masked"}
"""VBench's consistency compares frames with each other: a video that stands still is perfect, the real one is not."""


def ladder(folder: Path, data: str, **changes: object) -> dict[str, EvalResult]:
    requests = {m: EvalRequest(model=m, data=data, out=folder / m, **changes) for m in LADDER}  # type: ignore[arg-type]
    return {name: evaluate(request) for name, request in requests.items()}


def check(results: dict[str, EvalResult], wanted: set[str]) -> None:
    manifest = results["oracle"].manifest
    compared = set()
    for name, info in manifest.metrics.items():
        values = [results[m].summary[name].mean for m in LADDER]
        if info.higher_is_better is None or None in values or name in STILL_IS_BEST:
            continue
        sign = 1 if info.higher_is_better else -1
        best, copy, noise = (sign * value for value in values)
        assert best >= copy, f"{name}: copy-last {values[1]} beats the oracle {values[0]}"
        if name in wanted:
            assert best > copy > noise, f"{name}: {values}"
            bound = info.bounds[1 if info.higher_is_better else 0]
            assert values[0] == pytest.approx(bound, abs=1e-6), f"{name}: the oracle misses its bound {bound}"
            compared.add(name)
    assert compared == wanted


def test_ladder_on_discs(tmp_path: Path) -> None:
    check(ladder(tmp_path, "disc", tracking=False), RUNGS_APART)


@pytest.mark.slow
def test_ladder_on_real_clips(tmp_path: Path, real_clips: Path) -> None:
    import_examples(real_clips, tmp_path / "clips")
    check(ladder(tmp_path, str(tmp_path / "clips"), metrics=("psnr", "ssim"), tracking=False), {"psnr", "ssim"})
