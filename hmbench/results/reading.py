"""What is asked of a prediction that does not fit its sample. Imports nothing heavy: it is part of every request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from hmbench.errors import UserError, did_you_mean
from hmbench.flags import flag

ALIGN = ("resample", "first-frames")
FRAMES = ("exact", "first")
FIT = ("stretch", "crop", "pad")
FITTING = "Predictions that do not fit"
"""Heading of these options."""
SCORING = "score check-predictions"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How predictions that do not fit are made to; the defaults refuse them."""

    align: str | None = flag(
        None,
        "For another rate: resample (by time) or first-frames (frame by frame, whatever the file says).",
        commands=SCORING,
        panel=FITTING,
    )
    """For another rate: ``resample`` takes what a player shows at the sample's ticks, ``first-frames`` takes frame for
    frame, whatever the file says of its rate."""
    frames: str = flag(
        "exact",
        "exact, or first: score the first frames of videos that have more than the target.",
        commands=SCORING,
        panel=FITTING,
    )
    """``first`` takes the first frames of a video that has more than the target."""
    fit: str | None = flag(None, "For another shape: crop, pad or stretch.", commands=SCORING, panel=FITTING)
    """For another aspect: ``stretch``, ``crop`` (cover, cut the rest) or ``pad`` (fit inside, black around)."""

    def __post_init__(self) -> None:
        given = (("--align", self.align, ALIGN), ("--frames", self.frames, FRAMES), ("--fit", self.fit, FIT))
        for option, value, known in given:
            if value is not None and value not in known:
                raise UserError(f"{option} {value!r} is unknown.", did_you_mean(value, known))

    def asked(self) -> dict[str, str]:
        """What differs from the defaults, for the record of a run."""
        return {key: value for key, value in asdict(self).items() if value not in (None, "exact")}


EXACT = Reading()


def reading_of(recorded: Mapping[str, str]) -> Reading:
    """The reading that a run recorded."""
    return Reading(**{key: value for key, value in recorded.items() if key in {f.name for f in fields(Reading)}})


def folder_of_predictions(folder: Path) -> None:
    """Refuses a folder that is not there.

    Raises:
        UserError: If there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(
            f"There is no folder of predictions {folder}.", "Give the folder that holds <sample>.mp4 files."
        )
