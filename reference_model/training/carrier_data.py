"""Clips with exact truth for the carrier's two networks, in a folder: drawn one by one, whole or not there.

They are slots of the embedded worlds' training splits; test clips cannot be asked for. One clip is in memory at a time.

Letters: T frames of both halves, H and W pixels, K subjects.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reference_model.training.disk import read_record, replacing, write_atomically
from reference_model.training.monitor import Listener, Silent
from reference_model.training.request import differences
from reference_model.training.stop import TrainingStoppedError
from reference_model.training.trainer import MINI_SPLITS, MiniWorldClips, render_slot

HELD = 7
"""Of each `ClipFiles.every` slots this one, counted from 0, is held out."""


class TrueClip(NamedTuple):
    """A clip and what is in it."""

    frames: NDArray[np.uint8]
    """``[T, H, W, 3]``, the context first."""
    labels: NDArray[np.uint8]
    """0 background, k subject k, ``[T, H, W]``."""
    poses: NDArray[np.float64]
    """Camera-to-world, metres, ``[T, 4, 4]``."""
    focal: NDArray[np.float64]
    """Pixels, ``[]``."""
    box3d: NDArray[np.float64]
    """Centre (3), length, width, height of each subject, metres, ``[K, T, 6]``."""
    visible: NDArray[np.float64]
    """Pixels that are seen, ``[K, T]``."""
    amodal: NDArray[np.float64]
    """Pixels if each subject were alone, ``[K, T]``."""


@dataclass(frozen=True, kw_only=True)
class ClipFiles:
    """A folder of clips.

    Args:
        folder: Where they lie.
        worlds: ``mini``, ``mini-easy``.
        clips: Slots of each world.
        size: Width and height.
        half: Frames of each half, 4k + 1.
        every: One clip in so many is held out of training.

    Raises:
        TrainingStoppedError: If a world is unknown or named twice, or there is nothing to train on.
    """

    folder: Path
    worlds: tuple[str, ...]
    clips: int
    size: tuple[int, int] = (112, 64)
    half: int = 77
    every: int = 50

    def __post_init__(self) -> None:
        known = ", ".join(MINI_SPLITS)
        for world in self.worlds:
            if world not in MINI_SPLITS:
                raise TrainingStoppedError(f"There is no world {world!r} to train on.", f"Worlds: {known}.")
        if not self.worlds or len(set(self.worlds)) < len(self.worlds):
            raise TrainingStoppedError(f"Each world must be named once, got {self.worlds}.", f"Worlds: {known}.")
        if self.clips < 1:
            raise TrainingStoppedError(f"There is nothing to learn from {self.clips} clips.", "Give --clips 1 or more.")

    def training(self) -> list[Path]:
        """Files to learn from."""
        return self._files(held=False)

    def held_out(self) -> list[Path]:
        """Files to measure on; none where there are few clips."""
        return self._files(held=True)

    def made_of(self) -> dict[str, str | int]:
        """What the clips follow from."""
        names = " and ".join(self._clips(world).name for world in self.worlds)
        return {"data": names, "clips": self.clips, "half": self.half, "held_out": f"1 in {self.every}"}

    def draw(self, listener: Listener | None = None) -> int:
        """Draws the clips that are not there; returns how many.

        Raises:
            TrainingStoppedError: If the folder holds clips that were drawn otherwise.
            StorageError: If the disk is full.
        """
        listener = listener or Silent()
        for world in self.worlds:
            self._check(world)
        wanted = [(world, slot) for world in self.worlds for slot in range(self.clips)]
        missing = [(world, slot) for world, slot in wanted if not self._path(world, slot).is_file()]
        listener.stage("clips", len(wanted), len(wanted) - len(missing))
        for number, (world, slot) in enumerate(missing, start=len(wanted) - len(missing) + 1):
            self._draw(world, slot)
            listener.advance(number, "")
        return len(missing)

    def _files(self, *, held: bool) -> list[Path]:
        slots = [slot for slot in range(self.clips) if (slot % self.every == HELD % self.every) == held]
        return [self._path(world, slot) for world in self.worlds for slot in slots]

    def _clips(self, world: str) -> MiniWorldClips:
        return MiniWorldClips(
            count=self.clips, size=self.size, frames=(self.half, self.half), split=MINI_SPLITS[world]
        )  # fmt: skip

    def _path(self, world: str, slot: int) -> Path:
        return self.folder / f"{MINI_SPLITS[world]}-{slot:05d}.npz"

    def _check(self, world: str) -> None:
        """A folder remembers what its clips of a world follow from; other numbers of clips may share it."""
        path = self.folder / f"{MINI_SPLITS[world]}.json"
        made = {"data": self._clips(world).name, "half": self.half}
        if path.is_file() and (wrong := differences(read_record(path), made)):
            raise TrainingStoppedError(
                f"{self.folder} holds clips that were drawn otherwise ({'; '.join(wrong)}).", "Give another --data."
            )
        write_atomically(path, made)

    def _draw(self, world: str, slot: int) -> None:
        clip = render_slot(MINI_SPLITS[world], slot, self.size, self.half)
        subjects = clip.subjects
        truth = TrueClip(
            frames=clip.frames,
            labels=clip.labels.astype(np.uint8),
            poses=clip.poses,
            focal=np.array(clip.focal, np.float64),
            box3d=np.stack([subject.box3d for subject in subjects]),
            visible=np.stack([subject.visible_area for subject in subjects]),
            amodal=np.stack([subject.amodal_area for subject in subjects]),
        )
        with replacing(self._path(world, slot)) as part:
            np.savez(part, allow_pickle=False, **truth._asdict())


def read_clip(path: Path) -> TrueClip:
    """One clip.

    Raises:
        TrainingStoppedError: If the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as found:
            return TrueClip(*(found[name] for name in TrueClip._fields))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise TrainingStoppedError(
            f"{path} cannot be read as a clip ({type(error).__name__}).", "Delete it and run the command again."
        ) from error
