"""What is refused, when, and in which words: before anything is prepared, and without spoiling the folder."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from training_toys import MEMORY, Waves, pico

from hmbench.errors import UserError
from reference_model.training import processes
from reference_model.training.flow import noise_levels
from reference_model.training.options import TrainOptions
from reference_model.training.processes import make_accelerator, share, training_device
from reference_model.training.request import check_request, differences
from reference_model.training.run import TrainingRequest, run_training
from reference_model.training.stop import TrainingStoppedError
from reference_model.training.trainer import training_config


def request(folder, config=None, name="run", **changes):
    options = {"config": config or pico(2), "source": Waves(), "out": folder / name, "prepared": folder / "prepared"}
    return TrainingRequest(**{**options, **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    run_training(request(folder))
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": Waves(2)}, "2 clips cannot spare 2 for validation.* more --clips, or fewer --validation-clips"),
        ({"base": "nowhere"}, "nowhere holds no finished run"),
        ({"device": "cuda"}, "The device cuda is not available: torch finds no CUDA"),
        ({"device": "gpu"}, "'gpu' is no device.* --device cpu, cuda or cuda:1"),
        ({"device": "meta"}, "'meta' is no device that training knows"),
    ],
)
def test_refusals_leave_no_trace(tmp_path, monkeypatch, changes, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    asked = request(tmp_path, **changes)
    if asked.base:
        asked = replace(asked, base=tmp_path / asked.base)
    with pytest.raises(TrainingStoppedError, match=message):
        run_training(asked)
    assert list(tmp_path.iterdir()) == [] and asked.source.loaded == []


def test_a_batch_must_be_shareable(tmp_path):
    with pytest.raises(TrainingStoppedError, match="A batch of 2 clips cannot be shared by 3 processes"):
        check_request(request(tmp_path), 3)
    assert share(6, 3) == 2


def test_a_base_that_cannot_fit_is_refused_before_preparing(tmp_path, finished):
    wide = pico(2)
    wide = replace(wide, model=replace(wide.model, transformer=replace(wide.model.transformer, layers=3)))
    half = tmp_path / "half"
    (half / "codec-checkpoints").mkdir(parents=True)
    for changes, message in (
        ({"prepared": half}, r"half holds a codec that is half trained, and .* goes on only with its own"),
        ({"config": wide}, r"other sizes \(first difference: blocks\.2\."),
    ):
        asked = request(tmp_path, **{"base": finished / "run", "prepared": finished / "prepared", **changes})
        with pytest.raises(TrainingStoppedError, match=message):
            run_training(asked)
        assert not asked.out.exists() and asked.source.loaded == []
    other = request(tmp_path, name="other", seed=3, prepared=tmp_path / "prepared")
    run_training(other)
    asked = request(tmp_path, base=finished / "run", prepared=tmp_path / "prepared")
    with pytest.raises(TrainingStoppedError, match="trained on the latents of another codec"):
        run_training(asked)
    assert not asked.out.exists()


def test_another_request_is_named_by_the_settings_that_differ(finished):
    for asked, message in (
        (request(finished, seed=1), r"asked for differently \(seed 0, now 1\)"),
        (request(finished, pico(2, batch=4)), r"\(config\.run\.batch 2, now 4\)"),
        (
            request(finished, pico(3, {"kind": "full"})),
            r"config\.model\.transformer\.memory\.kind hydra, now full; .*config\.steps 2, now 3\)",
        ),
    ):
        with pytest.raises(TrainingStoppedError, match=message):
            run_training(asked)


def test_without_a_checkpoint_a_folder_takes_another_request(tmp_path, finished):
    out = tmp_path / "run"
    out.mkdir()
    (out / "train.json").write_text('{"seed": 12, "config": {"steps": 5}}')
    run_training(request(tmp_path, prepared=finished / "prepared"))
    assert json.loads((out / "train.json").read_text())["config"]["steps"] == 2


def test_settings_younger_than_a_run_do_not_stop_it(finished):
    path = finished / "run" / "train.json"
    whole = path.read_text()
    record = json.loads(whole)
    del record["config"]["run"]["log_every"], record["command"]
    path.write_text(json.dumps(record))
    run_training(request(finished))
    path.write_text(whole)


def test_differences_are_leaves():
    assert differences({"a": {"b": 1, "c": [1, 2]}}, {"a": {"b": 1, "c": [1, 3], "d": 4}}) == ["a.c [1, 2], now [1, 3]"]
    assert differences({"x": 1}, {}) == ["x 1, now none"]
    memory = {"a": {"memory": {"kind": "hydra"}}}, {"a": {"memory": {"kind": "hydra", "top_k": 3}}}
    assert differences(*memory) == ["a.memory.top_k none, now 3"], "a memory's description is whole"
    long = differences({"ids": ["clip"] * 50}, {"ids": []})[0]
    assert len(long) < 100 and long.endswith("…, now []")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": Waves(11)}, r"made differently \(revision waves-10-21, now waves-11-21"),
        ({"config": replace(pico(2), codec=replace(pico().codec, steps=9))}, r"\(settings\.steps 4, now 9\)"),
        ({"config": pico(2, validation_clips=3)}, r"\(held_out \["),
    ],
)
def test_a_codec_of_other_clips_or_settings_is_refused(finished, tmp_path, change, message):
    asked = request(tmp_path, **{"prepared": finished / "prepared", **change})
    with pytest.raises(TrainingStoppedError, match=message):
        run_training(asked)
    assert not asked.out.exists()


def test_a_codec_serves_other_seeds_and_older_reports_are_accepted(finished, tmp_path):
    report = finished / "prepared" / "codec" / "report.json"
    whole = report.read_text()
    run_training(request(tmp_path, name="seed", seed=1, prepared=finished / "prepared"))
    old = {key: value for key, value in json.loads(whole).items() if key != "made_of"}
    assert json.loads(whole)["made_of"]["seed"] == 0
    report.write_text(json.dumps({**old, "psnr": float("nan")}))
    run_training(request(tmp_path, name="old", prepared=finished / "prepared"))
    report.write_text(whole)
    assert "not measured, no clips were held out; 4 steps" in (tmp_path / "old" / "README.md").read_text()


def test_devices(monkeypatch):
    assert training_device("cpu").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert training_device("cuda").index is None and training_device("cuda:1").index == 1
    with pytest.raises(TrainingStoppedError, match=r"cuda:2 is not available: torch finds 2 GPU\(s\)"):
        training_device("cuda:2")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingStoppedError, match="Several processes cannot share cuda:1"):
        make_accelerator(pico(), "cuda:1")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, "DeepSpeed is a way of sharing out a model that this trainer does not"),
        ({"ACCELERATE_USE_FSDP": "true"}, "FSDP of version 1 is not supported. Add --fsdp_version 2"),
        ({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "1"}, "FSDP of version 1 is not supported"),
        ({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}, "FSDP needs GPUs, and this run was given --device cpu"),
    ],
)
def test_launchers_that_would_fail_later_are_refused_before_preparing(tmp_path, monkeypatch, settings, sentence):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    asked = request(tmp_path)
    with pytest.raises(TrainingStoppedError, match=sentence):
        run_training(asked)
    assert not asked.out.exists()


def test_shards_are_asked_of_accelerate(monkeypatch):
    """On a GPU `accelerate launch --use_fsdp --fsdp_version 2` passes, with what would go wrong put right."""
    for name, value in {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FSDP_CPU_RAM_EFFICIENT_LOADING", "true")
    monkeypatch.setattr(processes, "training_device", torch.device)
    seen = {}

    class ReachedError(Exception):
        pass

    def stop(**options):
        seen.update(options)
        raise ReachedError

    monkeypatch.setattr(processes, "Accelerator", stop)
    config = pico()
    with pytest.raises(ReachedError):
        make_accelerator(replace(config, run=replace(config.run, precision="bf16")), "cuda")
    plugin = seen["fsdp_plugin"]
    assert seen["cpu"] is False and seen["mixed_precision"] == "bf16"
    assert plugin.fsdp_version == 2 and plugin.cpu_ram_efficient_loading is False
    plugin.set_mixed_precision("bf16")  # as accelerate does
    assert plugin.mixed_precision_policy.param_dtype is None, "numbers are rounded by autocast alone"
    monkeypatch.setenv("FSDP_OFFLOAD_PARAMS", "true")
    with pytest.raises(TrainingStoppedError, match="keeps weights off the GPUs is not supported"):
        make_accelerator(config, "cuda")


def test_processes_wait_for_the_first_for_days(monkeypatch):
    seen = {}

    class Recorded(processes.Accelerator):
        def __init__(self, **options):
            seen.update({type(handler).__name__: handler for handler in options["kwargs_handlers"]})
            super().__init__(**options)

    monkeypatch.setattr(processes, "Accelerator", Recorded)
    make_accelerator(pico(), "cpu")
    assert seen["InitProcessGroupKwargs"].timeout.days >= 2


@pytest.mark.parametrize("rate", [0.0, -1.0])
def test_a_learning_rate_that_teaches_nothing_is_refused(tmp_path, rate):
    with pytest.raises(UserError, match=f"learning rate and clip_norm must lie above 0.* got {rate}"):
        training_config(TrainOptions(out=tmp_path, learning_rate=rate))


def test_zeros_are_not_taken_for_silence(tmp_path):
    for name in ("batch", "checkpoint_every"):
        with pytest.raises(UserError, match="counts must be positive"):
            training_config(TrainOptions(out=tmp_path, **{name: 0}))


def test_short_runs_warm_up_and_save(tmp_path):
    mini = training_config(TrainOptions(out=tmp_path, preset="mini", steps=50))
    assert (mini.optimizer.warmup, mini.run.checkpoint_every) == (5, 12)
    assert max(mini.optimizer.rate(step, 50) for step in range(50)) == pytest.approx(1e-3, rel=0.01)
    whole = training_config(TrainOptions(out=tmp_path, preset="mini"))
    assert (whole.optimizer.warmup, whole.run.checkpoint_every) == (500, 1000)
    nano = training_config(TrainOptions(out=tmp_path, steps=300))
    assert (nano.optimizer.warmup, nano.run.checkpoint_every) == (30, 200), "runs under way keep their settings"
    assert training_config(TrainOptions(out=tmp_path, steps=1)).run.checkpoint_every == 1


def test_memories_share_one_codec(finished, tmp_path):
    source = Waves()
    asked = request(tmp_path, pico(2, {"kind": "full"}), prepared=finished / "prepared", source=source)
    run_training(asked)
    assert source.loaded == [] and MEMORY["kind"] != "full"


def test_noise_levels_can_be_pushed_towards_the_first_sampling_step(tmp_path):
    """Training alone: the sampler keeps its own levels."""
    asked = training_config(TrainOptions(out=tmp_path, noise_shift=12.0))
    plain = training_config(TrainOptions(out=tmp_path))
    assert (asked.flow.shift, plain.flow.shift) == (12.0, plain.model.sampler.shift)
    assert asked.model == plain.model
    assert noise_levels(12.0).median() > 0.9 > noise_levels(plain.flow.shift).median()
    with pytest.raises(UserError, match="shift and subject_weight above 0"):
        training_config(TrainOptions(out=tmp_path, noise_shift=0.0))


def test_memories_that_take_turns(tmp_path):
    asked = training_config(TrainOptions(out=tmp_path, also=("full-context", "fov-retrieval")))
    assert [described["kind"].rpartition(":")[2] for described in asked.also] == ["full", "FovRetrieval"]
    assert asked.memory == "hydra" and asked.model == training_config(TrainOptions(out=tmp_path)).model


@pytest.mark.parametrize(
    ("memory", "also", "message"),
    [
        ("hydra", "frame-pack", "frame-pack has weights of its own; only memories without may take turns with hydra"),
        ("hydra", "dfot", "dfot and hydra are trained on different noise levels and cannot take turns"),
        ("full-context", "hydra", "hydra has weights of its own"),
        ("hydra", "full-contxt", r"There is no memory 'full-contxt'\. Did you mean 'full-context'\?"),
    ],
)
def test_memories_that_cannot_take_turns_are_refused(tmp_path, memory, also, message):
    with pytest.raises(UserError, match=message):
        training_config(TrainOptions(out=tmp_path, memory=memory, also=(also,)))


def test_subjects_count_as_asked(tmp_path):
    assert training_config(TrainOptions(out=tmp_path, subject_weight=3.0)).flow.subject_weight == 3.0
    assert training_config(TrainOptions(out=tmp_path)).flow.subject_weight == 8.0
    assert training_config(TrainOptions(out=tmp_path, preset="paper")).flow.subject_weight == 1.0
