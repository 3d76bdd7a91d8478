"""The parts of the split archive: listed from the Hub at a pinned commit, or from a folder.

The card of ``KlingTeam/HM-World`` says ``cat HM-World_* | tar -xzvf -``: parts in lexicographic order are one gzip
stream. Their number, sizes and digests are not documented: the Hub's own listing is what they are held against. A
listing is kept in huggingface-hub's assets cache, which makes ``HF_HUB_OFFLINE=1`` work once the parts are cached.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hmbench.data.hub.errors import HubError, explain
from hmbench.errors import UserError
from hmbench.files import read_json, write_json

REPO = "KlingTeam/HM-World"
_PART = re.compile(r"HM-World(\.tar|\.tgz|[_.-]).*", re.IGNORECASE)
_NOT_PARTS = {".md", ".json", ".txt", ".png", ".jpg", ".gif", ".mp4", ".parquet", ".csv", ".incomplete", ".lock"}
LISTING_FILE = "parts.json"
"""Written beside parts that are kept, so that a folder of parts can be checked without the Hub."""


@dataclass(frozen=True, kw_only=True)
class ArchivePart:
    """One file of the split archive."""

    name: str
    """Path within the repository or folder."""
    size: int
    """Bytes."""
    sha256: str | None = None
    """Digest that the Hub lists (it lists one for every large file); None if nobody says."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What there is to read, in reading order."""

    repo: str
    """Repository id, or the folder's path."""
    revision: str
    """As asked: a branch, tag or commit; empty for a folder."""
    commit: str
    """Commit that it resolved to; empty for a folder."""
    parts: tuple[ArchivePart, ...]
    """Parts of the archive in lexicographic order, which is the order to join them in."""
    loose: tuple[ArchivePart, ...] = ()
    """Other files of the repository, for example a ``caption.txt`` outside the archive."""

    @property
    def total(self) -> int:
        """Bytes of all parts."""
        return sum(part.size for part in self.parts)


def list_hub(repo: str, revision: str, *, endpoint: str | None = None, prefix: str | None = None) -> Listing:
    """The parts of a dataset repository, pinned to the commit that `revision` is now.

    Args:
        repo: Repository id.
        revision: Branch, tag or commit.
        endpoint: Hub address; None follows ``HF_ENDPOINT``.
        prefix: What names of parts begin with; None is ``HM-World`` and a mark.

    Raises:
        UserError: If the repository cannot be reached or read, or holds no part.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.constants import is_offline_mode

    remembered = _remembered(repo, revision, prefix)
    if is_offline_mode():
        if remembered.is_file():
            return listing_from_json(read_json(remembered))
        raise UserError(
            f"Offline mode is on (HF_HUB_OFFLINE) and the parts of {repo} at {revision!r} were never listed here.",
            "Run the command once with a network, or give a folder of parts with --parts.",
        )
    with explain(f"list the files of {repo} at {revision!r}"):
        info = HfApi(endpoint=endpoint).dataset_info(repo, revision=revision, files_metadata=True)
    files = [
        ArchivePart(name=f.rfilename, size=f.size or 0, sha256=f.lfs.sha256 if f.lfs else None)
        for f in info.siblings or ()
    ]
    if not info.sha:
        raise HubError(f"{repo} names no commit for {revision!r}.", "Check HF_ENDPOINT: a Hub always names one.")
    listing = _split(repo, revision, info.sha, files, prefix)
    write_json(remembered, asdict(listing))
    return listing


def list_folder(folder: Path, *, prefix: str | None = None) -> Listing:
    """The parts in a folder; sizes and digests come from its ``parts.json`` where there is one.

    Args:
        folder: The folder.
        prefix: What names of parts begin with; None is ``HM-World`` and a mark.

    Raises:
        UserError: If the folder does not exist or holds no part.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder of parts {folder}.", "Give the folder that holds the HM-World_* files.")
    recorded = folder / LISTING_FILE
    if recorded.is_file():
        return listing_from_json(read_json(recorded))
    files = [ArchivePart(name=p.name, size=p.stat().st_size) for p in folder.iterdir() if p.is_file()]
    return _split(str(folder), "", "", files, prefix)


def listing_from_json(content: dict[str, Any]) -> Listing:
    """A listing as ``dataclasses.asdict`` wrote it."""
    try:
        lists = {key: tuple(ArchivePart(**part) for part in content[key]) for key in ("parts", "loose")}
        return Listing(repo=content["repo"], revision=content["revision"], commit=content["commit"], **lists)
    except (KeyError, TypeError) as error:
        raise UserError(f"A listing of parts is damaged ({error}).", f"Delete {LISTING_FILE} and try again.") from error


def _split(repo: str, revision: str, commit: str, files: Iterable[ArchivePart], prefix: str | None = None) -> Listing:
    files = sorted(files, key=lambda part: part.name)
    parts = tuple(f for f in files if _is_part(f.name, prefix))
    if not parts:
        found = ", ".join(f.name for f in files[:8]) or "nothing"
        raise UserError(
            f"{repo} holds no part of the archive: no file is named {prefix or 'HM-World_'}* (found: {found}).",
            "Check --repo and --revision; if the parts have other names, say what they begin with: --prefix NAME.",
        )
    return Listing(
        repo=repo, revision=revision, commit=commit, parts=parts, loose=tuple(f for f in files if f not in parts)
    )


def _is_part(name: str, prefix: str | None) -> bool:
    path = Path(name)
    named = bool(_PART.fullmatch(path.name)) if prefix is None else path.name.startswith(prefix)
    return named and path.suffix.lower() not in _NOT_PARTS


def _remembered(repo: str, revision: str, prefix: str | None) -> Path:
    from huggingface_hub import cached_assets_path

    name = re.sub(r"[^A-Za-z0-9._-]", "--", f"{repo}@{revision}" + (f"@{prefix}" if prefix else ""))
    return cached_assets_path("hmbench", namespace="hub-listings") / f"{name}.json"
