"""Who of the actors that the files list can be a subject of the mask at all.

An engine's files may list more than the mask shows: the camera, a prop, somebody who stays out of view, a passer-by. A
position that is in view and never on the mask spoils the fit of a reading, and its body would claim parts of others.
So the reading is found from those that ``check.json`` has in frame; the rest are held against the mask under it.

Letters: K actors, T frames.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmbench.data.annotations import AGREEMENT, Actor
from hmbench.data.told_apart.bodies import Places
from hmbench.data.told_apart.evidence import MaskEvidence
from hmbench.data.told_apart.placing import shifted
from hmbench.data.told_apart.readings import NEAR, Fit, Reading, fit_reading, on_mask
from hmbench.types import Intrinsics, LabelMaps, Poses
from hmbench.video.events import VISIBLE_SHARE
from hmbench.video.geometry import project

Floats = NDArray[np.float64]
FEW = 10
"""Frames in view from which on somebody must be on the mask, or is none of its subjects."""
OFF, ON = 0.35, 0.5
"""Shares of the frames in view: on the mask in fewer, it is no subject; in more, it is; between them nobody knows."""
CONTRADICTED = 0.25
"""Share of a subject's visible frames in which ``check.json`` may have it out of frame."""
BEYOND_DOUBT = 0.95
"""Fit from which on positions are believed against the flags."""
BODY = 1.0
"""Metres from the middle of a body within which some of it may be."""


class Cast(NamedTuple):
    """The actors that are subjects."""

    chosen: tuple[int, ...]
    """Their indices."""
    reading: Reading | None = None
    """The reading under which the others were set aside; None if nobody was doubtful."""
    reason: str | None = None
    """Why it cannot be said who is a subject."""
    warnings: tuple[str, ...] = ()
    """Who was set aside, and why."""


def choose_cast(
    actors: tuple[Actor, ...], camera: tuple[Poses, Intrinsics, int], evidence: MaskEvidence, only: Reading | None
) -> Cast:
    """Who is a subject: all, unless some are in frame by ``check.json`` and their positions fit without the others.

    Args:
        actors: Everybody that the files list.
        camera: Poses ``[T, 4, 4]``, lens, and the number of context frames.
        evidence: The mask.
        only: The reading, where the data set's card says it.
    """
    everybody = Cast(tuple(range(len(actors))))
    sure = [i for i, actor in enumerate(actors) if actor.flags is not None and actor.flags.any()]
    paths = [actors[i].path for i in sure]
    if not sure or len(sure) == len(actors) or any(path is None for path in paths):
        return everybody
    poses, lens, num_context = camera
    raw = np.stack([path for path in paths if path is not None])
    fitted = fit_reading(raw, poses, lens, evidence, num_context, only)
    if fitted.problem or fitted.best is None or fitted.best.placing is None:
        return everybody
    chosen, warnings = list(sure), []
    for i in sorted(set(everybody.chosen) - set(sure)):
        path, name = actors[i].path, actors[i].name
        views, hits = (0, 0.0) if path is None else _seen(path, fitted.best, camera, evidence)
        if hits >= ON * views and views >= FEW:
            chosen.append(i)
        elif views < FEW or hits <= OFF * views:
            shown = f"is in view in {views} frames, and the mask shows it in about {hits:.0f} of them"
            warnings.append(f"{name} is no subject of the mask: it {shown}" if views else f"{name} is never in view")
        else:
            why = f"check.json does not have {name} in frame, and the mask shows it in {hits:.0f} of {views} frames"
            return Cast(everybody.chosen, reason=why)
    return Cast(tuple(sorted(chosen)), fitted.best.reading, None, tuple(warnings))


def _seen(path: Floats, fit: Fit, camera: tuple[Poses, Intrinsics, int], evidence: MaskEvidence) -> tuple[int, float]:
    """Frames in which a position is in view, and in how many it lies on the mask, with the others' offset and lag."""
    poses, lens, num_context = camera
    assert fit.placing is not None, "a fit that is taken has its placing"
    points = shifted(fit.reading.points(path[None], poses, num_context), fit.placing.lag)
    pixels, depth = project(points + fit.placing.offsets.mean(axis=0), poses[None], lens)
    inside, hits = on_mask(pixels, depth, lens, evidence, np.arange(len(poses)), NEAR)
    return int(inside.sum()), float(hits.sum())


def never_alone(fit: Fit, certainty: Floats, shared: NDArray[np.bool_], names: tuple[str, ...]) -> str | None:
    """Why somebody who was given pixels is no subject: mostly off the mask, and on it only where others are.

    Args:
        fit: Of the positions.
        certainty: ``[K, T]``, NaN where somebody got nothing.
        shared: Frames in which somebody's part was divided, ``[K, T]``.
        names: Of the actors.
    """
    lone = (np.isfinite(certainty) & ~shared).sum(axis=1)
    for k, name in enumerate(names):
        if fit.views[k] >= FEW and fit.hits[k] < OFF * fit.views[k] and lone[k] < AGREEMENT:
            return (
                f"{name} is in view in {fit.views[k]} frames, and the mask shows it in about {fit.hits[k]:.0f} of them "
                "and never apart from others: is it a subject?"
            )
    return None


def contradicted(labels: LabelMaps, places: Places, actors: tuple[Actor, ...], score: float) -> str | None:
    """Why a division is not believed: ``check.json`` says otherwise of who is in frame when; None if it is.

    Who is in frame may be hidden. But nobody is on the mask who is out of frame, nor in frame far outside the picture.

    Args:
        labels: Reduced, ``[T, h, w]``; the k-th actor has k + 1.
        places: Where the positions are in the reduced picture.
        actors: The subjects.
        score: The fit of the positions.
    """
    if score >= BEYOND_DOUBT:
        return None
    least = VISIBLE_SHARE * labels[0].size
    size = np.array(labels.shape[:0:-1], np.float64)
    for k, actor in enumerate(actors):
        if actor.flags is None or not actor.flags.any():
            continue
        seen = (labels == k + 1).sum(axis=(1, 2)) >= least
        never, always = ~_about(actor.flags), ~_about(~actor.flags)
        slack = BODY * places.scale[k][:, None]
        with np.errstate(invalid="ignore"):
            near = ((places.centre[k] > -slack) & (places.centre[k] < size + slack)).all(axis=-1)
        for wrong, of, what in (
            (seen & never, seen, "puts it on the mask, and check.json out of frame"),
            (always & ~near, actor.flags, "puts it far outside the picture, and check.json in frame"),
        ):
            if wrong.sum() > CONTRADICTED * max(int(of.sum()), 1):
                return f"the best reading of the positions of {actor.name} {what}, in {int(wrong.sum())} frames"
    return None


def _about(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Frames within `AGREEMENT` of a true one, ``[T]``: exits and entries differ by some frames."""
    wide = np.convolve(flags, np.ones(2 * AGREEMENT + 1))
    return wide[AGREEMENT : AGREEMENT + len(flags)] > 0
