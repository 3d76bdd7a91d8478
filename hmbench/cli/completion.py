"""What the shell offers when somebody presses tab: names of models, data, metrics, splits and samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import typer

from hmbench.errors import UserError
from hmbench.registry import DATA, METRICS, TRACKERS, model_names


def models(incomplete: str) -> list[str]:
    """Installed models."""
    return _beginning(incomplete, model_names())


def sources(incomplete: str) -> list[str]:
    """Installed data sources, and folders."""
    return [*_beginning(incomplete, DATA.points()), *_folders(incomplete)]


def metrics(incomplete: str) -> list[str]:
    """Hmbench's metrics and installed ones."""
    from hmbench.metrics.names import metric_names

    return _beginning(incomplete, [*metric_names(), *METRICS.points()])


def trackers(incomplete: str) -> list[str]:
    """Installed trackers."""
    return _beginning(incomplete, TRACKERS.points())


def profiles(incomplete: str) -> list[str]:
    """Profiles."""
    from hmbench.run.name_checks import PROFILES

    return _beginning(incomplete, PROFILES)


def splits(ctx: typer.Context, incomplete: str) -> list[str]:
    """Splits of the data that was named before."""
    from hmbench.files import read_json

    folder = _data_folder(ctx)
    listed = [] if folder is None or not (folder / "splits.json").is_file() else read_json(folder / "splits.json")
    return _beginning(incomplete, ["all", *listed])


def samples(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids of the run or of the data that was named before; as short as tells them apart where nothing is typed yet."""
    from hmbench.results.run_folder import RunFolder

    run = ctx.params.get("run")
    if run is not None:
        try:
            return _beginning(incomplete, RunFolder(Path(run)).read_manifest().samples)
        except UserError:
            return []
    folder = _data_folder(ctx)
    there = [] if folder is None else sorted(path.parent.name for path in folder.glob("[!.]*/cond.mp4"))
    return _beginning(incomplete, there)


def runs(incomplete: str) -> list[str]:
    """Folders that are runs, or lead to some."""
    folders = map(Path, _folders(incomplete))
    return [str(one) for one in folders if (one / "run.json").is_file() or any(one.glob("*/run.json"))]


FIELDS: dict[str, Callable[..., list[str]]] = {
    "model": models,
    "data": sources,
    "metrics": metrics,
    "tracker": trackers,
    "profile": profiles,
    "split": splits,
    "samples": samples,
}
"""Field of a request to what completes it."""


def _data_folder(ctx: typer.Context) -> Path | None:
    """Where the named data are on this disk; None if they are not, or are no folder."""
    from hmbench.cache import cache_folder

    spec: Any = ctx.params.get("data") or "mini"
    if Path(spec).is_dir():
        return Path(spec) if not (Path(spec) / "HM-World").is_dir() else Path(spec) / "HM-World"
    if spec != "mini":
        return None
    rendered = [p for p in (cache_folder() / "mini-world").glob("[!.]*") if any(p.glob("[!.]*/cond.mp4"))]
    return max(rendered, key=lambda path: path.stat().st_mtime, default=None)


def _folders(incomplete: str) -> list[str]:
    parent = Path(incomplete).parent if not incomplete.endswith("/") else Path(incomplete)
    if not parent.is_dir():
        return []
    found = (str(path) for path in sorted(parent.iterdir()) if path.is_dir() and not path.name.startswith("."))
    return _beginning(incomplete, found)


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
