"""Mask videos of any palette: what is background, which colours subjects have, and where they are.

The released script draws subjects red, a third party white; whether several subjects have several colours is not known.
The background is the commonest colour (black, or white with black subjects). Every other colour that fills areas, not
just the blurred edges that H.264 leaves, is a subject colour; a pixel belongs to it from half way on. Values may be
dark: 0 and 1 in the place of 0 and 255 are read as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hmbench.types import LabelMaps, Video

SAMPLES = (40, 280)
"""About so many frames, and so many columns of each, are looked at to find the palette."""
LEAST_PIXELS = 20
"""Sampled pixels that a colour must have: fewer are noise."""
FLAT = 24
"""Of 255: an area is flat if its neighbours differ by less, on the scale of the strongest colour."""
APART = 70
"""Of 255: colours closer than this (in their most different channel) are one."""
LEAST_SHARE = 0.02
"""Of all flat subject pixels, that a colour must have."""
MOST_COLOURS = 8
PLAIN = 0.93
"""Share of a mask's background that has its colour: 0.996 and more through H.264 at CRF 42, at most 0.9 in overlays."""
FILLS = 0.75
"""Share of a half that only a background has."""
SAME = 12
"""Of 255: a mask this close to the picture, in the median, is cut out of it."""
_NAMES = {(0, 0, 0): "black", (1, 0, 0): "red", (0, 1, 0): "green", (0, 0, 1): "blue"}
_NAMES |= {(1, 1, 0): "yellow", (1, 0, 1): "magenta", (0, 1, 1): "cyan", (1, 1, 1): "white"}


@dataclass(frozen=True, kw_only=True)
class Palette:
    """Colours of a mask video."""

    background: tuple[int, int, int]
    """RGB."""
    colours: tuple[tuple[int, int, int], ...]
    """RGB of each subject colour, the commonest first; empty if nothing but background was seen."""

    def describe(self) -> str:
        """For example ``red on black``."""
        names = ", ".join(_name(colour) for colour in self.colours) or "nothing"
        return f"{names} on {_name(self.background)}"


def find_palette(halves: Sequence[Video]) -> Palette:
    """The palette of a mask's videos, each ``[T, H, W, 3]``."""
    sample = np.concatenate(_looked_at(halves))
    background = _commonest(sample.reshape(-1, 3)[::5])
    apart = _most_apart(sample, background)
    counts = np.bincount(apart.ravel(), minlength=256)
    strong = np.flatnonzero(np.cumsum(counts[::-1])[::-1] >= LEAST_PIXELS)
    level = int(strong.max(initial=0))
    if level < 1:
        return Palette(background=_rgb(background), colours=())
    lit = apart > 0.25 * level
    frames = np.flatnonzero(lit.any(axis=(1, 2)))
    flat = np.zeros_like(lit)
    for frame in frames.tolist():
        flat[frame] = _flat(sample[frame], FLAT * level / 255) & lit[frame]
    chosen = sample[flat] if flat.sum() >= LEAST_PIXELS else sample[lit]
    return Palette(background=_rgb(background), colours=tuple(_clusters(chosen, APART * level / 255)))


def why_no_mask(halves: Sequence[Video], pictures: Sequence[Video], palette: Palette) -> str | None:
    """Why videos that are given as masks are none; None if nothing speaks against them.

    An overlay (subjects tinted in the picture) and subjects cut out of it have no palette: whatever is read from them
    looks like a mask and is wrong.

    Args:
        halves: The masks' videos, each ``[T, H, W, 3]``.
        pictures: What they are masks of, in the same order and shapes.
        palette: Their palette.
    """
    if not palette.colours:
        return None
    background = np.array(palette.background, np.int16)
    apart = np.abs(np.array(palette.colours) - background).max()
    limit = max(1.0, FLAT * float(apart) / 255)
    samples, real = _looked_at(halves), _looked_at(pictures)
    for half in samples:
        own = _commonest(half.reshape(-1, 3)[::5])
        filled = float((_most_apart(half, own) <= limit).mean())
        if np.abs(own - background).max() >= APART * apart / 255 and filled >= FILLS:
            return f"one half is drawn on {_name(_rgb(own))}, the other on {_name(palette.background)}"
    differs = [_most_apart(half, background) for half in samples]
    unlit = np.concatenate([_inside(d <= 0.25 * apart) for d in differs])
    plain = float((np.concatenate(differs)[unlit] <= limit).mean()) if unlit.mean() > LEAST_SHARE else 0.0
    if plain < PLAIN:
        return f"only {plain:.0%} of the background is {_name(palette.background)}: they are pictures or overlays"
    lit = np.concatenate([_inside(d > 0.25 * apart) for d in differs])
    if lit.sum() < LEAST_PIXELS:
        return None
    drawn, seen = (np.concatenate(sample)[lit].astype(np.int16) for sample in (samples, real))
    if np.median(np.abs(drawn - seen).max(axis=1)) <= SAME and np.median(np.abs(drawn - drawn[0]).max(axis=1)) > SAME:
        return "subjects are cut out of the picture: their dark parts would be taken for background"
    return None


def _looked_at(halves: Sequence[Video]) -> list[Video]:
    """Some frames of each half (at least one), and some rows and columns of these."""
    t = max(1, sum(len(half) for half in halves) // SAMPLES[0])
    step = max(1, halves[0].shape[2] // SAMPLES[1])
    return [half[min(t // 2, len(half) - 1) :: t, ::step, ::step] for half in halves if len(half)]


def _inside(area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels at least two away from the edges of their area, ``[T, H, W]``; H.264 blurs these."""
    kernel = np.ones((5, 5), np.uint8)
    return np.stack([cv2.erode(frame.astype(np.uint8), kernel) > 0 for frame in area])


def _most_apart(sample: Video, background: NDArray[np.int16]) -> NDArray[np.int16]:
    """Difference from the background in the most different channel; channel by channel, for a reduction is slow."""
    most = np.zeros(sample.shape[:3], np.int16)
    for channel in range(3):
        np.maximum(most, np.abs(sample[..., channel].astype(np.int16) - background[channel]), out=most)
    return most


def subject_pixels(video: Video, palette: Palette) -> NDArray[np.bool_]:
    """Where any subject is, ``[T, H, W]``."""
    if not palette.colours:
        return np.zeros(video.shape[:3], np.bool_)
    apart = np.array(palette.colours) - np.array(palette.background)
    channel = int(np.abs(apart).min(axis=0).argmax())  # the one in which even the faintest colour shows
    if np.abs(apart[:, channel]).min() < np.abs(apart).max(axis=1).min() / 2:
        return colour_labels(video, palette) > 0
    half = palette.background[channel] + int(np.abs(apart[:, channel]).min()) / 2 * np.sign(apart[0, channel])
    values = video[..., channel]
    if (apart[:, channel] > 0).all():
        return np.asarray(values > int(np.floor(half)))
    if (apart[:, channel] < 0).all():
        return np.asarray(values < int(np.ceil(half)))
    return colour_labels(video, palette) > 0


def colour_labels(video: Video, palette: Palette) -> LabelMaps:
    """The nearest colour of every pixel, ``[T, H, W]``: 0 background, k the palette's k-th colour."""
    colours = np.array([palette.background, *palette.colours], np.int32)
    table = _nearest_table(colours)
    labels = np.empty(video.shape[:3], np.uint8)
    for t, frame in enumerate(video):
        found = table[frame[..., 0] >> 2, frame[..., 1] >> 2, frame[..., 2] >> 2]
        smooth = cv2.medianBlur(found, 3)  # edges pass through other colours
        labels[t] = np.where(found > 0, np.where(smooth > 0, smooth, found), 0)
    return labels


def _nearest_table(colours: NDArray[np.int32]) -> NDArray[np.uint8]:
    axis = np.arange(0, 256, 4) + 1.5
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    distance = np.linalg.norm(grid[..., None, :] - colours, axis=-1)
    return np.asarray(distance.argmin(axis=-1), np.uint8)


def _commonest(pixels: NDArray[np.uint8]) -> NDArray[np.int16]:
    """The colour of most pixels, as the median of its bin."""
    bins = (pixels >> 4).astype(np.int32)
    codes = (bins[:, 0] * 16 + bins[:, 1]) * 16 + bins[:, 2]
    best = np.bincount(codes, minlength=4096).argmax()
    return np.asarray(np.median(pixels[codes == best], axis=0), np.int16)


def _flat(frame: NDArray[np.uint8], limit: float) -> NDArray[np.bool_]:
    kernel = np.ones((3, 3), np.uint8)
    spread = cv2.subtract(cv2.dilate(frame, kernel), cv2.erode(frame, kernel))
    return np.asarray(spread.max(axis=-1) <= max(limit, 1.0))


def _clusters(pixels: NDArray[np.uint8], apart: float) -> list[tuple[int, int, int]]:
    """Colours that are common and apart from each other, the commonest first."""
    rest, total = pixels.astype(np.int16), len(pixels)
    found: list[tuple[int, int, int]] = []
    while len(rest) >= max(LEAST_PIXELS if not found else 1, LEAST_SHARE * total) and len(found) < MOST_COLOURS:
        centre = _commonest(rest.astype(np.uint8))
        near = np.abs(rest - centre).max(axis=1) < apart
        if not near.any():
            break
        if not found or near.sum() >= LEAST_SHARE * total:
            found.append(_rgb(np.median(rest[near], axis=0)))
        rest = rest[~near]
    return found


def _rgb(colour: NDArray[np.generic]) -> tuple[int, int, int]:
    return int(colour[0]), int(colour[1]), int(colour[2])


def _name(colour: tuple[int, int, int]) -> str:
    """A colour's name if its channels are off or full, else its numbers."""
    if all(v < 48 or v > 207 for v in colour):
        return (
            _NAMES[(int(colour[0] > 127), int(colour[1] > 127), int(colour[2] > 127))]
            if max(colour) not in range(1, 48) or max(colour) < 1
            else f"rgb{colour}"
        )
    return f"rgb{colour}"
