"""Archive members to sample folders: only wanted ones, each under a temporary name until it is complete.

A sample is written to ``OUT/.partial/<id>/`` and renamed to ``OUT/<id>/`` when its seven files are there, or when
another sample begins and the files that nothing can do without are there. Its bytes are flushed to the disk before the
rename, and its name after: a killed process or a power loss leaves no half sample.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from hmbench.data.captions_file import MAX_BYTES
from hmbench.data.hub.archive import Member, Refuse
from hmbench.data.hub.several_captions import Piece, by_path
from hmbench.data.ids import check_id
from hmbench.durable import flush_folder, flush_tree, storing, write_bytes
from hmbench.errors import SampleError, UserError

SAMPLE_FILES = (
    "cond.mp4",
    "tgt.mp4",
    "cond_mask.mp4",
    "tgt_mask.mp4",
    "camera.json",
    "character.json",
    "check.json",
)
"""What the dataset's card lists for each sample."""
REQUIRED_FILES = frozenset({"cond.mp4", "tgt.mp4", "camera.json"})
"""Without these there is no sample; the others may be missing and the sample says so."""
CAPTIONS = "caption.txt"
PARTIAL = ".partial"
SPARE_BYTES = 64 << 20
"""Disk space left free."""
_CHUNK = 1 << 20
_MAX_OPEN = 64


class Extractor:
    """Takes members one by one and keeps the samples that are wanted.

    Args:
        out: Folder of the sample folders.
        wanted: Says of an id whether it is wanted.
        limit: How many samples; None takes all.
        refuse: What to do with an id that cannot name a folder.
        on_sample: Called with each id that is complete.
    """

    def __init__(
        self,
        out: Path,
        wanted: Callable[[str], bool],
        limit: int | None,
        refuse: Refuse,
        on_sample: Callable[[str], None] | None = None,
    ) -> None:
        self.out = out
        self.present = {name for name in complete_samples(out) if wanted(name)}
        """Wanted samples that were complete before."""
        self.extracted: list[str] = []
        """Samples completed by this extractor, in order."""
        self.passed_over = Counter[str]()
        """Names of files that were neither extracted nor part of an unwanted sample."""
        self.renamed: dict[str, str] = {}
        """Samples whose name another folder of the archive had before: their path to their id."""
        self.captions = (out / CAPTIONS).is_file()
        """True once there is a caption file."""
        self._wanted = wanted
        self._limit = limit
        self._refuse = refuse
        self._on_sample = on_sample or (lambda _: None)
        self._open: dict[str, set[str]] = {}
        self._places: dict[str, str] = {}  # id to the folder of the archive that its sample lies in
        self._met: set[PurePosixPath] = set()  # folders of all samples of the archive, wanted or not
        self._caption_files: list[Piece] = []
        shutil.rmtree(out / PARTIAL, ignore_errors=True)

    @property
    def satisfied(self) -> bool:
        """True when as many samples are there as were asked for."""
        return self._limit is not None and len(self.present) + len(self.extracted) >= self._limit

    def take(self, member: Member) -> None:
        """Extracts one member, or passes it over."""
        name, sample = member.path.name, member.path.parent.name
        if name == CAPTIONS:
            self._write_captions(member)
        elif name not in SAMPLE_FILES or not sample:
            self.passed_over[name] += 1
        elif self._acceptable(member.path.as_posix(), sample):
            self._met.add(member.path.parent)
            if self._wanted(sample):
                self._take_wanted(self._id_of(member.path.parent), name, member)

    def _id_of(self, folder: PurePosixPath) -> str:
        """The sample's own name, or one with its folders where another folder has a sample of that name."""
        place, above = folder.parent.as_posix(), [part for part in folder.parent.parts if part not in ("/", ".")]
        for count in range(len(above) + 1):
            name = "-".join((*above[len(above) - count :], folder.name))
            if self._places.setdefault(name, place) == place:
                if count:
                    self.renamed[folder.as_posix()] = name
                return name
        raise UserError(f"The archive has two samples {folder}.", "Unpack it by hand, each under a name of its own.")

    def finish(self) -> dict[str, list[str]]:
        """Publishes what is complete enough, removes the rest; returns what was missing of the rest, by id."""
        for sample in [s for s, files in self._open.items() if files >= REQUIRED_FILES]:
            if not self.satisfied:
                self._publish(sample)
        self._join_captions()
        missing = {sample: sorted(REQUIRED_FILES - files) for sample, files in self._open.items()}
        self.abandon()
        return {sample: files for sample, files in missing.items() if files}

    def abandon(self) -> None:
        """Removes unfinished samples: the file being written may be cut."""
        shutil.rmtree(self.out / PARTIAL, ignore_errors=True)
        self._open.clear()

    def withdraw(self, samples: list[str]) -> None:
        """Removes samples of this run, because the part that they came from proved damaged."""
        for sample in samples:
            shutil.rmtree(self.out / sample)
            flush_folder(self.out)  # or a power loss brings the damaged sample back
            self.extracted.remove(sample)

    def _acceptable(self, path: str, sample: str) -> bool:
        try:
            check_id(sample)
        except SampleError:
            self._refuse(path, "lies in a folder whose name cannot be a sample id")
            return False
        return True

    def _take_wanted(self, sample: str, name: str, member: Member) -> None:
        folder = self.out / sample
        if sample not in self._open and folder.is_dir():
            if not (folder / name).exists():  # an archive sorted by file type brings the rest of a sample late
                self._write(self.out / PARTIAL / sample / name, member)
                _move(self.out / PARTIAL / sample / name, folder / name)
            return
        if sample not in self._open:
            for other in [s for s, files in self._open.items() if files >= REQUIRED_FILES]:
                self._publish(other)
            if self.satisfied or self._crowded():
                return
        self._write(self.out / PARTIAL / sample / name, member)
        files = self._open.setdefault(sample, set())
        files.add(name)
        if len(files) == len(SAMPLE_FILES):
            self._publish(sample)

    def _crowded(self) -> bool:
        """Unfinished samples are bounded by what was asked, or an archive sorted by file type would fill the disk."""
        if self._limit is None:
            return False
        return len(self._open) >= self._limit - len(self.present) - len(self.extracted) + _MAX_OPEN

    def _publish(self, sample: str) -> None:
        if (self.out / sample).exists():
            raise UserError(f"{self.out / sample} is in the way.", "Move it, or choose another --out.")
        _move(self.out / PARTIAL / sample, self.out / sample)
        del self._open[sample]
        self.extracted.append(sample)
        self._on_sample(sample)

    def _write_captions(self, member: Member) -> None:
        """Keeps the captions; further files of them, as in parts that are archives of their own, are added."""
        temporary, path = self.out / PARTIAL / CAPTIONS, self.out / CAPTIONS
        self._write(temporary, member)
        more = temporary.read_bytes() if member.size <= MAX_BYTES else b""  # nobody reads a larger one
        self._caption_files.append((member.path.parent, more))
        if path.is_file():
            before = path.read_bytes()
            if set(more.split(b"\n")) <= {*before.split(b"\n"), b""}:
                temporary.unlink()
                return
            temporary.write_bytes(before.rstrip(b"\n") + b"\n" + more)
        _move(temporary, path)
        self.captions = True

    def _join_captions(self) -> None:
        """Where one name stands for several samples, or a file for some of them, captions go by path."""
        folders = {folder for folder, _ in self._caption_files}
        if folders and (len(folders) > 1 or self.renamed):
            path = self.out / CAPTIONS
            write_bytes(path, by_path(self._caption_files, sorted(self._met), path.read_bytes()))

    def _write(self, path: Path, member: Member) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
        if free < member.size + SPARE_BYTES:
            raise UserError(
                f"The disk of {self.out} has {free >> 20} MiB free, {member.path} needs {member.size >> 20} MiB more.",
                "Free some space or ask for fewer --samples; complete samples are kept and the next call goes on.",
            )
        with path.open("xb") as file:
            while chunk := member.read(_CHUNK):
                file.write(chunk)


def _move(temporary: Path, path: Path) -> None:
    """Gives a file or folder its name, durably."""
    with storing(path):
        flush_tree(temporary)
        temporary.rename(path)
        flush_folder(path.parent)


def complete_samples(folder: Path) -> list[str]:
    """Ids of the folders that hold at least a sample's required files, sorted."""
    if not folder.is_dir():
        return []
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.is_dir() and path.name != PARTIAL and all((path / name).is_file() for name in REQUIRED_FILES)
    )
