"""The loop: resumes to the same losses, stops with a sentence, trains what its rule says, ends in a usable model."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from training_toys import LIKE, Waves, pico

from hmbench.registry import create_model
from hmbench.types import Intrinsics, Prompt
from reference_model.model.hydra_memory import HydraMemory
from reference_model.model.memory import FullMemory
from reference_model.model.trainable import trainable_parameters
from reference_model.released.checkpoint import state_digest
from reference_model.sampling.pipeline import HydraPipeline, build_scheduler
from reference_model.sampling.saved import load_saved
from reference_model.training import loop as loop_module
from reference_model.training.cache import LatentCache
from reference_model.training.ema import WeightAverage, restore
from reference_model.training.monitor import Silent, read_metrics
from reference_model.training.run import TrainingRequest, run_training
from reference_model.training.shards import compute_under
from reference_model.training.start import start_with_a_copy
from reference_model.training.stop import TrainingStoppedError
from reference_model.training.validation import sample_clip


def asked(tmp_path, config, name="run", **changes):
    options = {"config": config, "source": Waves(), "out": tmp_path / name, "prepared": tmp_path / "prepared"}
    return TrainingRequest(**{**options, **changes})


def losses(folder):
    return {row["step"]: row["loss"] for row in read_metrics(folder) if "loss" in row}


def transformer_digest(folder):
    return state_digest(HydraPipeline.from_pretrained(folder).transformer)


class KilledAt(Silent):
    def __init__(self, step):
        self.step = step

    def advance(self, done, note):
        if done == self.step and note.startswith("loss"):
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """An uninterrupted run."""
    folder = tmp_path_factory.mktemp("runs")
    run_training(asked(folder, pico()))
    return folder


@pytest.fixture(scope="module", params=LIKE)
def whole(request, tmp_path_factory, finished):
    """An uninterrupted run of each kind of transformer, and its kind."""
    if request.param == "wan":
        return finished, "wan"
    folder = tmp_path_factory.mktemp(request.param)
    run_training(asked(folder, pico(like=request.param)))
    return folder, request.param


def test_a_killed_run_ends_like_an_uninterrupted_one(whole):
    finished, like = whole
    for stop in (6, 3):  # after the checkpoint of step 4, and before it
        killed = asked(finished, pico(like=like), f"killed-{stop}")
        with pytest.raises(KeyboardInterrupt):
            # the codec's progress also speaks of losses, but its 4 steps are done: the stage is prepared already
            run_training(killed, KilledAt(stop))
        run_training(killed)
        assert losses(killed.out) == losses(finished / "run"), f"killed at {stop}"
        assert transformer_digest(killed.out) == transformer_digest(finished / "run")


def test_killed_before_a_checkpoint_it_validates_once_at_the_start(tmp_path, finished):
    killed = asked(tmp_path, pico(), prepared=finished / "prepared")
    with pytest.raises(KeyboardInterrupt):
        run_training(killed, KilledAt(2))
    assert [row["step"] for row in read_metrics(killed.out)] == [0, 1, 2]
    run_training(killed)
    assert [row["step"] for row in read_metrics(killed.out) if "validation" in row] == [0, 4, 8]


def test_losses_and_validation_are_written_once_each(finished):
    rows = read_metrics(finished / "run")
    assert sorted(losses(finished / "run")) == list(range(1, 9))
    assert [row["step"] for row in rows if "validation" in row] == [0, 4, 8]
    assert all(math.isfinite(row["sample_psnr"]) for row in rows if "validation" in row and row["step"])
    assert {"samples_per_second", "data_wait", "memory_gb", "learning_rate"} <= set(rows[1])
    assert (finished / "run" / "loss.png").stat().st_size > 1000
    assert (finished / "run" / "samples" / "step-00000008.png").is_file()
    assert any((finished / "run" / "tensorboard").iterdir())


def test_training_lowers_the_validation_loss(tmp_path, finished):
    longer = asked(tmp_path, pico(steps=120, validate_every=120, checkpoint_every=120), prepared=finished / "prepared")
    run_training(longer)
    first, last = (row["validation"] for row in read_metrics(longer.out) if "validation" in row)
    assert last < 0.8 * first


def test_seeds_matter(tmp_path, finished):
    other = asked(tmp_path, pico(steps=2), seed=1, prepared=finished / "prepared")
    run_training(other)
    assert losses(other.out)[1] != losses(finished / "run")[1]


def test_a_loss_that_is_no_number_stops_and_keeps_checkpoints(tmp_path, finished, monkeypatch):
    real = loop_module.flow_loss
    calls = []

    def broken(*arguments):
        calls.append(1)
        return real(*arguments) * (math.nan if len(calls) == 6 else 1)

    monkeypatch.setattr(loop_module, "flow_loss", broken)
    wanted = asked(tmp_path, pico(), prepared=finished / "prepared")
    with pytest.raises(TrainingStoppedError, match=r"The loss of step 6 is nan: .*step-00000004 is the newest"):
        run_training(wanted)
    assert [p.name for p in (wanted.out / "checkpoints").iterdir()] == ["step-00000004"]
    monkeypatch.setattr(loop_module, "flow_loss", real)
    run_training(wanted)
    assert losses(wanted.out) == losses(finished / "run")


def poison(transformer, when):
    """Makes a gradient NaN while the loss stays finite, in the backward pass of a step counted from 1."""
    calls = []

    def spoil(gradient):
        calls.append(1)
        return gradient * math.nan if len(calls) == when else gradient

    transformer.proj_out.weight.register_hook(spoil)


def test_a_gradient_that_is_no_number_stops_before_it_reaches_a_weight(tmp_path, finished, monkeypatch):
    real = loop_module.freeze

    def freeze(model, rule):
        poison(model, 6)
        return real(model, rule)

    monkeypatch.setattr(loop_module, "freeze", freeze)
    wanted = asked(tmp_path, pico(steps=6), prepared=finished / "prepared")
    with pytest.raises(TrainingStoppedError, match=r"The gradient of step 6 has the length nan: .*step-00000004 is"):
        run_training(wanted)
    assert [p.name for p in (wanted.out / "checkpoints").iterdir()] == ["step-00000004"]
    assert not (wanted.out / "model_index.json").exists(), "the last step's weights are no model"


def test_a_validation_that_is_no_number_stops_before_it_is_saved(tmp_path, finished, monkeypatch):
    real = loop_module.validation_loss
    calls = []

    def broken(*arguments):
        calls.append(1)
        return real(*arguments) | ({"validation": math.nan} if len(calls) == 3 else {})

    monkeypatch.setattr(loop_module, "validation_loss", broken)
    wanted = asked(tmp_path, pico(), prepared=finished / "prepared")
    with pytest.raises(TrainingStoppedError, match=r"The validation loss after step 8 is nan: .*step-00000004 is"):
        run_training(wanted)
    assert [p.name for p in (wanted.out / "checkpoints").iterdir()] == ["step-00000004"]
    assert not (wanted.out / "model_index.json").exists()


def test_what_a_killed_process_was_writing_is_removed(tmp_path, finished):
    wanted = asked(tmp_path, pico(steps=2), prepared=finished / "prepared")
    half = wanted.out / "checkpoints" / ".step-00000001"
    half.mkdir(parents=True)
    (half / "model.safetensors").write_bytes(b"half")
    run_training(wanted)
    assert [p.name for p in (wanted.out / "checkpoints").iterdir()] == ["step-00000002"]


def test_parts_of_a_batch_train_like_the_whole(tmp_path, whole):
    finished, like = whole
    parts = asked(tmp_path, pico(micro_batch=1, like=like), prepared=finished / "prepared")
    run_training(parts)
    at_once = losses(finished / "run")
    assert [losses(parts.out)[k] for k in at_once] == pytest.approx(list(at_once.values()), rel=1e-4)


def test_gradient_checkpointing_changes_nothing(tmp_path, finished):
    config = pico(gradient_checkpointing=True)
    frugal = asked(tmp_path, config, prepared=finished / "prepared")
    run_training(frugal)
    whole = losses(finished / "run")
    assert [losses(frugal.out)[k] for k in whole] == pytest.approx(list(whole.values()), rel=1e-4)


def test_the_papers_rule_leaves_the_rest_alone(tmp_path, finished):
    config = replace(pico(steps=3), rule="paper")
    job = asked(tmp_path, config, prepared=finished / "prepared")
    run_training(job)
    trained = HydraPipeline.from_pretrained(job.out).transformer.state_dict()
    from reference_model.sampling.pipeline import build_pipeline

    fresh = build_pipeline(config.model, 0).transformer
    start_with_a_copy(fresh, 0)
    changed = {name for name, value in fresh.state_dict().items() if not torch.equal(value, trained[name])}
    allowed = set(trainable_parameters(fresh, "paper"))
    assert changed and changed <= allowed and not any("ffn" in name or "attn2" in name for name in changed)


@pytest.mark.parametrize("memory", [{"kind": "full"}, {"kind": "baselines.recent_window:RecentWindow", "frames": 1}])
def test_rivals_train_by_the_same_loop(tmp_path, finished, memory):
    import baselines.recent_window  # noqa: F401  a description may only name what is imported

    config = pico(steps=2, memory=memory)
    run_training(asked(tmp_path, config, prepared=finished / "prepared"))
    assert len(losses(tmp_path / "run")) == 2


def test_per_frame_levels_train(tmp_path, finished):
    config = pico(steps=2, memory={"kind": "full"})
    config = replace(config, flow=replace(config.flow, levels="per_frame"))
    run_training(asked(tmp_path, config, prepared=finished / "prepared"))
    assert all(math.isfinite(v) for v in losses(tmp_path / "run").values())


def test_every_forward_pass_runs_in_the_context_it_is_given():
    layer = torch.nn.Linear(4, 4)
    compute_under(layer, lambda: torch.autocast("cpu", torch.bfloat16))
    made = layer(torch.ones(1, 4))
    assert made.dtype == torch.bfloat16 and layer.weight.dtype == torch.float32
    made.float().sum().backward()
    assert layer.weight.grad.dtype == torch.float32


@pytest.mark.parametrize(("weight", "masked", "said"), [(4.0, False, True), (1.0, False, False), (4.0, True, False)])
def test_a_weight_on_subjects_that_no_mask_shows_is_told(tmp_path, weight, masked, said):
    class Clips(Waves):
        def load(self, clip_id):
            clip = super().load(clip_id)
            return replace(clip, subjects=np.ones(clip.target.shape[:3], bool)) if masked else clip

    class Told(Silent):
        notices = ()

        def notice(self, text):
            self.notices = (*self.notices, text)

    config = pico(steps=1, memory={"kind": "full"})
    config = replace(config, flow=replace(config.flow, subject_weight=weight))
    told = Told()
    run_training(asked(tmp_path, config, source=Clips()), told)
    assert any("no clip has a mask that shows a subject" in notice for notice in told.notices) is said


def test_memories_take_turns_on_one_backbone(tmp_path, monkeypatch):
    """Step by step; what is validated, sampled and saved is the model with its own memory."""
    seen = []

    def watched(kind):
        real = kind.attend

        def attend(self, call, plan):
            if call.block == 0:
                seen.append((kind.__name__, torch.is_grad_enabled()))
            return real(self, call, plan)

        monkeypatch.setattr(kind, "attend", attend)

    watched(HydraMemory)
    watched(FullMemory)
    config = replace(pico(steps=5), also=({"kind": "full"},))
    run_training(asked(tmp_path, config, "both"))
    assert [name for name, training in seen if training] == ["HydraMemory", "FullMemory"] * 2 + ["HydraMemory"]
    assert {name for name, training in seen if not training} == {"HydraMemory"}

    saved = load_saved(tmp_path / "both").transformer
    assert isinstance(saved.memory, HydraMemory)
    assert any(name.startswith("memory.") for name in saved.state_dict())
    assert json.loads((tmp_path / "both" / "train.json").read_text())["config"]["also"] == [{"kind": "full"}]

    card = (tmp_path / "both" / "README.md").read_text(encoding="utf-8")
    assert "| steps | 5 of 2 clips (10 samples), in turn under this memory and `full` |" in card

    killed = asked(tmp_path, config, "killed")
    with pytest.raises(KeyboardInterrupt):
        run_training(killed, KilledAt(5))
    run_training(killed)
    assert losses(killed.out) == losses(tmp_path / "both")
    assert transformer_digest(killed.out) == transformer_digest(tmp_path / "both")

    alone = pico(steps=5)
    run_training(asked(tmp_path, alone, "alone"))
    first, others = losses(tmp_path / "alone").pop(1), losses(tmp_path / "both")
    assert others[1] == first, "the first turn is the model's own"
    assert others[2] != losses(tmp_path / "alone")[2]


def test_samples_of_a_training_are_those_of_their_seed(finished):
    """Noise drawn anew at every step is no exception: film strips of two runs may be compared."""
    pipeline = load_saved(finished / "run")
    pipeline.register_modules(scheduler=build_scheduler(3.0, stochastic=True))
    cache = LatentCache(finished / "prepared" / "latents")
    clip = cache.batch([cache.ids[0]])
    torch.manual_seed(1)
    first = sample_clip(pipeline, clip, seed=4)
    torch.manual_seed(2)
    assert (sample_clip(pipeline, clip, seed=4) == first).all()
    assert not (sample_clip(pipeline, clip, seed=5) == first).all()


def test_averages_follow_the_formula():
    layer = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    average = WeightAverage(layer, 0.5)
    expected = 1.0
    for step in range(12):
        with torch.no_grad():
            layer.weight.fill_(float(step))
        average.update(layer, step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    assert float(average.weights["weight"]) == pytest.approx(expected, rel=1e-5)
    old = average.swap(layer)
    assert float(layer.weight.detach()) == pytest.approx(expected, rel=1e-5)
    restore(layer, old)
    assert float(layer.weight.detach()) == 11.0


def test_the_folder_is_a_model_that_hmbench_loads(finished):
    folder = finished / "run"
    assert json.loads((folder / "hmbench_model.json").read_text()) == {"model": "hydra"}
    model = create_model(str(folder), profile="mini", device="cpu", options={"steps": "1"})
    assert model.info.trained is True and "transformer/diffusion_pytorch_model.safetensors" in model.info.weights
    digests = json.loads((folder / "digests.json").read_text())
    assert (
        model.info.weights["transformer/diffusion_pytorch_model.safetensors"]
        == (digests["transformer/diffusion_pytorch_model.safetensors"])
    )
    poses = np.tile(np.eye(4), (21, 1, 1))
    prompt = Prompt(
        context=Waves().load("wave-001").context,
        context_poses=poses,
        target_poses=poses,
        caption="",
        fps=15.0,
        intrinsics=Intrinsics(focal=40.0, width=32, height=16),
    )
    assert model.generate(prompt, seed=0).shape == (21, 16, 32, 3)


def test_the_card_says_what_made_the_weights(finished):
    card = (finished / "run" / "README.md").read_text()
    assert "# pico-hydra" in card and "revision `waves-10-21`, 8 clips" in card
    assert "thread(s), 1 process |" in card and "8 of 2 clips (16 samples)" in card
    assert "(step 0) to" in card and "dB on held-out clips" in card


def test_preparation_is_shared_between_runs(tmp_path, finished):
    source = Waves()
    run_training(asked(tmp_path, pico(steps=1), prepared=finished / "prepared", source=source))
    assert source.loaded == [], "codec and latents were there"


def test_a_finished_run_can_be_shipped_and_a_changed_one_cannot(tmp_path, finished, monkeypatch):
    from reference_model.training import ship as ship_module

    folder = ship_module.ship(finished / "run", tmp_path, steps=2, note="Trained for a test.")
    assert folder == tmp_path / "pico-hydra"
    assert HydraPipeline.from_pretrained(folder).config["steps"] == 2
    assert (folder / "README.md").read_text().endswith("\nTrained for a test.\n")
    own = HydraPipeline.from_pretrained(finished / "run").transformer.state_dict()
    stored = HydraPipeline.from_pretrained(folder).transformer.state_dict()
    for name, value in own.items():
        rounded = value.bfloat16().float()
        assert torch.equal(stored[name].float(), rounded) or torch.equal(stored[name], value), name
    file = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    assert file.stat().st_size < 0.75 * (finished / "run" / file.relative_to(folder)).stat().st_size
    model = create_model(str(folder), profile="mini", device="cpu")
    assert {value.dtype for value in model.pipeline.transformer.state_dict().values()} == {torch.float32}
    assert not (folder / "checkpoints").exists() and (folder / "loss.png").is_file()
    assert (folder / "README.md").read_text().startswith("# pico-hydra\n\nMemory ")
    easy = shutil.copytree(finished / "run", tmp_path / "easy")
    record = json.loads((easy / "train.json").read_text())
    (easy / "train.json").write_text(json.dumps({**record, "data": "mini-easy-v1 generator 3, easy-train split"}))
    there = ship_module.ship(easy, tmp_path)
    assert there == tmp_path / "pico-easy-hydra"
    assert (there / "README.md").read_text().startswith("# pico-easy-hydra\n\nMemory ")
    with pytest.raises(TrainingStoppedError, match="holds no finished model"):
        ship_module.ship(tmp_path, tmp_path)
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(TrainingStoppedError, match="is not what the run wrote"):
        ship_module.ship(folder, tmp_path / "again")
    monkeypatch.setattr(ship_module, "LARGEST", 1000)
    with pytest.raises(TrainingStoppedError, match="a package carries at most 0 MB"):
        ship_module.ship(finished / "run", tmp_path / "large")
