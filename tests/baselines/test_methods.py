"""Every rival by name: it generates, it stands on one backbone, its options answer as all of the command line does."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from camera_rows import random_cameras
from tiny_backbone import METHODS, inputs, tiny, tiny_config

from baselines.options import current_options, options
from hmbench.errors import UserError
from hmbench.registry import MEMORIES, create_model, find_factory
from hmbench.types import Prompt
from reference_model.model.config import RECIPES
from reference_model.model.hydra_memory import HydraSettings
from reference_model.model.memory_kinds import describe_memory, memory_class
from reference_model.model.methods import HYDRA, Method, find_method
from reference_model.model.transformer import HydraTransformer3DModel
from reference_model.sampling.method_factory import MethodFactory, memory_method
from reference_model.sampling.pipeline import build_pipeline
from reference_model.sampling.world_model import WEIGHTS
from reference_model.training.start import start_with_a_copy

SMALL = HydraSettings(tokenizer="depthwise", short_clips="fewer", window=3, top_k=2)
"""The recipe's own memory; what a variant does not say is taken from it."""
NAMES = sorted(m.name for m in vars(METHODS).values() if isinstance(m, Method))


@pytest.fixture(scope="module")
def prompt(discs) -> Prompt:
    return discs.load(discs.ids("all")[0]).prompt


def test_every_method_has_both_names() -> None:
    assert len(NAMES) == 14
    assert set(MEMORIES.points()) == {*NAMES, "hydra"}
    for name in NAMES:
        factory, _ = find_factory(name)
        assert isinstance(factory, MethodFactory)
        assert factory.method.name == name
        assert find_method(name) is factory.method
        assert memory_method(name) is memory_method(f"baselines.rivals:{_constant(name)}") is factory.method
    assert find_method("hydra") is memory_method("hydra") is HYDRA
    with pytest.raises(ValueError, match="no installed package offers a memory 'frame-pak'"):
        find_method("frame-pak")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("frame-pak", "There is no memory 'frame-pak'.*Did you mean 'frame-pack'"),
        ("baselines.rivals:FRAME_PAK", "baselines.rivals has no 'FRAME_PAK'.*Did you mean 'FRAME_PACK'"),
        ("baselines.frame_pack:FramePack", "The memory 'baselines.frame_pack:FramePack' is no Method but FramePack"),
        ("not_closed:MEMORY", "The module 'not_closed', needed by memory 'not_closed:MEMORY', fails to import"),
        ("needs_more:MEMORY", "The module 'nowhere_to_be_found', needed by memory 'needs_more:MEMORY'"),
    ],
)
def test_a_memory_that_cannot_be_had_is_a_users_mistake(name, words, tmp_path, monkeypatch) -> None:
    (tmp_path / "not_closed.py").write_text("MEMORY = (\n")
    (tmp_path / "needs_more.py").write_text("import nowhere_to_be_found\nMEMORY = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=words):
        memory_method(name)


def _constant(name: str) -> str:
    return next(key for key, value in vars(METHODS).items() if isinstance(value, Method) and value.name == name)


def _memory(name: str, checkpoint: str, **options: str) -> dict[str, Any]:
    given = {"checkpoint": str(WEIGHTS / checkpoint), **options}
    return dict(create_model(name, profile="nano", device="cpu", options=given).info.settings["memory"])


def test_a_variant_is_what_its_name_says() -> None:
    """Weights of one memory under the name of another: its settings hold, or it is refused."""
    assert _memory("hydra", "nano-hydra")["top_k"] == 10
    assert _memory("hydra-5-tokens", "nano-hydra")["top_k"] == 5
    assert _memory("hydra-paper", "nano-hydra")["variant"] == "paper"
    assert _memory("no-memory", "nano-recent-window")["frames"] == 1
    assert _memory("recent-window", "nano-no-memory")["frames"] == 5
    assert _memory("recent-window", "nano-no-memory", frames="3")["frames"] == 3  # what the user says stands above
    for name, wanted in (("hydra-2x4x4", (2, 1, 4)), ("hydra-1x4x4", (1, 1, 4))):
        with pytest.raises(UserError, match=re.escape(f"The trained memory does not fit kernel={wanted}")):
            _memory(name, "nano-hydra")


@pytest.mark.parametrize("name", ["hydra", "hydra-5-tokens", "full-context", "dfot"])
@pytest.mark.parametrize("shipped", sorted(path.parent.name for path in WEIGHTS.glob("*/model_index.json")))
def test_weights_of_another_memory_are_refused_by_every_name(name, shipped) -> None:
    """``hydra`` too, which had been any memory that its checkpoint held."""
    holds = find_method(shipped.removeprefix("nano-")).memory["kind"]
    if holds == find_method(name).memory["kind"]:
        assert _memory(name, shipped)["kind"] == holds
    else:
        with pytest.raises(UserError, match=re.escape(f"{shipped} holds the memory {holds!r}, not")):
            _memory(name, shipped)


def test_trained_weights_of_a_memory_are_never_dropped() -> None:
    with pytest.raises(UserError, match=r"The trained memory does not fit kernel=\(2, 1, 4\): its weights have other"):
        _memory("hydra-paper", "nano-hydra", kernel="2,1,4")


@pytest.mark.parametrize("name", NAMES)
def test_generates_and_says_that_it_is_untrained(name, prompt) -> None:
    """Two steps at nano scale (the first sees pure noise, of which a model of clean latents knows nothing); most
    weights are untrained, so that only form, honesty and determinism are checked."""
    model = create_model(name, profile="nano", device="cpu", options={"steps": "2"})
    assert model.info.name == name
    if model.info.trained is False:
        assert f"{name} runs with untrained weights" in (model.info.notice or "")
    first = model.generate(prompt, seed=3)
    assert first.shape == (prompt.num_target_frames, *prompt.size, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, model.generate(prompt, seed=3))
    assert not np.array_equal(first, model.generate(prompt, seed=4))
    assert model.info.settings["memory"]["kind"] == find_method(name).memory["kind"]


def test_tokenizers_are_cut_to_the_picture() -> None:
    """Nano's bands are one token high, so that no kernel can be higher."""
    settings = {p: find_method("hydra-2x8x8").apply(p).transformer.memory for p in ("nano", "mini", "paper")}
    assert settings["nano"]["kernel"] == settings["nano"]["stride"] == (2, 1, 8)
    assert settings["mini"]["kernel"] == settings["paper"]["kernel"] == (2, 8, 8)


def test_a_kernel_that_was_asked_for_is_not_cut() -> None:
    with pytest.raises(ValueError, match=r"the tokenizer's kernel \(2, 4, 4\) does not fit into \(40, 1, 14\) tokens"):
        find_method("hydra").apply("nano", {"kernel": (2, 4, 4)})


def test_rivals_differ_in_memory_and_in_nothing_else() -> None:
    """Every backbone parameter has the same name and, before any training, the same value as HyDRA's."""

    def backbone(name: str) -> dict[str, torch.Tensor]:
        model = build_pipeline(find_method(name).apply("nano"), 7).transformer
        start_with_a_copy(model, 7)
        return {k: v for k, v in model.state_dict().items() if not k.startswith("memory.")}

    expected = backbone("hydra")
    for name in NAMES:
        own = backbone(name)
        assert own.keys() == expected.keys()
        assert all(torch.equal(own[key], expected[key]) for key in own), name


@pytest.mark.parametrize("name", [*NAMES, "hydra"])
def test_every_recipe_builds(name) -> None:
    """At mini scale; cost cards build the paper's."""
    config = find_method(name).apply("mini")
    assert config.name == f"mini-{name}"
    with torch.device("meta"):
        model = HydraTransformer3DModel(**config.transformer_arguments())
    facts = model.memory.facts(*config.grids(config.context_frames, config.target_frames))
    assert facts.tokens_seen > 0


def test_settings_are_options() -> None:
    options = {"frames": "4", "fov": "52.67,30.45", "radius": "50", "rule": "rays", "thin_runs": "false"}
    model = create_model("fov-retrieval", profile="nano", device="cpu", options=options)
    memory = model.info.settings["memory"]
    assert {k: memory[k] for k in options} == {
        "frames": 4,
        "fov": (52.67, 30.45),
        "radius": 50.0,
        "rule": "rays",
        "thin_runs": False,
    }
    assert (
        create_model("dfot", profile="nano", device="cpu", options={"history_level": "target"}).info.settings["memory"][
            "history_level"
        ]
        == "target"
    )
    hydra = create_model("hydra-2x4x4", profile="nano", device="cpu", options={"kernel": "1x1x2", "stride": "1,1,2"})
    assert hydra.info.settings["memory"]["kernel"] == (1, 1, 2)


def test_every_setting_is_an_option() -> None:
    for name in NAMES:
        factory, _ = find_factory(name)
        own = {field.name for field in fields(memory_class(factory.method.memory["kind"]).Settings)}
        assert own <= set(factory.__signature__.parameters)


def test_options_are_told_without_importing_models() -> None:
    """After a new setting: python -m baselines.options"""
    assert options() == current_options() and options()["recent-window"].count("frames") == 1


def test_unknown_options_answer_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"has no option 'radios'\. Did you mean 'radius'"):
        create_model("fov-retrieval", profile="nano", device="cpu", options={"radios": "3"})
    with pytest.raises(UserError, match="frames='few' of model 'recent-window' is not int"):
        create_model("recent-window", profile="nano", device="cpu", options={"frames": "few"})
    with pytest.raises(UserError, match="at least one frame must be remembered"):
        create_model("recent-window", profile="nano", device="cpu", options={"frames": "0"})
    with pytest.raises(UserError, match="There is no profile 'tiny'"):
        create_model("recent-window", profile="tiny", device="cpu")


def test_saved_models_come_back_and_are_told_apart(tmp_path, prompt) -> None:
    model = create_model("frame-pack", profile="nano", device="cpu", options={"steps": "1", "seed_weights": "3"})
    model.pipeline.save_pretrained(tmp_path / "pack")
    again = create_model("frame-pack", profile="nano", device="cpu", options={"checkpoint": str(tmp_path / "pack")})
    assert again.info.trained
    assert np.array_equal(model.generate(prompt, seed=0), again.generate(prompt, seed=0))
    with pytest.raises(UserError, match=r"holds the memory 'baselines\.frame_pack:FramePack', not"):
        create_model("dfot", profile="nano", device="cpu", options={"checkpoint": str(tmp_path / "pack")})
    forced = create_model("dfot", profile="nano", device="cpu", options={"steps": "1", "history_guidance": "2"})
    forced.pipeline.save_pretrained(tmp_path / "dfot")
    loaded = create_model("dfot", profile="nano", device="cpu", options={"checkpoint": str(tmp_path / "dfot")})
    assert np.array_equal(forced.generate(prompt, seed=0), loaded.generate(prompt, seed=0))


@pytest.mark.parametrize("name", [*NAMES, "hydra"])
def test_training_reaches_every_parameter_of_the_memory(name) -> None:
    """One backward pass under mixed precision: finite gradients, and none of the memory's parameters is left out."""
    method = find_method(name)
    model = tiny(method.describe(tiny_config(memory=describe_memory("hydra", SMALL), patch=(1, 2, 2), bands=1)))
    context, target, text = inputs(8, 6, batch=2, height=8, width=14)  # nano's latents
    rows = (random_cameras(2, 8), random_cameras(2, 6))
    timestep = torch.rand(2, 14) * 1000 if method.per_frame_noise else torch.tensor([300.0, 900.0])
    model.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = model(context, target, timestep, text, rows).target
    (found.float() - target).square().mean().backward()
    gradients = {key: value.grad for key, value in model.named_parameters() if key.startswith("memory.")}
    assert all(g is not None and g.isfinite().all() and g.abs().max() > 0 for g in gradients.values())
    assert bool(gradients) == (name == "frame-pack" or name.startswith("hydra"))
    assert model.blocks[0].attn1.to_q.weight.grad.isfinite().all()


def test_recipes_are_complete() -> None:
    assert {"nano", "mini", "paper"} <= set(RECIPES)
    with pytest.raises(ValueError, match="there is no preset 'huge'"):
        HYDRA.apply("huge")
    with pytest.raises(ValueError, match="has no setting"):
        HYDRA.apply("nano", {"tokens": 3})
