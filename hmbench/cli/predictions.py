"""``hmbench check-predictions``: what a folder of videos holds and how it fits the data, before anything is scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hmbench.cli.options import Typed, takes_request
from hmbench.errors import UserError
from hmbench.prefixes import short_id

if TYPE_CHECKING:
    from hmbench.run.predictions_check import Checked

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of predictions.")]
DataSpec = Annotated[str | None, typer.Argument(metavar="DATA", help="As --data, which is 'mini' if nothing is said.")]
SHOWN = 20
LONG = 12
"""A verdict of more letters stands below the table."""


def register(app: typer.Typer) -> None:
    """Adds ``check-predictions``."""
    app.command("check-predictions")(takes_request("check-predictions")(check_command))


def check_command(typed: Typed, folder: Folder, source: DataSpec = None) -> None:
    """Look at predictions before they are scored: frames, rate, size, length and colour, one line a kind.

    For example: hmbench check-predictions my-videos mini --match '{id}_seed0.mp4'. Exits with 1 if something does not
    fit.
    """
    from hmbench.results.reading import folder_of_predictions
    from hmbench.run.name_checks import check_names

    spec = _one_of(source, typed["data"])
    folder_of_predictions(folder)
    check_names(model=None, data=spec, profile=None, split=typed["split"], samples=typed["samples"] or ())
    from hmbench.cli.console import MODE, open_shown, show_json
    from hmbench.cli.console import out as screen
    from hmbench.data.dataset import Wanted, chosen_ids
    from hmbench.results.prediction_files import SEED, find_seeds
    from hmbench.run.predictions_check import check_predictions, tell_same

    asked = typed.fields()
    wanted = Wanted(asked["split"], asked["samples"], asked["limit"])
    clips = open_shown(spec, wanted)
    ids = chosen_ids(clips, *wanted)
    patterns = [(asked["match"], "")]
    if seeds := find_seeds(folder, ids, asked["match"]):
        patterns = [(str(asked["match"]).replace(SEED, seed), f", seed {seed}") for seed in seeds]
    found = {told: check_predictions(clips, ids, folder, match=m, reading=asked["reading"]) for m, told in patterns}
    checked = together(found)
    good = sum(look.plan is not None for look in checked.looks)
    if MODE.json:
        show_json(_as_json(checked))
        if good < len(checked.looks):
            raise typer.Exit(1)
        return
    show(checked, clips.ids("all"))
    screen.print(f"{good} of {len(checked.looks)} predictions can be scored.", highlight=False)
    hints = dict.fromkeys(look.hint for look in checked.looks if look.hint)
    for hint in list(hints)[:3]:
        screen.print(hint, markup=False, highlight=False, soft_wrap=True)
    if said := tell_same(checked):
        screen.print(f"{said}.", markup=False, highlight=False, soft_wrap=True)
    if checked.others:
        names = ", ".join(checked.others[:3]) + (", ..." if len(checked.others) > 3 else "")
        screen.print(f"{len(checked.others)} videos belong to no sample: {names}", markup=False, soft_wrap=True)
    if good < len(checked.looks):
        raise typer.Exit(1)


def together(found: Mapping[str, Checked]) -> Checked:
    """What was found of several seeds, as one; each look says whose it is."""
    from hmbench.run.predictions_check import Checked

    looks = [look._replace(sample=look.sample + told) for told, one in found.items() for look in one.looks]
    others = set.intersection(*(set(one.others) for one in found.values()))
    return Checked(tuple(looks), tuple(sorted(others)))


def _one_of(place: str | None, option: str | None) -> str:
    """The data, given by place or by ``--data``."""
    if place and option and place != option:
        raise UserError(f"Data are given twice: {place!r} and --data {option!r}.", "Give one of them.")
    return place or option or "mini"


def show(checked: Checked, known: Sequence[str]) -> None:
    """The table on screen; samples stand by the beginning of their id that no other `known` one has."""
    from rich.markup import escape
    from rich.table import Table

    from hmbench.cli.console import out as screen
    from hmbench.run.predictions_check import kind_of

    kinds: dict[tuple[str, ...], list[str]] = {}
    for look in checked.looks:
        kinds.setdefault(kind_of(look), []).append(look.sample)
    table = Table(header_style="bold")
    for name in ("samples", "frames", "rate", "size", "lasts", "stored as", "verdict"):
        table.add_column(name, overflow="fold", min_width=len(name))
    said: dict[str, int] = {}
    for kind, samples in list(kinds.items())[:SHOWN]:
        name, seed, number = samples[0].rpartition(", seed ")
        first = f"{short_id(name, known)}{seed}{number}" if seed else short_id(number, known)
        who = first if len(samples) == 1 else f"{len(samples)}, for example {first}"
        *cells, verdict = kind
        if len(verdict) > LONG:  # a sentence stands below, where it is as wide as the screen
            number_of = said.setdefault(verdict, len(said) + 1)
            verdict = f"{'fits' if verdict.startswith('fits') else 'no'}, see {number_of}"
        table.add_row(*(escape(cell) for cell in (who, *cells, verdict)))
    if len(kinds) > SHOWN:
        table.add_row(f"and {len(kinds) - SHOWN} more kinds")
    screen.print(table)
    for sentence, place in said.items():
        screen.print(f"{place}: {sentence}.", markup=False, highlight=False, soft_wrap=True)


def _as_json(checked: Checked) -> dict[str, Any]:
    """What ``--json`` prints: every prediction with what it is and whether it fits."""
    from hmbench.run.predictions_check import kind_of

    names = ("frames", "rate", "size", "lasts", "stored_as", "verdict")
    return {
        "predictions": [
            {"sample": look.sample, "fits": look.plan is not None, "hint": look.hint or None}
            | dict(zip(names, kind_of(look), strict=True))
            for look in checked.looks
        ],
        "others": list(checked.others),
    }
