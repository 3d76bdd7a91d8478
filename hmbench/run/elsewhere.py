"""Models that live elsewhere: behind an HTTP address, or a command that is run for each clip.

    hmbench eval --model http://localhost:8080 ...
    hmbench eval --model "command:python adapters/my_model.py" ...

Both are given a prompt folder (`hmbench.data.prompts`) and answer with a video. Over HTTP: ``GET /info`` answers with
JSON (``name``, ``description``, ``trained``, ``settings``, ``weights``), ``POST /generate`` takes the folder as an
uncompressed zip and answers with the video's bytes, or with an error status and a sentence. A command is run as
``COMMAND PROMPT_FOLDER ANSWER.mp4``. One server serves many workers; what is busy or not there yet is asked again.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import shlex
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hmbench.data.prompts import CameraFile, Origin, PromptForm, write_prompt
from hmbench.errors import SampleError, UserError
from hmbench.files import parse_json
from hmbench.protocols import ModelInfo
from hmbench.types import Prompt, Video
from hmbench.video.files import read_video, resize_video

LARGEST = 2 << 30
"""Bytes of an answer; a minute of lossless 720p takes about as much."""
AGAIN = (408, 429, 502, 503, 504)
"""HTTP statuses after which the same request is sent again."""


class Elsewhere(ABC):
    """A model behind a process boundary; the transport is `_answer`.

    Args:
        form: How prompts are written.
        timeout: Seconds that a clip may take.
        retries: How often a request that failed is sent again.
    """

    info: ModelInfo
    place: str
    """Address or command, for messages."""

    def __init__(self, form: PromptForm, timeout: float, retries: int) -> None:
        if timeout <= 0 or retries < 0:
            raise UserError(f"{timeout=} must be above 0 and {retries=} not below.", "Change these options.")
        self.form, self.timeout, self.retries = form, timeout, retries

    def generate(self, prompt: Prompt, *, seed: int) -> Video:
        """The target frames; another picture size is scaled back.

        Raises:
            SampleError: If the answer is no video of the right length.
        """
        with tempfile.TemporaryDirectory(prefix="hmbench-prompt-") as scratch:
            folder, answer = Path(scratch) / "prompt", Path(scratch) / "answer.mp4"
            write_prompt(folder, "clip", prompt, self.form, seed=seed)
            self._answer(folder, answer)
            try:
                video = read_video(answer, frames=prompt.num_target_frames)
            except SampleError as error:  # the file is gone when this is read: what it said is told instead
                what = error.what.replace(str(answer), f"The answer of {self.place} ({answer.name})")
                raise SampleError(what + _said_in(answer), "The model's own log may say why.") from error
        return video if video.shape[1:3] == prompt.size else resize_video(video, *prompt.size)

    @abstractmethod
    def _answer(self, folder: Path, answer: Path) -> None:
        """Has the prompt in `folder` answered by a video at `answer`."""


class RemoteModel(Elsewhere):
    """A model behind an HTTP address.

    Args:
        address: ``http://host:port``.
        form: How prompts are written.
        timeout: Seconds that a clip may take.
        retries: How often a request that failed is sent again.
        wait: Seconds before the first repetition; doubled each time.
    """

    def __init__(
        self, address: str, form: PromptForm, timeout: float = 3600.0, retries: int = 4, wait: float = 1.0
    ) -> None:
        super().__init__(form, timeout, retries)
        if not address.startswith(("http://", "https://")):
            raise UserError(f"{address!r} is no address of a model.", "Give http://host:port.")
        self.place = self.address = address.rstrip("/")
        self.wait = wait
        answer = self._request("/info", None, limit=1 << 20).decode("utf-8", "replace")
        said = parse_json(answer or "{}", f"The answer of {address}/info", kind=dict)
        self.info = info_of(said, fallback="remote", form=form)

    def _answer(self, folder: Path, answer: Path) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for path in sorted(folder.iterdir()):
                archive.write(path, path.name)
        answer.write_bytes(self._request("/generate", packed.getvalue(), limit=LARGEST))

    def _request(self, path: str, body: bytes | None, *, limit: int) -> bytes:
        """The answer's bytes; busy, absent and broken connections are tried again."""
        wait, said = self.wait, ""
        for tried in range(self.retries + 1):
            if tried:
                time.sleep(wait)
                wait *= 2
            try:
                return self._once(path, body, limit)
            except urllib.error.HTTPError as error:
                said = f"{error.code} {error.read(500).decode('utf-8', 'replace').strip() or error.reason}"
                if (where := error.headers.get("Location")) and 300 <= error.code < 400:
                    said = f"{error.code}, go to {where[:200]}"
                if error.code not in AGAIN:
                    raise SampleError(f"{self.address}{path} answers: {said}", "See the server's own log.") from error
                asked = error.headers.get("Retry-After", "")
                wait = min(float(asked), self.timeout) if asked.isdecimal() and len(asked) < 9 else wait
            except TimeoutError as error:  # the model may be at work on it: a second request would take as long
                raise SampleError(
                    f"{self.address}{path} gave no answer in {self.timeout:g} s.", "Give --option timeout=SECONDS."
                ) from error
            except (urllib.error.URLError, http.client.HTTPException, ConnectionError) as error:
                if isinstance(getattr(error, "reason", None), TimeoutError):
                    said = f"no connection in {self.timeout:g} s"
                else:
                    said = str(getattr(error, "reason", error) or type(error).__name__)
            except ValueError as error:
                raise UserError(f"{self.address!r} is no address: {error}.", "Give http://host:port.") from error
        raise UserError(
            f"{self.address} cannot be reached: {said} ({self.retries + 1} tries).",
            "Start the model's server, or check the address.",
        )

    def _once(self, path: str, body: bytes | None, limit: int) -> bytes:
        """One request; a server that sends on and on has the same time as one that is silent."""
        end = time.monotonic() + self.timeout
        # whoever makes the model has seen that the address begins with http
        request = urllib.request.Request(self.address + path, body, {"Content-Type": "application/zip"})  # noqa: S310
        pieces, size = [], 0
        with _OPENER.open(request, timeout=self.timeout) as answer:
            while piece := answer.read1(1 << 20):
                pieces.append(piece)
                size += len(piece)
                if size > limit:
                    raise SampleError(f"{self.address} answers with more than {limit >> 20} MiB.", "Send a video.")
                if time.monotonic() > end:
                    raise TimeoutError
            said = answer.headers.get("Content-Length", "")
        if said.isdecimal() and size < int(said):
            raise ConnectionError(f"the answer ended after {size} of {said} bytes")
        return b"".join(pieces)


class _NoRedirectOfPrompts(urllib.request.HTTPRedirectHandler):
    """What is sent to another place arrives there without its body: only questions may be sent on."""

    def redirect_request(self, req: urllib.request.Request, *given: Any) -> urllib.request.Request | None:
        return super().redirect_request(req, *given) if req.get_method() == "GET" else None


_OPENER = urllib.request.build_opener(_NoRedirectOfPrompts)


class CommandModel(Elsewhere):
    """A command that is run for each clip.

    Args:
        command: Program and arguments; the prompt folder and the answer's path are added.
        form: How prompts are written.
        timeout: Seconds that a clip may take.
        retries: How often a command that failed is run again.
    """

    def __init__(self, command: str, form: PromptForm, timeout: float = 3600.0, retries: int = 0) -> None:
        super().__init__(form, timeout, retries)
        try:
            self.command = shlex.split(command)
        except ValueError as error:
            raise UserError(f"{command!r} is no command: {error}.", "Quote it as in a shell.") from error
        if not self.command:
            raise UserError("No command was given.", "For example --model 'command:python my_model.py'.")
        self.place = shlex.join(self.command)[:200]
        self.info = info_of({"name": Path(self.command[-1]).stem, "settings": {"command": command}}, "command", form)

    def _answer(self, folder: Path, answer: Path) -> None:
        for tried in range(self.retries + 1):
            log = answer.with_suffix(".log")
            code = self._run([*self.command, str(folder), str(answer)], log)
            if code == 0 and answer.is_file():
                return
            if tried == self.retries:
                last = _end_of(log).splitlines()[-1:] or ["it said nothing"]
                why = f"ended with code {code}" if code else f"wrote no {answer.name}"
                raise SampleError(f"{shlex.join(self.command)} {why}: {last[0][:300]}", "Run it by hand on a prompt.")

    def _run(self, command: list[str], log: Path) -> int:
        """The exit code; what it says goes to a file. Whatever it started ends with it when its time is over."""
        with log.open("wb") as said:
            try:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
                )
            except OSError as error:
                raise UserError(f"{command[0]} cannot be run: {error.strerror}.", "Check the command.") from error
            try:
                return process.wait(self.timeout)
            except subprocess.TimeoutExpired as error:
                raise SampleError(
                    f"{command[0]} gave no answer in {self.timeout:g} s.", "Give --option timeout=SECONDS."
                ) from error
            finally:
                if process.poll() is None:
                    _stop_group(process)


def _stop_group(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and those that it started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _end_of(path: Path, most: int = 4000) -> str:
    """The end of a text file."""
    with path.open("rb") as opened:
        opened.seek(max(0, path.stat().st_size - most))
        return opened.read().decode("utf-8", "replace").strip()


def _said_in(answer: Path) -> str:
    """What stands in an answer that is text and no video."""
    start = answer.read_bytes()[:400] if answer.is_file() else b""
    try:
        text = " ".join(start.decode("utf-8").split())
    except UnicodeDecodeError:
        return ""
    return f" It says: {text[:200]}" if text.isprintable() and text else ""


def info_of(said: dict[str, Any], fallback: str, form: PromptForm) -> ModelInfo:
    """What a run records of a model that lives elsewhere, from what it says of itself."""
    settings = said.get("settings")
    weights = said.get("weights")
    trained = said.get("trained")
    return ModelInfo(
        name=str(said.get("name") or fallback)[:100],
        description=str(said.get("description") or "a model that lives elsewhere")[:500],
        trained=trained if isinstance(trained, bool) else None,
        weights={str(k): str(v) for k, v in weights.items()} if isinstance(weights, dict) else {},
        settings={**(settings if isinstance(settings, dict) else {}), "prompts": vars(form)},
    )


def elsewhere(address: str) -> Callable[..., Elsewhere]:
    """The factory of a model, by ``http://...``, ``https://...`` or ``command:...``."""

    def make(
        *,
        cameras: str = "opencv",
        origin: Origin = "first-target",
        camera_file: CameraFile = "npz",
        timeout: float = 3600.0,
        retries: int = 4,
    ) -> Elsewhere:
        """A model that lives elsewhere.

        Args:
            cameras: Convention of the cameras that it is given.
            origin: Where their world begins.
            camera_file: Form of the file.
            timeout: Seconds that a clip may take.
            retries: How often a request that failed is sent again.
        """
        form = PromptForm(cameras=cameras, origin=origin, file=camera_file)
        if address.startswith("command:"):
            return CommandModel(address.removeprefix("command:"), form, timeout, min(retries, 1))
        return RemoteModel(address, form, timeout, retries)

    return make
