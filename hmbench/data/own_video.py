"""Anyone's video as a sample: its frames are the context, a preset or file is the camera, nobody knows the future.

Whatever is done to the video (frames left out, scaled, cropped, turned) and whatever is assumed (lens, camera of the
context) stands in the sample's warnings and in ``meta.extra``. `truth` is None: only metrics that need no target apply.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmbench.data.camera_conventions import HM_WORLD
from hmbench.data.camera_evidence import held_against_pictures
from hmbench.data.camera_presets import PRESETS, preset_poses
from hmbench.data.cameras import FOCAL_PER_WIDTH, parse_cameras
from hmbench.errors import SampleError, UserError, did_you_mean
from hmbench.files import ascii_name, read_json
from hmbench.types import Intrinsics, Meta, Poses, Prompt, Sample, Video
from hmbench.video.decode import Header, pictures, read_header, shown_at_ticks
from hmbench.video.files import check_picture, resize_video
from hmbench.video.geometry import scale_intrinsics


@dataclass(frozen=True, kw_only=True)
class OwnVideoConfig:
    """How a video becomes a context."""

    num_context: int = 77
    """Context frames, 4k + 1 for models whose VAE wants that."""
    num_target: int = 77
    """Frames to generate."""
    size: tuple[int, int] | None = (480, 832)
    """(height, width); the video is scaled to cover it and its centre cropped. None keeps the video's size."""
    fps: float = 15.0
    """Frames a second of context and target; the nearest frames of the video are taken."""
    part: str = "last"
    """``last`` or ``first``: which frames of the video are the context."""
    fov: float | None = None
    """Horizontal field of view of the video in degrees; None takes HM-World's lens (37.4 degrees)."""

    def __post_init__(self) -> None:
        if self.num_context % 4 != 1 or self.num_target % 4 != 1:
            raise UserError(
                f"Context and target must have 4k + 1 frames, not {self.num_context} and {self.num_target}.",
                "For example 77, 41 or 21: the video autoencoder packs four frames into one after the first.",
            )
        if self.size is not None:
            height, width = self.size
            if not (16 <= height <= 8192 and 16 <= width <= 8192 and max(self.size) <= 8 * min(self.size)):
                raise UserError(
                    f"A video of {width}x{height} pixels is too small, too large or too narrow.",
                    "Each side has 16 to 8192 pixels, and one at most 8 times the other: 832x480, for example.",
                )
        if self.part not in {"first", "last"}:
            raise UserError(f"There is no part {self.part!r} of a video.", "Give 'first' or 'last'.")
        if not 0 < self.fps <= 240 or (self.fov is not None and not 5 <= self.fov <= 160):
            raise UserError(
                f"fps {self.fps} or field of view {self.fov} is out of range.",
                "fps lies above 0 and up to 240, the field of view between 5 and 160 degrees.",
            )


def sample_from_video(
    video: Path, camera: str | Path, caption: str = "", config: OwnVideoConfig | None = None
) -> Sample:
    """A sample without truth from any video file.

    Args:
        video: Video file.
        camera: A preset's name (``pan-left-and-back``, see `hmbench.data.camera_presets`) or a camera file in
            HM-World's form with as many context and target cameras as `config` asks for.
        caption: What the clip shows; a text-conditioned model does better with one.
        config: Frames, size, rate; by default HM-World's 77 + 77 frames of 832x480 at 15 fps.

    Raises:
        SampleError: If the video is too short, damaged or no video.
        UserError: If the camera is unknown or does not parse.
    """
    config = config or OwnVideoConfig()
    taken = _take_frames(video, config)
    context_poses, target_poses, notes = _cameras(camera, config)
    height, width = taken.frames.shape[1:3]
    notes = [*_conversions(taken, config), *notes]
    intrinsics, lens = _lens(taken, config, width, height)
    if _is_file(camera):
        held_against_pictures(context_poses, taken.frames, intrinsics, str(camera), HM_WORLD, _CONVERT)
    if not caption:
        notes.append("no caption: a text-conditioned model gets an empty text")
    extra: dict[str, Any] = {
        "source": str(video),
        "source_size": list(taken.size),
        "source_fps": taken.header.fps,
        "source_frames": taken.numbers,
        "shown": list(taken.header.notes),
        "camera": str(camera),
    }
    return Sample(
        id=_id_of(video, camera),
        prompt=Prompt(
            context=taken.frames,
            context_poses=context_poses,
            target_poses=target_poses,
            caption=caption,
            fps=config.fps,
            intrinsics=intrinsics,
        ),
        truth=None,
        meta=Meta(camera_path=str(camera), warnings=(*notes, lens), extra=extra),
    )


class OwnVideo:
    """One clip as a `hmbench.data.dataset.Dataset`, so that the runner can use it like any other.

    Args:
        video: Video file.
        camera: Preset or camera file.
        caption: What it shows.
        config: Frames, size, rate.
    """

    def __init__(
        self, video: Path, camera: str | Path, caption: str = "", config: OwnVideoConfig | None = None
    ) -> None:
        self.name = f"own video {video.name}"
        self._sample = sample_from_video(video, camera, caption, config)

    def ids(self, split: str) -> tuple[str, ...]:
        """The clip's id; there is one split, ``all``."""
        if split != "all":
            raise UserError(f"Your own video has no split {split!r}.", did_you_mean(split, ["all"]))
        return (self._sample.id,)

    def load(self, sample_id: str) -> Sample:
        """The clip."""
        if sample_id != self._sample.id:
            raise SampleError(f"There is no sample {sample_id!r}.", did_you_mean(sample_id, [self._sample.id]))
        return self._sample

    def caption(self, sample_id: str) -> str | None:
        """What it shows."""
        return self.load(sample_id).prompt.caption or None

    def revision(self, ids: tuple[str, ...]) -> str:
        """Digest of frames, cameras and caption."""
        prompt = self._sample.prompt
        digest = hashlib.sha256(f"{ids}\t{prompt.caption}\t{prompt.fps}\t{prompt.intrinsics}".encode())
        for array in (prompt.context, prompt.context_poses, prompt.target_poses):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]


def own_video(*, video: str, camera: str, caption: str = "", size: Any = None, **settings: Any) -> OwnVideo:
    """The data source ``own-video``.

    Args:
        video: Path of the video.
        camera: Preset or camera file.
        caption: What it shows.
        size: (height, width) that it is cropped to; None keeps its own.
        **settings: Further fields of `OwnVideoConfig`.

    Raises:
        UserError: If a setting is unknown or impossible, or the video cannot be used.
    """
    return OwnVideo(Path(video), camera, caption, _config(size, settings))


def check_own_video(*, video: str, camera: str, caption: str = "", size: Any = None, **settings: Any) -> None:
    """Raises what `own_video` raises for what can be told without decoding a frame; imports no torch.

    Raises:
        UserError: If there is no such video or camera, or a setting is unknown or impossible.
    """
    read_header(Path(video))
    _cameras(camera, _config(size, settings))


def _config(size: Any, settings: Mapping[str, Any]) -> OwnVideoConfig:
    known = {field.name for field in fields(OwnVideoConfig)} - {"size"}
    if unknown := sorted(set(settings) - known):
        raise UserError(f"An own video has no setting {unknown[0]!r}.", did_you_mean(unknown[0], known))
    shape = None if size is None else (int(size[0]), int(size[1]))
    return OwnVideoConfig(size=shape, **settings)


class _Taken(NamedTuple):
    frames: Video
    numbers: list[int]
    header: Header

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the video as a player shows it."""
        return self.header.height, self.header.width


def _take_frames(path: Path, config: OwnVideoConfig) -> _Taken:
    """The context's frames, scaled and cropped as they are decoded, so that a long video needs no more memory.

    At each tick of the output's clock a player shows the last picture that has begun, never one of the future.
    """
    header = read_header(path)
    check_picture(path, header.height, header.width)
    kept: deque[tuple[int, NDArray[np.uint8]]] = deque(maxlen=config.num_context)
    for ticks, (number, picture) in enumerate(shown_at_ticks(pictures(path), header, config.fps), 1):
        again = bool(kept) and kept[-1][0] == number
        kept.append((number, kept[-1][1] if again else covering(picture.image, config.size)))
        if config.part == "first" and ticks == config.num_context:
            break
    if len(kept) < config.num_context:
        most = (len(kept) - 1) // 4 * 4 + 1
        raise SampleError(
            f"{path} has {header.frames} frames at {header.fps:g} fps, which make {len(kept)} at {config.fps:g} fps; "
            f"the context needs {config.num_context}.",
            f"Use a longer video, or --video-frames {most} (4k + 1)." if most > 0 else "",
        )
    return _Taken(np.stack([frame for _, frame in kept]), [number for number, _ in kept], header)


def covering(image: NDArray[np.uint8], size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Scaled to cover `size`, centre-cropped."""
    if size is None or image.shape[:2] == size:
        return image
    scale = max(size[0] / image.shape[0], size[1] / image.shape[1])
    covering = [max(round(side * scale), want) for side, want in zip(image.shape[:2], size, strict=True)]
    scaled = resize_video(image[None], *covering)[0]
    top, left = (covering[0] - size[0]) // 2, (covering[1] - size[1]) // 2
    return np.ascontiguousarray(scaled[top : top + size[0], left : left + size[1]])


def _conversions(taken: _Taken, config: OwnVideoConfig) -> list[str]:
    """Sentences on what was done to the frames."""
    notes, header = [], taken.header
    height, width = taken.frames.shape[1:3]
    if (height, width) != taken.size:
        notes.append(f"scaled and centre-cropped from {taken.size[1]}x{taken.size[0]} to {width}x{height}")
    if abs(header.fps - config.fps) > 0.01:
        notes.append(
            f"taken at {config.fps:g} fps from a video of {header.fps:g} fps (what a player shows at each tick)"
        )
    if not header.steady:
        notes.append("the video's frames are not evenly spaced in time; each tick has what a player shows then")
    repeats = len(taken.numbers) - len(set(taken.numbers))
    if repeats:
        notes.append(f"{repeats} of {len(taken.numbers)} context frames repeat their predecessor: the video is slower")
    used = max(taken.numbers[-1] - taken.numbers[0] + 1, len(taken.numbers))
    if used < header.frames:
        notes.append(f"only its {config.part} {used} of {header.frames} frames are used")
    return [*notes, *header.notes]


def _cameras(camera: str | Path, config: OwnVideoConfig) -> tuple[Poses, Poses, list[str]]:
    text = str(camera)
    if _is_file(camera):
        content = read_json(Path(camera))
        poses = parse_cameras(content, config.num_context, config.num_target, text)
        return *poses, []
    context, target = preset_poses(text, config.num_context, config.num_target)
    if PRESETS[text.partition(":")[0]].moves_context:
        note = f"camera {text} claims that the video's camera turned near its end: right only for clips filmed so"
    else:
        note = "the context's camera is taken as standing still"
    return context, target, [note]


def _is_file(camera: str | Path) -> bool:
    return isinstance(camera, Path) or camera.endswith(".json")


_CONVERT = "Import the video with `hmbench data import VIDEOS DATA --cameras {}`, and evaluate that."


def _lens(taken: _Taken, config: OwnVideoConfig, width: int, height: int) -> tuple[Intrinsics, str]:
    source_height, source_width = taken.size
    if config.fov is None:
        # 832x480 is HM-World's 16:9 with its sides cropped off, so its focal length belongs to a wider frame
        uncropped = source_height * 16 / 9
        focal = FOCAL_PER_WIDTH * (uncropped if source_width < uncropped < 1.05 * source_width else source_width)
        note = "the lens is taken as HM-World's (37 degrees); a phone's main camera sees about 65 (--fov)"
    else:
        focal = source_width / 2 / np.tan(np.radians(config.fov) / 2)
        note = f"the lens is taken as {config.fov:g} degrees, as given"
    source = Intrinsics(focal=float(focal), width=source_width, height=source_height)
    return scale_intrinsics(source, width, height), note


def _id_of(video: Path, camera: str | Path) -> str:
    name = Path(camera).stem if str(camera).endswith(".json") else str(camera)
    clean = re.sub(r"[^A-Za-z0-9_.+-]+", "-", ascii_name(f"{video.stem}_{name}")).strip("-.")
    return clean[:150] or "own-video"
