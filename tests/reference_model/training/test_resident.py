"""Training on an accelerator that holds all clips: what is kept, what is noised, who takes a turn, what is left."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from baselines.rivals import DFOT, RECENT_WINDOW
from reference_model.model.config import CodecConfig, nano
from reference_model.model.memory_kinds import build_memory
from reference_model.model.methods import HYDRA
from reference_model.sampling.pipeline import build_pipeline
from reference_model.sampling.saved import load_saved
from reference_model.training.adopt import adopt
from reference_model.training.cache import Encoders, encode_clip
from reference_model.training.clips import TrainingClip
from reference_model.training.config import OptimizerConfig, train_nano
from reference_model.training.flow import Draws, LatentBatch, noisy_batch
from reference_model.training.resident import ClipStore, Drawing, Phase, Turn, _draw, _rate, train, validation
from reference_model.training.ship import WEIGHTS
from reference_model.training.stop import TrainingStoppedError

CPU = torch.device("cpu")
FRAMES = 29


def clip(seed):
    chance = np.random.default_rng(seed)
    ramp = np.linspace(20, 200, 48)[None, None, :, None] + chance.integers(0, 40, (2 * FRAMES, 32, 1, 3))
    frames = ramp.astype(np.uint8)
    poses = np.tile(np.eye(4), (2 * FRAMES, 1, 1))
    poses[:, 0, 3] = np.linspace(0, 1 + seed, 2 * FRAMES)
    subjects = np.zeros((FRAMES, 32, 48), bool)
    subjects[:, :8, :16] = True
    return TrainingClip(
        context=frames[:FRAMES],
        target=frames[FRAMES:],
        context_poses=poses[:FRAMES],
        target_poses=poses[FRAMES:],
        caption=f"clip {seed}",
        subjects=subjects,
    )


class Source:
    name = "toy"

    def __init__(self, broken=None):
        self.broken = broken

    def ids(self):
        return ("0", "1", "2")

    def revision(self):
        return "r"

    def load(self, clip_id):
        if clip_id == self.broken:
            raise ValueError(f"clip {clip_id} is damaged")
        return clip(int(clip_id))


def toy():
    config = nano()
    config = replace(
        config,
        width=48,
        height=32,
        context_frames=FRAMES,
        target_frames=FRAMES,
        codec=CodecConfig(latent_channels=16, hidden_channels=8, decoder_depth=1),
        transformer=replace(config.transformer, dim=32, heads=2, layers=2, ffn_dim=32, freq_dim=16, bands=2, content=4),
    )
    return config, build_pipeline(config, seed=0)


RATE = OptimizerConfig(learning_rate=1e-3)


def turns(config, *methods):
    backbone, flow = config.backbone(), train_nano().flow
    found = {}
    for method in methods:
        memory = build_memory(method.describe(config), backbone)
        per_frame = method.per_frame_noise
        found[method.name] = Turn(memory=memory, flow=replace(flow, levels="per_frame") if per_frame else flow)
    return found


def test_clips_come_in_the_order_of_the_jobs():
    drawing = Drawing([(Source(), str(k)) for k in (2, 0, 1)], workers=2)
    found = drawing.ready(least=3, most=3)
    assert [c.caption for c in found] == ["clip 2", "clip 0", "clip 1"]
    assert drawing.ready(least=1) == []
    drawing.close()


def test_a_clip_that_cannot_be_read_says_so():
    drawing = Drawing([(Source(broken="1"), "1")], workers=1)
    with pytest.raises(ValueError, match="clip 1 is damaged"):
        drawing.ready(least=1)
    drawing.close()


def test_the_store_keeps_what_the_cache_would():
    _, pipeline = toy()
    store = ClipStore(pipeline, CPU, capacity=2)
    store.add([clip(0), clip(1), clip(2)])
    assert store.count == 2  # the third has no room
    kept = store.batch(torch.tensor([1]))
    encoders = Encoders(
        video=lambda half: pipeline.codec.encode(half),
        text=pipeline.encode_text,
        time_stride=pipeline.codec.time_stride,
    )
    wanted = encode_clip(clip(1), encoders)
    for name, value in {"context": kept.context, "target": kept.target, "subjects": kept.subjects}.items():
        torch.testing.assert_close(value[0], wanted[name].float(), rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(kept.cameras[1][0], wanted["cameras_target"])
    torch.testing.assert_close(kept.text[0], wanted["text"].float())
    both = store.batch(torch.tensor([0, 1])).target
    torch.testing.assert_close(store.deviation(), both.transpose(0, 1).flatten(1).std(1))


def test_noise_by_hand():
    _, pipeline = toy()
    store = ClipStore(pipeline, CPU, capacity=2)
    store.add([clip(0), clip(1)])
    clips, flow = store.batch(torch.tensor([0, 1])), train_nano().flow
    draws = Draws(
        levels=torch.tensor([[0], [500]]),
        noise=torch.full_like(clips.target, 0.5),
        text=torch.tensor([1.0, 0.0]).view(2, 1, 1),
        cameras=torch.ones(2, 1, 1),
    )
    batch = noisy_batch(clips, flow, draws)
    level = 5 * 0.5 / (1 + 4 * 0.5)  # the schedule's middle, shifted by 5
    torch.testing.assert_close(batch.timestep, torch.tensor([1000.0, 1000 * level]))
    torch.testing.assert_close(batch.noisy[0], draws.noise[0])
    torch.testing.assert_close(batch.noisy[1], (1 - level) * clips.target[1] + level * 0.5)
    torch.testing.assert_close(batch.velocity, 0.5 - clips.target)
    assert batch.clips.text[0].abs().sum() > 0 and batch.clips.text[1].abs().sum() == 0
    # a latent that shows nothing but a subject counts eight times
    assert batch.weight[0, 0, 0, 0].tolist() == [8.0, 8.0, 1.0, 1.0, 1.0, 1.0]


def test_memories_take_turns_and_leave_weights_of_their_own():
    config, pipeline = toy()
    store = ClipStore(pipeline, CPU, capacity=4)
    store.add([clip(0), clip(1)])
    late = [[clip(2)], []]
    model, channels = pipeline.transformer, torch.ones(16)
    phase = Phase(
        turns=turns(config, HYDRA, RECENT_WINDOW, DFOT),
        optimizer=OptimizerConfig(learning_rate=3e-3, warmup=2),
        batch=2,
        seed=3,
        ema=0.5,
        steps=60,
    )
    before = {k: v.clone() for k, v in phase.turns["hydra"].memory.state_dict().items()}
    first = validation(model, phase.turns["hydra"].memory, store, range(2), channels)
    outcome = train(model, phase, store, channels, lambda: late.pop(0) if late else [])
    after = validation(model, phase.turns["hydra"].memory, store, range(2), channels)
    assert outcome.steps == 60 and store.count == 3
    assert after["validation"] < 0.9 * first["validation"]
    assert [step for step, _ in outcome.losses] == [50]
    found = outcome.weights["hydra"]
    assert any(not torch.equal(found[f"memory.{name}"], value) for name, value in before.items())
    shared = [name for name in found if not name.startswith("memory.")]
    assert all(torch.equal(found[name], outcome.weights["dfot"][name]) for name in shared)
    assert not [name for name in outcome.weights["recent-window"] if name.startswith("memory.")]
    assert model.memory is phase.turns["hydra"].memory
    assert set(outcome.step_seconds) == {"hydra", "recent-window", "dfot"}


def test_each_step_is_of_the_next_memory_alone(monkeypatch):
    config, pipeline = toy()
    store = ClipStore(pipeline, CPU, capacity=1)
    store.add([clip(0)])
    model, seen = pipeline.transformer, []
    real = type(model).forward

    def watched(self, *given):
        seen.append((type(self.memory).__name__, given[2].ndim))
        return real(self, *given)

    monkeypatch.setattr(type(model), "forward", watched)
    phase = Phase(turns=turns(config, HYDRA, RECENT_WINDOW, DFOT), optimizer=RATE, batch=1, seed=0, ema=0.9, steps=6)
    train(model, phase, store, torch.ones(16))
    # dfot's levels are of each frame
    assert seen == [("HydraMemory", 1), ("RecentWindow", 1), ("Dfot", 2)] * 2


def test_what_is_left_is_the_average():
    """Of one step, by the decay of the first: a tenth of the start."""
    found = {}
    for ema in (0.0, 0.9):
        config, pipeline = toy()
        store = ClipStore(pipeline, CPU, capacity=1)
        store.add([clip(0)])
        start = pipeline.transformer.proj_out.weight.detach().clone()
        phase = Phase(turns=turns(config, RECENT_WINDOW), optimizer=RATE, batch=1, seed=0, ema=ema, steps=1)
        found[ema] = train(pipeline.transformer, phase, store, torch.ones(16)).weights["recent-window"][
            "proj_out.weight"
        ]
    assert not torch.equal(found[0.0], start)
    torch.testing.assert_close(found[0.9], 0.1 * start + 0.9 * found[0.0])


def test_chance_drops_the_share_that_is_asked():
    latents = torch.zeros(4000, 1, 2, 1, 1)
    clips = LatentBatch(context=latents, target=latents, cameras=(latents, latents), text=latents, subjects=latents)
    flow = replace(train_nano().flow, text_dropout=0.25, camera_dropout=0.5, levels="per_frame")
    draws = _draw(clips, flow, torch.Generator().manual_seed(0))
    assert float(draws.text.mean()) == pytest.approx(0.75, abs=0.02)
    assert float(draws.cameras.mean()) == pytest.approx(0.5, abs=0.02)
    assert draws.levels.shape == (4000, 4) and 0 <= draws.levels.min() < 5 and 994 < draws.levels.max() < 1000
    assert draws.history.shape == latents.shape and float(draws.noise.std()) == pytest.approx(1, abs=0.03)


def test_the_learning_rate_follows_what_is_over():
    rates = OptimizerConfig(learning_rate=0.4, warmup=4, final=0.1)
    assert [_rate(rates, step, 0.0) for step in (0, 1, 3)] == pytest.approx([0.1, 0.2, 0.4])
    # half of the cosine from 1 to a tenth is 0.55
    assert [_rate(rates, 4, over) for over in (0.0, 0.5, 1.0)] == pytest.approx([0.4, 0.22, 0.04])


def test_a_phase_may_last_a_time():
    config, pipeline = toy()
    store = ClipStore(pipeline, CPU, capacity=1)
    store.add([clip(0)])
    phase = Phase(
        turns=turns(config, RECENT_WINDOW),
        optimizer=RATE,
        batch=1,
        seed=0,
        ema=0.9,
        seconds=0.2,
    )
    outcome = train(pipeline.transformer, phase, store, torch.ones(16))
    assert outcome.steps >= 1 and 0.2 <= outcome.seconds < 30


def test_a_loss_that_is_no_number_stops():
    config, pipeline = toy()
    store = ClipStore(pipeline, CPU, capacity=1)
    store.add([clip(0)])
    phase = Phase(
        turns=turns(config, RECENT_WINDOW),
        optimizer=RATE,
        batch=1,
        seed=0,
        ema=0.9,
        steps=50,
    )
    with pytest.raises(TrainingStoppedError, match="before step 50 is nan"):
        train(pipeline.transformer, phase, store, torch.full((16,), math.nan))


def test_what_came_back_becomes_a_run(tmp_path):
    """Names, settings and weights of a result file; the codec is that of the beginning."""
    shipped = load_saved(WEIGHTS / "nano-recent-window")
    weights = {f"recent-window-seed1/{k}": v.bfloat16() + 1 for k, v in shipped.transformer.state_dict().items()}
    results = tmp_path / "results"
    results.mkdir()
    save_file(weights, results / "models-0.safetensors")
    phase = {
        "steps": 7, "batch": 32, "clips": 12, "seed": 11, "learning_rate": 7e-4, "samples_per_second": 300.0,
        "losses": [[5, 1.5]], "mini validation": 1.0, "easy validation": 2.0,
    }  # fmt: skip
    base = {"steps": 3, "batch": 32, "memories": ["hydra", "full-context"], "samples_a_memory": 48.0}
    log = {
        "arguments": {"seconds": "9"},
        "machine": {"device": "Some GPU", "torch": "2.11.0"},
        "phases": {"base": base, "recent-window-seed1": phase},
    }
    (results / "log.json").write_text(json.dumps(log))
    (folder,) = adopt(results, tmp_path / "runs")
    assert folder.name == "nano-recent-window-seed1"
    made = load_saved(folder)
    name = "proj_out.bias"
    wanted = shipped.transformer.state_dict()[name].bfloat16() + 1
    assert torch.equal(made.transformer.state_dict()[name].bfloat16(), wanted)
    card = (folder / "README.md").read_text()
    assert "| device | Some GPU, 1 process |" in card and "2 memories took turns (48 samples each)" in card
    assert "| steps | 7 of 32 clips (224 samples) |" in card and "31.81 dB on held-out clips" in card
    assert json.loads((folder / "hmbench_model.json").read_text()) == {"model": "recent-window"}


def test_results_that_are_not_there(tmp_path):
    with pytest.raises(TrainingStoppedError, match=r"holds no log\.json"):
        adopt(tmp_path, tmp_path / "out")
