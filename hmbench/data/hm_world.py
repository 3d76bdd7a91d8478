"""Reads sample folders in HM-World's layout; the mini world and imported clips are written in it too.

``<root>/<id>/`` holds ``cond.mp4 tgt.mp4 cond_mask.mp4 tgt_mask.mp4 camera.json character.json check.json``, and
``<root>/caption.txt`` all captions. Masks and the last two files may be missing: what depends on them is then None or
empty and the sample says so in its warnings. Two files of ours stand beside them where exact truth is known:
``masks.mkv`` (label maps, one value a subject) and ``truth.json``.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmbench.data.annotations import Annotations, read_annotations, read_notes
from hmbench.data.camera_evidence import held_against_pictures
from hmbench.data.cameras import FOCAL_PER_WIDTH, most_frames, parse_cameras
from hmbench.data.captions_file import read_captions
from hmbench.data.card import CARD_FILE, DataCard, read_card
from hmbench.data.ids import check_id, parse_id
from hmbench.data.label_files import label_path, read_label_maps
from hmbench.data.labels import subjects_from_labels
from hmbench.data.masks import colour_labels, find_palette, subject_pixels, why_no_mask
from hmbench.data.splits import cell_of, split_ids
from hmbench.data.told_apart.quality import clear_events, judge
from hmbench.data.told_apart.stage import Clip, Outcome, by_labels, tell_apart
from hmbench.digests import content_digests
from hmbench.errors import SampleError, UserError, did_you_mean
from hmbench.files import read_json
from hmbench.types import Event, Intrinsics, Meta, Prompt, Sample, SubjectTruth, ToldApart, Truth, Video
from hmbench.video.decode import Header
from hmbench.video.events import find_events, visible_frames
from hmbench.video.files import check_picture, probe, read_video

ASPECT = 16 / 9
"""HM-World's frames are 16:9 before they are cropped to the size that they are stored in."""

SAME_RATE = 0.05
"""Relative: a last frame that is shown longer changes the mean rate by a percent or two."""

SPLITS = "splits.json"
"""Beside samples: ids by split."""
DEPTH = 4
"""Levels of folders below which samples are not looked for."""


class HMWorld:
    """A folder of samples.

    Args:
        folder: The folder that holds the sample folders, or one above it (``.../HM-World``, parts extracted each into a
            folder of its own), up to `DEPTH` levels.

    Raises:
        UserError: If no sample folder is in it, or two have one name.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._places = find_samples(folder)
        if not self._places:
            raise UserError(
                f"No HM-World samples in {folder}: no folder in it, down to {DEPTH} levels, has a cond.mp4.",
                "Download some with `hmbench data download`, make a mini world with `hmbench data make-mini`, "
                "or import clips with `hmbench data import-examples`.",
            )
        self.name = self.folder.name if self.folder.name != "HM-World" else f"{folder.name}/HM-World"
        self._ids = tuple(sorted(self._places))
        self._captions: dict[str, str] | None = None

    def ids(self, split: str) -> tuple[str, ...]:
        """Ids of a split: ``all``, a cell named in the samples' own files, or a split of `hmbench.data.splits`.

        Raises:
            UserError: If there is no such split.
        """
        return ids_of_split(self.folder, self._ids, split)

    def cards(self) -> list[Path]:
        """Cards of the data set's owner that hold for any of the samples."""
        return sorted({path for place in self._places.values() if (path := _card_folder(place) / CARD_FILE).is_file()})

    def place(self, sample_id: str) -> Path:
        """Folder of a sample; of one that is not there, where it would be."""
        return self._places.get(sample_id, self.folder / sample_id)

    def caption_files(self) -> list[Path]:
        """Where captions may stand: beside the samples, and above them."""
        beside = {place.parent / "caption.txt" for place in self._places.values()}
        return sorted(beside | {self.folder / "caption.txt"})

    def described_by(self, path: Path) -> tuple[str, ...]:
        """Ids of the samples below the folder of a caption file, which are all that its lines can be about."""
        return tuple(name for name, place in self._places.items() if path.parent in place.parents)

    def absent(self, split: str) -> tuple[str, ...]:
        """Ids that ``splits.json`` lists for a split and that are not in the folder, as a partial copy leaves them."""
        listed = self.folder / "splits.json"
        found = read_json(listed, kind=dict).get(split) if split != "all" and listed.is_file() else None
        names = found if isinstance(found, list) else []
        return tuple(sorted({name for name in names if isinstance(name, str)} - set(self._ids)))

    def load(self, sample_id: str) -> Sample:
        """Reads one sample whole.

        Raises:
            SampleError: If a file is missing, damaged or contradicts another.
        """
        check_id(sample_id)
        folder = self.place(sample_id)
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
        path, exact = self.place(sample_id) / "tgt_mask.mp4", label_path(self.place(sample_id))
        if path.is_file():
            video = read_video(path, frames=counts[1])
            other = path.with_name("cond_mask.mp4")  # the palette is the clip's: a half may show nobody
            halves = [read_video(other, frames=counts[0])] if other.is_file() else []
            return subject_pixels(video, find_palette([*halves, video]))
        if exact is not None:
            return read_label_maps(exact, sum(counts)).maps[counts[0] :] > 0
        return None

    def caption(self, sample_id: str) -> str | None:
        """The sample's caption, or None if ``caption.txt`` does not have it."""
        if self._captions is None:
            self._captions = {}
            for path in self.caption_files():
                self._captions |= read_captions(path, self.described_by(path))
        return self._captions.get(sample_id)

    def revision(self, ids: tuple[str, ...]) -> str:
        """Digest of ids, file names, the bytes of every file and the captions of these samples.

        Each file is read once; its digest is kept by place, size, time and inode (`hmbench.digests`).
        """
        digest = hashlib.sha256()
        for card in self.cards():  # what it says changes subjects and cameras
            digest.update(card.read_bytes())
        folders = {sample_id: self.place(sample_id) for sample_id in sorted(ids)}
        files = {i: _files(f) for i, f in folders.items()}
        whole = content_digests(path for paths in files.values() for path in paths if path.is_file())
        for sample_id, paths in files.items():
            digest.update(f"{sample_id}\t{self.caption(sample_id) or ''}\n".encode())
            for path in paths:  # a link to nowhere, or to itself, is missing
                name = path.relative_to(folders[sample_id]).as_posix()
                digest.update(f"{name} {whole.get(path, 'missing')}\n".encode())
        return digest.hexdigest()[:16]


def ids_of_split(folder: Path, ids: tuple[str, ...], split: str) -> tuple[str, ...]:
    """Ids of a split: as ``splits.json`` in the folder lists them, else by `hmbench.data.splits`; sorted.

    Raises:
        UserError: If there is no such split.
    """
    if split == "all":
        return ids
    listed = folder / SPLITS
    if not listed.is_file():
        found: tuple[str, ...] = split_ids(ids, split)
        return found
    splits = read_json(listed, kind=dict)
    if split in splits and not isinstance(splits[split], list):
        raise UserError(f"{listed}: its split {split!r} is no list of ids.", "Write a list of sample ids there.")
    if split not in splits:
        raise UserError(f"{folder} has no split {split!r}.", did_you_mean(split, ["all", *splits]))
    return tuple(sorted({name for name in splits[split] if isinstance(name, str)} & set(ids)))


def _files(folder: Path) -> list[Path]:
    """Everything in a sample's folder but what is hidden, pictures of masks in folders of their own included."""
    return sorted(
        path
        for path in folder.rglob("*")
        if not any(part.startswith(".") for part in path.relative_to(folder).parts) and not path.is_dir()
    )


def read_sample(folder: Path, caption: str | None, card: DataCard | None = None) -> Sample:
    """One sample folder.

    Args:
        folder: ``<root>/<id>``.
        caption: Its caption.
        card: What the data set's owner says; by default as the nearest folder above says.

    Raises:
        SampleError: If a file is missing, damaged or contradicts another.
    """
    warnings: list[str] = []
    card = read_card(_card_folder(folder)) if card is None else card
    if caption is None:
        warnings.append("no caption")
    info = _header(folder, warnings)
    check_picture(folder / "cond.mp4", info.height, info.width)
    try:
        cameras = read_json(folder / "camera.json", kind=dict)
    except UserError as error:
        raise SampleError(error.what, error.hint) from error
    most = most_frames(cameras)
    context = read_video(folder / "cond.mp4", most=most)
    target = read_video(folder / "tgt.mp4", size=context.shape[1:3], most=most)
    poses = parse_cameras(cameras, len(context), len(target), str(folder / "camera.json"), card.convention)
    height, width = context.shape[1:3]
    known = read_annotations(folder, len(context), len(target), (height, width))
    focal = known.focal or FOCAL_PER_WIDTH * max(width, height * ASPECT)
    lens = Intrinsics(focal=focal, width=width, height=height)
    clip = Clip(
        video=np.concatenate([context, target]),
        poses=np.concatenate(poses),
        lens=lens,
        num_context=len(context),
        name=folder.name,
    )
    notes = read_notes(folder)
    if not (folder / "truth.json").is_file() and (notes is None or notes.cameras != "none"):
        hint = f"If that is right, say so for the data set: `hmbench data card {folder.parent} --cameras {{}}`."
        doubt = held_against_pictures(clip.poses, clip.video, lens, str(folder / "camera.json"), card.convention, hint)
        warnings += [doubt] if doubt and notes is None else []  # an imported clip has axes of its own
    found = _labels(folder, known, clip, card, warnings)
    truth, known = (_no_labels(target), known) if found is None else _truth(clip, found, warnings)
    return Sample(
        id=folder.name,
        prompt=Prompt(
            context=context,
            context_poses=poses[0],
            target_poses=poses[1],
            caption=caption or "",
            fps=info.fps,
            intrinsics=lens,
        ),
        truth=truth,
        meta=_meta(folder.name, known, [*known.warnings, *warnings]),
    )


def _header(folder: Path, warnings: list[str]) -> Header:
    """Header of the context, whose rate the target must have; what is said of either goes to the warnings."""
    both = {name: probe(folder / name) for name in ("cond.mp4", "tgt.mp4")}
    for name, header in both.items():
        uneven = "its frames are not evenly spaced in time, and were taken one by one"
        warnings.extend(f"{name}: {note}" for note in (*header.notes, *([] if header.steady else [uneven])))
    before, after = both.values()
    if abs(after.fps / before.fps - 1) > SAME_RATE:
        raise SampleError(
            f"{folder.name}: cond.mp4 has {before.fps:.4g} fps, tgt.mp4 {after.fps:.4g}.", "Write both at one rate."
        )
    return before


def _card_folder(sample: Path) -> Path:
    """The nearest folder above a sample that has a card; the one right above it if none has."""
    above = list(sample.absolute().parents)[:DEPTH]
    return next((folder for folder in above if (folder / CARD_FILE).is_file()), sample.parent)


def find_samples(folder: Path) -> tuple[Path, dict[str, Path]]:
    """Root of the data below a folder, and the folder of each sample; none where there are none.

    Samples that lie directly in a folder or its ``HM-World`` are all there are; otherwise deeper folders are searched.

    Raises:
        UserError: If two samples have one name.
    """
    for root in (folder, folder / "HM-World"):
        if found := {path.parent.name: path.parent for path in root.glob("[!.]*/cond.mp4")}:
            return root, found
    places: dict[str, Path] = {}
    for deeper in range(2, DEPTH + 1):
        for path in sorted(folder.glob("/".join(["[!.]*"] * deeper) + "/cond.mp4")):
            known = places.setdefault(path.parent.name, path.parent)
            if known != path.parent:
                raise UserError(
                    f"Two samples are called {path.parent.name}: {known} and {path.parent}.",
                    "If they are one clip, remove one of them; otherwise rename one.",
                )
    return folder, places


def _labels(folder: Path, known: Annotations, clip: Clip, card: DataCard, warnings: list[str]) -> Outcome | None:
    """Label maps of the clip: the exact ones if they are there, else HM-World's masks told apart; None without any."""
    size, counts = clip.video.shape[1:3], (clip.num_context, len(clip.video) - clip.num_context)
    exact = label_path(folder)
    if exact is not None:
        maps, names = read_label_maps(exact, sum(counts))
        if maps.shape[1:] != size:
            raise SampleError(f"{exact} is {maps.shape[1:]}, the video {size}.", "Fetch or write the sample again.")
        return by_labels(maps, names, known, clip, card)
    paths = (folder / "cond_mask.mp4", folder / "tgt_mask.mp4")
    missing = [p.name for p in paths if not p.is_file()]
    if missing:
        warnings.append(f"no masks ({', '.join(missing)}): regions, subjects and events are unknown")
        return None
    halves = [read_video(path, frames=n, size=(size[0], size[1])) for path, n in zip(paths, counts, strict=True)]
    palette = find_palette(halves)
    if why := why_no_mask(halves, (clip.video[: clip.num_context], clip.video[clip.num_context :]), palette):
        raise SampleError(
            f"{folder.name}: cond_mask.mp4 and tgt_mask.mp4 are no masks: {why}.",
            "Write one plain colour for the background and one for each subject, or label maps (masks.npz).",
        )
    seen = np.concatenate([subject_pixels(half, palette) for half in halves])
    if not seen.any() and (named := [a.name for a in known.actors if a.flags is not None and a.flags.any()]):
        raise SampleError(
            f"{folder.name}: the masks show nobody ({palette.describe()}), but check.json has {named[0]} in frame.",
            "The mask files are of another clip, or in a form that is not known.",
        )
    colours = None
    if len(palette.colours) > 1:
        colours = np.concatenate([colour_labels(half, palette) for half in halves])
    return tell_apart(seen, colours, known, clip, card)


def _no_labels(target: Video) -> Truth:
    return Truth(target=target, context_labels=None, target_labels=None)


def _truth(clip: Clip, found: Outcome, warnings: list[str]) -> tuple[Truth, Annotations]:
    """The truth from labels, without what is unclear; a clip that is too unclear is merged again."""
    n, pixels = clip.num_context, clip.video.shape[1] * clip.video.shape[2]
    warnings.extend(found.warnings)
    known, told, labels = found.known, found.told, found.labels
    subjects = subjects_from_labels(labels, known)
    events = _events(subjects, pixels, n)
    if found.certainty is not None and found.unexplained is not None and subjects:
        chosen = [s.label - 1 for s in subjects]
        areas = np.stack([s.visible_area for s in subjects])
        names = tuple(s.name for s in subjects)
        quality = judge(areas, found.certainty[chosen], found.unexplained, pixels, names)
        if quality.reason is not None:
            merged = replace(known, notes={}, separate=False)
            told = ToldApart(way="none", detail=told.detail, certainty=quality.certainty, reason=quality.reason)
            warnings.append(f"one mask for all subjects, and they are not told apart: {quality.reason}")
            labels, known = (labels > 0).astype(np.uint8), merged
            subjects = subjects_from_labels(labels, merged)
            events = _events(subjects, pixels, n)
        else:
            unclear = {s.label: u for s, u in zip(subjects, quality.unclear, strict=True)}
            seen = {s.label: visible_frames(s.visible_area, pixels) for s in subjects}
            events, left = clear_events(events, unclear, seen)
            counts = tuple(int(u.sum()) for u in quality.unclear)
            told = replace(told, certainty=quality.certainty, unclear=counts, left_out=left)
            warnings.extend(
                f"the re-entry of {names_of(subjects, e)} at frame {e.reentry} is unclear and left out" for e in left
            )
    warnings.extend(known.disagreements(subjects, pixels))
    truth = Truth(
        target=clip.video[n:],
        context_labels=labels[:n],
        target_labels=labels[n:],
        subjects=subjects,
        events=events,
        separate_subjects=told.way != "none" and (known.separate or len(known.names) == 1),
        told_apart=told,
    )
    return truth, known


def names_of(subjects: tuple[SubjectTruth, ...], event: Event) -> str:
    """Name of an event's subject."""
    return next(subject.name for subject in subjects if subject.label == event.label)


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
