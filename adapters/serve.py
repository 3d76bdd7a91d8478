"""A model server for ``hmbench eval --model http://HOST:PORT``: this one file, and Python's standard library.

It runs in the model's own environment, where hmbench need not be installed::

    from serve import serve

    def generate(prompt, seed):      # a folder with prompt.json, context.mp4, first.png, caption.txt, cameras
        ...
        return "answer.mp4"          # path of the frames after the context, as many as target_frames says

    serve(generate, {"name": "my-model", "trained": True, "settings": {"steps": 50}}, port=8080)

Clips are generated one at a time; whoever asks meanwhile waits. What `generate` raises is told to hmbench, which
records it as the clip's failure and goes on.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import threading
import traceback
import zipfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Generate = Callable[[Path, int], "str | Path"]


def make_server(generate: Generate, info: dict[str, Any], port: int, host: str = "127.0.0.1") -> ThreadingHTTPServer:
    """The server, not yet serving.

    Args:
        generate: Prompt folder and seed to the path of a video.
        info: ``name``, ``description``, ``trained``, ``settings`` (JSON types), ``weights`` (file to sha256).
        port: 0 takes a free one.
        host: 0.0.0.0 answers other machines, too.
    """
    one_at_a_time = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(200, json.dumps(info).encode(), "application/json")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                with tempfile.TemporaryDirectory() as scratch, one_at_a_time:
                    folder = Path(scratch)
                    with zipfile.ZipFile(io.BytesIO(body)) as archive:
                        for name in archive.namelist():
                            (folder / Path(name).name).write_bytes(archive.read(name))
                    seed = json.loads((folder / "prompt.json").read_text(encoding="utf-8"))["seed"] or 0
                    video = Path(generate(folder, seed)).read_bytes()
                self._send(200, video, "video/mp4")
            except Exception as error:  # noqa: BLE001 - whatever a model raises is this clip's failure
                traceback.print_exc()
                self._send(500, f"{type(error).__name__}: {error}".encode(), "text/plain; charset=utf-8")

        def _send(self, status: int, content: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    return ThreadingHTTPServer((host, port), Handler)


def serve(generate: Generate, info: dict[str, Any], port: int = 8080, host: str = "127.0.0.1") -> None:
    """Serves until it is stopped."""
    server = make_server(generate, info, port, host)
    sys.stderr.write(f"{info.get('name', 'a model')} at http://{host}:{server.server_address[1]}\n")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.shutdown()
