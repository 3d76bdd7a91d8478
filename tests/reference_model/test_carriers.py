"""Which carrier a model has, what a run records of it, and that a model shows what it carries."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from hmbench.errors import UserError
from hmbench.registry import create_model
from hmbench.video.files import resize_video
from reference_model.carrying.carrier import Carrier
from reference_model.sampling.carriers import NAME
from reference_model.sampling.world_model import WEIGHTS

FOLDER = WEIGHTS / NAME
WEIGHTS_FILE = "carrier/diffusion_pytorch_model.safetensors"


def model(name: str = "hydra", **options: str):
    return create_model(name, profile="nano", device="cpu", options=options)


def test_shipped_models_carry_and_say_so():
    info = model().info
    assert info.settings["carrier"] == "shipped" and "at most 5%" in info.settings["carrier_takes"]
    assert info.weights[WEIGHTS_FILE] == json.loads((FOLDER / "digests.json").read_text())[WEIGHTS_FILE[8:]]
    assert model("no-memory").info.weights[WEIGHTS_FILE] == info.weights[WEIGHTS_FILE], "one for all memories"


def test_without_one_the_transformer_is_alone():
    alone = model(carrier="none")
    assert alone.pipeline.carrier is None and alone.info.settings["carrier"] == "none"
    assert WEIGHTS_FILE not in alone.info.weights


def test_a_folder_may_be_given(tmp_path):
    shutil.copytree(FOLDER, tmp_path / "mine")
    found = model(carrier=str(tmp_path / "mine"))
    assert found.info.settings["carrier"] == str(tmp_path / "mine")
    assert found.info.weights == model().info.weights


def test_untrained_models_show_what_they_are_worth_by_themselves(tmp_path, monkeypatch):
    monkeypatch.setattr("reference_model.sampling.world_model.WEIGHTS", tmp_path)
    shutil.copytree(FOLDER, tmp_path / NAME)
    assert model().pipeline.carrier is None


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "config.json").unlink(), r"holds no carrier: it has no config\.json"),
        (lambda folder: (folder / WEIGHTS_FILE[8:]).unlink(), "holds no carrier: it has no diffusion_pytorch_model"),
        (lambda folder: (folder / "config.json").write_text("[]"), "is no valid JSON of its kind"),
        (lambda folder: (folder / "config.json").write_text('{"_class_name": "Other"}'), "of another class"),
        (
            lambda folder: (folder / WEIGHTS_FILE[8:]).write_bytes(b"not weights"),
            "is no safetensors file, or it is cut off",
        ),
    ],
)
def test_what_is_no_carrier_is_refused_with_a_sentence(tmp_path, damage, said):
    shutil.copytree(FOLDER, tmp_path / "mine")
    damage(tmp_path / "mine")
    with pytest.raises(UserError, match=said):
        model(carrier=str(tmp_path / "mine"))


def test_weights_with_a_tensor_too_many_are_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(FOLDER, tmp_path / "mine")
    path = tmp_path / "mine" / WEIGHTS_FILE[8:]
    save_file({**load_file(path), "extra": load_file(path)["follower.leave.bias"]}, path)
    with pytest.raises(UserError, match="1 tensors too many or too few, such as extra"):
        model(carrier=str(tmp_path / "mine"))


def test_paper_models_take_no_carrier(tmp_path):
    with pytest.raises(UserError, match="A carrier goes with the small models alone"):
        create_model("hydra", profile="paper", device="cpu", options={"carrier": str(FOLDER)})


def test_stretched_pictures_are_painted_without_one(turned):
    from dataclasses import replace

    prompt = turned.prompt
    square = replace(
        prompt,
        context=resize_video(prompt.context, 224, 224),
        intrinsics=replace(prompt.intrinsics, width=224, height=224),
    )
    carried, alone = (model(steps="1", carrier=name).generate(square, seed=0) for name in ("shipped", "none"))
    assert np.array_equal(carried, alone)


@pytest.fixture(scope="module")
def turned():
    """A clip of the mini world whose camera only turns, small."""
    from hmbench.data.dataset import open_dataset

    data = open_dataset("mini-easy")
    return data.load(data.ids("all")[0])


def test_what_was_seen_comes_back_sharper_than_it_is_painted(turned):
    prompt, size = turned.prompt, (64, 112)
    target = resize_video(turned.truth.target, *size).astype(float)
    seen = resize_video(turned.truth.target_labels[..., None].repeat(3, -1), *size)[..., 0] == 0

    def psnr(**options: str) -> float:
        video = resize_video(model(steps="2", **options).generate(prompt, seed=0), *size).astype(float)
        return float(10 * np.log10(255**2 / np.square(video - target)[seen].mean()))

    carried, alone = psnr(), psnr(carrier="none")
    assert carried > alone + 1.0, (carried, alone)
    assert model(steps="2").generate(prompt, seed=0).shape == turned.truth.target.shape


def test_who_comes_back_is_carried_with_the_background(turned, monkeypatch):
    """Where the subject is again, a picture with it is nearer the truth than the background alone."""
    size = (64, 112)
    target = resize_video(turned.truth.target, *size).astype(float)
    there = resize_video(turned.truth.target_labels[..., None].repeat(3, -1), *size)[..., 0] > 0

    def error() -> float:
        video = resize_video(model(steps="1").generate(turned.prompt, seed=0), *size).astype(float)
        return float(np.square(video - target)[there].mean())

    carried = error()
    monkeypatch.setattr(Carrier, "_subject", lambda *_: [])
    assert carried < 0.9 * error(), carried


def test_who_remembers_the_last_frame_alone_carries_no_other(turned):
    """The view turns back to where no-memory has never been: nothing there is carried."""
    options = {"steps": "2"}
    alone = model("no-memory", carrier="none", **options).generate(turned.prompt, seed=0)
    carried = model("no-memory", **options).generate(turned.prompt, seed=0)
    hydra = model("hydra", **options).generate(turned.prompt, seed=0)
    changed = [float(np.abs(a.astype(float) - carried).mean()) for a in (alone, hydra)]
    assert changed[0] < changed[1], changed
