"""Somebody's own model, function or metric: what is taken as it is, and what is said of what is wrong with it."""

from __future__ import annotations

import inspect
import math
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hmbench.errors import SampleError, UserError
from hmbench.metrics.plugins import Setting, as_score, metrics_of
from hmbench.own_code import settings_of
from hmbench.registry import METRICS, as_model, create_model
from hmbench.run.outputs import frames_of
from hmbench.types import Score

OWN = '''
import numpy as np

def fade(prompt, *, seed, speed: float = 1.0, gray=False):
    """Fades."""
    return prompt, seed, speed, gray

def without_seed(prompt):
    return prompt

nameless = lambda prompt, seed: (seed, prompt)

def needy(speed, size, flip=False):
    return fade

class Blind:
    def generate(self, prompt):
        return prompt

class Broken:
    def __init__(self, steps=3):
        raise OSError("no weights here")

class Bare:
    def __call__(self, case):
        return 2

class Wants:
    def __init__(self, k):
        self.k = k

class Breaks:
    def __init__(self):
        raise OSError("cannot open table")

plain = lambda case: np.float32(0.5)
'''


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_stuff.py").write_text(OWN)
    (tmp_path / "own_broken.py").write_text("import os\n\nLEFT = RIGHT\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield lambda name, **options: create_model(f"own_stuff:{name}", profile="mini", device="cpu", options=options)
    sys.modules.pop("own_stuff", None)


def test_a_function_of_a_prompt_is_a_model(own) -> None:
    model = own("fade", speed="0.5", gray="yes")
    assert model.generate("p", seed=7) == ("p", 7, 0.5, True)
    assert (model.info.name, model.info.description) == ("fade", "Fades.")
    assert (model.info.settings["speed"], len(model.info.settings["code"])) == ("0.5", 12)
    assert own("without_seed").generate("p", seed=7) == "p"
    assert own("nameless").generate("p", seed=7) == (7, "p") and own("nameless").info.name == "nameless"
    assert as_model(lambda prompt: prompt).generate("p", seed=1) == "p"
    with pytest.raises(UserError, match=r"has no option 'sped'\. Did you mean 'speed'\? Available: gray, speed"):
        own("fade", sped="1")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("needy", "Model 'own_stuff:needy' needs the options speed and size. Give --option speed=VALUE --option size"),
        ("Blind", "its generate(prompt) takes other arguments. Write generate(self, prompt, *, seed)."),
        (
            "Broken",
            "The model 'own_stuff:Broken' cannot be made: OSError: no weights here (own_stuff.py, line 22). Mend",
        ),
    ],
)
def test_what_is_wrong_with_an_own_model_is_a_sentence(name, said, own) -> None:
    with pytest.raises(UserError) as error:
        own(name)
    assert said in str(error.value)


def test_a_module_that_raises_when_it_is_imported_is_told_with_its_line(own) -> None:
    with pytest.raises(UserError, match=r"fails to import: NameError: name 'RIGHT' is not defined \(own_broken\.py, l"):
        METRICS.find("own_broken:x")


def test_own_metrics_need_no_info_and_no_name(own) -> None:
    def metric(name: str) -> Any:
        setting = Setting(profile="mini", weights=None, device="cpu", backbones={})
        return metrics_of(f"own_stuff:{name}", METRICS.find(f"own_stuff:{name}"), setting)[0]

    assert (metric("Bare").info.name, metric("Bare")(None)) == ("Bare", Score(2.0))
    assert (metric("plain").info.name, metric("plain")(None)) == ("plain", Score(0.5))
    with pytest.raises(UserError, match="'own_stuff:Wants' cannot be made: k has no value"):
        metric("Wants")
    with pytest.raises(
        UserError, match=r"metric 'own_stuff:Breaks' cannot be made: OSError: cannot open table \(own_st"
    ):
        metric("Breaks")


@pytest.mark.parametrize(
    ("given", "value"),
    [
        (3, 3.0), (True, 1.0), (np.float32(0.5), 0.5), (np.array(3.5), 3.5), (np.array([3.5]), 3.5),
        (torch.tensor(2.5), 2.5), (torch.tensor([[4]]), 4.0),
    ],
)  # fmt: skip
def test_numbers_of_all_kinds_are_scores(given, value) -> None:
    assert as_score("m", given) == Score(value)


def test_what_is_no_number_is_a_skip_or_an_error() -> None:
    for given, said in ((None, "m gave None"), (math.nan, "m gave nan"), (np.float32("inf"), "m gave inf")):
        score = as_score("m", given)
        assert math.isnan(score.value) and score.reason == said
    for wrong in ("7", (1.0, 2.0), {"a": 1.0}, np.zeros(2), torch.zeros(2)):
        with pytest.raises(TypeError, match=f"m gave {type(wrong).__name__}, not a number or a Score"):
            as_score("m", wrong)


VIDEO = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3)).astype(np.uint8)


def read(given: Any) -> Any:
    return frames_of(given, VIDEO.shape, 9, "mine")


def test_the_same_frames_in_other_containers_are_taken() -> None:
    for given in (VIDEO, list(VIDEO), tuple(map(torch.from_numpy, VIDEO)), torch.from_numpy(VIDEO),
                  [Image.fromarray(frame) for frame in VIDEO]):  # fmt: skip
        np.testing.assert_array_equal(read(given), VIDEO)


@pytest.mark.parametrize(
    ("given", "said", "remedy"),
    [
        (VIDEO / 255, "float64 (5, 4, 6, 3)", "(frames * 255).round().astype('uint8')"),
        (VIDEO / 127.5 - 1, "float64 (5, 4, 6, 3)", "((frames + 1) * 127.5).round().astype('uint8')"),
        (VIDEO.astype(np.int64), "int64 (5, 4, 6, 3)", "frames.round().clip(0, 255).astype('uint8')"),
        (torch.from_numpy(VIDEO).permute(0, 3, 1, 2), "uint8 (5, 3, 4, 6)", "frames.transpose(0, 2, 3, 1)"),
        (VIDEO.transpose(3, 0, 1, 2), "uint8 (3, 5, 4, 6)", "frames.transpose(1, 2, 3, 0)"),
        (VIDEO[None], "uint8 (1, 5, 4, 6, 3)", "return frames[0]"),
        (np.concatenate([VIDEO] * 3)[:14], "uint8 (14, 4, 6, 3)", "frames[9:]"),
        (VIDEO[:3], "uint8 (3, 4, 6, 3)", "A frame for each camera of prompt.target_poses: 5."),
        (VIDEO[:, ::2], "uint8 (5, 2, 6, 3)", "Resize to the prompt's size, 6x4."),
        (VIDEO[..., :1], "uint8 (5, 4, 6, 1)", "RGB"),
        (None, "NoneType", "generate() must return uint8 frames"),
        ([VIDEO[0], VIDEO[0][:2]], "2 things of other shapes", "generate() must return uint8 frames"),
        ([[[1, 2], [3]], [[1]]], "2 things of other shapes", "generate() must return uint8 frames"),
        (torch.zeros(2, dtype=torch.bfloat16), "Tensor", "generate() must return uint8 frames"),  # NumPy has no such
        ([], "nothing", "generate() must return uint8 frames"),
        (SimpleNamespace(frames=VIDEO), "SimpleNamespace", "generate() must return uint8 frames"),
    ],
)
def test_what_is_wrong_with_frames_is_told_with_its_remedy(given, said, remedy) -> None:
    with pytest.raises(SampleError) as error:
        read(given)
    assert error.value.what == f"Model mine returned {said}, expected uint8 (5, 4, 6, 3)."
    assert remedy in error.value.hint


def test_a_remedy_does_what_it_says() -> None:
    for given in (
        VIDEO / 255,
        VIDEO / 127.5 - 1,
        VIDEO.transpose(0, 3, 1, 2),
        VIDEO.transpose(3, 0, 1, 2),
        VIDEO[None],
    ):
        with pytest.raises(SampleError) as error:
            read(given)
        code = error.value.hint.rpartition(": ")[2].rstrip(".").removeprefix("return ")
        np.testing.assert_array_equal(eval(code, {"frames": given}), VIDEO, err_msg=inspect.cleandoc(code))


def test_settings_are_arguments_and_no_counters() -> None:
    """A metric that counts its calls was another one after them, and everything was scored again."""

    class Mine:
        def __init__(self, level: int = 3, name: str = "mine", frames: Any = None) -> None:
            self.level, self._name, self.frames, self.calls = level, name, frames, 0

    mine = Mine(frames=np.zeros(2))
    mine.calls += 1
    assert settings_of(mine) == {"_name": "mine", "level": 3}
    assert settings_of(len) == {} and settings_of(lambda case: 1) == {}
