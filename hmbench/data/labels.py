"""From label maps to subjects: boxes and areas, frame by frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hmbench.data.annotations import Annotations
from hmbench.types import Boxes, LabelMaps, SubjectTruth


def subjects_from_labels(labels: LabelMaps, known: Annotations) -> tuple[SubjectTruth, ...]:
    """One `SubjectTruth` a label that occurs, with names and positions where annotations give them.

    Args:
        labels: Label maps of the whole clip, ``[Tc + Tt, H, W]``.
        known: What the sample's other files say.
    """
    values = [value for value in range(1, int(labels.max(initial=0)) + 1) if (labels == value).any()]
    subjects = []
    for value in values:
        own = labels == value
        note = known.subject(value)
        subjects.append(
            SubjectTruth(
                label=value,
                name=note.name,
                category=note.category,
                boxes=boxes_from_masks(own),
                visible_area=np.array([np.count_nonzero(frame) for frame in own], np.float64),
                positions=note.positions,
                amodal_area=note.amodal_area,
            )
        )
    return tuple(subjects)


def boxes_from_masks(masks: NDArray[np.bool_]) -> Boxes:
    """Tight boxes of masks ``[T, H, W]``: float32 ``[T, 4]`` xyxy half-open, NaN rows where a mask is empty."""
    boxes = np.full((len(masks), 4), np.nan, dtype=np.float32)
    columns: NDArray[np.bool_] = np.asarray(masks.any(axis=1))
    rows: NDArray[np.bool_] = np.asarray(masks.any(axis=2))
    for frame in np.flatnonzero(rows.any(axis=1)):
        x, y = np.flatnonzero(columns[frame]), np.flatnonzero(rows[frame])
        boxes[frame] = (x[0], y[0], x[-1] + 1, y[-1] + 1)
    return boxes
