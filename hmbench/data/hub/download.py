"""``hmbench data download``: as many samples of a split as asked, from the Hub, a folder of parts, or extracted ones.

One gzip stream has no random access, so a call that resumes reads the stream from its beginning again (from local
parts, if they were kept) and writes only what is missing. It stops as soon as it has what was asked for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from hmbench.data.hub.archive import Limits, Member, read_archive, stop_at
from hmbench.data.hub.extract import CAPTIONS, SAMPLE_FILES, Extractor, complete_samples
from hmbench.data.hub.parts import REPO, Listing, list_folder, list_hub
from hmbench.data.hub.stream import DigestError, FolderSource, HubSource, PartsStream, Patience
from hmbench.data.splits import in_split
from hmbench.durable import write_bytes
from hmbench.errors import UserError
from hmbench.files import read_json, write_json

RECORD = "download.json"
"""Written into the output folder: where the samples came from."""


@dataclass(frozen=True, kw_only=True)
class DownloadRequest:
    """What to download and how."""

    out: Path
    """Folder of the sample folders."""
    split: str = "test"
    """``test``, ``train`` or ``all``, see `hmbench.data.splits`."""
    samples: int | None = None
    """How many, in the archive's order; None for all of the split."""
    repo: str = REPO
    """Dataset repository."""
    revision: str = "main"
    """Branch, tag or commit; resolved to a commit once and recorded."""
    prefix: str | None = None
    """What names of parts begin with; None is ``HM-World`` and a mark."""
    parts: Path | None = None
    """Folder of parts: read from it, and with `keep_parts` fetched into it. An extracted folder works too."""
    keep_parts: bool = False
    """Fetch whole parts and keep them (in `parts`, or huggingface-hub's cache) instead of streaming."""
    skip_refused: bool = False
    """Leave out members that are refused instead of stopping."""
    to_the_end: bool = False
    """Read on when all samples are there: for the captions, and to check the last part's digest."""
    endpoint: str | None = None
    """Hub address; None follows ``HF_ENDPOINT``."""
    patience: Patience = field(default_factory=Patience)
    """When to give up."""
    limits: Limits = field(default_factory=Limits)
    """What the archive may demand."""


@dataclass(frozen=True, kw_only=True)
class DownloadReport:
    """What a download did."""

    source: str
    """Repository or folder."""
    commit: str
    """Commit of the repository; empty for a folder."""
    split: str
    """As asked."""
    extracted: tuple[str, ...]
    """New samples."""
    present: tuple[str, ...]
    """Wanted samples that were there before."""
    bytes_read: int
    """Bytes of parts read."""
    parts_read: tuple[str, ...]
    """Parts touched."""
    parts_verified: tuple[str, ...]
    """Parts read whole whose sha256 agreed with the Hub's."""
    whole_stream: bool
    """True if the stream was read to its end."""
    captions: bool
    """True if ``caption.txt`` is there."""
    incomplete: dict[str, list[str]]
    """Samples left out because files were missing in the archive: id to missing files."""
    refused: tuple[str, ...]
    """Members left out, with the reason."""
    passed_over: dict[str, int]
    """Names of unknown files, with how often they came."""
    renamed: dict[str, str] = field(default_factory=dict)
    """Samples whose name another folder of the archive had before: their path to their id."""


class Watcher(Protocol):
    """Told what goes on, for a progress display."""

    def on_start(self, total_bytes: int, wanted: int | None, present: int) -> None:
        """Once, before the first byte."""

    def on_bytes(self, count: int) -> None:
        """After each chunk."""

    def on_sample(self, sample_id: str) -> None:
        """After each complete sample."""


def download(request: DownloadRequest, watcher: Watcher | None = None) -> DownloadReport:
    """Downloads samples; calling it again goes on where it was.

    Raises:
        UserError: If the source cannot be read, is damaged or hostile, or the disk is full. Complete samples stay.
    """
    request.out.mkdir(parents=True, exist_ok=True)
    with _alone(request.out):
        done = _already_done(request)
        return done if done is not None else _download(request, watcher)


def _download(request: DownloadRequest, watcher: Watcher | None) -> DownloadReport:
    refused: list[str] = []

    def note(name: str, reason: str) -> None:
        refused.append(f"{name}: {reason}")

    refuse = note if request.skip_refused else stop_at
    extractor = Extractor(
        request.out,
        lambda sample: in_split(sample, request.split),
        request.samples,
        refuse,
        watcher.on_sample if watcher else None,
    )
    listing, stream = _open_source(request, watcher)
    if watcher:
        watcher.on_start(listing.total, request.samples, len(extractor.present))
    members = read_archive(stream, limits=request.limits, refuse=refuse) if stream else _folder_members(request)
    _same_commit(request, listing)
    whole, incomplete = False, {}
    try:
        whole = _run(members, stream, extractor, request)
        incomplete = extractor.finish()
    finally:
        extractor.abandon()
        if stream:
            stream.close()
        report = DownloadReport(
            source=listing.repo,
            commit=listing.commit,
            split=request.split,
            extracted=tuple(extractor.extracted),
            present=tuple(sorted(extractor.present)),
            bytes_read=stream.position if stream else 0,
            parts_read=tuple(stream.touched) if stream else (),
            parts_verified=tuple(stream.verified) if stream else (),
            whole_stream=whole,
            captions=extractor.captions,
            incomplete=incomplete,
            refused=tuple(refused),
            passed_over=dict(extractor.passed_over.most_common(20)),
            renamed=dict(extractor.renamed),
        )
        _record(request, listing, report)
    return report


def _run(members: Iterator[Member], stream: PartsStream | None, extractor: Extractor, request: DownloadRequest) -> bool:
    """Feeds the extractor; returns whether the stream was read to its end."""
    ends: dict[str, int] = {}  # sample to the number of parts touched when it was complete
    seen = 0
    try:
        if extractor.satisfied and not request.to_the_end:
            return False
        for member in members:
            extractor.take(member)
            if stream:
                ends |= {sample: len(stream.touched) for sample in extractor.extracted[seen:]}
                seen = len(extractor.extracted)
            if extractor.satisfied and not request.to_the_end:
                return False
    except DigestError as error:
        doubtful = [sample for sample, end in ends.items() if stream and end >= len(stream.touched)]
        extractor.withdraw(doubtful)
        if doubtful:
            listed = ", ".join(doubtful[:5]) + (", ..." if len(doubtful) > 5 else "")
            raise DigestError(
                f"{error.what} Removed {len(doubtful)} samples that came from it: {listed}.", error.hint
            ) from error
        raise
    return True


def _open_source(request: DownloadRequest, watcher: Watcher | None) -> tuple[Listing, PartsStream | None]:
    on_bytes = watcher.on_bytes if watcher else None
    if request.parts is not None and not request.keep_parts:
        if complete_samples(_extracted_root(request.parts)):
            return Listing(repo=str(request.parts), revision="", commit="", parts=()), None
        listing = list_folder(request.parts, prefix=request.prefix)
        return listing, PartsStream(listing, FolderSource(request.parts), on_bytes)
    listing = list_hub(request.repo, request.revision, endpoint=request.endpoint, prefix=request.prefix)
    if request.keep_parts and request.parts is not None:
        write_json(request.parts / "parts.json", asdict(listing))
    _fetch_loose_captions(request, listing)
    source = HubSource(
        listing,
        keep=request.keep_parts,
        folder=request.parts,
        endpoint=request.endpoint,
        patience=request.patience,
    )
    return listing, PartsStream(listing, source, on_bytes)


def _same_commit(request: DownloadRequest, listing: Listing) -> None:
    """Samples of two revisions in one folder could not be told apart."""
    path = request.out / RECORD
    before = read_json(path)["listing"]["commit"] if path.is_file() else ""
    if before and listing.commit and before != listing.commit and complete_samples(request.out):
        raise UserError(
            f"{request.out} holds samples of commit {before[:12]}, {request.revision!r} is now {listing.commit[:12]}.",
            f"Go on with --revision {before}, or choose another --out.",
        )


def _fetch_loose_captions(request: DownloadRequest, listing: Listing) -> None:
    """A ``caption.txt`` beside the archive saves reading to the archive's end."""
    from huggingface_hub import hf_hub_download

    from hmbench.data.hub.errors import explain

    loose = next((part for part in listing.loose if PurePosixPath(part.name).name == CAPTIONS), None)
    if loose is None or (request.out / CAPTIONS).exists():
        return
    with explain(f"fetch {loose.name}"):
        path = hf_hub_download(
            listing.repo,
            loose.name,
            repo_type="dataset",
            revision=listing.commit,
            endpoint=request.endpoint,
        )
    write_bytes(request.out / CAPTIONS, Path(path).read_bytes())


def _extracted_root(folder: Path) -> Path:
    return folder / "HM-World" if complete_samples(folder / "HM-World") else folder


def _folder_members(request: DownloadRequest) -> Iterator[Member]:
    """An extracted folder, as if it were an archive of known files."""
    assert request.parts is not None, request
    root = _extracted_root(request.parts)
    files = [root / CAPTIONS] + [root / s / name for s in complete_samples(root) for name in SAMPLE_FILES]
    for path in files:
        if path.is_file():
            with path.open("rb") as file:
                yield Member(PurePosixPath(path.relative_to(root.parent)), path.stat().st_size, file.read)


def _already_done(request: DownloadRequest) -> DownloadReport | None:
    """The report of the last call, if it has all that is asked now: no listing, no network."""
    path = request.out / RECORD
    if not path.is_file():
        return None
    last = read_json(path)
    there = tuple(s for s in complete_samples(request.out) if in_split(s, request.split))
    same = last["request"] == _identity(request)
    enough = request.samples is not None and len(there) >= request.samples
    if not same or not (enough or last["report"]["whole_stream"]) or (request.to_the_end and not _whole(last)):
        return None
    if _whole(last) and set(last["complete"]) - set(there):
        return None  # somebody removed samples
    old = last["report"]
    return DownloadReport(
        **{
            **old,
            "extracted": (),
            "present": there,
            "bytes_read": 0,
            **{key: tuple(old[key]) for key in ("parts_read", "parts_verified", "refused")},
        }
    )


def _whole(last: dict[str, dict[str, bool]]) -> bool:
    return last["report"]["whole_stream"]


def _record(request: DownloadRequest, listing: Listing, report: DownloadReport) -> None:
    there = [s for s in complete_samples(request.out) if in_split(s, request.split)]
    content = {
        "request": _identity(request),
        "report": asdict(report),
        "complete": there,
        "listing": asdict(listing),
    }
    write_json(request.out / RECORD, content)


def _identity(request: DownloadRequest) -> dict[str, str | int | None]:
    source = f"{request.repo}@{request.revision}" if request.parts is None or request.keep_parts else str(request.parts)
    return {"source": source, "split": request.split}


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keeps a second download out of the same folder."""
    from filelock import FileLock, Timeout

    lock = FileLock(out / ".download.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(f"Another download is writing to {out}.", "Wait for it, or choose another --out.") from error
    try:
        yield
    finally:
        lock.release()
