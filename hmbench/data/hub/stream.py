"""The parts as one stream of bytes, without storing them.

Remote parts are read with ranged GETs in windows, since a CDN serves no more than 50 GB at a time and signed addresses
expire; a cut connection, a 429 or a 5xx continues at the byte where it stopped. Each part's size is checked, and its
sha256 where the Hub lists one and the part was read to its end.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from hmbench.data.hub.errors import HubError, explain, status_of, transport_errors
from hmbench.data.hub.parts import ArchivePart, Listing
from hmbench.errors import UserError

CHUNK = 1 << 20
"""Bytes a read: the only buffer there is, in memory."""
WINDOW = 4 << 30
"""Bytes a ranged GET."""


class DigestError(UserError):
    """A part is not what the Hub lists; what was extracted from it is not to be trusted."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to try again."""

    tries: int = 8
    """Failures in a row, without a byte in between, before giving up."""
    base: float = 1.0
    """Seconds before the second try, doubled each time."""
    longest: float = 300.0
    """Longest wait in seconds; a server that asks for more (Retry-After) ends the download with a sentence."""
    timeout: float = 30.0
    """Seconds without a byte that count as a cut connection."""
    sleep: Callable[[float], None] = time.sleep
    """How to wait."""


class Source(Protocol):
    """Where parts are: a folder, huggingface-hub's cache, or the Hub."""

    def chunks(self, part: ArchivePart) -> Iterator[bytes]:
        """The part's bytes in order, from its beginning."""
        ...


class PartsStream(io.RawIOBase):
    """All parts in order as one readable, unseekable stream.

    Args:
        listing: The parts.
        source: Where to read them.
        on_bytes: Called with the number of bytes of each chunk.
    """

    def __init__(self, listing: Listing, source: Source, on_bytes: Callable[[int], None] | None = None) -> None:
        self.position = 0
        """Bytes handed out."""
        self.current: ArchivePart | None = None
        """The part being read; None before the first and after the last."""
        self.touched: list[str] = []
        """Names of the parts read from, in order."""
        self.verified: list[str] = []
        """Names of the parts read whole whose digest agreed."""
        self._on_bytes = on_bytes or (lambda _: None)
        self._chunks = self._all_chunks(listing, source)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Reads up to ``len(buffer)`` bytes; 0 at the end."""
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        self.position += count
        return count

    def close(self) -> None:
        """Closes the connection or file that is open."""
        self._chunks.close()
        super().close()

    def _all_chunks(self, listing: Listing, source: Source) -> Any:
        for part in listing.parts:
            self.current = part
            self.touched.append(part.name)
            digest, size = hashlib.sha256(), 0
            for chunk in source.chunks(part):
                digest.update(chunk)
                size += len(chunk)
                self._on_bytes(len(chunk))
                yield chunk
            self._verify(part, size, digest.hexdigest())
        self.current = None

    def _verify(self, part: ArchivePart, size: int, digest: str) -> None:
        if size != part.size:
            raise DigestError(
                f"Part {part.name} has {size} bytes, {part.size} are listed.", "It is truncated: fetch it again."
            )
        if part.sha256 is None:
            return
        if digest != part.sha256:
            raise DigestError(
                f"Part {part.name} has sha256 {digest[:12]}..., the Hub lists {part.sha256[:12]}....",
                "Its bytes are damaged or were replaced: delete any local copy and fetch it again.",
            )
        self.verified.append(part.name)


class FolderSource:
    """Parts as files.

    Args:
        folder: The folder that holds them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def chunks(self, part: ArchivePart) -> Iterator[bytes]:
        """See `Source`."""
        path = self.folder / part.name
        if not path.is_file():
            raise UserError(
                f"The part {path} is missing.", "Fetch it; the parts are one stream and none can be left out."
            )
        yield from read_file(path)


class HubSource:
    """Parts from huggingface-hub's cache where they are in it, else straight from the Hub.

    Args:
        listing: A listing of `hmbench.data.hub.parts.list_hub`.
        keep: Fetch whole parts with huggingface-hub first and keep them.
        folder: Folder to keep them in; None keeps them in huggingface-hub's cache.
        endpoint: Hub address; None follows ``HF_ENDPOINT``.
        patience: When to give up.
    """

    def __init__(
        self,
        listing: Listing,
        *,
        keep: bool = False,
        folder: Path | None = None,
        endpoint: str | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._listing = listing
        self._keep = keep
        self._folder = folder
        self._endpoint = endpoint
        self._patience = patience or Patience()

    def chunks(self, part: ArchivePart) -> Iterator[bytes]:
        """See `Source`."""
        path = self._local(part)
        if path is None and self._keep:
            path = self._fetch(part)
        yield from read_file(path) if path else self._remote(part)

    def _local(self, part: ArchivePart) -> Path | None:
        from huggingface_hub import try_to_load_from_cache

        if self._folder is not None and (self._folder / part.name).is_file():
            return self._folder / part.name
        listing = self._listing
        cached = try_to_load_from_cache(listing.repo, part.name, revision=listing.commit, repo_type="dataset")
        return Path(cached) if isinstance(cached, str) else None

    def _fetch(self, part: ArchivePart) -> Path:
        from huggingface_hub import hf_hub_download

        with explain(f"fetch part {part.name}"):
            return Path(
                hf_hub_download(
                    self._listing.repo,
                    part.name,
                    repo_type="dataset",
                    revision=self._listing.commit,
                    local_dir=self._folder,
                    endpoint=self._endpoint,
                )
            )

    def _remote(self, part: ArchivePart) -> Iterator[bytes]:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.constants import is_offline_mode

        if is_offline_mode():
            raise HubError(
                f"Offline mode is on (HF_HUB_OFFLINE) and part {part.name} is not in huggingface-hub's cache.",
                "Fetch the parts once with --keep-parts and a network, or give a folder of parts with --parts.",
            )
        url = hf_hub_url(
            self._listing.repo,
            part.name,
            repo_type="dataset",
            revision=self._listing.commit,
            endpoint=self._endpoint,
        )
        yield from ranged_chunks(url, part.size, part.name, self._patience)


def ranged_chunks(url: str, size: int, name: str, patience: Patience) -> Iterator[bytes]:
    """The bytes of a remote file, through interruptions.

    Args:
        url: Its address; redirects are followed.
        size: Its size in bytes.
        name: Its name in messages.
        patience: When to give up.

    Raises:
        HubError: If the server refuses, keeps failing, or does not serve ranges of this very file.
    """
    offset, failures = 0, 0
    while offset < size:
        last = min(offset + WINDOW, size) - 1
        try:
            for chunk in _one_range(url, offset, last, size, patience.timeout):
                offset, failures = offset + len(chunk), 0
                yield chunk
            if offset <= last:
                raise ConnectionError(f"the connection ended {last + 1 - offset} bytes early")
        except transport_errors() as error:
            failures += 1
            patience.sleep(_pause(error, failures, f"part {name} at byte {offset}", patience))


def read_file(path: Path) -> Iterator[bytes]:
    """The bytes of a file in chunks."""
    stream: IO[bytes]
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def _one_range(url: str, first: int, last: int, size: int, timeout: float) -> Iterator[bytes]:
    from huggingface_hub import get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

    headers = build_hf_headers(library_name="hmbench")
    headers |= {"Range": f"bytes={first}-{last}", "Accept-Encoding": "identity"}
    with get_session().stream("GET", url, headers=headers, timeout=timeout) as response:
        hf_raise_for_status(response)
        served = response.headers.get("Content-Range", "nothing")
        if response.status_code != 206 or served != f"bytes {first}-{last}/{size}":
            raise HubError(
                f"The server answered status {response.status_code} and range {served!r} "
                f"to a request for bytes {first}-{last} of {size}.",
                "The file changed after it was listed, or a proxy serves no ranges: try again, or use --keep-parts.",
            )
        yield from response.iter_bytes()  # as received: a cut loses nothing that arrived


def _pause(error: BaseException, failures: int, where: str, patience: Patience) -> float:
    """Seconds to wait before the next try; raises if there is none."""
    status = status_of(error)
    if status is not None and status < 500 and status not in {408, 429}:
        raise HubError(
            f"The Hub refuses to serve {where}: HTTP {status}.", "Check the token (HF_TOKEN) and the dataset's terms."
        ) from error
    said = f"HTTP {status}" if status else (str(error) or type(error).__name__)
    if failures >= patience.tries:
        raise HubError(
            f"Gave up on {where} after {failures} failures in a row; the last was: {said}.",
            "Run the same command again later: complete samples are kept.",
        ) from error
    asked = getattr(getattr(error, "response", None), "headers", {}).get("retry-after", "")
    wait = float(asked) if str(asked).isdecimal() else min(patience.base * 2 ** (failures - 1), 60.0)
    if wait > patience.longest:
        raise HubError(
            f"The Hub asks to wait {wait:.0f} seconds before {where} (HTTP {status}).",
            "Run the same command again then; logging in raises the limit (`hf auth login`).",
        ) from error
    return wait
