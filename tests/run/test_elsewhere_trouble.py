"""Servers and commands that misbehave in ways that a status does not tell."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from hmbench.data.disc_world import DiscWorld
from hmbench.data.prompts import PromptForm
from hmbench.errors import SampleError, UserError
from hmbench.run.elsewhere import CommandModel, RemoteModel
from hmbench.video.files import write_lossless

PROMPT = DiscWorld().load(DiscWorld().ids("all")[0]).prompt


class Odd(BaseHTTPRequestHandler):
    """Answers in the way that its class is told."""

    way: ClassVar[str] = ""
    video: ClassVar[bytes] = b""
    asked: ClassVar[list[float]] = []

    def do_GET(self) -> None:
        self._send(200, b"{}" if self.path == "/info" else self.video)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append(time.monotonic())
        if self.way == "redirect":
            self._send(302, b"", {"Location": "/elsewhere"})
        elif self.way == "cut":
            self._send(
                200, self.video if len(self.asked) > 1 else self.video[:300], {"Content-Length": str(len(self.video))}
            )
            self.close_connection = True
        elif self.way == "later":
            self._send(*((200, self.video) if len(self.asked) > 1 else (503, b"busy", {"Retry-After": "1"})))
        elif self.way == "drip":
            self.send_response(200)
            self.end_headers()
            while not self.wfile.closed:
                try:
                    self.wfile.write(b"x")
                except OSError:
                    return
                time.sleep(0.02)
        else:
            self._send(200, b'{"error": "CUDA out of memory"}')

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    write_lossless(tmp_path / "a.mp4", np.full((PROMPT.num_target_frames, *PROMPT.size, 3), 9, np.uint8), fps=15)
    Odd.video, Odd.asked = (tmp_path / "a.mp4").read_bytes(), []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Odd)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("way", "sentence"),
    [
        ("redirect", r"/generate answers: 302, go to /elsewhere"),  # where the prompt would arrive without its body
        ("drip", r"/generate gave no answer in 0\.5 s"),
        (
            "words",
            r"^The answer of http://\S+ \(answer\.mp4\) is damaged .* It says: \{\"error\": \"CUDA out of memory\"\}",
        ),
    ],
)
def test_answers_that_are_none(address: str, way: str, sentence: str) -> None:
    Odd.way = way
    began = time.monotonic()
    with pytest.raises(SampleError, match=sentence):
        RemoteModel(address, PromptForm(), timeout=0.5, retries=2, wait=0.01).generate(PROMPT, seed=0)
    assert time.monotonic() - began < 5 and len(Odd.asked) == 1


@pytest.mark.parametrize(("way", "least"), [("cut", 0.0), ("later", 1.0)])
def test_what_is_asked_again(address: str, way: str, least: float) -> None:
    """An answer that ends early, and a server that says when it will have time."""
    Odd.way = way
    video = RemoteModel(address, PromptForm(), timeout=5, retries=1, wait=0.01).generate(PROMPT, seed=0)
    assert (video == 9).all() and len(Odd.asked) == 2 and Odd.asked[1] - Odd.asked[0] >= least


def test_an_address_that_is_none() -> None:
    with pytest.raises(UserError, match=r"'http://\[::1' is no address"):
        RemoteModel("http://[::1", PromptForm(), timeout=1, retries=0)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="groups of processes are POSIX's")
def test_what_a_command_started_ends_with_it(tmp_path: Path) -> None:
    """A shell that waits for the model is not the model: that would hold the GPU."""
    child = tmp_path / "child"
    child.write_text(f"import os, time; open({str(child) + '.pid'!r}, 'w').write(str(os.getpid())); time.sleep(60)")
    script = tmp_path / "run.sh"
    script.write_text(f"{sys.executable} {child} & wait\n")
    with pytest.raises(SampleError, match=r"gave no answer in 2 s"):
        CommandModel(f"sh {script}", PromptForm(), timeout=2).generate(PROMPT, seed=0)
    pid = int((tmp_path / "child.pid").read_text())
    for _ in range(100):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.02)
    pytest.fail("the model still runs")


def test_a_command_that_says_it_on_standard_output() -> None:
    code = "import sys; print('loading'); print('no GPU here'); sys.exit(3)"
    with pytest.raises(SampleError, match="ended with code 3: no GPU here"):
        CommandModel(f'{sys.executable} -c "{code}"', PromptForm()).generate(PROMPT, seed=0)
