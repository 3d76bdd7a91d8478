"""Reads sample folders in HM-World's layout; the mini world and imported clips are written in it too.

``<root>/<id>/`` holds ``cond.mp4 tgt.mp4 cond_mask.mp4 tgt_mask.mp4 camera.json character.json check.json``, and
``<root>/caption.txt`` all captions. Masks and the last two files may be missing: what depends on them is then None or
empty and the sample says so in its warnings. Two files of ours stand beside them where exact truth is known:
``masks.mkv`` (label maps, one value a subject) and ``truth.json``.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmbench.data.annotations import Annotations, read_annotations
from hmbench.data.cameras import FOCAL_PER_WIDTH, most_frames, parse_cameras
from hmbench.data.captions_file import read_captions
from hmbench.data.ids import check_id, parse_id
from hmbench.data.labels import subjects_from_labels
from hmbench.data.splits import cell_of, split_ids
from hmbench.digests import content_digests
from hmbench.errors import SampleError, UserError, did_you_mean
from hmbench.files import read_json
from hmbench.types import Event, Intrinsics, LabelMaps, Meta, Prompt, Sample, SubjectTruth, Truth
from hmbench.video.events import find_events, visible_frames
from hmbench.video.files import check_picture, probe, read_labels, read_video

ASPECT = 16 / 9
"""HM-World's frames are 16:9 before they are cropped to the size that they are stored in."""
MASK_THRESHOLD = 127
"""Masks are red or white on black; the red channel covers both, and half way up is where H.264 blurs their edges."""


class HMWorld:
    """A folder of samples.

    Args:
        folder: The folder that holds the sample folders, or the one above it (``.../HM-World``).

    Raises:
        UserError: If no sample folder is in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = _find_root(folder)
        self.name = self.folder.name if self.folder.name != "HM-World" else f"{folder.name}/HM-World"
        self._ids = tuple(sorted(p.parent.name for p in self.folder.glob("[!.]*/cond.mp4")))
        self._captions: dict[str, str] | None = None

    def ids(self, split: str) -> tuple[str, ...]:
        """Ids of a split: ``all``, a cell named in the samples' own files, or a split of `hmbench.data.splits`.

        Raises:
            UserError: If there is no such split.
        """
        if split == "all":
            return self._ids
        listed = self.folder / "splits.json"
        if listed.is_file():
            splits = read_json(listed, kind=dict)
            if split not in splits or not isinstance(splits[split], list):
                raise UserError(f"{self.folder} has no split {split!r}.", did_you_mean(split, ["all", *splits]))
            return tuple(sorted({name for name in splits[split] if isinstance(name, str)} & set(self._ids)))
        found: tuple[str, ...] = split_ids(self._ids, split)
        return found

    def load(self, sample_id: str) -> Sample:
        """Reads one sample whole.

        Raises:
            SampleError: If a file is missing, damaged or contradicts another.
        """
        check_id(sample_id)
        folder = self.folder / sample_id
        if not folder.is_dir():
            raise SampleError(f"{self.folder} has no sample {sample_id!r}.", did_you_mean(sample_id, self._ids))
        return read_sample(folder, self.caption(sample_id))

    def subjects_seen(self, sample_id: str, counts: tuple[int, int]) -> NDArray[np.bool_] | None:
        """Where any subject is seen in the target, by HM-World's mask or, where that is missing, by exact ones.

        Args:
            sample_id: The sample.
            counts: Frames of its context and target.

        Returns:
            bool ``[Tt, H, W]``; None where the sample has no mask of the target.

        Raises:
            SampleError: If the mask is damaged or has another number of frames.
        """
        check_id(sample_id)
        path, exact = (self.folder / sample_id / name for name in ("tgt_mask.mp4", "masks.mkv"))
        if path.is_file():
            return read_video(path, frames=counts[1])[..., 0] > MASK_THRESHOLD
        if exact.is_file():
            return read_labels(exact, frames=sum(counts))[counts[0] :] > 0
        return None

    def caption(self, sample_id: str) -> str | None:
        """The sample's caption, or None if ``caption.txt`` does not have it."""
        if self._captions is None:
            self._captions = read_captions(self.folder / "caption.txt", self._ids)
        return self._captions.get(sample_id)

    def revision(self, ids: tuple[str, ...]) -> str:
        """Digest of ids, file names, the bytes of every file and the captions of these samples.

        Each file is read once; its digest is kept by place, size, time and inode (`hmbench.digests`).
        """
        digest = hashlib.sha256()
        folders = {sample_id: self.folder / sample_id for sample_id in sorted(ids)}
        files = {i: sorted(p for p in f.iterdir() if not p.name.startswith(".")) for i, f in folders.items()}
        whole = content_digests(path for paths in files.values() for path in paths if path.is_file())
        for sample_id, paths in files.items():
            digest.update(f"{sample_id}\t{self.caption(sample_id) or ''}\n".encode())
            for path in paths:  # a link to nowhere, or to itself, is missing
                digest.update(f"{path.name} {whole.get(path, 'missing')}\n".encode())
        return digest.hexdigest()[:16]


def read_sample(folder: Path, caption: str | None) -> Sample:
    """One sample folder.

    Raises:
        SampleError: If a file is missing, damaged or contradicts another.
    """
    warnings: list[str] = []
    if caption is None:
        warnings.append("no caption")
    info = probe(folder / "cond.mp4")
    check_picture(folder / "cond.mp4", info.height, info.width)
    try:
        cameras = read_json(folder / "camera.json", kind=dict)
    except UserError as error:
        raise SampleError(error.what, error.hint) from error
    most = most_frames(cameras)
    context = read_video(folder / "cond.mp4", most=most)
    target = read_video(folder / "tgt.mp4", size=context.shape[1:3], most=most)
    poses = parse_cameras(cameras, len(context), len(target), str(folder / "camera.json"))
    known = read_annotations(folder, len(context), len(target))
    labels = _read_masks(folder, (len(context), len(target)), context.shape[1:3], known, warnings)
    truth = _truth(target, labels, len(context), known, warnings)
    height, width = context.shape[1:3]
    focal = known.focal or FOCAL_PER_WIDTH * max(width, height * ASPECT)
    return Sample(
        id=folder.name,
        prompt=Prompt(
            context=context,
            context_poses=poses[0],
            target_poses=poses[1],
            caption=caption or "",
            fps=info.fps,
            intrinsics=Intrinsics(focal=focal, width=width, height=height),
        ),
        truth=truth,
        meta=_meta(folder.name, known, [*known.warnings, *warnings]),
    )


def _find_root(folder: Path) -> Path:
    for root in (folder, folder / "HM-World"):
        if any(root.glob("[!.]*/cond.mp4")):
            return root
    raise UserError(
        f"No HM-World samples in {folder}: no sub-folder has a cond.mp4.",
        "Download some with `hmbench data download`, make a mini world with `hmbench data make-mini`, "
        "or import clips with `hmbench data import-examples`.",
    )


def _read_masks(
    folder: Path, counts: tuple[int, int], size: tuple[int, ...], known: Annotations, warnings: list[str]
) -> tuple[LabelMaps, LabelMaps] | None:
    """Label maps of both halves: the exact ones if they are there, else HM-World's masks as one subject."""
    exact = folder / "masks.mkv"
    if exact.is_file():
        labels = read_labels(exact, frames=sum(counts))
        if labels.shape[1:] != size:
            raise SampleError(f"{exact} is {labels.shape[1:]}, the video {size}.", "Fetch or write the sample again.")
        return labels[: counts[0]], labels[counts[0] :]
    paths = (folder / "cond_mask.mp4", folder / "tgt_mask.mp4")
    missing = [p.name for p in paths if not p.is_file()]
    if missing:
        warnings.append(f"no masks ({', '.join(missing)}): regions, subjects and events are unknown")
        return None
    halves = [
        (read_video(path, frames=count, size=(size[0], size[1]))[..., 0] > MASK_THRESHOLD).astype(np.uint8)
        for path, count in zip(paths, counts, strict=True)
    ]
    if len(known.names) != 1:
        warnings.append("one mask for all subjects: what is asked of each by itself is not scored")
    return halves[0], halves[1]


def _truth(
    target: np.ndarray[Any, np.dtype[np.uint8]],
    labels: tuple[LabelMaps, LabelMaps] | None,
    num_context: int,
    known: Annotations,
    warnings: list[str],
) -> Truth:
    if labels is None:
        return Truth(target=target, context_labels=None, target_labels=None)
    both = np.concatenate(labels)
    subjects = subjects_from_labels(both, known)
    events = _events(subjects, both.shape[1] * both.shape[2], num_context)
    warnings.extend(known.disagreements(subjects, both.shape[1] * both.shape[2]))
    return Truth(
        target=target,
        context_labels=labels[0],
        target_labels=labels[1],
        subjects=subjects,
        events=events,
        separate_subjects=known.separate or len(known.names) == 1,
    )


def _events(subjects: tuple[SubjectTruth, ...], pixels: int, num_context: int) -> tuple[Event, ...]:
    events = [
        event
        for subject in subjects
        for event in find_events(visible_frames(subject.visible_area, pixels), num_context, subject.label)
    ]
    return tuple(sorted(events, key=lambda event: (event.reentry, event.label)))


def _meta(sample_id: str, known: Annotations, warnings: list[str]) -> Meta:
    parts = parse_id(sample_id)
    return Meta(
        scene=parts.scene if parts else None,
        subject_path=parts.subject_path if parts else None,
        camera_path=parts.camera_path if parts else None,
        cell=known.cell or (cell_of(sample_id) if parts else None),
        warnings=tuple(warnings),
        extra={"names": list(known.names)},
    )
