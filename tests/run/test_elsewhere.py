"""Models behind a real local server and a real command."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from hmbench.data.disc_world import DiscWorld
from hmbench.data.prompts import PromptForm, read_record
from hmbench.errors import SampleError, UserError
from hmbench.registry import create_model
from hmbench.run.elsewhere import CommandModel, RemoteModel
from hmbench.run.evaluate import EvalRequest, generate
from hmbench.video.files import read_video, write_lossless

ADAPTERS = Path(__file__).parents[2] / "adapters"
FORM = PromptForm()


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"adapter_{name}", ADAPTERS / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def brighter(prompt: Path, seed: int) -> Path:
    """As many copies of the first image as wanted, brighter by the seed."""
    asked = read_record(prompt)
    image = np.asarray(Image.open(prompt / "first.png")).astype(int)
    frames = np.repeat((image + seed % 7)[None].clip(0, 255).astype(np.uint8), asked["target_frames"], axis=0)
    write_lossless(prompt / "answer.mp4", frames, fps=asked["fps"])
    return prompt / "answer.mp4"


INFO = {"name": "brighter", "description": "d", "trained": True, "settings": {"a": 1}, "weights": {"w": "ab"}}


def test_a_model_behind_a_real_server(tmp_path: Path) -> None:
    data = DiscWorld()
    sample = data.load(data.ids("all")[0])
    with serving(load("serve").make_server(brighter, INFO, 0)) as address:
        model = create_model(address, profile="mini", device="cpu", options={"cameras": "opengl", "timeout": "20"})
        video = model.generate(sample.prompt, seed=3)
        assert model.info.name == "brighter" and model.info.trained and model.info.weights == {"w": "ab"}
        assert model.info.settings["a"] == 1 and model.info.settings["prompts"]["cameras"] == "opengl"
        wanted = (sample.prompt.context[-1].astype(int) + 3).clip(0, 255)
        assert video.shape == sample.truth.target.shape and np.array_equal(video[-1], wanted)
        request = EvalRequest(model=address, data="disc", out=tmp_path / "run", limit=2)
        manifest = generate(request)
    assert manifest.model == address and manifest.model_info["settings"]["a"] == 1
    assert len(list((tmp_path / "run" / "predictions").glob("*.mp4"))) == 2


def test_one_server_serves_many(tmp_path: Path) -> None:
    prompt = DiscWorld().load(DiscWorld().ids("all")[0]).prompt
    at_once, most = [0], [0]

    def slow(folder: Path, seed: int) -> Path:
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        time.sleep(0.05)
        at_once[0] -= 1
        return brighter(folder, seed)

    with serving(load("serve").make_server(slow, INFO, 0)) as address:
        model, found = RemoteModel(address, FORM, timeout=30), {}
        threads = [
            threading.Thread(target=lambda s=seed: found.__setitem__(s, model.generate(prompt, seed=s)))
            for seed in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most == [1] and len(found) == 4
    assert [int(found[s][0, 0, 0, 0]) - int(found[0][0, 0, 0, 0]) for s in range(4)] == [0, 1, 2, 3]


class Moody(BaseHTTPRequestHandler):
    """Answers as its class is told: a list of (status, body), one for each request; a body of None hangs."""

    answers: ClassVar[list[tuple[int, bytes | None]]] = []
    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append(",".join(sorted(zipfile.ZipFile(io.BytesIO(body)).namelist())))
        self._answer()

    def _answer(self) -> None:
        status, body = self.answers.pop(0)
        if body is None:
            time.sleep(1.0)
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def moody(*answers: tuple[int, bytes | None]) -> Iterator[str]:
    Moody.answers, Moody.seen = [(200, b"{}"), *answers], []
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Moody)) as address:
        yield address


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("answer") / "a.mp4"
    prompt = DiscWorld().load(DiscWorld().ids("all")[0]).prompt
    write_lossless(path, np.full((prompt.num_target_frames, 24, 40, 3), 9, np.uint8), fps=15)
    return path.read_bytes()


PROMPT = DiscWorld().load(DiscWorld().ids("all")[0]).prompt


def test_busy_servers_are_asked_again(answer: bytes) -> None:
    with moody((503, b"busy"), (429, b"busy"), (200, answer)) as address:
        video = RemoteModel(address, FORM, timeout=5, wait=0.01).generate(PROMPT, seed=0)
    assert video.shape[1:3] == PROMPT.size and (video == 9).all()  # scaled back to the prompt's size
    assert Moody.seen == ["cameras.npz,caption.txt,context.mp4,first.png,prompt.json"] * 3


@pytest.mark.parametrize(
    ("answers", "kind", "sentence"),
    [
        ([(500, b"CUDA out of memory")], SampleError, r"/generate answers: 500 CUDA out of memory"),
        ([(503, b"busy")] * 3, UserError, r"cannot be reached: 503 busy \(3 tries\)"),
        ([(200, b"<html>")], SampleError, r"answer.mp4"),
        ([(200, None)], SampleError, r"gave no answer in 0\.3 s"),
    ],
)
def test_what_goes_wrong_is_one_sentence(answers: list[Any], kind: type[Exception], sentence: str) -> None:
    with moody(*answers) as address, pytest.raises(kind, match=sentence):
        RemoteModel(address, FORM, timeout=0.3, retries=2, wait=0.01).generate(PROMPT, seed=0)


def test_a_video_of_another_length_is_refused(answer: bytes, tmp_path: Path) -> None:
    write_lossless(tmp_path / "short.mp4", np.zeros((3, 24, 40, 3), np.uint8), fps=15)
    with moody((200, (tmp_path / "short.mp4").read_bytes())) as address, pytest.raises(SampleError, match="3 frames"):
        RemoteModel(address, FORM, timeout=5).generate(PROMPT, seed=0)


def test_nobody_there() -> None:
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:9 cannot be reached: .*\(2 tries\)"):
        RemoteModel("http://127.0.0.1:9", FORM, timeout=1, retries=1, wait=0.01)
    with pytest.raises(UserError, match="has no option 'steps'"):
        create_model("http://127.0.0.1:9", profile="mini", device="cpu", options={"steps": "3"})


def test_a_command_for_each_clip(tmp_path: Path) -> None:
    model = create_model(f"command:{sys.executable} {ADAPTERS / 'last_frame.py'}", profile="mini", device="cpu")
    video = model.generate(PROMPT, seed=0)
    assert model.info.name == "last_frame" and video.shape[0] == PROMPT.num_target_frames
    assert np.abs(video[-1].astype(int) - PROMPT.context[-1].astype(int)).mean() < 4  # mp4v loses a little


@pytest.mark.parametrize(
    ("code", "kind", "sentence"),
    [
        ("import sys; sys.exit('no GPU here')", SampleError, "ended with code 1: no GPU here"),
        ("pass", SampleError, r"wrote no answer\.mp4: it said nothing"),
        ("import time; time.sleep(9)", SampleError, r"gave no answer in 0\.5 s"),
    ],
)
def test_commands_that_fail(code: str, kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        CommandModel(f'{sys.executable} -c "{code}"', FORM, timeout=0.5).generate(PROMPT, seed=0)


def test_what_is_no_command() -> None:
    with pytest.raises(UserError, match="No command was given"):
        CommandModel("", FORM)
    with pytest.raises(UserError, match="cannot be run"):
        CommandModel("/nowhere/at/all", FORM).generate(PROMPT, seed=0)


def test_wan_s_adapter_on_a_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipeline is asked for 4k + 1 frames at its own size, and the image itself is not part of the answer."""
    from hmbench.data.prompts import write_prompt

    write_prompt(tmp_path / "p", "x", PROMPT, FORM, seed=4)
    asked: dict[str, Any] = {}

    def pipeline(**given: Any) -> Any:
        asked.update(given)
        frames = np.stack([np.full((32, 48, 3), k / 100) for k in range(given["num_frames"])])
        return SimpleNamespace(frames=[frames])

    def export(frames: list[Any], path: str, fps: float, quality: int) -> None:
        write_lossless(Path(path), (np.stack(frames) * 255).round().astype(np.uint8), fps=fps)

    monkeypatch.setattr("diffusers.utils.export_to_video", export)
    wan = load("wan_diffusers").Wan(pipeline, 48, 32, 7, 3.0)
    video = read_video(wan.generate(tmp_path / "p", 4))
    assert len(video) == PROMPT.num_target_frames and video[0, 0, 0, 0] == round(255 / 100)
    assert asked["num_frames"] % 4 == 1 and asked["num_frames"] >= PROMPT.num_target_frames + 1
    assert asked["prompt"] == PROMPT.caption and asked["image"].size == (48, 32)
    assert (asked["num_inference_steps"], asked["guidance_scale"]) == (7, 3.0)
    assert asked["generator"].initial_seed() == 4
    assert json.loads((tmp_path / "p" / "prompt.json").read_text())["seed"] == 4
