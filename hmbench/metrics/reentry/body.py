"""A subject's body against the real one, picture by picture: which way it faces, whether it steps, what it looks like.

Bodies are cut out at one height, so that place and size say nothing here (they have numbers of their own). Each
predicted picture is compared with each real one by the correlation of colours inside the real body's outline, at the
best of a few shifts. Everything follows from which pairs are alike:

* *texture*: a picture and the real one of its own time. A flat blob, whatever its outline, has none.
* *facing*: the real one of its own time against the same one mirrored. What is as like its mirror image (a body seen
  from ahead) says nothing and counts for nothing.
* *gait*: pictures of their own time against those a few frames away. A body that slides looks the same all the time:
  it fits its own time no better than others, and has exactly none. So has one that steps backwards.
* *pose*: a picture and the real one that it is most like, of whatever time. A real body in a step of another time is
  like one of them; a body out of shape is like none.
* *flat*: how much of the body has nothing but one colour, beyond the real one.

Letters: n frames of the prediction, m of the target, S side of a picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hmbench.metrics.reentry.motion import MIN_POINTS, steady
from hmbench.subjects.boxes import centres, framewise_iou, heights, present, touches_edge
from hmbench.types import Boxes, LabelMaps, Video

Floats = NDArray[np.float32]
NAN = float("nan")

SIDE, BODY = 56, 36
"""Pixels of a picture's side, and of a body's height in it."""
SMALLEST = 16.0
"""Median height of the real body in pixels below which nothing can be said of its limbs."""
SHIFTS = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)]
"""Pixels down and right by which two pictures are moved against each other: boxes wobble."""
LEAST = 4
"""Frames with both bodies below which nothing is said."""
SAME_PLACE = 0.5
"""Overlap from which on two bodies that the frame cuts off are cut off alike."""
NEAR = 8
"""Frames between pictures that are asked to differ by a step, not by another side of the body: half a second."""
FAINT = 4.0
"""Grey levels of contrast that count as none."""
LEAST_SIDED = 0.06
"""Mean dissimilarity of the real body and its mirror image below which it has no side to face."""
LEAST_STEP = 0.06
"""Mean dissimilarity of real pictures up to `NEAR` frames apart below which the body does not step."""
ONE_COLOUR = 10.0
"""Grey levels around the body's median colour that a codec may leave of a single colour."""
PLAIN = 0.6
"""Share of the real body in one colour from which on a flat one is not told from it."""


@dataclass(frozen=True, kw_only=True)
class BodyEvidence:
    """What pictures of a body say; 1 is the real body in every number."""

    frames: int
    """Pictures that were compared."""
    texture: float
    """Mean correlation with the real picture inside the body, over the real one's with itself."""
    contrast: float
    """Standard deviation of colours inside the body over the real one's."""
    facing: float
    """1 as the real one, -1 as its mirror image; NaN where these look alike."""
    gait: float
    """1 in step, 0 without steps or out of step; NaN where the real one does not step."""
    change: float
    """How much it changes within half a second, over the real one's change; NaN where that does not change."""
    pose: float
    """Mean correlation with the real picture of its best time, over the real one's with itself."""
    flat: float
    """Share of the body in its median colour, 0 as in the real one, 1 all of it; NaN where the real one is `PLAIN`."""


def body_evidence(
    prediction: Video, boxes: Boxes, target: Video, wanted: Boxes, mask: NDArray[np.bool_]
) -> BodyEvidence | None:
    """Compares a body with the real one over the frames in which both are whole; None if these are too few or small.

    Args:
        prediction: uint8 ``[T, H, W, 3]``.
        boxes: Where the body is there, ``[T, 4]``.
        target: uint8 ``[T, H, W, 3]``.
        wanted: Where the real one is, ``[T, 4]``.
        mask: Pixels of the real one, ``[T, H, W]``.
    """
    frames = _whole(boxes, wanted, prediction.shape[1:3])
    if len(frames) < LEAST:  # cut off by the frame: then both are, alike, if they are at one place
        frames = np.flatnonzero(np.nan_to_num(framewise_iou(boxes, wanted)) >= SAME_PLACE)
        boxes = wanted
    if len(frames) < LEAST or np.median(heights(wanted[frames])) < SMALLEST:
        return None
    shown = _pictures(prediction, boxes, frames)
    real = _pictures(target, wanted, frames)
    inside = _inside(mask, wanted, frames)
    pairs, contrast = likeness(shown, real, inside)
    truth, _ = likeness(real, real, inside)
    own = np.diag(pairs)
    mirrored = _own_likeness(shown, real[:, :, ::-1], inside[:, :, ::-1])
    mirror_truth = _own_likeness(real, real[:, :, ::-1], inside[:, :, ::-1])
    sided = float((np.diag(truth) - mirror_truth).mean())
    gait, step = _own_time(pairs, frames), _own_time(truth, frames)
    steps = step >= LEAST_STEP and len(frames) >= MIN_POINTS
    change = _change(likeness(shown, shown, inside)[0], frames) if steps else NAN
    itself, plain = max(float(np.diag(truth).mean()), 1e-6), _in_one_colour(real, inside)
    return BodyEvidence(
        frames=len(frames),
        texture=float(own.mean() / itself),
        contrast=float(np.median(np.diag(contrast))),
        facing=float((own - mirrored).mean()) / sided if sided >= LEAST_SIDED else NAN,
        gait=gait / step if steps else NAN,
        change=change / max(_change(truth, frames), LEAST_STEP / 4) if steps else NAN,
        pose=float(pairs.max(axis=1).mean() / itself),
        flat=(_in_one_colour(shown, inside) - plain) / (1 - plain) if plain < PLAIN else NAN,
    )


def likeness(shown: Floats, real: Floats, inside: Floats) -> tuple[Floats, Floats]:
    """Correlation of colours inside the real body at the best shift, ``[n, m]``, and the contrast there over the real.

    Args:
        shown: ``[n, S, S, 3]``.
        real: ``[m, S, S, 3]``.
        inside: Weights ``[m, S, S]``.
    """
    count = len(shown)
    crop = _columns(inside)
    weights, total, wanted, power = _templates(real, inside, crop)
    templates = (wanted * weights[..., None]).reshape(len(real), -1)
    squares = (shown**2).sum(axis=3)
    best = np.full((count, len(real)), -1.0, np.float32)
    contrast = np.zeros_like(best)
    for shift in SHIFTS:
        moved = np.roll(shown, shift, axis=(1, 2))[:, :, crop]
        flat = moved.reshape(count, -1)
        covariance = flat @ templates.T / total
        means = np.ascontiguousarray(moved.reshape(count, -1, 3).transpose(2, 0, 1)) @ weights.T / total
        own = np.roll(squares, shift, axis=(1, 2))[:, :, crop].reshape(count, -1) @ weights.T / total
        own = np.maximum(own - (means**2).sum(axis=0), 0)
        value = covariance / np.sqrt((own + FAINT**2) * (power + FAINT**2))
        better = value > best
        best[better] = value[better]
        contrast[better] = np.sqrt(own / (power + 1e-6))[better]
    return best, contrast


def _own_likeness(shown: Floats, real: Floats, inside: Floats) -> Floats:
    """The diagonal of `likeness`, ``[n]``."""
    crop = _columns(inside)
    weights, total, wanted, power = _templates(real, inside, crop)
    best = np.full(len(shown), -1.0, np.float32)
    for shift in SHIFTS:
        moved = np.roll(shown, shift, axis=(1, 2))[:, :, crop].reshape(len(shown), -1, 3)
        centred = moved - np.einsum("npc,np->nc", moved, weights)[:, None] / total[:, None, None]
        covariance = np.einsum("npc,npc,np->n", centred, wanted, weights) / total
        own = np.einsum("npc,npc,np->n", centred, centred, weights) / total
        best = np.maximum(best, covariance / np.sqrt((own + FAINT**2) * (power + FAINT**2)))
    return best


def _columns(inside: Floats) -> slice:
    """The columns in which some body is."""
    used = np.flatnonzero(inside.any(axis=(0, 1)))
    return slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)


def _templates(real: Floats, inside: Floats, crop: slice) -> tuple[Floats, Floats, Floats, Floats]:
    """Weights ``[m, p]``, their sums ``[m]``, colours against their mean ``[m, p, 3]`` and their variance ``[m]``."""
    weights = inside[:, :, crop].reshape(len(inside), -1)
    total = weights.sum(axis=1) + 1e-6
    colours = real[:, :, crop].reshape(len(real), -1, 3)
    centred = colours - (colours * weights[..., None]).sum(axis=1, keepdims=True) / total[:, None, None]
    return weights, total, centred, (centred**2 * weights[..., None]).sum(axis=(1, 2)) / total


def _whole(boxes: Boxes, wanted: Boxes, size: tuple[int, ...]) -> NDArray[np.intp]:
    frame = (size[0], size[1])
    whole = present(boxes) & present(wanted) & ~touches_edge(boxes, frame) & ~touches_edge(wanted, frame)
    return np.flatnonzero(whole)


def _own_time(pairs: Floats, frames: NDArray[np.intp]) -> float:
    """By how much two pictures fit their own times better than each other's, mean over pairs up to `NEAR` apart."""
    apart = frames[None] - frames[:, None]
    i, j = np.nonzero((apart > 0) & (apart <= NEAR))
    return float((pairs[i, i] + pairs[j, j] - pairs[i, j] - pairs[j, i]).mean()) if len(i) else 0.0


def _change(pairs: Floats, frames: NDArray[np.intp]) -> float:
    apart = frames[None] - frames[:, None]
    near = (apart >= NEAR // 2 - 1) & (apart <= NEAR // 2 + 1)
    own = np.maximum(np.diag(pairs), 1e-3)
    return float(np.median((1 - pairs / own[:, None])[near])) if near.any() else 0.0


def _in_one_colour(pictures: Floats, inside: Floats) -> float:
    """Median over pictures of the share of the body within `ONE_COLOUR` of its median colour."""
    shares = []
    for picture, body in zip(pictures, inside > 0.5, strict=True):
        colours = picture[body]
        if len(colours):
            near = np.abs(colours - np.median(colours, axis=0)).max(axis=1) < ONE_COLOUR
            shares.append(float(near.mean()))
    return float(np.median(shares)) if shares else 0.0


def _pictures(video: Video, boxes: Boxes, frames: NDArray[np.intp]) -> Floats:
    """Bodies cut out at one height, slightly blurred so that a pixel's shift says little, ``[n, S, S, 3]``."""
    out = [_cut(video[t].astype(np.float32), place, cv2.BORDER_REPLICATE) for t, place in _places(boxes, frames)]
    return np.stack([cv2.GaussianBlur(picture, (0, 0), 0.8) for picture in out])


def _inside(mask: LabelMaps | NDArray[np.bool_], boxes: Boxes, frames: NDArray[np.intp]) -> Floats:
    """Weight of each pixel: the body without its rim, where the background shines through, ``[m, S, S]``."""
    out = []
    for t, place in _places(boxes, frames):
        body = _cut(mask[t].astype(np.float32), place, cv2.BORDER_CONSTANT) > 0.5
        inner = cv2.erode(body.astype(np.float32), np.ones((3, 3), np.uint8))
        out.append(cv2.GaussianBlur(inner if inner.any() else body.astype(np.float32), (0, 0), 0.7))
    return np.stack(out).astype(np.float32)


def _places(boxes: Boxes, frames: NDArray[np.intp]) -> list[tuple[int, tuple[float, float, float]]]:
    """Frame, and middle and height of the body there; heights are steadied, since boxes jump and bodies do not."""
    height = np.maximum(steady(heights(boxes))[frames], 2)
    middle = centres(boxes[frames])
    return [(int(t), (float(x), float(y), float(h))) for t, (x, y), h in zip(frames, middle, height, strict=True)]


def _cut(image: Floats, place: tuple[float, float, float], border: int) -> Floats:
    x, y, height = place
    scale = BODY / height
    if scale < 1 and image.ndim == 3:
        rows = slice(max(int(y - height), 0), int(y + height) + 1)
        columns = slice(max(int(x - 1.2 * height), 0), int(x + 1.2 * height) + 1)
        sigma = max(0.3, 0.5 * (1 / scale - 1) + 0.2)
        image = np.asarray(cv2.GaussianBlur(image[rows, columns], (0, 0), sigma), np.float32)
        x, y = x - columns.start, y - rows.start
    matrix = np.array([[scale, 0, SIDE / 2 - scale * x], [0, scale, SIDE / 2 - scale * y]], np.float32)
    cut = cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=border)
    return np.asarray(cut, np.float32)
