"""What every source of clips offers to the runner, and how ``--data`` finds one."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

from hmbench.errors import SampleError, UserError, did_you_mean
from hmbench.own_code import called, made_by
from hmbench.prefixes import whole_ids
from hmbench.registry import DATA
from hmbench.types import Sample


class Dataset(Protocol):
    """Samples by id, read one at a time."""

    name: str
    """What tables call it."""

    def ids(self, split: str) -> tuple[str, ...]:
        """Ids of a split, sorted."""
        ...

    def load(self, sample_id: str) -> Sample:
        """One sample.

        Raises:
            SampleError: If its files are missing, damaged or contradict each other.
        """
        ...

    def caption(self, sample_id: str) -> str | None:
        """A sample's caption without reading its videos; None if nobody wrote one."""
        ...

    def revision(self, ids: tuple[str, ...]) -> str:
        """A digest of the data behind these ids; equal revisions are the same data."""
        ...


METHODS = ("ids", "load", "caption", "revision")
"""What a source of data offers."""
OnClip = Callable[[str, int], None]
"""Called with the id of a clip that was rendered and how many there will be."""


class Wanted(NamedTuple):
    """Which samples will be read: those of `chosen_ids`."""

    split: str = "all"
    """A split."""
    samples: Sequence[str] = ()
    """Ids or beginnings of ids; empty for all of the split."""
    limit: int | None = None
    """The first so many."""


def open_dataset(
    spec: str,
    on_clip: OnClip | None = None,
    options: Mapping[str, Any] | None = None,
    wanted: Wanted | None = None,
) -> Dataset:
    """The data that ``--data`` names.

    Args:
        spec: An installed source (``mini``, ``mini-easy``, ...), ``module:NAME`` of one, or a folder.
        on_clip: Hears of each clip of the mini world that has to be rendered first.
        options: The source's own options, for example those of `hmbench.data.own_video.own_video`.
        wanted: Which samples will be read, where that is known: a source that makes its samples makes these alone.

    Raises:
        UserError: If there is no such source or folder, nothing in it looks like HM-World, or it refuses the options.
    """
    if spec.startswith("{"):  # how runs of 0.1 recorded somebody's own video
        spec, options = "own-video", _options_of_0_1(spec)
    known = DATA.points()
    if spec not in known and (Path(spec).is_dir() or ":" not in spec):
        return _folder(spec)
    factory = made_by("data source", spec, DATA.find(spec), "load")
    accepted = inspect.signature(factory).parameters
    ours = {"on_clip": on_clip, "wanted": wanted}
    given = dict(options or {}) | {name: value for name, value in ours.items() if name in accepted}
    anything = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in accepted.values())
    if not anything and (unknown := sorted(set(given) - set(accepted))):
        raise UserError(f"The data source {spec!r} has no option {unknown[0]!r}.", did_you_mean(unknown[0], accepted))
    found = called("data source", spec, factory, **given)
    return as_dataset(found, spec)


def as_dataset(found: Any, spec: str) -> Dataset:
    """A source of data; one without a ``name`` has that of its place.

    Args:
        found: An object.
        spec: What it was asked for by.

    Raises:
        UserError: If it lacks a method.
    """
    if lacking := [name for name in METHODS if not callable(getattr(found, name, None))]:
        raise UserError(
            f"What {spec!r} gives is no data source: {type(found).__name__} has no {' and '.join(lacking)}.",
            "A data source has ids(split), load(sample_id), caption(sample_id) and revision(ids): see "
            "examples/own_data.py.",
        )
    if not isinstance(getattr(found, "name", None), str):
        found.name = spec.replace(":", ".").rpartition(".")[2]
    return cast(Dataset, found)


def chosen_ids(
    data: Dataset, split: str = "all", samples: Sequence[str] = (), limit: int | None = None
) -> tuple[str, ...]:
    """Ids of a split, of these samples alone, the first so many: what ``--split``, ``--sample`` and ``--limit`` mean.

    Raises:
        UserError: If it names an unknown id, or nothing is left.
    """
    ids = data.ids(split)
    wanted = whole_ids(samples, ids, f"Split {split!r} of {data.name}")
    ids = tuple(i for i in ids if not wanted or i in wanted)[:limit]
    if not ids:
        raise UserError(f"No samples in split {split!r} of {data.name}.", "Choose another --split or --limit.")
    return ids


def load_sample(data: Dataset, sample_id: str) -> Sample:
    """One sample of a source that may be anyone's.

    Raises:
        SampleError: If what it gives is no sample, or another one.
    """
    found: Any = data.load(sample_id)
    hint = "load(sample_id) returns a hmbench.types.Sample of that id: see examples/own_data.py."
    if not isinstance(found, Sample):
        raise SampleError(f"{data.name} gives {type(found).__name__} for {sample_id}, and no Sample.", hint)
    if found.id != sample_id:
        raise SampleError(f"{data.name} gives the sample {found.id!r} for {sample_id}.", hint)
    return found


def open_recorded(
    spec: str,
    on_clip: OnClip | None = None,
    options: Mapping[str, Any] | None = None,
    wanted: Wanted | None = None,
) -> Dataset:
    """The data that a run's record names. As `open_dataset`, but for code: a record may come from a stranger.

    Raises:
        UserError: If there is no such source or folder, or the record names code.
    """
    return open_dataset(no_code(spec), on_clip, options, wanted)


def no_code(spec: str) -> str:
    """A name of data from a run's record, refused if it is ``module:NAME``: only a user may ask for code.

    Raises:
        UserError: If it names code.
    """
    if ":" in spec and not spec.startswith("{") and spec not in DATA.points() and not Path(spec).is_dir():
        raise UserError(
            f"The run's record names code as its data, {spec[:80]!r}: a record is never obeyed in that.",
            "If you trust it, name it yourself: --data.",
        )
    return spec


def mini(on_clip: OnClip | None = None, wanted: Wanted | None = None) -> Dataset:
    """The embedded world's test clips, rendered into the cache the first time that they are wanted."""
    from hmbench.data.embedded import embedded

    return embedded("mini", on_clip, None if wanted is None else lambda data: chosen_ids(data, *wanted))


def mini_easy(on_clip: OnClip | None = None, wanted: Wanted | None = None) -> Dataset:
    """Test clips of the easy world, rendered into the cache the first time that they are wanted."""
    from hmbench.data.embedded import embedded

    return embedded("mini-easy", on_clip, None if wanted is None else lambda data: chosen_ids(data, *wanted))


def _folder(spec: str) -> Dataset:
    if not Path(spec).is_dir():
        raise UserError(
            f"There is no data folder {spec!r}.",
            f"{did_you_mean(spec, DATA.points())} Or give a folder in HM-World's layout, or module:NAME.",
        )
    from hmbench.data.hm_world import HMWorld
    from hmbench.data.shards import Shards, is_shards

    return Shards(Path(spec)) if is_shards(Path(spec)) else HMWorld(Path(spec))


def _options_of_0_1(spec: str) -> dict[str, Any]:
    try:
        return dict(json.loads(spec))
    except (ValueError, RecursionError, TypeError) as error:
        raise UserError(
            f"The own video {spec[:80]!r} does not parse: {error}.", "Evaluate it again: --video."
        ) from error
