"""Subjects of one mask told apart by a detector's tracks of the real clip, where positions are missing.

Tracks see who is who by looks and motion; the mask says which pixels are a subject at all. Tracks off the mask are
dropped, pieces are joined into as many subjects as the files name, by looks and by who is seen at the same time, and
the mask is divided by their boxes as it is by positions.

Letters: K subjects, T frames, N tracks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hmbench.data.told_apart.bodies import Places
from hmbench.data.told_apart.by_positions import Separated, nothing
from hmbench.data.told_apart.evidence import MaskEvidence
from hmbench.data.told_apart.split import divide, enlarged
from hmbench.types import Track, Video

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Tracker = Callable[[Video], tuple[Track, ...]]
FILLED = 0.2
"""Share of a box that the mask must fill for the box to be on a subject."""
LEAST_FRAMES = 4
BRIDGE = 12
"""Frames over which a missing box is drawn in between its neighbours."""
OVERLAP = 3
"""Frames that two pieces of one subject may share."""
ALIKE = 0.45
"""Cosine below which two pieces are not joined."""
SEEN_SHARE = 0.8
"""Share of the frames with a visible part in which some track must be."""
MARGIN = 0.02
"""Cosine by which the chosen identities across the gap must beat the next best choice."""
HEIGHT = 1.7


def by_tracks(
    tracks: tuple[Track, ...],
    names: tuple[str, ...],
    mask: Bools,
    evidence: MaskEvidence,
    video: Video,
    num_context: int,
    detail: str,
) -> Separated:
    """Divides a mask by tracks.

    Args:
        tracks: Of the whole real clip.
        names: Of the subjects that there are.
        mask: ``[T, H, W]``.
        evidence: The same mask, reduced.
        video: The clip.
        num_context: Frames of the context.
        detail: Whose tracks they are.
    """
    count, frames = len(names), len(mask)
    boxes = [_on_mask(track, evidence) for track in tracks]
    kept = [(box, track) for box, track in zip(boxes, tracks, strict=True) if _present(box).sum() >= LEAST_FRAMES]
    groups = _grouped(kept, count)
    if len(groups) < count:
        return nothing(frames, count, detail, f"the tracker follows {len(groups)} of {count} subjects on the mask")
    shown = np.zeros(frames, np.bool_)
    for box, _ in kept:
        shown |= _present(box)
    seen = (shown & evidence.enough).sum() / max(int(evidence.enough.sum()), 1)
    if seen < SEEN_SHARE:
        return nothing(frames, count, detail, f"the tracker sees somebody in only {seen:.0%} of the mask's frames")
    if doubt := _doubtful_identity(groups, num_context):
        return nothing(frames, count, detail, doubt)
    paths = np.stack([_bridged(_merged([box for box, _ in group])) for group in groups])
    division = divide(evidence, _places(paths, evidence), video)
    return Separated(
        labels=enlarged(division.labels, mask, evidence.step),
        certainty=division.certainty,
        unexplained=division.unexplained,
        positions=None,
        detail=detail,
    )


Piece = tuple[Floats, Track]


def _present(boxes: Floats) -> Bools:
    return np.isfinite(boxes[:, 0])


def _on_mask(track: Track, evidence: MaskEvidence) -> Floats:
    """A track's boxes in reduced pixels, without those that hardly any mask fills, ``[T, 4]``."""
    boxes = track.boxes.astype(np.float64) / evidence.step
    for t in np.flatnonzero(_present(boxes)).tolist():
        x0, y0 = np.floor(boxes[t, :2]).astype(int).clip(min=0)
        x1, y1 = np.ceil(boxes[t, 2:]).astype(int)
        inside = evidence.small[t, y0:y1, x0:x1]
        if not inside.size or inside.mean() < FILLED:
            boxes[t] = np.nan
    return boxes


def _grouped(pieces: list[Piece], count: int) -> list[list[Piece]]:
    """Pieces joined into subjects: the most alike that do not share frames first, then the longest are kept."""
    groups = [[piece] for piece in pieces]
    while len(groups) > 1:
        pairs = [
            (_likeness(groups[i], groups[j]), i, j)
            for i, j in itertools.combinations(range(len(groups)), 2)
            if not _together(groups[i], groups[j])
        ]
        best = max(pairs, default=None)
        if best is None or best[0] < ALIKE or (len(groups) <= count and best[0] < 0.9):
            break
        _, i, j = best
        joined = groups[i] + groups[j]
        groups = [g for k, g in enumerate(groups) if k not in (i, j)] + [joined]
    lengths = [sum(int(_present(box).sum()) for box, _ in group) for group in groups]
    order = sorted(range(len(groups)), key=lambda i: -lengths[i])[:count]
    return [groups[i] for i in order]


def _together(a: list[Piece], b: list[Piece]) -> bool:
    shared = np.any([_present(box) for box, _ in a], axis=0) & np.any([_present(box) for box, _ in b], axis=0)
    return int(shared.sum()) > OVERLAP


def _embedding(group: list[Piece]) -> Floats | None:
    found = [
        track.embedding.astype(np.float64) * _present(box).sum() for box, track in group if track.embedding is not None
    ]
    if not found:
        return None
    total = np.sum(found, axis=0)
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-9))


def _likeness(a: list[Piece], b: list[Piece]) -> float:
    first, second = _embedding(a), _embedding(b)
    return 0.0 if first is None or second is None else float(first @ second)


def _doubtful_identity(groups: list[list[Piece]], num_context: int) -> str | None:
    """Why looks do not say who is who after the gap; None if they do.

    Only pieces that lie in one half can have been joined wrongly; the others were followed all the way.
    """
    halves: list[tuple[list[Piece], list[Piece]]] = []
    for group in groups:
        before = [piece for piece in group if _present(piece[0])[:num_context].any()]
        after = [piece for piece in group if _present(piece[0])[num_context:].any()]
        if any(p is q for p in before for q in after) or not before or not after:
            continue
        halves.append((before, after))
    for (a, b), (c, d) in itertools.combinations(halves, 2):
        chosen = _likeness(a, b) + _likeness(c, d)
        other = _likeness(a, d) + _likeness(c, b)
        if chosen - other < MARGIN:
            return "two subjects look too much alike to be told apart after the gap"
    return None


def _merged(pieces: list[Floats]) -> Floats:
    out = np.full_like(pieces[0], np.nan)
    for piece in sorted(pieces, key=lambda box: -int(_present(box).sum())):
        free = ~_present(out)
        out[free] = piece[free]
    return out


def _bridged(boxes: Floats) -> Floats:
    """Boxes with short gaps drawn in between, and held for a few frames beyond their ends."""
    known = np.flatnonzero(_present(boxes))
    out = boxes.copy()
    for a, b in itertools.pairwise(known.tolist()):
        if 1 < b - a <= BRIDGE:
            share = (np.arange(a + 1, b) - a)[:, None] / (b - a)
            out[a + 1 : b] = boxes[a] * (1 - share) + boxes[b] * share
    for a in known.tolist():
        for t in (a - 2, a - 1, a + 1, a + 2):
            if 0 <= t < len(out) and np.isnan(out[t, 0]):
                out[t] = boxes[a]
    return out


def _places(boxes: Floats, evidence: MaskEvidence) -> Places:
    """Boxes ``[K, T, 4]`` (reduced pixels) as places: bodies are `HEIGHT` high, and lower feet are nearer."""
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    height = np.maximum(boxes[..., 3] - boxes[..., 1], 2.0)
    depth = 10.0 * evidence.small.shape[1] - boxes[..., 3]
    return Places(
        centre=centre,
        scale=np.where(np.isfinite(height), height, 1.0) / HEIGHT,
        depth=np.where(np.isfinite(depth), depth, np.inf),
    )
