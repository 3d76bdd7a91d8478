"""The examples run as they stand, and the snippets of the documents are taken from them."""

from __future__ import annotations

import http.server
import re
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import hmbench

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
QUIET = {"metrics": ["psnr"], "tracking": False, "progress": False}


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples' folder is the working folder; their modules are forgotten afterwards."""
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if (EXAMPLES / f"{name}.py").is_file():
            del sys.modules[name]


@pytest.mark.usefixtures("here")
def test_own_model(tmp_path: Path) -> None:
    data = hmbench.open_data("disc", limit=1)
    run = hmbench.evaluate("own_model:Freeze", data, out=tmp_path / "a", **QUIET)
    last = data[0].prompt.context[-1].astype(int)
    assert abs(run.video("0")[-1].astype(int) - last).mean() < 8  # the video is stored lossily
    faded = hmbench.evaluate("own_model:Fade", data, options={"speed": 0.5}, out=tmp_path / "b", **QUIET)
    assert faded.video("0")[-1].mean() == pytest.approx(last.mean() / 2, rel=0.05)
    assert faded.model == "Fade" and faded.manifest.options == {"speed": "0.5"}


@pytest.mark.usefixtures("here")
def test_own_metric(tmp_path: Path) -> None:
    data = hmbench.open_data("disc", limit=1)
    both = {**QUIET, "metrics": ["own_metric:Brightness", "own_metric:red_share"]}
    run = hmbench.evaluate("copy-last", data, out=tmp_path / "run", **both)
    video = run.video("0")
    found = run.rows().set_index("metric").value
    assert found["brightness"] == pytest.approx(video.mean())
    assert found["red_share"] == pytest.approx(video[..., 0].mean() / 255)


@pytest.mark.usefixtures("here")
def test_own_data(tmp_path: Path) -> None:
    data = hmbench.open_data("own_data:Squares")
    sample = data["square-1"]
    (event,) = sample.truth.events
    assert sample.truth.subjects[0].name == "Square" and event.exit < 21 <= event.reentry and event.hidden > 5
    outside = sample.truth.subjects[0].visible_area[event.exit : event.reentry]
    assert outside.max() < 8 < sample.truth.subjects[0].visible_area[0]
    run = hmbench.evaluate("oracle", data, out=tmp_path / "run", **QUIET)
    assert set(run.samples().scene) == {"Wall0", "Wall1", "Wall2"} and (run.scores()["psnr"] > 25).all()


@pytest.mark.usefixtures("here")
def test_own_tracker(tmp_path: Path) -> None:
    data = hmbench.open_data("own_data:Squares", limit=1)
    asked = {"tracker": "own_tracker:Red", "metrics": ["hota", "return_recall"], "progress": False}
    run = hmbench.evaluate("oracle", data, out=tmp_path / "run", **asked)
    assert run.manifest.tracker == "own_tracker:Red" and run.manifest.notices == ()
    found = run.rows().set_index("metric").value
    assert found["hota"] == pytest.approx(1, abs=0.05) and found["return_recall"] == 1


@pytest.mark.usefixtures("here")
def test_http_model(tmp_path: Path) -> None:
    import importlib

    sys.path.append(str(EXAMPLES))
    module = importlib.import_module("http_model")
    server = http.server.ThreadingHTTPServer(("localhost", 0), module.Serve)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    data = hmbench.open_data("disc", limit=1)
    options = {"url": f"http://localhost:{server.server_port}"}
    try:
        run = hmbench.evaluate("http_model:HttpModel", data, options=options, out=tmp_path / "run", **QUIET)
    finally:
        server.shutdown()
        server.server_close()
    expected = hmbench.evaluate("copy-last", data, out=tmp_path / "last", **QUIET)
    assert np.array_equal(run.video("0"), expected.video("0"))


@pytest.mark.usefixtures("here")
def test_own_memory_builds() -> None:
    import torch

    from reference_model.model.memory import Backbone, FullMemory
    from reference_model.model.sequence import Grid
    from reference_model.sampling.method_factory import memory_method

    method = memory_method("own_memory:EVERY_OTHER")
    kind = sys.modules["own_memory"].EveryNth
    assert method.name == "every-other" and issubclass(kind, FullMemory)
    memory = kind(kind.Settings(), Backbone(dim=64, heads=2, layers=1, in_channels=4, patch=(1, 2, 2)))
    chosen = memory.select(torch.zeros(2, 10, 12), torch.zeros(2, 10, 12))
    assert chosen.tolist() == [[1, 3, 5, 7, 9]] * 2
    third = kind(kind.Settings(every=3), memory.backbone)
    assert third.select(torch.zeros(1, 10, 12), torch.zeros(1, 10, 12)).tolist() == [[2, 5, 8]]
    facts = memory.facts(Grid(11, 4, 7), Grid(10, 4, 7))
    assert facts.tokens_seen == (5 + 10) * 28, "what was left out costs nothing"


def snippets(document: str) -> list[str]:
    text = (ROOT / document).read_text()
    return re.findall(r"^```python\n(.*?)^```", text, re.S | re.M)


@pytest.mark.parametrize(
    ("document", "example"),
    [
        ("README.md", "own_model.py"),
        ("docs/architecture.md", "own_metric.py"),
        ("docs/architecture.md", "own_memory.py"),
    ],
)
def test_snippets_stand_in_an_example(document: str, example: str) -> None:
    code = (EXAMPLES / example).read_text()
    found = [s for s in snippets(document) if re.sub(r"^# \w+\.py\n", "", s).strip() in code]
    assert found, f"no snippet of {document} is a part of examples/{example}"
