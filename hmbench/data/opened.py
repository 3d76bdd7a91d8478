"""Data that were opened from Python: a sequence of samples, each read when it is asked for (`hmbench.open_data`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hmbench.data.dataset import Dataset
from hmbench.prefixes import whole_id
from hmbench.types import Sample


class Data(Sequence[Sample]):
    """Samples in order, read one at a time when asked for: ``for sample in data``, ``data[0]``, ``data["00001"]``.

    Args:
        source: Where samples come from.
        name: How ``--data`` would name it.
        options: The source's own options.
        split: Which part of it.
        limit: The first so many only.
    """

    def __init__(
        self, source: Dataset, name: str, options: Mapping[str, Any], split: str = "all", limit: int | None = None
    ) -> None:
        self.source, self.spec, self.options, self.split = source, name, dict(options), split
        self.ids: tuple[str, ...] = source.ids(split)[:limit]
        """Ids of the samples."""

    @property
    def name(self) -> str:
        """What tables call the data."""
        return self.source.name

    @property
    def revision(self) -> str:
        """Digest of these samples; equal revisions are the same data."""
        return self.source.revision(self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Sample]:
        return map(self.source.load, self.ids)

    def __contains__(self, sample_id: object) -> bool:
        return sample_id in self.ids

    def __getitem__(self, which: Any) -> Any:
        """A sample by its place, its id or the beginning of its id; with a slice, `Data` of these samples.

        Raises:
            UserError: If there is no such sample, or several ids begin so.
            IndexError: If there are not so many.
        """
        if isinstance(which, slice):
            part = Data(self.source, self.spec, self.options, self.split)
            part.ids = self.ids[which]
            return part
        if isinstance(which, str):
            return self.source.load(whole_id(which, self.ids, self.name))
        return self.source.load(self.ids[which])

    def __repr__(self) -> str:
        return f"Data({self.spec!r}: {self.name}, split {self.split}, {len(self)} samples)"
