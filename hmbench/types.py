"""The nouns of hmbench: what a sample, a prediction, a track, a score are.

Letters: T frames, Tc context frames, Tt target frames, H height, W width.
Conventions (one place, everywhere): video is uint8 ``[T, H, W, 3]`` RGB; poses are float64 ``[T, 4, 4]``
camera-to-world with OpenCV axes (x right, y down, z forward) in metres; boxes are float32 ``[T, 4]`` xyxy in pixels,
half-open, with NaN rows where the subject is absent; time is counted in frames, with fps beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Video = NDArray[np.uint8]
"""Frames, uint8 ``[T, H, W, 3]``, RGB."""
LabelMaps = NDArray[np.uint8]
"""Per-pixel subject labels, uint8 ``[T, H, W]``: 0 is background, k is subject k (counted from 1)."""
Poses = NDArray[np.float64]
"""Camera-to-world matrices, float64 ``[T, 4, 4]``, OpenCV axes, metres."""
Boxes = NDArray[np.float32]
"""Boxes, float32 ``[T, 4]``, xyxy in pixels, half-open; a row of NaN where there is none."""

Category = Literal["person", "robot", "animal", "other", "unknown"]


def _brief(noun: Any) -> str:
    """A noun on a few lines: of arrays the kind and shape, since a sample's pixels fill thousands of lines."""
    return f"{type(noun).__name__}({', '.join(f'{f.name}={_shown(getattr(noun, f.name))}' for f in fields(noun))})"


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"<{value.dtype} {list(value.shape)}>"
    return f"<{', '.join(map(str, value))}>" if isinstance(value, dict) and value else repr(value)


@dataclass(frozen=True, kw_only=True)
class Intrinsics:
    """A pinhole camera at a given image size, square pixels."""

    focal: float
    """Focal length in pixels at `width` x `height`."""
    width: int
    """Image width in pixels."""
    height: int
    """Image height in pixels."""

    def matrix(self) -> NDArray[np.float64]:
        """K, float64 ``[3, 3]``, principal point in the image centre."""
        return np.array([[self.focal, 0.0, self.width / 2], [0.0, self.focal, self.height / 2], [0.0, 0.0, 1.0]])


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """Everything that a world model is given, and nothing else: no truth can leak through this type."""

    __repr__ = _brief

    context: Video
    """Past frames, uint8 ``[Tc, H, W, 3]``."""
    context_poses: Poses
    """Cameras of the past frames, ``[Tc, 4, 4]``."""
    target_poses: Poses
    """Cameras of the frames to generate, ``[Tt, 4, 4]``, in the same world frame."""
    caption: str
    """What the clip shows; empty if nobody wrote one."""
    fps: float
    """Frames a second of context and target."""
    intrinsics: Intrinsics
    """The camera's lens at the context's size."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.context.shape[1], self.context.shape[2]

    @property
    def num_target_frames(self) -> int:
        """How many frames a model has to generate."""
        return len(self.target_poses)


@dataclass(frozen=True, kw_only=True)
class SubjectTruth:
    """What is known of one subject over all Tc + Tt frames; the first Tc entries are the context."""

    __repr__ = _brief

    label: int
    """Its value in the label maps (from 1)."""
    name: str
    """Its name, for example ``Wolf``; a made-up one where the data give none."""
    category: Category
    """What kind of subject it is."""
    boxes: Boxes
    """Visible boxes, ``[Tc + Tt, 4]``."""
    visible_area: NDArray[np.float64]
    """Visible pixels per frame, ``[Tc + Tt]``."""
    positions: NDArray[np.float64] | None = None
    """Centre in world coordinates, metres, ``[Tc + Tt, 3]``; None where the data do not say."""
    amodal_area: NDArray[np.float64] | None = None
    """Pixels inside the frame if nothing occluded it, ``[Tc + Tt]``; None where unknown."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One exit and re-entry: seen in the context, hidden, seen again in the target.

    Frames count from the first context frame, so that `reentry` >= Tc.
    """

    label: int
    """Which subject."""
    exit: int
    """First hidden frame."""
    reentry: int
    """First frame in which it is visible again; lies in the target."""

    @property
    def hidden(self) -> int:
        """How many frames it was out of sight."""
        return self.reentry - self.exit


@dataclass(frozen=True, kw_only=True)
class ToldApart:
    """How a clip's subjects were told apart, and how sure that is. K subjects, in the order of `Truth.subjects`."""

    way: Literal["labels", "single", "colours", "positions", "tracks", "none"]
    """``labels``: exact label maps. ``single``: there is one subject. ``colours``: of the mask. ``positions``: 3D
    positions projected onto one mask. ``tracks``: a detector's tracks of the real clip inside it. ``none``: not."""
    detail: str = ""
    """What was used: the reading of the positions and its fit, the tracker's name."""
    certainty: tuple[float, ...] = ()
    """Mean certainty of each subject's labels over its visible frames, in [0, 1]."""
    unclear: tuple[int, ...] = ()
    """Visible frames of each subject in which it could not be told from others."""
    left_out: tuple[Event, ...] = ()
    """Events that are not scored because their frames are unclear."""
    reason: str | None = None
    """Why subjects are not told apart; None if they are."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What really happened; never shown to a model."""

    __repr__ = _brief

    target: Video
    """The real continuation, uint8 ``[Tt, H, W, 3]``."""
    context_labels: LabelMaps | None
    """Subject labels of the context, ``[Tc, H, W]``; None where the data have no masks."""
    target_labels: LabelMaps | None
    """Subject labels of the target, ``[Tt, H, W]``; None where the data have no masks."""
    subjects: tuple[SubjectTruth, ...] = ()
    """One entry a subject; empty where the data have no masks."""
    events: tuple[Event, ...] = ()
    """Exits and re-entries, by order of re-entry."""
    separate_subjects: bool = False
    """True if labels tell subjects apart; False if one mask covers them all and nothing divides it."""
    told_apart: ToldApart | None = None
    """How labels came to tell subjects apart; None where nobody asked (exact truth of a world made here)."""


@dataclass(frozen=True, kw_only=True)
class Meta:
    """Where a sample comes from, as far as its id and files tell."""

    __repr__ = _brief

    scene: str | None = None
    """Scene name; statistics are clustered by it."""
    subject_path: str | None = None
    """Name of the subject's trajectory."""
    camera_path: str | None = None
    """Name of the camera's trajectory."""
    cell: str | None = None
    """Cell of the split: ``seen``, ``unseen-scene``, ``unseen-subject`` or ``unseen-both``."""
    warnings: tuple[str, ...] = ()
    """What did not fit expectations but did not prevent reading."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Whatever else the files said."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One clip of a benchmark: what a model gets, what really happened, where it comes from."""

    __repr__ = _brief

    id: str
    """Unique name, a valid file name."""
    prompt: Prompt
    """What a model is given."""
    truth: Truth | None
    """None for open-domain clips, where nobody knows the future."""
    meta: Meta = field(default_factory=Meta)
    """Provenance."""

    @property
    def num_context_frames(self) -> int:
        """Tc."""
        return len(self.prompt.context)


@dataclass(frozen=True, kw_only=True)
class Track:
    """One subject followed through a video by a tracker."""

    __repr__ = _brief

    id: int
    """Number within its video, from 1."""
    boxes: Boxes
    """``[T, 4]``, NaN rows where it is not seen."""
    scores: NDArray[np.float32]
    """Detector confidence in [0, 1], ``[T]``, NaN where it is not seen."""
    category: Category = "unknown"
    """What the detector thinks it is."""
    embedding: NDArray[np.float32] | None = None
    """Mean appearance embedding, L2-normalised, ``[D]``; None if the tracker has none."""

    def present(self) -> NDArray[np.bool_]:
        """Frames in which the track has a box, ``[T]``."""
        return ~np.isnan(self.boxes[:, 0])


@dataclass(frozen=True)
class Score:
    """A value, or the reason why there is none: exactly one of the two."""

    value: float
    """The measurement; NaN exactly if there is a reason."""
    reason: str | None = None
    """Why it could not be measured, with the remedy if there is one."""
    details: dict[str, Any] = field(default_factory=dict)
    """Numbers behind the value, for the row (JSON types only)."""

    def __post_init__(self) -> None:
        if math.isnan(self.value) != (self.reason is not None):
            raise ValueError(f"a score is NaN exactly if it has a reason, got {self.value=} {self.reason=}")

    @classmethod
    def skipped(cls, reason: str) -> Score:
        """A score that could not be measured."""
        return cls(math.nan, reason)
