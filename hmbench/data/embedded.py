"""The embedded sets as data: a clip is drawn when it is first asked for, those of a run together and in parallel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hmbench.data.embedded_clips import EMBEDDED_CLIPS, OF, slot_of
from hmbench.data.hm_world import HMWorld
from hmbench.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from hmbench.data.mini_world.generate import Made
    from hmbench.data.mini_world.splits import SplitName

SPLIT_OF: dict[str, SplitName] = {"mini": "test", "mini-easy": "easy-test"}
"""Name of a set to its split of the mini world."""


def embedded(
    name: str, on_clip: Callable[[str, int], None] | None, choose: Callable[[HMWorld], Sequence[str]] | None
) -> HMWorld:
    """The set of that name.

    Args:
        name: ``mini`` or ``mini-easy``.
        on_clip: Hears of each clip that is drawn, and how many will be.
        choose: Ids of the clips that will be asked for; they are drawn at once. All, if it is not said.

    Raises:
        UserError: If the set has no such split or clip.
    """
    from hmbench.cache import cache_folder
    from hmbench.data.mini_world import default
    from hmbench.data.mini_world.spec import GENERATOR
    from hmbench.data.mini_world.splits import cell_of

    cache, split = cache_folder() / "mini-world", SPLIT_OF[name]

    def draw(ids: Sequence[str] | None) -> Path:
        def told(made: Made, total: int) -> None:
            if on_clip:
                on_clip(made.name, total)

        return default.ensure_default_mini(cache, split=split, on_done=told, ids=ids)

    if OF != (GENERATOR, default.CHOICE):
        return HMWorld(draw(None))
    cells = {one: cell_of(split, slot_of(one)) for one in EMBEDDED_CLIPS[name]}
    data = EmbeddedMini(default.default_folder(cache, split), cells, draw)
    draw(None if choose is None else choose(data))
    return data


class EmbeddedMini(HMWorld):
    """A set of which only those clips are drawn that somebody reads.

    Args:
        folder: Where they are, or will be.
        cells: Id to cell, of the whole set.
        draw: Draws clips by their ids, unless they are there.
    """

    def __init__(self, folder: Path, cells: Mapping[str, str], draw: Callable[[Sequence[str]], Path]) -> None:
        self.folder, self.name = folder, folder.name
        self._ids = tuple(sorted(cells))
        self._places = {one: folder / one for one in self._ids}
        self._captions: dict[str, str] | None = None
        self._cells, self._draw = dict(cells), draw

    def ids(self, split: str) -> tuple[str, ...]:
        """Ids of ``all``, ``test`` or a cell.

        Raises:
            UserError: If there is no such split.
        """
        if split in ("all", "test"):
            return self._ids
        if split not in self._cells.values():
            raise UserError(
                f"{self.name} has no split {split!r}.",
                did_you_mean(split, ["all", "test", *dict.fromkeys(self._cells.values())]),
            )
        return tuple(one for one in self._ids if self._cells[one] == split)

    def absent(self, split: str) -> tuple[str, ...]:
        """None: what is not there is drawn when it is asked for."""
        return ()

    def place(self, sample_id: str) -> Path:
        """Folder of a sample, drawn if it was not."""
        self._have([sample_id])
        return super().place(sample_id)

    def caption(self, sample_id: str) -> str | None:
        """The sample's caption."""
        self._have([sample_id])
        found = super().caption(sample_id)
        if found is None and sample_id in self._places:  # another process, drawing others, wrote the captions meanwhile
            from hmbench.data.mini_world.writer import write_captions

            write_captions(self.folder)
            self._captions = None
            found = super().caption(sample_id)
        return found

    def revision(self, ids: tuple[str, ...]) -> str:
        """As of any folder; clips that are not there are drawn first, together."""
        self._have(ids)
        return super().revision(ids)

    def _have(self, ids: Sequence[str]) -> None:
        gone = [one for one in ids if one in self._places and not (self._places[one] / "truth.json").is_file()]
        if gone:
            self._draw(gone)
            self._captions = None
