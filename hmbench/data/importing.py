"""Any folder of videos as samples: the first part of each clip is the context, the next is the target.

    hmbench data import my-videos my-data

Beside ``NAME.mp4`` (or another video, or a folder of pictures) there may be

* cameras: ``NAME_camera.json`` or ``NAME.json`` in HM-World's form, or ``NAME_poses.npy`` ``[T, 4, 4]``;
* masks: ``NAME_masks.mkv``, ``.npz``, ``.npy``, ``.json`` or a folder ``NAME_masks`` (`hmbench.data.label_files`);
* a caption: ``NAME.txt``, or a line in ``caption.txt``.

Cameras and masks count the video's own frames, or those of the clip that is made. What was done and what was assumed
stands in the sample's warnings. Pixels are stored losslessly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from hmbench.array_files import read_array
from hmbench.data.annotations import NOTES_FILE, read_notes
from hmbench.data.camera_conventions import convention
from hmbench.data.cameras import parse_cameras, to_unreal
from hmbench.data.captions_file import read_captions
from hmbench.data.label_files import Labels, label_path, read_label_maps
from hmbench.data.own_video import covering
from hmbench.errors import SampleError, UserError
from hmbench.files import ascii_name, file_name, read_json, read_text_within, write_json, write_text
from hmbench.types import LabelMaps, Poses, Video
from hmbench.video.decode import Header, shown_at_ticks
from hmbench.video.files import check_picture, write_labels, write_lossless
from hmbench.video.geometry import pose_problem
from hmbench.video.sources import PICTURE_SUFFIXES, VIDEO_SUFFIXES, source_header, source_pictures

_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True, kw_only=True)
class ImportConfig:
    """How videos become samples."""

    context: int = 77
    """Context frames, 4k + 1 for models whose VAE wants that."""
    target: int = 77
    """Target frames after them."""
    fps: float | None = 15.0
    """Frames a second of the samples; None takes every frame at the video's own rate."""
    size: tuple[int, int] | None = None
    """(height, width); videos are scaled to cover it and their centre is cropped. None keeps each one's own."""
    cameras: str = "unreal"
    """Convention of the cameras' matrices (`hmbench.data.camera_conventions`)."""
    fov: float | None = None
    """Horizontal field of view of the videos in degrees; None is HM-World's lens."""

    def __post_init__(self) -> None:
        for name, count in (("context", self.context), ("target", self.target)):
            if count < 5 or count % 4 != 1:
                raise UserError(f"{count} {name} frames are not of the form 4k + 1.", "77, 41 or 21, for example.")
        convention(self.cameras)
        if (self.fps is not None and not 0 < self.fps <= 240) or (self.fov is not None and not 5 <= self.fov <= 160):
            raise UserError(
                f"fps {self.fps} or field of view {self.fov} is out of range.",
                "fps lies above 0 and up to 240, the field of view between 5 and 160 degrees.",
            )


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What became of one video."""

    name: str
    """Of the video."""
    problem: str | None = None
    """Why it is no sample; None if it is."""
    cameras: str = "none"
    """File of its cameras."""
    masks: str = "none"
    """File of its masks."""
    subjects: int = 0
    """Labels in its masks."""
    warnings: list[str] = field(default_factory=list)
    """What was done and assumed."""


class _Clip(NamedTuple):
    frames: Video
    numbers: NDArray[np.int64]
    """Frame of the video behind each frame of the clip."""
    header: Header
    fps: float


def find_videos(source: Path) -> dict[str, Path]:
    """Videos of a folder by name, those of masks left out.

    Raises:
        UserError: If there is no such folder, or no video in it.
    """
    if not source.is_dir():
        what = f"{source} is a file." if source.is_file() else f"There is no folder {source}."
        raise UserError(what, "Give the folder that holds the videos.")
    found: dict[str, Path] = {}
    for path in sorted(source.iterdir()):
        if path.name.startswith(".") or path.stem.endswith(("_masks", ".masks")):
            continue
        video = path.is_file() and path.suffix.lower() in (*VIDEO_SUFFIXES, ".npy") and not path.stem.endswith("_poses")
        pictures = path.is_dir() and any(p.suffix.lower() in PICTURE_SUFFIXES for p in path.iterdir())
        if video or pictures:
            name = path.stem if video else path.name
            if name in found:
                raise UserError(f"{source} has two videos {name!r}: {found[name].name}, {path.name}.", "Rename one.")
            found[name] = path
    if not found:
        raise UserError(
            f"There is no video in {source}.", f"Videos end in {', '.join(VIDEO_SUFFIXES)}, or are folders of pictures."
        )
    return found


def import_folder(
    source: Path, target: Path, config: ImportConfig | None = None, on_clip: Callable[[Imported], None] | None = None
) -> list[Imported]:
    """Writes a folder of samples from a folder of videos; samples that were imported before are replaced.

    Args:
        source: The videos.
        target: Folder to write.
        config: How.
        on_clip: Hears of each video.

    Raises:
        UserError: If there is no video, or the target holds something else under a video's name.
    """
    config = config or ImportConfig()
    videos = find_videos(source)
    names = {name: _sample_id(name) for name in videos}
    for name in names.values():
        if (target / name).exists() and read_notes(target / name) is None:
            raise UserError(f"{target / name} is there and was not imported.", "Take a new or empty folder.")
    captions = read_captions(source / "caption.txt", sorted(names))
    done = []
    for name, path in videos.items():
        own = source / f"{name}.txt"
        try:
            if own.is_file():
                captions[name] = re.sub(r"\s+", " ", read_text_within(own, 1 << 20, "text")).strip()
            one = _import_one(path, name, target / names[name], config)
        except UserError as error:
            one = Imported(name=name, problem=str(error))
        done.append(one)
        if on_clip:
            on_clip(one)
    there = read_captions(target / "caption.txt", sorted(p.name for p in target.iterdir())) if target.is_dir() else {}
    there |= {names[name]: text for name, text in captions.items()}
    write_text(target / "caption.txt", "".join(f"{name}\t{text}\n" for name, text in sorted(there.items())))
    return done


def _import_one(path: Path, name: str, folder: Path, config: ImportConfig) -> Imported:
    clip = _frames(path, config)
    warnings = _conversions(clip, config)
    poses, cameras = _cameras(path, name, clip, config)
    labels, masks = _labels(path, name, clip, config)
    if cameras is None:
        warnings.append("no cameras: the camera is taken as standing still")
    focal = None
    if config.fov is None:
        warnings.append("the lens is taken as HM-World's (37 degrees); a phone's main camera sees about 65 (--fov)")
    else:
        shape, header = clip.frames.shape[1:3], clip.header
        scale = max(shape[0] / header.height, shape[1] / header.width)
        focal = float(scale * header.width / 2 / np.tan(np.radians(config.fov) / 2))
    n, unreal = config.context, to_unreal(poses)
    halves = {
        "cond_cam": {str(i): m.tolist() for i, m in enumerate(unreal[:n])},
        "tgt_cam": {str(i): m.tolist() for i, m in enumerate(unreal[n:])},
    }
    write_json(folder / "camera.json", halves)
    notes = {
        "source": path.name,
        "frames": clip.numbers.tolist(),
        "cameras": "given" if cameras else "none",
        "focal": focal,
        "names": labels.names if labels else {},
        "warnings": warnings,
    }
    write_json(folder / NOTES_FILE, notes)
    (folder / "masks.mkv").unlink(missing_ok=True)
    if labels:
        write_labels(folder / "masks.mkv", labels.maps, fps=clip.fps)
    write_lossless(folder / "tgt.mp4", clip.frames[n:], fps=clip.fps)
    write_lossless(folder / "cond.mp4", clip.frames[:n], fps=clip.fps)  # last: a folder with it is a sample
    count = int(labels.maps.max(initial=0)) if labels else 0
    if masks is None:  # whoever reads the sample sees that by itself
        warnings.append("no masks: regions, subjects and events are unknown (`hmbench data masks` can make them)")
    return Imported(name=name, cameras=cameras or "none", masks=masks or "none", subjects=count, warnings=warnings)


def _frames(path: Path, config: ImportConfig) -> _Clip:
    header, total = source_header(path), config.context + config.target
    check_picture(path, *(config.size or (header.height, header.width)))
    own = not np.isfinite(header.fps)  # pictures have no rate
    fps = config.fps or (15.0 if own else header.fps)
    pictures = source_pictures(path)
    source: Iterator[tuple[int, NDArray[np.uint8]]]
    if own or config.fps is None:
        source = ((n, picture.image) for n, picture in enumerate(pictures))
    else:
        source = ((n, picture.image) for n, picture in shown_at_ticks(pictures, header, fps))
    kept, numbers = [], []
    for number, image in source:
        kept.append(covering(image, config.size))
        numbers.append(number)
        if len(kept) == total:
            break
    if len(kept) < total:
        half = max(((len(kept) // 2) - 1) // 4 * 4 + 1, 0)
        raise SampleError(
            f"{path.name} gives {len(kept)} frames at {fps:g} fps, fewer than {config.context} + {config.target}.",
            f"For example --context-frames {half} --target-frames {half}." if half >= 5 else "It is too short.",
        )
    return _Clip(np.stack(kept), np.array(numbers), header, fps)


def _conversions(clip: _Clip, config: ImportConfig) -> list[str]:
    header, notes = clip.header, list(clip.header.notes)
    height, width = clip.frames.shape[1:3]
    if (height, width) != (header.height, header.width):
        notes.append(f"scaled and centre-cropped from {header.width}x{header.height} to {width}x{height}")
    if np.isfinite(header.fps) and abs(header.fps - clip.fps) > 0.01:
        notes.append(f"taken at {clip.fps:g} fps from a video of {header.fps:g} fps (what a player shows at each tick)")
    if not np.isfinite(header.fps):
        notes.append(f"pictures without a rate, taken as {clip.fps:g} fps")
    return notes


def _cameras(path: Path, name: str, clip: _Clip, config: ImportConfig) -> tuple[Poses, str | None]:
    """Poses of the clip, and the file that they are from."""
    total, n = len(clip.frames), config.context
    file = next((f for s in ("_camera.json", ".json", "_poses.npy") if (f := path.with_name(name + s)).is_file()), None)
    if file is None:
        return np.tile(np.eye(4), (total, 1, 1)), None
    known = convention(config.cameras)
    if file.suffix == ".npy":
        matrices = read_array(file, most=1 << 30)
        if matrices.ndim != 3 or matrices.shape[1:] != (4, 4) or matrices.dtype.kind != "f":
            raise SampleError(f"{file.name} is {matrices.dtype} {list(matrices.shape)}.", "It must be [T, 4, 4].")
        poses = known.poses(_of_clip(matrices.astype(np.float64), clip, file.name))
        if problem := pose_problem(poses):
            raise SampleError(f"{file.name}: {problem}.", "Camera-to-world matrices; see --cameras.")
        return poses, file.name
    try:
        content = read_json(file)
    except UserError as error:
        raise SampleError(error.what, error.hint) from error
    return np.concatenate(parse_cameras(content, n, total - n, file.name, known)), file.name


def _labels(path: Path, name: str, clip: _Clip, config: ImportConfig) -> tuple[Labels | None, str | None]:
    """Label maps of the clip, at its size, and the file that they are from."""
    file = label_path(path.parent, f"{name}_masks") or label_path(path.parent, f"{name}.masks")
    if file is None:
        return None, None
    found = read_label_maps(file)
    maps = _of_clip(found.maps, clip, file.name)
    size = (clip.header.height, clip.header.width)
    if maps.shape[1:] not in (size, clip.frames.shape[1:3]):
        raise SampleError(f"{file.name} is {maps.shape[1:]}, the video {size}.", "Write them at the video's size.")
    if maps.shape[1:] != clip.frames.shape[1:3]:
        maps = np.stack([_nearest(frame, clip.frames.shape[1:3]) for frame in maps])
    return Labels(maps, found.names), file.name


def _of_clip(values: NDArray[_T], clip: _Clip, where: str) -> NDArray[_T]:
    """The entries that belong to the clip's frames: values count the video's frames, or the clip's."""
    if len(values) == len(clip.frames):
        return values
    if len(values) > clip.numbers.max() and abs(len(values) - clip.header.frames) <= 1:
        return values[clip.numbers]
    raise SampleError(
        f"{where} has {len(values)} entries; the video has {clip.header.frames} frames, the clip {len(clip.frames)}.",
        "Give one a frame of the video.",
    )


def _nearest(labels: LabelMaps, size: tuple[int, int]) -> LabelMaps:
    """Scaled as `covering` scales, without making labels between labels."""
    import cv2

    scale = max(size[0] / labels.shape[0], size[1] / labels.shape[1])
    height, width = (max(round(side * scale), want) for side, want in zip(labels.shape, size, strict=True))
    big = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return np.asarray(big[top : top + size[0], left : left + size[1]], np.uint8)


def _sample_id(name: str) -> str:
    clean = re.sub(r"[^A-Za-z0-9_.+-]+", "-", ascii_name(name)).strip("-.")[:150] or "clip"
    return file_name(clean if clean[0] not in "+" else f"clip{clean}")
