"""Refuses names that nobody offers before anything heavy is imported: a typo is answered at once."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from hmbench.data.embedded_clips import EMBEDDED_CLIPS
from hmbench.data.splits import EMBEDDED_SPLITS
from hmbench.described import lacks
from hmbench.errors import UserError, did_you_mean
from hmbench.files import read_json
from hmbench.metrics.names import metric_names
from hmbench.prefixes import whole_ids
from hmbench.registry import DATA as DATA_SOURCES
from hmbench.registry import METRICS, MODELS, OPTIONS, TRACKERS, Kind, factory_options, find_factory, model_names

PROFILES = ("mini", "paper")


def check_names(
    *,
    model: str | None,
    data: str | None,
    profile: str | None,
    tracker: str | None = None,
    split: str | None = None,
    samples: Sequence[str] = (),
) -> None:
    """Refuses names that nobody offers, before anything heavy is imported.

    Raises:
        UserError: If there is no such model, data source, profile or tracker, no such split in a folder that lists its
            splits, or no such sample where samples are known without opening anything.
    """
    if tracker is not None and ":" not in tracker and tracker not in (known := TRACKERS.points()):
        raise TRACKERS.unknown(tracker, known)
    if tracker is not None and ":" in tracker:
        _check_module(TRACKERS, tracker)
    if profile is not None and profile not in PROFILES:
        raise UserError(f"There is no profile {profile!r}.", f"Available: {', '.join(PROFILES)}.")
    if model is not None and not Path(model).is_dir() and ":" not in model and model not in model_names():
        raise MODELS.unknown(model, model_names(), "a saved model's folder, or ")
    elsewhere = ("http:", "https:", "command:")
    if model is not None and ":" in model and not model.startswith(elsewhere) and not Path(model).is_dir():
        _check_module(MODELS, model)
    known = DATA_SOURCES.points()
    if data and not (data in known or ":" in data or Path(data).is_dir()):
        raise UserError(
            f"There is no data folder {data!r}.",
            f"{did_you_mean(data, known)} Or give a folder in HM-World's layout, or module:NAME.",
        )
    if data and ":" in data and data not in known and not (Path(data).is_dir() or data.startswith("{")):
        _check_module(DATA_SOURCES, data)
    splits = _known_splits(data) if data and split else None
    if splits is not None and split not in splits:
        raise UserError(f"{data} has no split {split!r}.", did_you_mean(str(split), splits))
    if data and samples and (known_samples := _known_samples(data)):
        whole_ids(samples, known_samples, f"The data set {data}")


def _known_samples(data: str) -> Sequence[str]:
    """Ids of all samples, where they can be told without opening the data; else none."""
    if data in EMBEDDED_CLIPS:
        return EMBEDDED_CLIPS[data]
    return sorted(path.parent.name for path in Path(data).glob("[!.]*/cond.mp4")) if Path(data).is_dir() else ()


def _known_splits(data: str) -> Sequence[str] | None:
    """Splits of data that can be told without opening them; None for others."""
    if data in EMBEDDED_SPLITS:
        return EMBEDDED_SPLITS[data]
    listed = Path(data) / "splits.json"
    return ["all", *read_json(listed, kind=dict)] if listed.is_file() else None


def _check_module(kind: Kind, value: str) -> None:
    """Refuses ``module:NAME`` whose module is nowhere, or in whose text no such name is bound, without importing it."""
    module, _, name = value.partition(":")
    top = module.partition(".")[0]
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    if top.isidentifier() and top not in sys.modules and find_spec(top) is None:
        raise UserError(
            f"The module {top!r}, needed by {kind.what} {value!r}, cannot be imported.",
            "Install the package that offers it, or go to the folder that holds it.",
        )
    if module not in sys.modules and (names := lacks(value)) is not None:
        raise UserError(f"{module} has no {name!r}.", did_you_mean(name, names))


def check_options(model: str | None, options: Mapping[str, str]) -> None:
    """Refuses options that a model does not have, before its data are made or read.

    The model's code is imported, unless its package tells the names of options apart (``hmbench.options``).

    Raises:
        UserError: If there is no such option.
    """
    if model is None or not options:
        return
    told = _told_options().get(model) if not Path(model).is_dir() else None
    accepted = factory_options(find_factory(model)[0]) if told is None else told
    for key in (key.replace("-", "_") for key in options):
        if key not in accepted:
            raise UserError(f"Model {model!r} has no option {key!r}.", did_you_mean(key, accepted))


def _told_options() -> dict[str, list[str]]:
    """Names of options by model, as far as packages tell them."""
    return {model: names for point in OPTIONS.points().values() for model, names in OPTIONS.load(point.value)().items()}


def check_metrics(names: Sequence[str]) -> None:
    """Refuses metrics that nobody offers, before anything heavy is imported.

    Raises:
        UserError: If there is no such metric. Installed ones may offer several each, and are looked at later.
    """
    for name in names:
        if ":" in name:
            _check_module(METRICS, name)
    installed = METRICS.points()
    if installed:
        return
    known = metric_names()
    for name in names:
        if ":" not in name and name not in known:
            raise UserError(f"There is no metric {name!r}.", f"{did_you_mean(name, known)} Or give module:NAME.")
