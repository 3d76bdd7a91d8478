"""Metrics of other packages, and of the working folder: installed ones, and those that ``module:NAME`` names.

What a name may stand for: a `Metric`; a class of one; a function of a `Case` that gives a number (its only parameter is
called ``case``); or a function of a `Setting` that gives one metric or several.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hmbench.case import Case
from hmbench.errors import UserError
from hmbench.metrics.needs import TRUTH
from hmbench.networks.backbones import Backbones
from hmbench.protocols import Metric, MetricInfo
from hmbench.registry import METRICS, called
from hmbench.types import Score


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a run scores with, for metrics that look through its networks."""

    profile: str
    """``mini`` or ``paper``."""
    weights: Path | None
    """Folder filled by `hmbench weights pull`; None if there is none."""
    device: str
    """Torch device."""
    backbones: Backbones
    """The profile's networks, loaded when first used."""


class FunctionMetric:
    """A plain function of a case as a metric; NaN from it is a skip.

    Args:
        function: Takes a `Case`, gives a number or a `Score`.
    """

    def __init__(self, function: Callable[[Case], Any]) -> None:
        self._function = function
        self.info = MetricInfo(
            name=function.__name__,
            version=int(getattr(function, "version", 1)),
            higher_is_better=getattr(function, "higher_is_better", None),
            needs=frozenset(getattr(function, "needs", (TRUTH,))),
            source=f"{function.__module__}:{function.__name__}",
            headline=True,
        )

    def __call__(self, case: Case) -> Score:
        """The function's value."""
        found = self._function(case)
        if isinstance(found, Score):
            return found
        value = float(found)
        return Score.skipped(f"{self.info.name} gave {value}") if not math.isfinite(value) else Score(value)


def installed_metrics(setting: Setting) -> tuple[Metric, ...]:
    """Metrics that installed packages offer, in order of their names."""
    return tuple(metric for name in METRICS.points() for metric in metrics_of(name, METRICS.find(name), setting))


def named_metrics(names: Sequence[str], setting: Setting) -> dict[str, tuple[Metric, ...]]:
    """Metrics of ``module:NAME``, by what was asked for.

    Raises:
        UserError: If one cannot be imported or is no metric.
    """
    return {name: metrics_of(name, METRICS.find(name), setting) for name in names}


def metrics_of(name: str, found: Any, setting: Setting) -> tuple[Metric, ...]:
    """The metrics that a name stands for.

    Raises:
        UserError: If it stands for none.
    """
    if _is_metric(found):
        return (cast(Metric, found),)
    if callable(found):
        parameters = [
            one
            for one in inspect.signature(found).parameters.values()
            if one.default is inspect.Parameter.empty
            and one.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        ]
        if not inspect.isclass(found) and [one.name for one in parameters] == ["case"]:
            return (FunctionMetric(found),)
        if len(parameters) <= 1:
            found = called("metric", name, found, *([setting] if parameters else []))
    given = found if isinstance(found, Iterable) else (found,)
    metrics = tuple(given)
    if not metrics or not all(_is_metric(one) for one in metrics):
        raise UserError(
            f"{name!r} is no metric.",
            "Name a class with `info` (MetricInfo) and __call__(case) -> Score, or a function of `case`.",
        )
    return cast("tuple[Metric, ...]", metrics)


def _is_metric(found: Any) -> bool:
    return not inspect.isclass(found) and callable(found) and isinstance(getattr(found, "info", None), MetricInfo)
