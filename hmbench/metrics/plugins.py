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
from hmbench.own_code import called, code_digest, settings_of, takes
from hmbench.protocols import Metric, MetricInfo
from hmbench.registry import METRICS
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


def as_score(name: str, found: Any) -> Score:
    """What a metric gave, as a score: a number (NumPy's and torch's too) is one; None, NaN and infinity are skips.

    Raises:
        TypeError: If it is nothing of the kind.
    """
    if isinstance(found, Score):
        return found
    if found is None:
        return Score.skipped(f"{name} gave None")
    try:
        single = found.item() if hasattr(found, "item") else found
    except (RuntimeError, ValueError):  # several numbers
        single = None
    if not isinstance(single, int | float):
        raise TypeError(f"{name} gave {type(found).__name__}, not a number or a Score")
    return Score(float(single)) if math.isfinite(single) else Score.skipped(f"{name} gave {float(single)}")


class FunctionMetric:
    """A plain function of a case as a metric, or an object that is called like one.

    Args:
        function: Takes a `Case`, gives what `as_score` reads.
        name: What tables call it; by default the function's own name.
    """

    def __init__(self, function: Callable[[Case], Any], name: str | None = None) -> None:
        self._function = function
        called = name or function.__name__
        self.info = MetricInfo(
            name=called,
            version=int(getattr(function, "version", 1)),
            higher_is_better=getattr(function, "higher_is_better", None),
            needs=frozenset(getattr(function, "needs", (TRUTH,))),
            source=f"{function.__module__}:{called}",
            headline=True,
        )

    def __call__(self, case: Case) -> Score:
        """The function's value."""
        return as_score(self.info.name, self._function(case))


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
    """The metrics that a name stands for; a class or object without `info` gets one from its name.

    Raises:
        UserError: If it stands for none.
    """
    if _is_metric(found):
        return (cast(Metric, found),)
    short = name.rpartition(":")[2]
    if callable(found):
        parameters = [
            one
            for one in inspect.signature(found).parameters.values()
            if one.default is inspect.Parameter.empty
            and one.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        ]
        if not inspect.isclass(found) and [one.name for one in parameters] == ["case"]:
            return (FunctionMetric(found, short if getattr(found, "__name__", "<lambda>") == "<lambda>" else None),)
        if inspect.isclass(found) and not all(map(_is_setting, parameters)):
            raise UserError(
                f"The metric {name!r} cannot be made: {', '.join(one.name for one in parameters)} has no value.",
                "Give its arguments defaults, or name an object: METRIC = MyMetric(...) in your module, module:METRIC.",
            )
        if len(parameters) <= 1:
            found = called("metric", name, found, *([setting] if parameters else []))
        if not inspect.isclass(found) and not _is_metric(found) and callable(found) and takes(found, None):
            return (FunctionMetric(found, short),)
    given = found if isinstance(found, Iterable) else (found,)
    metrics = tuple(given)
    if not metrics or not all(_is_metric(one) for one in metrics):
        raise UserError(
            f"{name!r} is no metric.",
            "Name a class with `info` (MetricInfo) and __call__(case) -> Score, or a function of `case`.",
        )
    return cast("tuple[Metric, ...]", metrics)


def own_identity(metric: Metric) -> tuple[dict[str, Any], ...]:
    """What else decides the values of somebody's own metric: its code and plain settings. Empty for hmbench's own."""
    made = metric._function if isinstance(metric, FunctionMetric) else metric
    code = made if inspect.isroutine(made) else type(made)
    if str(code.__module__).startswith("hmbench."):
        return ()
    return ({**settings_of(made), "code": code_digest(code)},)


def _is_setting(parameter: inspect.Parameter) -> bool:
    return parameter.name == "setting" or parameter.annotation in (Setting, "Setting")


def _is_metric(found: Any) -> bool:
    return not inspect.isclass(found) and callable(found) and isinstance(getattr(found, "info", None), MetricInfo)
