"""A data set's card: what its owner knows and the files do not say, as ``hmbench.json`` beside the samples.

    hmbench data card FOLDER --cameras opencv --positions "x,-y,z cm world" --tracker none

What the card says is taken, and still held against the pictures: a card that does not fit is an error of the sample.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from hmbench.data.camera_conventions import HM_WORLD, Convention, convention
from hmbench.data.told_apart.readings import Reading, parse_reading
from hmbench.errors import UserError, did_you_mean
from hmbench.files import read_json, write_json
from hmbench.results.records import check_fields

CARD_FILE = "hmbench.json"
TRACKERS = ("mini", "none")


@dataclass(frozen=True, kw_only=True)
class DataCard:
    """What is known of a data set."""

    cameras: str | None = None
    """A convention of `hmbench.data.camera_conventions`; None is HM-World's own."""
    positions: str | None = None
    """A reading of `hmbench.data.told_apart.readings`; None finds it for each clip."""
    tracker: str = "mini"
    """Whose tracks tell subjects apart where positions do not: ``mini`` (the shipped detector) or ``none``."""

    def __post_init__(self) -> None:
        if self.cameras is not None:
            convention(self.cameras)
        if self.positions is not None:
            parse_reading(self.positions)
        if self.tracker not in TRACKERS:
            raise UserError(f"There is no tracker {self.tracker!r} for data.", did_you_mean(self.tracker, TRACKERS))

    @property
    def convention(self) -> Convention:
        """The cameras' convention."""
        return HM_WORLD if self.cameras is None else convention(self.cameras)

    @property
    def reading(self) -> Reading | None:
        """The positions' reading; None if nobody said."""
        return None if self.positions is None else parse_reading(self.positions)


def read_card(folder: Path) -> DataCard:
    """The card of a folder; an empty one where there is none.

    Raises:
        UserError: If it holds anything that is not understood.
    """
    path = folder / CARD_FILE
    if not path.is_file():
        return DataCard()
    content = read_json(path, kind=dict)
    known = DataCard.__dataclass_fields__
    if unknown := [key for key in content if key not in known]:
        raise UserError(f"{path} holds {unknown[0][:60]!r}.", did_you_mean(unknown[0][:60], list(known)))
    check_fields(DataCard, content, str(path))
    return DataCard(**content)


def write_card(folder: Path, card: DataCard) -> Path:
    """Writes a card; what is not said is left out."""
    write_json(folder / CARD_FILE, {key: value for key, value in asdict(card).items() if value is not None})
    return folder / CARD_FILE
