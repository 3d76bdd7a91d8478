"""Between a sample's files and its truth: whose pixels the mask's are, and how sure that is.

From whichever of these there are, in this order: colours of the mask, 3D positions, tracks of a detector on the real
clip. A single subject is taken as one only if the files agree on it and the mask does not show two apart.

Letters: K subjects, T frames.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from hmbench.data.annotations import Actor, Annotations, SubjectNote
from hmbench.data.card import DataCard
from hmbench.data.told_apart.by_positions import Separated, by_positions
from hmbench.data.told_apart.by_tracks import by_tracks
from hmbench.data.told_apart.cast import Cast, choose_cast
from hmbench.data.told_apart.evidence import MaskEvidence, mask_evidence
from hmbench.data.told_apart.readings import fit_reading
from hmbench.types import Intrinsics, LabelMaps, Poses, ToldApart, Video
from hmbench.video.events import VISIBLE_SHARE
from hmbench.video.geometry import project

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
TWO_SHARE = 0.2
"""Share of the mask's frames with two large parts far from each other from which on one subject is doubted."""
NAMED = 6
"""Frames of flags by which names must fit better than any others; else subjects go without their names."""
EDGE_RUN = 4
"""Frames by which flags and masks may differ at an exit or entry."""
TRACKERS = "hmbench.subjects.for_data"
"""Loaded by name where tracks are needed: trackers stand above the data, and most data never ask for one."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """What telling apart looks at."""

    video: Video
    """``[T, H, W, 3]``."""
    poses: Poses
    """``[T, 4, 4]``."""
    lens: Intrinsics
    """The lens."""
    num_context: int
    """Frames of the context."""
    name: str
    """Id of the sample."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Labels, and what is known of them."""

    labels: LabelMaps
    """``[T, H, W]``; everything is 1 where subjects are not told apart."""
    known: Annotations
    """The annotations, with notes by label."""
    told: ToldApart
    """How, before quality was judged."""
    certainty: Floats | None = None
    """``[K, T]``; None where labels are certain by their nature."""
    unexplained: Bools | None = None
    """``[T]``."""
    warnings: tuple[str, ...] = ()
    """What did not fit."""


def tell_apart(mask: Bools, colours: LabelMaps | None, known: Annotations, clip: Clip, card: DataCard) -> Outcome:
    """Whose every pixel of the mask is.

    Args:
        mask: Where anybody is, ``[T, H, W]``.
        colours: Labels by colour, where the mask has several.
        known: What the small files say.
        clip: Frames and cameras.
        card: What the data set's owner says.
    """
    if colours is not None and (len(known.actors) in (0, int(colours.max(initial=0)))):
        return _by_colours(colours, known, clip, card)
    if len(known.actors) == 1:
        return _single(mask, known, clip, card)
    if not known.actors:
        return _merged(mask, known, "nobody says how many subjects one mask covers")
    evidence = mask_evidence(mask)
    camera = (clip.poses, clip.lens, clip.num_context)
    cast = choose_cast(known.actors, camera, evidence, card.reading)
    known = _of_cast(known, cast)
    if len(known.actors) == 1:
        return _single(mask, known, clip, card)
    reasons = [cast.reason] if cast.reason else []
    missing = [actor.name for actor in known.actors if actor.path is None]
    if missing:
        reasons.append(f"character.json has no positions of {', '.join(missing)}")
    elif not reasons:
        raw = np.stack([actor.path for actor in known.actors if actor.path is not None])
        found = by_positions(raw, mask, evidence, clip.video, camera, known.actors, cast.reading or card.reading)
        if found.labels is not None:
            return _named(_separated(found, known, "positions"))
        reasons.append(found.reason or "")
    if card.tracker == "none":
        return _merged(mask, known, "; ".join([*reasons, "the card asks for no tracker"]))
    trackers: Any = importlib.import_module(TRACKERS)
    tracks, detail = trackers.tracks_of(clip.video, clip.num_context, clip.name, card.tracker)
    names = tuple(actor.name for actor in known.actors)
    found = by_tracks(tracks, names, mask, evidence, clip.video, clip.num_context, detail)
    if found.labels is None:
        return _merged(mask, known, "; ".join([*reasons, found.reason or ""]))
    named = _named_by_flags(found.labels, known)
    found = replace(found, unexplained=found.unexplained | _missed(found.certainty, known))
    outcome = _separated(found, known, "tracks")
    outcome = replace(outcome, known=replace(outcome.known, notes=named.notes))
    return replace(outcome, warnings=(f"told apart by tracks: {'; '.join(reasons)}",))


def _of_cast(known: Annotations, cast: Cast) -> Annotations:
    """The annotations of those that are subjects."""
    actors = tuple(known.actors[i] for i in cast.chosen)
    names = tuple(actor.name for actor in actors)
    return replace(known, actors=actors, names=names, warnings=(*known.warnings, *cast.warnings))


def _named(outcome: Outcome) -> Outcome:
    """Names of check.json for subjects whose positions come without names of it, where its flags tell who is who."""
    known = outcome.known
    if len(known.listed) != len(known.actors) or any(actor.flags is not None for actor in known.actors):
        return outcome
    found = _named_by_flags(outcome.labels, replace(known, actors=known.listed)).notes
    if {note.name for note in found.values()} != {actor.name for actor in known.listed}:
        return outcome
    notes = {label: replace(note, name=found[label].name) for label, note in known.notes.items()}
    names = tuple(note.name for note in notes.values())
    return replace(outcome, known=replace(known, notes=notes, names=names))


def _missed(certainty: Floats, known: Annotations) -> Bools:
    """Frames in which the flags have more subjects in frame than got any pixels: the tracker missed somebody.

    Runs of `EDGE_RUN` frames and fewer are left aside: flags and masks differ at exits and entries.
    """
    flags = [actor.flags for actor in known.actors if actor.flags is not None]
    out = np.zeros(certainty.shape[1], np.bool_)
    if len(flags) == len(certainty):
        more = np.sum(flags, axis=0) > np.isfinite(certainty).sum(axis=0)
        start = 0
        for run in np.split(more, np.flatnonzero(np.diff(more)) + 1):
            out[start : start + len(run)] = run[0] and len(run) > EDGE_RUN
            start += len(run)
    return out


def _separated(found: Separated, known: Annotations, way: Literal["positions", "tracks"]) -> Outcome:
    assert found.labels is not None, "only a divided mask is separated"
    notes = {
        k + 1: SubjectNote(name=actor.name, positions=None if found.positions is None else found.positions[k])
        for k, actor in enumerate(known.actors)
    }
    return Outcome(
        labels=found.labels,
        known=replace(known, notes=notes, separate=True),
        told=ToldApart(way=way, detail=found.detail),
        certainty=found.certainty,
        unexplained=found.unexplained,
    )


def _merged(mask: Bools, known: Annotations, reason: str) -> Outcome:
    """One label for everybody, and why."""
    told = ToldApart(way="none", reason=reason)
    warning = f"one mask for all subjects, and they are not told apart: {reason}"
    return Outcome(labels=mask.astype(np.uint8), known=known, told=told, warnings=(warning,))


def _single(mask: Bools, known: Annotations, clip: Clip, card: DataCard) -> Outcome:
    """The one subject that the files agree on, unless the mask shows two."""
    evidence = mask_evidence(mask)
    twos = _frames_with_two(evidence)
    shown = int((evidence.tallest > 0).sum())
    if twos > TWO_SHARE * max(shown, 1):
        reason = f"the files name one subject, but the mask shows two apart in {twos} of {shown} frames"
        return replace(_merged(mask, known, reason), known=replace(known, names=()))
    actor, positions, detail, warnings = known.actors[0], None, "", []
    if actor.path is not None:
        fitted = fit_reading(actor.path[None], clip.poses, clip.lens, evidence, clip.num_context, card.reading)
        detail = fitted.sentence()
        if fitted.problem is None and fitted.best is not None and fitted.best.placing is not None:
            positions = fitted.best.placing.points[0]
        else:
            warnings.append(f"the positions in character.json are not used: {detail}")
    return Outcome(
        labels=mask.astype(np.uint8),
        known=replace(known, notes={1: SubjectNote(name=actor.name, positions=positions)}),
        told=ToldApart(way="single", detail=detail),
        warnings=tuple(warnings),
    )


def _frames_with_two(evidence: MaskEvidence) -> int:
    """Frames with two large parts that are farther apart than either is high."""
    count = 0
    for stats in evidence.stats:
        rows = stats[1:][stats[1:, 4] >= 3 * evidence.least] if len(stats) > 2 else stats[:0]
        for i in range(len(rows)):
            for j in range(i):
                a, b = rows[i].tolist(), rows[j].tolist()
                gap = max(a[0] - b[0] - b[2], b[0] - a[0] - a[2], 0)
                if gap > max(a[3], b[3]) * 0.8:
                    count += 1
                    break
            else:
                continue
            break
    return count


def _by_colours(colours: LabelMaps, known: Annotations, clip: Clip, card: DataCard) -> Outcome:
    """Labels by colour, named by positions or flags where the files name as many."""
    named = _named_by_positions(colours, known, clip, card) or _named_by_flags(colours, known)
    count = int(colours.max(initial=0))
    return Outcome(
        labels=colours,
        known=replace(named, separate=True),
        told=ToldApart(way="colours", detail=f"{count} colours"),
    )


def by_labels(labels: LabelMaps, names: Mapping[int, str], known: Annotations, clip: Clip, card: DataCard) -> Outcome:
    """Exact label maps: every label is a subject, whoever made them. Names come with them, or from the other files.

    Args:
        labels: ``[Tc + Tt, H, W]``.
        names: Label to name, where the maps have names.
        known: What the small files say.
        clip: Frames and cameras.
        card: What the data set's owner says.
    """
    told = ToldApart(way="labels")
    if known.separate:  # truth.json knows its labels
        return Outcome(labels=labels, known=known, told=told)
    if int(labels.max(initial=0)) == 1 and len(known.actors) > 1:
        return _merged(labels > 0, known, f"one label for {len(known.actors)} subjects")
    if names or known.notes:
        notes = {label: SubjectNote(name=name) for label, name in names.items()} | known.notes
        return Outcome(labels=labels, known=replace(known, notes=notes, separate=True), told=told)
    return replace(_by_colours(labels, known, clip, card), told=told)


def _named_by_positions(labels: LabelMaps, known: Annotations, clip: Clip, card: DataCard) -> Annotations | None:
    """Names by whose positions fall on which label; None where positions do not say."""
    count = int(labels.max(initial=0))
    if len(known.actors) != count or any(actor.path is None for actor in known.actors):
        return None
    raw = np.stack([actor.path for actor in known.actors if actor.path is not None])
    evidence = mask_evidence(labels > 0)
    fitted = fit_reading(raw, clip.poses, clip.lens, evidence, clip.num_context, card.reading)
    if fitted.problem or fitted.best is None or fitted.best.placing is None:
        return None
    points = fitted.best.placing.points
    pixels, depth = project(points, clip.poses[None], clip.lens)
    hits = np.zeros((count, count))
    height, width = labels.shape[1:]
    for k in range(count):
        for t in np.flatnonzero(depth[k] > 0):
            x, y = pixels[k, t]
            if 0 <= x < width and 0 <= y < height and labels[t, int(y), int(x)]:
                hits[k, labels[t, int(y), int(x)] - 1] += 1
    actors, columns = linear_sum_assignment(-hits)
    notes = {
        int(c) + 1: SubjectNote(name=known.actors[a].name, positions=points[a])
        for a, c in zip(actors, columns, strict=True)
    }
    return replace(known, notes=notes)


def _named_by_flags(labels: LabelMaps, known: Annotations) -> Annotations:
    """Names by whose in-frame flags agree best with which label's visibility; made-up ones where nothing says."""
    count = int(labels.max(initial=0))
    least = VISIBLE_SHARE * labels[0].size
    seen = np.stack([(labels == k + 1).sum(axis=(1, 2)) >= least for k in range(count)])
    flags = [actor.flags for actor in known.actors]
    if len(flags) != count or any(f is None for f in flags):
        return replace(known, notes={k + 1: SubjectNote(name=_some_name(known.actors, k)) for k in range(count)})
    wrong = np.array([[(f != s).sum() for s in seen] for f in flags])
    actors, columns = linear_sum_assignment(wrong)
    ways = sorted(sum(int(wrong[a, c]) for a, c in enumerate(way)) for way in itertools.permutations(range(count)))
    if len(ways) > 1 and ways[1] - ways[0] < NAMED:  # who leaves and returns together has no name of its own
        return replace(known, notes={k + 1: SubjectNote(name=f"subject-{k + 1}") for k in range(count)})
    notes = {int(c) + 1: SubjectNote(name=known.actors[a].name) for a, c in zip(actors, columns, strict=True)}
    return replace(known, notes=notes)


def _some_name(actors: tuple[Actor, ...], index: int) -> str:
    return actors[index].name if index < len(actors) else f"subject-{index + 1}"
