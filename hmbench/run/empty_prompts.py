"""Says before anything is generated how many prompts of a run have no caption."""

from __future__ import annotations

from collections.abc import Sequence

from hmbench.data.captions_file import read_caption_file
from hmbench.data.dataset import Dataset
from hmbench.data.hm_world import HMWorld


def empty_prompts(data: Dataset, ids: Sequence[str]) -> str | None:
    """A sentence on samples without a caption, and why, where the data know; None if every prompt has one.

    Args:
        data: Where the samples come from.
        ids: Samples that will be generated.
    """
    empty = [sample for sample in ids if not (data.caption(sample) or "").strip()]
    if not empty:
        return None
    few = ", ".join(empty[:3]) + (", ..." if len(empty) > 3 else "")
    said = f"{len(empty)} of {len(ids)} prompts have no caption ({few}): a model that reads text is given an empty one."
    if isinstance(data, HMWorld):
        for path in data.caption_files():
            read = read_caption_file(path, data.described_by(path))
            if read.problem:
                return f"{said} {path} was read as {read.form}: {read.problem}."
    return said
