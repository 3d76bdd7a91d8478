"""Who is in a clip and which predicted track plays whom: computed once per case, shared by all subject metrics.

Association must not be fooled by a second person in view. Each track is weighed against each subject of the target by
place (is it where the subject is at the same time) and by looks (does it look like the subject's context crops), and
the whole window is assigned at once (Hungarian): a companion's track goes to the companion. A track that clearly looks
like another subject of the clip, and is where that one is, is never given away. Right place with a strange look is kept
(the subject came back as somebody else), and so is the right look elsewhere (it came back displaced).

Letters: Tc context frames, Tt target frames, K subjects, P tracks, D features.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from hmbench.case import Case
from hmbench.networks.backbones import CropEncoder
from hmbench.subjects.boxes import areas, centres, covered, framewise_iou, heights, present
from hmbench.subjects.boxes import feet as feet_of
from hmbench.types import Boxes, SubjectTruth, Track, Video
from hmbench.video.events import VISIBLE_SHARE

MIN_FRAMES = 3
"""Frames below which a track in a window says nothing."""
PLACE_ENOUGH = 0.3
"""Place affinity that suffices whatever the look."""
LOOKS_ENOUGH = 0.5
"""Looks that suffice wherever it is."""
SAME_SUBJECT = 0.3
"""Overlap from which on a track of the real clip is the subject's."""
LEAST_GAP = 0.3
"""Lead of its real target crops over strangers below which the context's views (cut off, from behind) do not suffice to
know a subject by: then its real target crops stand beside them."""
PART = 0.78
"""Share of the smaller box inside the larger from which on they are parts of one body, not two."""
LIMB = 0.9
"""|log| of the ratio of heights from which on one of two boxes is a limb."""
LIMB_INSIDE = 0.5
"""Share of a limb's box inside the body's."""
EXCHANGED = 0.2
"""Lead in place affinity from which on two subjects stand in each other's place."""
GLANCE = 16
"""Pixels a side at which pictures of consecutive frames are compared."""
COHERENT = 0.3
"""Correlation of consecutive pictures below which a track follows nothing: bodies have 0.8 and more, noise has 0."""
NEUTRAL_DIFFERENT = 0.6
"""Cosine between different subjects assumed for an encoder without a measured one and a clip without other subjects."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A subject of the target and everything that is known of how it should be."""

    truth: SubjectTruth
    """The subject."""
    boxes: Boxes
    """Target boxes ``[Tt, 4]``, NaN where less than `VISIBLE_SHARE` of the frame shows it."""
    seen_as: Boxes
    """`boxes` as the tracker sees the real subject, where it also ran on the real clip and overlaps it (and nobody else
    more), ``[Tt, 4]``: what a prediction's boxes are compared with, so that the tracker's habits cancel."""
    tracked: NDArray[np.bool_]
    """Frames in which the tracker sees the real subject, ``[Tt]``; none if it did not run on the real clip."""
    slivers: NDArray[np.bool_]
    """Target frames in which something, but less than that, shows, ``[Tt]``."""
    context: Tensor
    """Unit mean feature that it is known by ``[D]``: of its context crops, and of target crops beside them where those
    do not suffice (`LEAST_GAP`)."""
    context_mean: Tensor
    """Mean of the unit features of its context crops alone ``[D]``, not of unit length: a product with it is a mean
    cosine over all pairs. Zeros if the context never shows it."""
    real: Tensor
    """Features of its crops in the real target, ``[n, D]``, in order of the frames of `boxes` that are not NaN."""
    different: float
    """Cosine of `context` to strangers: 0 of the calibrated scale."""
    same: float
    """Cosine of `context` to the subject's own real target crops: 1 of the calibrated scale."""

    def calibrated(self, cosine: float) -> float:
        """A cosine to `context` on the scale where a stranger is 0 and the real subject 1; not clipped."""
        return (cosine - self.different) / max(self.same - self.different, 0.05)


def parts_of(case: Case, encoder: CropEncoder) -> tuple[Part, ...]:
    """All subjects of a case, as this encoder sees them."""
    return case.memo(("parts", encoder.name), lambda: _parts(case, encoder))


def track_features(case: Case, encoder: CropEncoder) -> list[Tensor]:
    """Features of every predicted track, ``[n, D]`` each, over the frames in which it is present."""

    def compute() -> list[Tensor]:
        return [encoder.crops(case.prediction, track.boxes) for track in case.tracks or ()]

    return case.memo(("tracks", encoder.name), compute)


@dataclass(frozen=True, kw_only=True)
class Casting:
    """Who plays whom in a window."""

    played: dict[int, tuple[int, ...]]
    """Subject's label to indices of its tracks (several where the tracker broke one), empty if nobody plays it."""
    doubles: dict[int, tuple[int, ...]]
    """Subject's label to tracks that look like it beside the one that plays it."""


def strangers_of(case: Case, encoder: CropEncoder, part: Part) -> list[Tensor]:
    """Whom a subject must not be taken for: the other subjects of the clip, and the encoder's gallery."""
    others = [p.context for p in parts_of(case, encoder) if p is not part and p.context.any()]
    return others + [feature for name, feature in encoder.gallery.items() if name != part.truth.name]


def others_places(case: Case, encoder: CropEncoder, part: Part) -> list[Boxes]:
    """Where the real target shows somebody or something else, boxes ``[Tt, 4]``.

    Of the other subjects, and of the same tracker's tracks of the real clip where these are not the subject. A body
    there is no second copy of the subject, however alike two of a clip are.
    """

    def compute() -> list[Boxes]:
        found = [p.boxes for p in parts_of(case, encoder) if p is not part]
        for track in case.reference_tracks or ():
            boxes = track.boxes[case.sample.num_context_frames :].copy()
            boxes[np.nan_to_num(framewise_iou(boxes, part.boxes)) >= SAME_SUBJECT] = np.nan
            found.append(boxes)
        return found

    return case.memo(("others' places", encoder.name, part.truth.label), compute)


def cast(case: Case, encoder: CropEncoder, start: int, stop: int) -> Casting:
    """Assigns tracks to subjects in target frames ``start .. stop - 1``."""
    return case.memo(("cast", encoder.name, start, stop), lambda: _cast(case, encoder, start, stop))


def in_window(features: Tensor, track: Track, start: int, stop: int) -> Tensor:
    """The rows of a track's features that belong to a window."""
    frames = torch.from_numpy(np.flatnonzero(track.present()))
    return features[(frames >= start) & (frames < stop)]


def unit_mean(features: Tensor) -> Tensor:
    """Unit mean of features ``[n, D]``; zeros for none."""
    mean = features.mean(dim=0) if len(features) else features.new_zeros(features.shape[1])
    return torch.nn.functional.normalize(mean, dim=0)


def _parts(case: Case, encoder: CropEncoder) -> tuple[Part, ...]:
    prompt, truth = case.sample.prompt, case.truth
    num_context = len(prompt.context)
    least = VISIBLE_SHARE * prompt.context[0, :, :, 0].size
    views = {s.label: encoder.crops(prompt.context, s.boxes[:num_context]) for s in truth.subjects}
    means = {label: unit_mean(features) for label, features in views.items()}
    shown = {s.label: s.visible_area[num_context:] >= least for s in truth.subjects}
    everybody = {s.label: _where(shown[s.label], s.boxes[num_context:]) for s in truth.subjects}
    parts = []
    for subject in truth.subjects:
        boxes = everybody[subject.label]
        seen_as, tracked = _as_seen(boxes, [b for label, b in everybody.items() if label != subject.label], case)
        context = means[subject.label]
        others = [means[s.label] for s in truth.subjects if s.label != subject.label and means[s.label].any()]
        strangers = others + [v for name, v in encoder.gallery.items() if name != subject.name]
        real = encoder.crops(truth.target, boxes)
        different = _different(context, strangers, encoder.different)
        if len(real) and float(unit_mean(real) @ context) - different < LEAST_GAP:
            context = unit_mean(torch.stack([context, unit_mean(real)]))
            different = _different(context, strangers, encoder.different)
        parts.append(
            Part(
                truth=subject,
                boxes=boxes,
                seen_as=seen_as,
                tracked=tracked,
                slivers=(subject.visible_area[num_context:] > 0) & ~shown[subject.label],
                context=context,
                context_mean=views[subject.label].sum(dim=0) / max(len(views[subject.label]), 1),
                real=real,
                different=different,
                same=float(unit_mean(real) @ context) if len(real) else 1.0,
            )
        )
    return tuple(parts)


def _where(shown: NDArray[np.bool_], boxes: Boxes) -> Boxes:
    return np.where(shown[:, None], boxes, np.float32(np.nan))


def _as_seen(boxes: Boxes, others: list[Boxes], case: Case) -> tuple[Boxes, NDArray[np.bool_]]:
    """The reference tracks' boxes where they overlap the true ones best and enough, else the true ones; and where.

    A box that overlaps another subject more is that one's, and no sight of who stands behind it.
    """
    out, best = boxes.copy(), np.full(len(boxes), SAME_SUBJECT)
    for track in case.reference_tracks or ():
        seen = track.boxes[case.sample.num_context_frames :]
        overlap = np.nan_to_num(framewise_iou(seen, boxes), nan=0.0)
        elsewhere = [np.nan_to_num(framewise_iou(seen, other), nan=0.0) for other in others]
        better = (overlap > best) & (overlap >= np.max([np.zeros(len(boxes)), *elsewhere], axis=0))
        out[better], best[better] = seen[better], overlap[better]
    return out, best > SAME_SUBJECT


def _different(context: Tensor, strangers: list[Tensor], measured: float | None) -> float:
    if strangers:
        return float(torch.stack([context @ s for s in strangers]).mean())
    return NEUTRAL_DIFFERENT if measured is None else measured


def _cast(case: Case, encoder: CropEncoder, start: int, stop: int) -> Casting:
    parts, tracks = parts_of(case, encoder), case.tracks or ()
    features = [in_window(f, t, start, stop) for f, t in zip(track_features(case, encoder), tracks, strict=True)]
    holds = [holds_together(case, i) for i in range(len(tracks))]
    alive = [i for i, f in enumerate(features) if len(f) >= MIN_FRAMES and holds[i]]
    place = np.array([[_place(tracks[i], p, start, stop) for i in alive] for p in parts]).reshape(len(parts), -1)
    looks = np.array([[_looks(features[i], p) for i in alive] for p in parts]).reshape(len(parts), -1)
    allowed = ((place >= PLACE_ENOUGH) | (looks >= LOOKS_ENOUGH)) & ~_somebody_elses(place, looks)
    worth = np.where(allowed, place + looks.clip(0, 1), 0)
    rows, columns = linear_sum_assignment(-worth)
    chosen = {(r, c) for r, c in zip(rows.tolist(), columns.tolist(), strict=True) if allowed[r, c]}
    chosen = _exchanged(chosen, place)
    taken = {c for _, c in chosen}
    played: dict[int, tuple[int, ...]] = {}
    doubles: dict[int, tuple[int, ...]] = {}
    for r, part in enumerate(parts):
        mine = [c for q, c in chosen if q == r]
        for c in np.argsort(-worth[r]).tolist() if mine else ():  # pieces of a broken track
            if c not in taken and allowed[r, c] and not any(_share_frames(tracks, alive, c, m) for m in mine):
                mine.append(c)
                taken.add(c)
        played[part.truth.label] = tuple(alive[c] for c in mine)
    for r, part in enumerate(parts):
        mine = [alive.index(i) for i in played[part.truth.label]]
        twins = [
            c
            for c in range(len(alive))
            if c not in taken and mine and looks[r, c] >= LOOKS_ENOUGH and looks[r, c] == looks[:, c].max()
            if any(_share_frames(tracks, alive, c, m) for m in mine)
        ]
        doubles[part.truth.label] = tuple(alive[c] for c in twins)
    return Casting(played=played, doubles=doubles)


def holds_together(case: Case, index: int) -> bool:
    """Whether a track's pictures have something in common from one frame to the next.

    A detector finds bodies in noise, too, frame by frame; what looks like another picture each time is nobody.
    """

    def compute() -> bool:
        assert case.tracks is not None, "only tracks hold together"
        return coherence(case.prediction, case.tracks[index].boxes) >= COHERENT

    return case.memo(("holds together", index), compute)


def coherence(video: Video, boxes: Boxes) -> float:
    """Median correlation of grey pictures of consecutive frames, cut out by boxes ``[T, 4]``; 1 without a pair."""
    shown = np.flatnonzero(present(boxes))
    pairs = shown[:-1][np.diff(shown) == 1]
    found = [float((_small(video, boxes, t) * _small(video, boxes, t + 1)).sum()) for t in pairs.tolist()]
    return float(np.median(found)) if found else 1.0


def _small(video: Video, boxes: Boxes, t: int) -> NDArray[np.float64]:
    """The box's grey levels at `GLANCE` pixels a side, of mean 0 and length 1; what is flat stays 1 with itself."""
    x0, y0 = np.floor(boxes[t, :2]).astype(int).clip(min=0)
    x1, y1 = np.ceil(boxes[t, 2:]).astype(int)
    crop = video[t, y0 : max(y1, y0 + 2), x0 : max(x1, x0 + 2)].mean(axis=2, dtype=np.float64)
    small = cv2.resize(crop, (GLANCE, GLANCE), interpolation=cv2.INTER_AREA)
    small = np.append((small - small.mean()).ravel(), GLANCE)  # a grey level of contrast counts as none
    return np.asarray(small / np.linalg.norm(small), np.float64)


def _place(track: Track, part: Part, start: int, stop: int) -> float:
    """Closeness at the same time, in the subject's own sizes, times the share of its frames: 1 is perfect."""
    both = present(track.boxes) & present(part.boxes)
    both[:start] = both[stop:] = False
    wanted = present(part.boxes)[start:stop].sum()
    if both.sum() < MIN_FRAMES or not wanted:
        return 0.0
    mine, wanted_boxes = track.boxes[both], part.boxes[both]
    middle = np.linalg.norm(centres(mine) - centres(wanted_boxes), axis=1)
    feet = np.linalg.norm(
        feet_of(mine) - feet_of(wanted_boxes), axis=1
    )  # a stranger of another height stands there, too
    distance = np.minimum(middle, feet)
    closeness = np.exp(-2 * distance / np.sqrt(np.maximum(areas(part.boxes[both]), 1)))
    return float(closeness.mean() * min(1.0, 0.5 + both.sum() / wanted))


def _looks(features: Tensor, part: Part) -> float:
    return part.calibrated(float(unit_mean(features) @ part.context)) if part.context.any() else 0.0


def _somebody_elses(place: NDArray[np.float64], looks: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tracks that clearly look like another subject of the clip and are where that one is, ``[K, P]``."""
    mine_elsewhere = np.zeros(place.shape, bool)
    for r in range(len(place)):
        for q in range(len(place)):
            if q != r:
                better = (looks[q] >= LOOKS_ENOUGH) & (looks[q] > looks[r] + 0.2) & (place[q] >= 0.2)
                mine_elsewhere[r] |= better
    return mine_elsewhere


def _exchanged(chosen: set[tuple[int, int]], place: NDArray[np.float64]) -> set[tuple[int, int]]:
    """The assignment with two subjects' tracks exchanged where each stands in the other's place.

    Each walks the other's path: a person says that they changed identities, not that both are displaced.
    """
    out = dict(chosen)
    for a, c in chosen:
        for b, d in chosen:
            mine, others = min(place[a, d], place[b, c]), max(place[a, c], place[b, d])
            if a < b and out[a] == c and out[b] == d and mine >= PLACE_ENOUGH and mine > others + EXCHANGED:
                out[a], out[b] = d, c
    return set(out.items())


def _share_frames(tracks: tuple[Track, ...], alive: list[int], a: int, b: int) -> bool:
    """Whether two tracks are two bodies for some frames; two tracks of one body, or of its limb, are not."""
    one, other = tracks[alive[a]], tracks[alive[b]]
    shared = one.present() & other.present()
    mine, its = one.boxes[shared], other.boxes[shared]
    inside = covered(mine, its)
    limb = (inside >= LIMB_INSIDE) & (np.abs(np.log(heights(mine) / heights(its))) >= LIMB)
    return int((~limb & (inside < PART)).sum()) >= MIN_FRAMES
