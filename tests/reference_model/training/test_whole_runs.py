"""Runs from outside: two processes, a kill -9, one clip learned by heart, and the command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_toys import FRAMES, HEIGHT, LIKE, WIDTH, Waves, pico
from typer.testing import CliRunner

from hmbench.cli import app
from hmbench.errors import UserError
from hmbench.types import Intrinsics, Prompt
from reference_model.sampling.models import hydra
from reference_model.sampling.saved import load_saved
from reference_model.training.cli import PRESETS
from reference_model.training.clips import TrainingClip
from reference_model.training.config import TRAINING
from reference_model.training.monitor import read_metrics
from reference_model.training.options import TrainOptions
from reference_model.training.run import TrainingRequest, run_training
from reference_model.training.trainer import open_source, training_config
from reference_model.training.validation import decode, psnr

HERE = Path(__file__).resolve()
WORKER = """
import sys
sys.path[:0] = {paths!r}
from pathlib import Path
from training_toys import Waves, pico
from reference_model.training.processes import make_accelerator
from reference_model.training.run import TrainingRequest, run_training
config = pico(steps={steps}, batch=4, like={like!r})
{change}
assert make_accelerator(config, "cpu").num_processes == {processes}
run_training(TrainingRequest(config=config, source=Waves(), out=Path({out!r})))
"""


def worker(out, steps=8, like="wan", processes=1, change=""):
    paths = [str(HERE.parents[3]), str(HERE.parents[2])]
    return WORKER.format(paths=paths, out=str(out), steps=steps, like=like, processes=processes, change=change)


def losses(folder):
    return {row["step"]: row["loss"] for row in read_metrics(folder) if "loss" in row}


def environment(**more):
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


TURNS = """
from dataclasses import replace
config = replace(config, also=({"kind": "full"},))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("like", "change"), [*((like, "") for like in LIKE), ("wan", TURNS)], ids=(*LIKE, "turns"))
def test_two_processes_train_like_one(tmp_path, like, change):
    script = tmp_path / "worker.py"
    together = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    for processes, launch in ((1, []), (2, together)):
        # `accelerate launch --cpu` starts a single process where there is no MPI: the worker counts
        script.write_text(worker(tmp_path / str(processes), like=like, processes=processes, change=change))
        command = [sys.executable, *launch, str(script)]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    one, two = losses(tmp_path / "1"), losses(tmp_path / "2")
    assert list(one) == list(two) == list(range(1, 9))
    assert list(two.values()) == pytest.approx(list(one.values()), rel=1e-3)
    assert two[1] == pytest.approx(one[1], rel=1e-5), "nothing but the order of sums differs"
    for processes, said in ((1, ", 1 process |"), (2, ", 2 processes |")):
        assert said in (tmp_path / str(processes) / "README.md").read_text(encoding="utf-8")


POISON = """
import math
from reference_model.training import loop
real = loop.freeze

def freeze(model, rule):
    from accelerate import PartialState
    if PartialState().process_index == 1:
        model.proj_out.weight.register_hook(lambda gradient: gradient * math.nan)
    return real(model, rule)

loop.freeze = freeze
"""


@pytest.mark.slow
def test_a_gradient_that_is_no_number_on_one_process_stops_all(tmp_path):
    script = tmp_path / "worker.py"
    lines = worker(tmp_path / "run", processes=2).splitlines()
    script.write_text("\n".join([*lines[:-1], POISON, lines[-1]]))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode, "it cannot have trained"
    said = "The gradient of step 1 has the length nan: training diverged"
    assert said in done.stderr and "no checkpoint was due yet" in done.stderr, done.stderr[-2000:]
    assert not list((tmp_path / "run").glob("checkpoints/*")) and not (tmp_path / "run" / "digests.json").exists()


SHARDS = """
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedType
from reference_model.training import processes

class Shards(Accelerator):
    contexts = 0

    def autocast(self, *settings, **named):
        Shards.contexts += 1
        return super().autocast(*settings, **named)

    # accelerate turns FSDP on for GPUs only; torch shards models on CPUs as well
    def __init__(self, **settings):
        super().__init__(**settings)
        self.state.fsdp_plugin = processes.shards_plugin()
        assert not self.state.fsdp_plugin.cpu_ram_efficient_loading
        self.state.distributed_type = DistributedType.FSDP
        PartialState._shared_state["distributed_type"] = DistributedType.FSDP

processes.Accelerator = Shards
from reference_model.training import shards
real = shards.whole_model

def whole_model(model, wanted):
    held = sum(shards.own_part(p).numel() for p in model.parameters())
    total = sum(p.numel() for p in model.parameters())
    assert Shards.contexts > 8, "mixed precision is accelerate's, in every forward pass"
    assert shards.is_sharded(model) and held < 0.6 * total, (held, total)
    return real(model, wanted)

from reference_model.training import loop
loop.whole_model = whole_model
"""


AS_PAPER = """
from dataclasses import replace
config = replace(config, rule="paper", run=replace(config.run, ema=None, micro_batch=1, gradient_checkpointing=True))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("like", "change"), [*((like, "") for like in LIKE), ("wan", AS_PAPER + TURNS)], ids=(*LIKE, "paper")
)
def test_two_processes_with_half_a_model_each_train_like_one(tmp_path, like, change):
    """FSDP 2: losses, validation, samples and the saved model are those of a whole model; so are they after a stop."""
    script = tmp_path / "worker.py"
    alone = worker(tmp_path / "whole", like=like, change=change)
    assert subprocess.run([sys.executable, "-c", alone], env=environment(), check=False).returncode == 0
    lines = worker(tmp_path / "shards", like=like, processes=2, change=change).splitlines()
    # before the accelerator is made, after what it is made of was imported
    first = next(k for k, line in enumerate(lines) if line.startswith("config ="))
    script.write_text("\n".join([*lines[:first], SHARDS, *lines[first:]]))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]

    # as `accelerate launch --use_fsdp --fsdp_version 2` sets them
    asked = {"FSDP_VERSION": "2", "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP"}
    asked["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "true"

    def run():
        done = subprocess.run(command, env=environment(**asked), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return losses(tmp_path / "shards")

    whole, shards = losses(tmp_path / "whole"), run()
    assert list(shards) == list(range(1, 9))
    assert list(shards.values()) == pytest.approx(list(whole.values()), rel=1e-3)
    watched = [[row for row in read_metrics(tmp_path / name) if "validation" in row] for name in ("shards", "whole")]
    assert len(watched[0]) == len(watched[1]) > 1
    for row, other in zip(*watched, strict=True):
        assert row == pytest.approx(other, rel=2e-3)
    saved = [load_saved(tmp_path / name).transformer.state_dict() for name in ("shards", "whole")]
    assert saved[0].keys() == saved[1].keys()
    for name, value in saved[0].items():
        torch.testing.assert_close(value, saved[1][name], rtol=0.02, atol=2e-3)

    shutil.rmtree(sorted((tmp_path / "shards" / "checkpoints").glob("step-*"))[-1])
    (tmp_path / "shards" / "digests.json").unlink()
    kept = [row for row in read_metrics(tmp_path / "shards") if row["step"] <= 4]
    again = run()
    # samples a second are never the same twice
    assert kept == [row for row in read_metrics(tmp_path / "shards") if row["step"] <= 4] != [], "it began anew"
    assert list(again.values()) == pytest.approx(list(shards.values()), rel=1e-6)
    for name, value in load_saved(tmp_path / "shards").transformer.state_dict().items():
        torch.testing.assert_close(value, saved[0][name])

    shutil.rmtree(sorted((tmp_path / "shards" / "checkpoints").glob("step-*"))[-1])
    (tmp_path / "shards" / "digests.json").unlink()
    whole_again = worker(tmp_path / "shards", like=like, change=change)
    done = subprocess.run(
        [sys.executable, "-c", whole_again], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode and "was written by a sharded model" in done.stderr, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("like", LIKE)
def test_kill_9_and_the_same_command_again(tmp_path, like):
    steps = 40
    calm = worker(tmp_path / "calm", steps, like)
    assert subprocess.run([sys.executable, "-c", calm], env=environment(), check=False).returncode == 0
    command = [sys.executable, "-c", worker(tmp_path / "killed", steps, like)]
    running = subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL)
    checkpoints = tmp_path / "killed" / "checkpoints"
    while running.poll() is None and not list(checkpoints.glob("step-0000001*")):
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL, "it was alive"
    assert not (tmp_path / "killed" / "model_index.json").exists()
    assert subprocess.run(command, env=environment(), check=False).returncode == 0
    assert losses(tmp_path / "killed") == losses(tmp_path / "calm")
    digests = [(tmp_path / name / "digests.json").read_text() for name in ("killed", "calm")]
    assert digests[0] == digests[1], "bit for bit the same model"


class LeftAndRight(Waves):
    """Two clips with one past and one caption: in one the camera turns left, in the other right."""

    name = "left and right"

    def __init__(self):
        super().__init__(2)

    def load(self, clip_id):
        sign = 1 if clip_id.endswith("0") else -1
        turn = np.concatenate((np.zeros(FRAMES), np.linspace(0, 0.6, FRAMES)))
        y, x = np.mgrid[:HEIGHT, :WIDTH]
        heading = sign * turn[:, None, None] + (x - WIDTH / 2) / 40
        red = 128 + 90 * np.sin(7 * heading)
        green = 128 + 80 * np.cos(4 * heading) * np.ones_like(y)
        blue = np.where(y < HEIGHT / 2, 210, 60) * np.ones_like(heading)
        video = np.stack([red, green, blue], axis=-1).clip(0, 255).astype(np.uint8)
        poses = np.tile(np.eye(4), (2 * FRAMES, 1, 1))
        poses[:, 0, 0] = poses[:, 2, 2] = np.cos(turn)
        poses[:, 0, 2], poses[:, 2, 0] = sign * np.sin(turn), -sign * np.sin(turn)
        return TrainingClip(
            context=video[:FRAMES], target=video[FRAMES:], context_poses=poses[:FRAMES],
            target_poses=poses[FRAMES:], caption="a coloured band",
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("like", LIKE)
def test_two_clips_are_learned_by_heart_and_told_apart_by_camera_alone(tmp_path, like):
    """Codec, cameras, loss and sampler agree: what was trained on the cache comes out of the world model."""
    source = LeftAndRight()
    recipe = pico(steps=900, batch=4, validation_clips=0, sample_clips=0, ema=0.98, like=like)
    transformer = replace(recipe.model.transformer, dim=64, heads=2, ffn_dim=128)
    config = replace(
        recipe,
        model=replace(recipe.model, transformer=transformer, sampler=replace(recipe.model.sampler, steps=20)),
        flow=replace(recipe.flow, weighting="none", text_dropout=0.0),
        optimizer=replace(recipe.optimizer, learning_rate=3e-3, warmup=50, final=0.02),
        run=replace(recipe.run, checkpoint_every=900, validate_every=900, log_every=50),
    )
    run_training(TrainingRequest(config=config, source=source, out=tmp_path))
    model = hydra(checkpoint=tmp_path)
    made = {}
    for clip_id in source.ids():
        clip = source.load(clip_id)
        prompt = Prompt(
            context=clip.context, context_poses=clip.context_poses, target_poses=clip.target_poses,
            caption=clip.caption, fps=15.0, intrinsics=Intrinsics(focal=40.0, width=WIDTH, height=HEIGHT),
        )  # fmt: skip
        made[clip_id] = model.generate(prompt, seed=4)
        pipeline = load_saved(tmp_path, type(model.pipeline))
        ceiling = decode(pipeline, pipeline.encode_video(clip.halves()[1]))
        assert psnr(made[clip_id], ceiling) > 28, clip_id
    left, right = made.values()
    assert psnr(left, right) < 20


def test_options_become_a_recipe():
    config = training_config(TrainOptions(out=Path("x"), memory="dfot", steps=7, batch=6, checkpoint_every=3))
    assert config.steps == 7 and config.run.batch == 6 and config.run.validate_every == 3
    assert config.flow.levels == "per_frame" and config.model.transformer.conditioning == "clean_context"
    assert config.model.name == "nano-dfot"
    paper = training_config(TrainOptions(out=Path("x"), preset="paper"))
    assert (paper.rule, paper.optimizer.learning_rate, paper.run.batch) == ("paper", 1e-5, 32)
    assert paper.flow.weighting == "released" and paper.flow.shift == 5.0 and paper.flow.channel_power == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "mega"}, "There is no preset 'mega'. Available: mini, nano, paper."),
        ({"memory": "hydrra"}, "There is no memory 'hydrra'. Did you mean 'hydra'"),
        ({"steps": 0}, "This cannot be trained: self.steps=0 must be at least 1"),
    ],
)
def test_mistakes_in_options_are_said(options, message):
    with pytest.raises(UserError, match=message):
        training_config(TrainOptions(out=Path("x"), **options))


def test_the_papers_model_needs_wan(tmp_path, disc_folder):
    from reference_model.training.trainer import train

    with pytest.raises(UserError, match=r"starts from Wan 2.1, and no folder has .*Give --base"):
        train(TrainOptions(out=tmp_path / "run", preset="paper", data=str(disc_folder), split="all"))


def test_a_folder_of_clips_is_read_with_and_without_masks(disc_folder, discs):
    options = TrainOptions(out=Path("x"), data=str(disc_folder), split="all")
    source = open_source(options, (80, 48), (9, 9))
    seen = source.load(source.ids()[0]).subjects
    assert seen.shape == (9, 48, 80) and seen.any() and not seen.all()
    for mask in disc_folder.glob("*/*_mask.mp4"):
        mask.unlink()
    clip = source.load(source.ids()[0])
    assert clip.subjects is None
    assert clip.context.shape == clip.target.shape == (9, 48, 80, 3) and "disc" in clip.caption
    assert len(source.revision()) == 16
    smaller = open_source(options, (32, 16), (9, 9)).load(source.ids()[0])
    assert smaller.target.shape == (9, 16, 32, 3)
    with pytest.raises(UserError, match="has 9 context and 9 target frames; the preset trains on 77 and 77"):
        open_source(options, (80, 48), (77, 77)).load(source.ids()[0])
    with pytest.raises(UserError, match="has no clips"):
        open_source(replace(options, split="train", clips=0), (80, 48), (9, 9))


def test_the_embedded_world_gives_its_training_clips():
    source = open_source(TrainOptions(out=Path("x"), data="mini", clips=3), (32, 32), (5, 5))
    assert source.ids() == ("slot-00000", "slot-00001", "slot-00002")
    clip = source.load("slot-00001")
    assert clip.subjects.shape == (5, 32, 32) and clip.subjects.any()
    assert clip.context.shape == (5, 32, 32, 3) and clip.context_poses.shape == (5, 4, 4) and "camera" in clip.caption
    assert (source.load("slot-00001").target == clip.target).all()


def test_the_command_trains_with_any_installed_trainer(tmp_path, monkeypatch):
    seen = {}

    def fake(options, listener):
        seen.update(options)
        listener.stage("transformer", 2, 0)
        listener.advance(1, "loss 0.5")
        listener.notice("step 1: validation 0.7 [not markup]")
        return options["out"]

    monkeypatch.setattr("hmbench.cli.train.find_trainer", lambda name: fake)
    out = str(tmp_path / "run")
    result = CliRunner().invoke(app, ["train-reference", "--memory", "full-context", "--steps", "5", "--out", out])
    assert result.exit_code == 0, result.output
    assert seen["memory"] == "full-context" and seen["steps"] == 5 and seen["out"] == Path(out)
    assert set(seen) == set(TrainOptions.__dataclass_fields__), "every option reaches the trainer"
    assert f"hmbench eval --model {out}" in result.output.replace("\n", "")


def test_presets_are_told_without_importing_the_recipes():
    assert set(PRESETS) == set(TRAINING)


def test_unknown_trainers_are_said():
    from hmbench.cli.train import find_trainer

    with pytest.raises(UserError, match="There is no trainer 'refernce'"):
        find_trainer("refernce")


def test_train_json_holds_what_was_asked(tmp_path):
    config = pico(steps=1)
    run_training(TrainingRequest(config=config, source=Waves(4), out=tmp_path, command="hmbench train-reference x"))
    asked = json.loads((tmp_path / "train.json").read_text())
    assert asked["command"] == "hmbench train-reference x" and asked["config"]["optimizer"]["warmup"] == 2
