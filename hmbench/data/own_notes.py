"""Adds to the notes beside a clip (``notes.json``, see `hmbench.data.annotations.Notes`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hmbench.data.annotations import NOTES_FILE
from hmbench.files import read_json, write_json


def add_notes(folder: Path, names: Mapping[int, str], warning: str) -> None:
    """Says how a clip's masks were made, and what its labels are called; what was said of masks before goes.

    Args:
        folder: Of the sample.
        names: Label to name.
        warning: A sentence.
    """
    path = folder / NOTES_FILE
    notes = read_json(path, kind=dict) if path.is_file() else {}
    kept = [one for one in notes.get("warnings", []) if "masks" not in one]
    write_json(path, {**notes, "names": dict(names), "warnings": [*kept, warning]})
