"""A small Hub on 127.0.0.1: the routes that huggingface-hub uses, over files in memory, with faults on order.

Routes: ``/api/{datasets,models}/<repo>[/revision/<rev>]`` (with ``?blobs=true``), ``/api/.../tree/<rev>``,
``HEAD``/``GET /[datasets/]<repo>/resolve/<rev>/<path>`` (small files served there with their etag and commit, large
ones redirected with ``X-Linked-Etag`` and ``X-Linked-Size``) and ``/cdn/<sha256>`` with ranges. Written after what
huggingface-hub 2.4 sends and reads; the tests go through its real client.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LFS_BYTES = 512
"""Files from this size on are large files with a sha256, as the Hub's are from 10 MB on."""


@dataclass
class Fault:
    """Something that goes wrong, some number of times."""

    path: str
    """Regular expression of the addresses it happens to."""
    times: int = 1
    """How often."""
    status: int = 0
    """Answer this status instead."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of that answer."""
    cut_after: int | None = None
    """Close the connection after so many bytes of the body."""
    flip_byte: int | None = None
    """Invert this byte of the file."""
    ignore_range: bool = False
    """Serve the whole file although a range was asked for."""


@dataclass
class HubServer:
    """State of the server; tests read `log` and `served`, and add faults."""

    files: dict[str, dict[str, bytes]]
    """``datasets/owner/name`` or ``models/owner/name`` to path to content."""
    token: str | None = None
    """If set, every request needs it."""
    commits: dict[str, str] = field(default_factory=dict)
    """Revision name to commit; by default ``main`` is a commit of 40 times c."""
    faults: list[Fault] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    """Method and path of each request."""
    served: dict[str, int] = field(default_factory=dict)
    """Bytes of bodies by file name."""
    waits: list[float] = field(default_factory=list)
    """For tests to note what a client slept."""
    url: str = ""
    listed_digests: dict[str, str] = field(default_factory=dict)
    """File name to a digest to list instead of the true one."""

    def commit(self, revision: str) -> str | None:
        commits = {"main": "c" * 40, **self.commits}
        return revision if revision in commits.values() else commits.get(revision)

    def take_fault(self, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and re.search(fault.path, path):
                fault.times -= 1
                return fault
        return None


@contextmanager
def hub_server(files: dict[str, dict[str, bytes]], **options: object) -> Iterator[HubServer]:
    """Serves `files` until the block ends."""
    state = HubServer(files, **options)  # type: ignore[arg-type]
    handler = type("Handler", (_Handler,), {"state": state})
    server = _QuietServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that closes a connection early is no news."""


class _Handler(BaseHTTPRequestHandler):
    state: HubServer
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        """What uploading asks: a new repository, how files are to be sent (all of them inside the commit), a commit."""
        path = unquote(urlsplit(self.path).path)
        self.state.log.append(f"POST {path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = self._chunks()
        if self.headers.get("Authorization") is None:
            return self._send(401, b"{}", {})
        if path == "/api/repos/create":
            asked = json.loads(body)
            kind = asked.get("type") or "model"
            name = f"{kind}s/{asked['organization']}/{asked['name']}"
            self.state.files.setdefault(name, {})
            return self._json({"url": f"{self.state.url}/{name.removeprefix('models/')}"})
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        match = re.fullmatch(r"/api/(datasets|models|spaces)/([^/]+/[^/]+)/(preupload|commit)/([^/]+)", path)
        if match is None or f"{match[1]}/{match[2]}" not in self.state.files:
            return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        if match[3] == "preupload":
            names = [file["path"] for file in json.loads(body)["files"]]
            return self._json({"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]})
        files = self.state.files[f"{match[1]}/{match[2]}"]
        for line in (json.loads(text) for text in body.splitlines() if text.strip()):
            if line["key"] == "file":
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        address = f"{self.state.url}/{match[1]}/{match[2]}/commit/{'d' * 40}"
        return self._json({"success": True, "commitOid": "d" * 40, "commitUrl": address})

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _json(self, content: object) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.state.log.append(f"{self.command} {path}")
        fault = self.state.take_fault(path)
        if fault and fault.status:
            return self._send(fault.status, b'{"error": "as ordered"}', fault.headers)
        authorised = self.state.token is None or self.headers.get("Authorization") == f"Bearer {self.state.token}"
        if not authorised and not path.startswith("/cdn/"):
            return self._send(401, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Invalid login."})
        if path.startswith("/cdn/"):
            return self._cdn(path, fault)
        if match := re.fullmatch(r"/api/(datasets|models)/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?", path):
            kind, repo, verb, revision = match.groups()
            return self._api(f"{kind}/{repo}", verb, revision or "main")
        if match := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            kind, repo, revision, name = match.groups()
            return self._resolve(f"{(kind or 'models/').rstrip('/')}/{repo}", revision, name, fault)
        return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _api(self, repo: str, verb: str | None, revision: str) -> None:
        commit = self.state.commit(revision)
        if repo not in self.state.files:
            return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        if commit is None:
            return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"})
        files = self.state.files[repo]
        name = repo.split("/", 1)[1]
        if verb == "tree":
            entries = [{"type": "file", "path": p, **self._blob(p, c, "oid")} for p, c in sorted(files.items())]
            return self._send(200, json.dumps(entries).encode(), {"Content-Type": "application/json"})
        siblings = [{"rfilename": p, **self._blob(p, c, "blobId")} for p, c in sorted(files.items())]
        info = {"_id": "1", "id": name, "sha": commit, "private": False, "siblings": siblings, "tags": []}
        return self._send(200, json.dumps(info).encode(), {"Content-Type": "application/json"})

    def _blob(self, path: str, content: bytes, oid: str) -> dict[str, object]:
        blob: dict[str, object] = {"size": len(content), oid: hashlib.sha1(content).hexdigest()}
        if len(content) >= LFS_BYTES:
            digest = self.state.listed_digests.get(path, hashlib.sha256(content).hexdigest())
            key = "oid" if oid == "oid" else "sha256"
            blob["lfs"] = {key: digest, "size": len(content), "pointerSize": 130}
        return blob

    def _resolve(self, repo: str, revision: str, name: str, fault: Fault | None) -> None:
        commit = self.state.commit(revision)
        if repo not in self.state.files:
            return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        if commit is None:
            return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        content = self.state.files[repo].get(name)
        headers = {"X-Repo-Commit": commit}
        if content is None:
            return self._send(404, b"{}", {**headers, "X-Error-Code": "EntryNotFound"})
        if len(content) < LFS_BYTES:
            return self._send(200, content, {**headers, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}, name)
        digest = hashlib.sha256(content).hexdigest()
        headers |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
        return self._send(302, b"", {**headers, "Location": self._cdn_url(digest, name)})

    def _cdn_url(self, digest: str, name: str) -> str:
        """On a host of its own, as the Hub's is: clients follow redirects within a host when they ask for metadata."""
        return f"{self.state.url.replace('127.0.0.1', 'localhost')}/cdn/{digest}/{name}"

    def _cdn(self, path: str, fault: Fault | None) -> None:
        digest, name = path.removeprefix("/cdn/").split("/", 1)
        everything = (c for files in self.state.files.values() for c in files.values())
        content = next((c for c in everything if hashlib.sha256(c).hexdigest() == digest), None)
        if content is None:
            return self._send(404, b"", {})
        if fault and fault.flip_byte is not None:
            flipped = bytes([content[fault.flip_byte] ^ 0xFF])
            content = content[: fault.flip_byte] + flipped + content[fault.flip_byte + 1 :]
        headers = {"ETag": f'"{digest}"', "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None or (fault and fault.ignore_range):
            return self._send(200, content, headers, name, fault)
        first = int(asked[1])
        last = min(int(asked[2]) if asked[2] else len(content) - 1, len(content) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        return self._send(206, content[first : last + 1], headers, name, fault)

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], name: str = "", fault: Fault | None = None
    ) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = fault.cut_after if fault else None
        sent = body if cut is None else body[:cut]
        try:
            for start in range(0, len(sent), 1 << 16):
                self.wfile.write(sent[start : start + (1 << 16)])
                if name:
                    self.state.served[name] = self.state.served.get(name, 0) + len(sent[start : start + (1 << 16)])
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
            return
        if cut is not None:
            self.close_connection = True
