"""A mini world folder as a `datasets.Dataset`: a row a clip, videos as paths, truth as JSON text."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmbench.errors import UserError
from hmbench.subject_names import current_name

if TYPE_CHECKING:
    from datasets import Dataset

_FILES = (
    "cond.mp4",
    "tgt.mp4",
    "cond_mask.mp4",
    "tgt_mask.mp4",
    "masks.mkv",
    "camera.json",
    "character.json",
    "check.json",
)


def as_dataset(folder: Path) -> "Dataset":
    """Return the folder's clips with their ids, captions, dimensions, cells and file paths.

    Args:
        folder: A folder made by `generate`.

    Raises:
        UserError: If the folder holds no clip of the mini world.
    """
    from datasets import Dataset

    rows = [_row(path) for path in sorted(folder.glob("[!.]*/truth.json"))]
    if not rows:
        raise UserError(f"{folder} holds no mini world clips.", "Make some with `hmbench data make-mini`.")
    return Dataset.from_list(rows)


def _row(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    truth = json.loads(text)
    files = {name.replace(".", "_"): str(path.parent / name) for name in _FILES}
    return {
        "id": path.parent.name,
        "cell": truth["cell"],
        "scene": truth["scene"],
        "subjects": [current_name(name) for name in truth["looks"]],
        "subject_path": truth["subject_path"],
        "camera_path": truth["camera_path"],
        "caption": truth["captions"]["full"],
        "caption_short": truth["captions"]["short"],
        "caption_context": truth["captions"]["context"],
        "fps": truth["fps"],
        "width": truth["size"][0],
        "height": truth["size"][1],
        "truth": text,
        **files,
    }
