"""The model as hmbench meets it: sizes, seeds, records, and the sentences that a user reads."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hmbench.errors import UserError
from hmbench.protocols import Batches, WorldModel
from hmbench.registry import create_model
from reference_model.model.config import nano
from reference_model.sampling import world_model
from reference_model.sampling.models import hydra
from reference_model.sampling.pipeline import HydraPipeline, drawn
from reference_model.sampling.world_model import to_tensor, to_video


@pytest.fixture(scope="module", autouse=True)
def nothing_shipped(tmp_path_factory):
    """As if the package had no weights: these tests are about loading them, not about what they learned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world_model, "WEIGHTS", tmp_path_factory.mktemp("weights"))
        yield


@pytest.fixture(scope="module")
def model(nothing_shipped):
    # two steps: the first sees pure noise, of which a model of clean latents makes nothing, whatever the seed
    return hydra(profile="nano", steps=2)


@pytest.fixture
def prompt(discs):
    return discs.load(discs.ids("all")[0]).prompt


def test_it_continues_a_clip_at_the_prompts_size(model, prompt):
    assert isinstance(model, WorldModel)
    video = model.generate(prompt, seed=1)
    assert video.dtype == np.uint8 and video.shape == (prompt.num_target_frames, *prompt.size, 3)
    assert video.std() > 1


def test_prompt_and_seed_decide_whatever_was_generated_before(model, prompt):
    first = model.generate(prompt, seed=1)
    other = model.generate(prompt, seed=2)
    assert not np.array_equal(first, other)
    assert np.array_equal(model.generate(prompt, seed=1), first)
    assert np.array_equal(hydra(profile="nano", steps=2).generate(prompt, seed=1), first)


@pytest.mark.parametrize("name", ["hydra", "full-context", "dfot"])
def test_clips_at_once_are_what_they_are_alone(name, discs):
    """Three clips of two sizes: each has its own camera, caption and noise, whoever is beside it."""
    one = create_model(name, profile="nano", device="cpu", options={"steps": "2"})
    many = create_model(name, profile="nano", device="cpu", options={"steps": "2", "batch": "3"})
    assert isinstance(many, Batches) and many.batch == 3 and many.info.settings["batch"] == 3
    assert "batch" not in one.info.settings
    prompts = [discs.load(i).prompt for i in discs.ids("all")[:3]]
    wide = np.repeat(prompts[1].context, 2, axis=2)
    prompts[1] = replace(prompts[1], context=wide, intrinsics=None)
    together = many.generate_batch(prompts, seeds=[5, 6, 7])
    for prompt, seed, video in zip(prompts, (5, 6, 7), together, strict=True):
        alone = one.generate(prompt, seed=seed)
        assert video.shape == alone.shape == (prompt.num_target_frames, *prompt.size, 3)
        assert np.abs(video.astype(int) - alone).max() <= 1, "a level, where sums round otherwise"
    assert not np.array_equal(one.generate(prompts[0], seed=6), together[0])


def test_what_cannot_be_one_batch_is_refused(model, discs):
    prompts = [discs.load(i).prompt for i in discs.ids("all")[:2]]
    shorter = replace(prompts[1], target_poses=prompts[1].target_poses[:-4])
    for given, seeds in (([prompts[0], shorter], [1, 2]), (prompts, [1])):
        with pytest.raises(ValueError, match="a batch has clips of one length, and a seed for each"):
            model.generate_batch(given, seeds=seeds)
    with pytest.raises(ValueError, match="3 clips have 2 sources of noise"):
        drawn((3, 1), [torch.Generator(), torch.Generator()])


def test_it_sees_context_cameras_and_caption(model, prompt):
    first = model.generate(prompt, seed=1)
    # fresh camera encoders are zero by design: give them weight, or the camera could not be seen
    other = hydra(profile="nano", steps=2)
    for block in other.pipeline.transformer.blocks:
        torch.nn.init.normal_(block.camera_target.weight, generator=torch.Generator().manual_seed(0))
    moved = prompt.target_poses.copy()
    moved[1:, :3, 3] += 3.0
    changes = {"context": 255 - prompt.context, "caption": "something else entirely"}
    for name, value in changes.items():
        assert not np.array_equal(model.generate(replace(prompt, **{name: value}), seed=1), first), name
    still = other.generate(prompt, seed=1)
    assert not np.array_equal(other.generate(replace(prompt, target_poses=moved), seed=1), still)


def test_the_record_says_untrained_and_what_it_works_at(model):
    info = model.info
    assert info.trained is False
    assert info.notice == "hydra runs with untrained weights (seed 0): its numbers are no result of the method."
    assert info.settings["works_at"] == "112x64; other sizes are scaled to it and the result back"
    assert info.settings["steps"] == 2 and info.settings["memory"]["top_k"] == 10
    config = nano()
    both = config.grids(config.context_frames, config.target_frames)
    assert info.settings["tokens"] == config.transformer.bands * sum(grid.tokens for grid in both)
    assert 0 < info.settings["tokens_seen_by_a_query"] < info.settings["tokens"]
    assert set(info.weights) == {"untrained transformer", "untrained codec"}
    assert hydra(profile="nano", seed_weights=1).info.weights != info.weights


def test_hmbench_finds_it_by_name_with_options():
    made = create_model("hydra", profile="nano", device="cpu", options={"steps": "2", "variant": "paper", "top-k": "3"})
    assert made.info.settings["steps"] == 2
    assert made.info.settings["memory"]["variant"] == "paper" and made.info.settings["memory"]["top_k"] == 3
    assert made.info.settings["noise_reaches_context"] is False


@pytest.mark.parametrize("name", ["hydra", "full-context"])
def test_the_sampler_can_be_set(name):
    own = create_model(name, profile="nano", device="cpu", options={"seed-weights": "1"}).info.settings
    assert (own["shift"], own["stochastic"]) == (5.0, True)
    asked = {"shift": "2", "stochastic": "false", "steps": "9"}
    made = create_model(name, profile="nano", device="cpu", options=asked)
    assert [made.info.settings[key] for key in ("shift", "stochastic", "steps")] == [2.0, False, 9]
    assert made.pipeline.scheduler.config["stochastic_sampling"] is False
    with pytest.raises(UserError, match=r"cannot sample so: .*self.shift=0.0 positive"):
        create_model(name, profile="nano", device="cpu", options={"shift": "0"})


@pytest.mark.parametrize("frames", [(6, 21), (21, 8), (5, 5)])
def test_lengths_that_do_not_suit_are_refused_with_a_remedy(model, prompt, frames):
    past, future = frames
    short = replace(
        prompt,
        context=prompt.context[:past],
        context_poses=prompt.context_poses[:past],
        target_poses=prompt.target_poses[:future],
    )
    with pytest.raises(UserError, match=rf"hydra cannot continue {past} frames by {future}: .*Use clips of 4k \+ 1"):
        model.generate(short, seed=0)


def test_shipped_weights_are_used_when_there_are_any(model, prompt, tmp_path, monkeypatch):
    monkeypatch.setattr(world_model, "WEIGHTS", tmp_path)
    trained = hydra(profile="nano", steps=1, seed_weights=7)
    trained.pipeline.save_pretrained(tmp_path / "nano-hydra")
    found = hydra(profile="nano")
    assert hydra(profile="mini").info.weights == found.info.weights, "nano stands in for a mini that nobody trained"
    assert found.info.trained is True and found.info.notice is None
    assert "transformer/diffusion_pytorch_model.safetensors" in found.info.weights
    assert np.array_equal(found.generate(prompt, seed=3), trained.generate(prompt, seed=3))
    assert not np.array_equal(found.generate(prompt, seed=3), model.generate(prompt, seed=3))


def test_weights_of_the_easy_world_are_asked_for_and_never_stand_in(model, tmp_path, monkeypatch):
    monkeypatch.setattr(world_model, "WEIGHTS", tmp_path)
    easy = hydra(profile="nano", steps=1, seed_weights=7)
    easy.pipeline.save_pretrained(tmp_path / "nano-easy-hydra")
    assert hydra(profile="nano").info.trained is False, "nothing of the mini world is there"
    found = hydra(profile="nano", world="mini-easy")
    assert found.info.trained is True and found.info.settings["trained_on"] == "mini-easy"
    stored = torch.cat([p.flatten() for p in found.pipeline.transformer.parameters()])
    assert torch.equal(stored, torch.cat([p.flatten() for p in easy.pipeline.transformer.parameters()]))
    assert "nano-easy-hydra stands in for it" in (hydra(profile="mini", world="mini-easy").info.notice or "")
    for options, said in (
        ({"world": "mini"}, "No weights of nano-hydra that were trained on mini ship"),
        ({"world": "mini-hard"}, "There is no world 'mini-hard'"),
        ({"world": "mini-easy", "checkpoint": tmp_path / "nano-easy-hydra"}, "checkpoint and world both choose"),
    ):
        with pytest.raises(UserError, match=said):
            hydra(profile="nano", **options)
    easy.pipeline.save_pretrained(tmp_path / "nano-hydra")
    assert "trained_on" not in hydra(profile="nano").info.settings


def test_a_saved_pipeline_and_a_file_of_weights_are_checkpoints(model, prompt, tmp_path):
    source = hydra(profile="nano", steps=1, seed_weights=7)
    source.pipeline.save_pretrained(tmp_path / "saved")
    save_file(source.pipeline.transformer.state_dict(), tmp_path / "w.safetensors")
    from_folder = hydra(profile="mini", checkpoint=tmp_path / "saved")
    assert from_folder.info.settings["works_at"].startswith("112x64")
    assert np.array_equal(from_folder.generate(prompt, seed=1), source.generate(prompt, seed=1))
    from_file = hydra(profile="nano", checkpoint=tmp_path / "w.safetensors")
    assert list(from_file.info.weights) == ["w.safetensors"]
    with pytest.raises(UserError, match=r"do not fit the model: .*Give weights of the profile it was made for"):
        hydra(profile="mini", checkpoint=tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profile": "midi"}, "There is no profile 'midi'. Did you mean 'mini'"),
        ({"profile": "paper"}, "paper-hydra exists only as trained weights, and none was given. Fetch them with"),
        ({"device": "gpu"}, "'gpu' is no torch device. Use cpu, cuda"),
        ({"top_k": 0}, "The memory cannot be set so: .*top_k=0"),
    ],
)
def test_options_that_cannot_work_are_refused_in_a_sentence(options, message):
    with pytest.raises(UserError, match=message):
        hydra(**{"profile": "nano", **options})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_missing_gpu_is_said():
    with pytest.raises(UserError, match=r"The device cuda is not available: torch finds no CUDA. Use --device cpu."):
        hydra(device="cuda")


def test_weights_of_another_version_are_not_taken_for_this_ones(tmp_path, model):
    """Diffusers leaves settings out that it does not know; what they did to the numbers would be lost silently."""
    model.pipeline.save_pretrained(tmp_path)
    path = tmp_path / "transformer" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "carries": True}))
    with pytest.raises(UserError, match="settings that this version of hmbench does not know: carries"):
        hydra(checkpoint=tmp_path)


def test_missing_and_broken_checkpoints_are_said(tmp_path):
    with pytest.raises(UserError, match=r"There is no checkpoint .*gone\.ckpt\. Check the path"):
        hydra(profile="nano", checkpoint=tmp_path / "gone.ckpt")
    with pytest.raises(UserError, match="holds no usable pipeline"):
        hydra(profile="nano", checkpoint=tmp_path)
    (tmp_path / "text.safetensors").write_text("no tensors")
    with pytest.raises(UserError, match=r"text\.safetensors is no safetensors file, or it is cut off"):
        hydra(profile="nano", checkpoint=tmp_path / "text.safetensors")


def test_pixels_survive_the_way_into_networks_and_back():
    video = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    assert np.array_equal(to_video(to_tensor(video)), video)
    assert to_tensor(video).min() == -1 and to_tensor(video).max() == 1


def test_a_pipeline_is_what_it_holds(model):
    assert isinstance(model.pipeline, HydraPipeline)
