"""What every source of clips offers to the runner, and how ``--data`` finds one."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from hmbench.errors import UserError
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

    def revision(self, ids: tuple[str, ...]) -> str:
        """A digest of the data behind these ids; equal revisions are the same data."""
        ...


def open_dataset(spec: str) -> Dataset:
    """The data that ``--data`` names.

    Args:
        spec: ``mini`` (the embedded world), ``disc`` (the unit tests' tiny world), or a folder in HM-World's layout.

    Raises:
        UserError: If there is no such folder or nothing in it looks like HM-World.
    """
    if spec in {"mini", "disc"}:
        from hmbench.data.disc_world import DiscWorld

        return DiscWorld()
    folder = Path(spec)
    if not folder.is_dir():
        raise UserError(
            f"There is no data folder {spec!r}.",
            "Give a folder in HM-World's layout, or 'mini' for the world that comes with hmbench.",
        )
    from hmbench.data.hm_world import HMWorld

    return HMWorld(folder)
