"""Golden numbers: what every metric gives on toys, six digits, tied to `MetricInfo.version`.

A number that changes while its metric's version does not is a mistake, or a version that somebody forgot to raise:
runs of before and after would be compared as equals. Who means it raises the version and writes the file anew::

    HMBENCH_GOLDEN=write python -m pytest tests/metrics/test_golden.py -q

That, too, refuses a number that changed under an old version. `colour` is a toy encoder that knows looks exactly,
`shipped` the mini profile's own networks.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import lpips
import numpy as np
import pytest
import torch

from hmbench.case import Case
from hmbench.metrics.background.fidelity import KNOWN_OF_A_CLIP
from hmbench.metrics.dsc import DynamicSubjectConsistency
from hmbench.metrics.needs import unmet_need
from hmbench.metrics.perceptual import Lpips
from hmbench.metrics.reentry.metrics import ReentryMetric
from hmbench.metrics.reentry.readings import READINGS
from hmbench.metrics.summary import MemoryScore
from hmbench.metrics.table import REGIONS, default_metrics
from hmbench.metrics.tracking import TrackingMetric
from hmbench.metrics.vbench import DynamicDegree, MotionSmoothness, TemporalFlickering
from hmbench.networks.backbones import Backbone
from hmbench.protocols import Metric
from tests.metrics import stage
from tests.metrics.background import panorama

FILE = Path(__file__).with_name("golden.json")
DIGITS = 6
NETWORKS = ("recoloured", "noisy")
"""Toys that the networks of the mini profile see, too: they take most of the time."""
LEAVES = stage.Actor(1, stage.RED)
STAYS = stage.Actor(2, stage.BLUE, x=60, speed=-1, y=10, hidden=(0, 0))
TRUTH = (LEAVES, STAYS)
PLAYED: dict[str, tuple[stage.Actor, ...]] = {
    "true": TRUTH,
    "shifted": (replace(LEAVES, x=26), STAYS),
    "late": (replace(LEAVES, hidden=(14, 36)), STAYS),
    "vanished": (replace(LEAVES, hidden=(14, 48)), STAYS),
    "standing": (replace(LEAVES, x=52, speed=0), STAYS),
    "backwards": (replace(LEAVES, x=88, speed=-1), STAYS),
    "recoloured": (replace(LEAVES, colour=stage.GREEN), STAYS),
    "larger": (replace(LEAVES, width=14, height=32), STAYS),
    "exchanged": (replace(LEAVES, colour=stage.BLUE), replace(STAYS, colour=stage.RED)),
    "companion gone": (LEAVES, replace(STAYS, hidden=(34, 48))),
    "twice": (*TRUTH, stage.Actor(3, stage.RED, x=90, y=34, hidden=(0, 31))),
}
"""Toy to what the prediction plays instead of the truth."""


def _stage(name: str) -> Case:
    if name in PLAYED:
        return stage.make_case(TRUTH, PLAYED[name])
    if name == "camera turns":
        return stage.make_case(TRUTH, PLAYED["shifted"], pan=stage.PAN)
    case = stage.make_case(TRUTH, PLAYED["shifted"], oracle=name != "no tracks")
    if name == "one mask":
        return stage.one_mask(case)
    if name == "noisy":
        noise = np.random.default_rng(5).normal(0, 12, case.prediction.shape)
        return Case(case.sample, np.clip(case.prediction + noise, 0, 255).astype(np.uint8), case.tracks)
    return case


def _wall(name: str) -> Case:
    yaw = panorama.away_and_back()[panorama.HALF :]
    picture = panorama.wall()
    late = np.concatenate([np.repeat(yaw[:1], 5), yaw[:-5]])
    half = len(yaw) // 2
    video = {
        "wall, late": lambda: panorama.views(picture, late),
        "wall, forgotten": lambda: np.concatenate(
            [panorama.views(picture, yaw[:half]), panorama.views(panorama.wall(1), yaw[half:])]
        ),
        "wall, zoomed": lambda: panorama.views(picture, yaw, zoom=1.06),
    }[name]()
    return panorama.make_case(video, _wall_sample())


@functools.cache
def _wall_sample():  # type: ignore[no-untyped-def]
    return panorama.make_sample()


TOYS: dict[str, Callable[[str], Case]] = {
    **dict.fromkeys((*PLAYED, "noisy", "one mask", "no tracks", "camera turns"), _stage),
    **dict.fromkeys(("wall, late", "wall, forgotten", "wall, zoomed"), _wall),
}


@functools.cache
def _shipped() -> tuple[Metric, ...]:
    return default_metrics(profile="mini", weights=None, device="cpu")


@functools.cache
def _through_networks() -> tuple[Metric, ...]:
    """Those of the mini profile that look through its shipped networks."""
    plain = {"truth", "labels", "separate", "events", "tracks"}
    return tuple(metric for metric in _shipped() if metric.info.needs - plain - {"alexnet"})


@functools.cache
def _lpips() -> tuple[Metric, ...]:
    """LPIPS with a trunk of random weights: the published ones are a download."""

    def load():  # type: ignore[no-untyped-def]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return lpips.LPIPS(net="alex", pretrained=False, pnet_rand=True, verbose=False).eval()

    network = Backbone("alexnet", load)
    return tuple(Lpips(network, region) for region in REGIONS)


@functools.cache
def _colour() -> tuple[Metric, ...]:
    """Every metric that looks through a crop encoder, with a toy one, and those that need no network."""
    encoder = Backbone("colour", stage.NoisyColourEncoder)
    kinds = ("gt", "ctx", "reentry", "calibrated", "coverage")
    return (
        MemoryScore(encoder),
        *(DynamicSubjectConsistency(encoder, kind) for kind in kinds),  # type: ignore[arg-type]
        *(ReentryMetric(reading, encoder) for reading in READINGS),
        *(TrackingMetric(name) for name in ("hota", "deta", "assa", "idf1")),  # type: ignore[arg-type]
        *(metric for metric in _shipped() if not metric.info.needs - {"truth", "labels"}),
        TemporalFlickering(),
        MotionSmoothness(Backbone("average", lambda: lambda before, after: (before + after) / 2)),
        DynamicDegree(Backbone("brightness flow", lambda: _flow)),
    )


def _flow(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """A toy: what becomes brighter moves right and down, by a twelfth of the change."""
    change = (after - before).mean(dim=1, keepdim=True) / 12
    return torch.cat([change, change / 2], dim=1)


def _sets(*, all_of_them: bool) -> dict[str, tuple[Metric, ...]]:
    return {"colour": _colour(), **({"shipped": _through_networks(), "random": _lpips()} if all_of_them else {})}


KNOWN: dict[str, Case] = {}
"""Toys' kind to a case of it: what is known of a clip is computed once."""


def measured(name: str) -> Iterator[tuple[str, int, float | str]]:
    """Metric, version and number on one toy, or why it has none."""
    case = TOYS[name](name)
    kind = "wall" if name.startswith("wall") else name if name in ("one mask", "camera turns") else "stage"
    if kind in KNOWN:
        KNOWN[kind].hand_on(case, KNOWN_OF_A_CLIP)
    KNOWN.setdefault(kind, case)
    for encoder, metrics in _sets(all_of_them=name in NETWORKS).items():
        for metric in metrics:
            if kind == "wall" and not metric.info.needs <= {"truth", "labels"}:
                continue  # nobody is there
            reason = None if kind == "wall" else unmet_need(metric.info, case)
            score = metric(case) if reason is None else None
            reason = reason or (score.reason if score else None)
            value: float | str = f"skipped: {reason}"
            if score is not None and reason is None:
                value = float(f"{score.value:.{DIGITS}g}")
            yield f"{metric.info.name} ({encoder})", metric.info.version, value


def stored() -> dict[str, dict[str, object]]:
    return json.loads(FILE.read_text()) if FILE.is_file() else {}


@pytest.mark.parametrize("name", TOYS)
def test_numbers_change_only_with_the_version(name: str) -> None:
    found, known = list(measured(name)), stored()
    wrong = []
    for metric, version, value in found:
        entry = known.get(metric, {"version": None, "values": {}})
        before = entry["values"].get(name)  # type: ignore[attr-defined]
        same = before == value
        if isinstance(before, float | int) and isinstance(value, float):
            same = value == pytest.approx(before, rel=2e-5, abs=1e-6)  # another processor's last digit
        if entry["version"] == version and before is not None and not same:
            wrong.append(f"{metric}: {before} became {value}: raise its version, or mend it")
        elif os.environ.get("HMBENCH_GOLDEN") != "write" and (entry["version"] != version or before is None):
            wrong.append(f"{metric}: no number of version {version} is stored; HMBENCH_GOLDEN=write writes it")
    assert not wrong, "\n".join(wrong)
    if os.environ.get("HMBENCH_GOLDEN") == "write":
        for metric, version, value in found:
            entry = known.get(metric)
            if entry is None or entry["version"] != version:
                entry = known[metric] = {"version": version, "values": {}}
            entry["values"][name] = value  # type: ignore[index]
        FILE.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


def test_every_metric_has_numbers_of_its_version_and_none_is_left_over() -> None:
    known = stored()
    asked = {f"{m.info.name} ({encoder})": m.info for encoder, ms in _sets(all_of_them=True).items() for m in ms}
    assert set(known) == set(asked)
    assert {name: entry["version"] for name, entry in known.items()} == {n: info.version for n, info in asked.items()}
    values = {metric: list(entry["values"].values()) for metric, entry in known.items()}  # type: ignore[attr-defined]
    bare = {metric for metric, found in values.items() if not any(isinstance(v, float | int) for v in found)}
    bare -= {"background_consistency (shipped)"}  # the mini profile skips it always, and says why
    assert not bare, f"measured on no toy: {bare}"
    constant = [m for m, found in values.items() if m.endswith("(colour)") and len(set(map(str, found))) < 2]
    assert not constant, f"the same on all toys: {constant}"
