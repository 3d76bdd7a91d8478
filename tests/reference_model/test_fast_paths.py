"""Every fast path gives the numbers of the slow one that it stands for."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter

from hmbench.errors import UserError
from hmbench.registry import create_model
from reference_model.model import windowed_attention as windowed
from reference_model.model.clip_state import ClipState
from reference_model.model.memory import AttentionCall, FullMemory, rms_normed
from reference_model.model.patch_embedding import PatchEmbedding
from reference_model.model.retrieval_attention import (
    chosen_slices,
    dense_attention,
    frame_tokens,
    gathered_attention,
    local_windows,
)
from reference_model.model.rope import Rotation, angles_rotation, rotate
from reference_model.sampling import running
from tests.reference_model.test_transformer import HYDRA, inputs, make

PAPER = {**HYDRA, "variant": "paper"}
WORLD = {"positions": "world", "depths": (3.0, 1000.0), "prediction": "clean"}


def test_runs_are_the_windows_said_shortly():
    runs = windowed.window_runs(local_windows(8, 3))
    assert runs == ((0, 2, 0, False), (2, 5, 1, True), (7, 1, 5, False))


def windows_of(runs):
    return [run.window + k * run.moves for run in runs for k in range(run.frames)]


@pytest.mark.parametrize(("frames", "window"), [(1, 1), (5, 5), (9, 4), (12, 5)])
@pytest.mark.parametrize("first", [0, 1, 4, 6])
def test_runs_of_the_last_frames_keep_their_windows(frames, window, first):
    starts = torch.cat((local_windows(frames, window), local_windows(frames, window) + frames))[:, 0].tolist()
    runs = windowed.window_runs(torch.tensor(starts)[:, None])
    assert windows_of(runs) == starts
    left = windowed.runs_from(runs, first)
    assert windows_of(left) == starts[first:]
    assert [run.first for run in left] == [sum(r.frames for r in left[:k]) for k in range(len(left))]


@pytest.mark.parametrize(("batch", "frames", "asked"), [(1, 9, 9), (3, 7, 7), (2, 8, 3)])
def test_windows_as_slices_equal_gathering_them(batch, frames, asked):
    g = torch.Generator().manual_seed(0)
    tokens, heads, dim, window, size, count = 6, 2, 8, 3, 2, 5
    draw = lambda *shape: torch.randn(*shape, generator=g)  # noqa: E731
    queries = draw(batch, asked, tokens, heads, dim)
    local = (draw(batch, frames * tokens, heads, dim), draw(batch, frames * tokens, heads, dim))
    slices = (draw(batch, count, size, heads, dim), draw(batch, count, size, heads, dim))
    chosen = torch.rand(batch, asked, count, generator=g).topk(2, dim=-1).indices
    windows = local_windows(frames, window)[-asked:]
    index = torch.cat(
        (
            frame_tokens(windows, tokens)[None].expand(batch, -1, -1),
            frame_tokens(chosen, size, first=frames * tokens),
        ),
        dim=2,
    )
    pools = [torch.cat((a, b.flatten(1, 2)), dim=1) for a, b in zip(local, slices, strict=True)]
    found = windowed.windowed_attention(
        queries,
        local,
        tuple(chosen_slices(part, chosen) for part in slices),
        (windowed.window_runs(windows), window),
        windowed.kernel_for(torch.device("cpu"), torch.float32),
    )
    torch.testing.assert_close(found, gathered_attention(queries, *pools, index), rtol=1e-5, atol=1e-6)


def test_a_kernel_that_gives_wrong_sums_is_not_used(monkeypatch):
    device = torch.device("cpu")
    assert windowed.kernel_for(device, torch.float32) == "cpu"
    right = windowed.lse_attention

    def halved(*given):
        out, total = right(*given)
        return out, total / 2

    monkeypatch.setattr(windowed, "lse_attention", halved)
    assert windowed.kernel_for.__wrapped__(device, torch.float32) is None
    monkeypatch.setattr(windowed, "_ops", None)
    assert windowed.kernel_for.__wrapped__(device, torch.float32) is None


@pytest.mark.parametrize("twin", [gathered_attention, dense_attention])
@pytest.mark.parametrize("memory", [HYDRA, PAPER], ids=["released", "paper"])
@pytest.mark.parametrize("bands", [1, 2])
def test_the_whole_model_without_copied_windows(memory, twin, bands):
    model, given = make(memory, bands=bands), inputs(batch=2, past=7, future=5, size=(16, 12))
    with torch.no_grad():
        assert model.memory.attention is None
        fast = model(**given).target
        model.memory.attention = twin
        torch.testing.assert_close(fast, model(**given).target, rtol=1e-5, atol=2e-6)


CASES = {
    "released": (HYDRA, {}),
    "paper": (PAPER, {}),
    "full": ({"kind": "full"}, {}),
    "clean context": (HYDRA, {"conditioning": "clean_context"}),
    "world in bands": (HYDRA, {**WORLD, "bands": 2}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_target_alone_is_the_target_of_all(case):
    memory, changes = CASES[case]
    model, given = make(memory, **changes), inputs(batch=2, size=(16, 12))
    with torch.no_grad():
        whole, alone = model(**given), model(**given, context_too=False)
    torch.testing.assert_close(alone.target, whole.target, rtol=1e-5, atol=2e-6)
    assert alone.context is None


def test_the_target_alone_has_the_gradients_of_all():
    gradients = []
    for context_too in (True, False):
        model = make().train()
        model(**inputs(batch=2), context_too=context_too).target.square().mean().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    for name, value in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], value, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("case", CASES)
def test_a_clip_s_state_changes_no_number(case):
    """Two steps and two texts in turn, as guidance asks for them."""
    memory, changes = CASES[case]
    model, given, state = make(memory, **changes), inputs(size=(16, 12)), ClipState()
    texts = [given.pop("text"), torch.randn(1, 5, 10)]
    with torch.no_grad():
        for step in range(2):
            given["target"], given["timestep"] = given["target"] * 0.9, given["timestep"] * 0.7
            for text in texts:
                kept, fresh = model(**given, text=text, state=state).target, model(**given, text=text).target
                assert torch.equal(kept, fresh), step
    assert len(state.texts) == 2


def test_a_clip_s_state_with_levels_a_frame():
    """Diffusion forcing: tokens of a guessed context change with its levels and are not kept."""
    model, given, state = make(**WORLD), inputs(), ClipState()
    with torch.no_grad():
        for level in (900.0, 300.0):
            given["timestep"] = torch.full((1, 12), level)
            assert torch.equal(model(**given, state=state).target, model(**given).target)


def test_one_level_for_all_clips():
    model, given = make(), inputs(batch=3)
    with torch.no_grad():
        each = model(**{**given, "timestep": torch.full((3,), 400.0)}).target
        shared = model(**{**given, "timestep": torch.tensor([400.0])}).target
    torch.testing.assert_close(shared, each, rtol=1e-5, atol=2e-6)


SECONDS = {"paper", "full", "clean context"}  # that tracing takes


@pytest.mark.parametrize("case", [pytest.param(c, marks=[pytest.mark.slow] * (c in SECONDS)) for c in CASES])
def test_all_blocks_are_one_compiled_graph(case):
    memory, changes = CASES[case]
    # more blocks than torch compiles variants of one function (8): a guard on the block's number would fail
    model, given = make(memory, num_layers=10, **changes), inputs(size=(16, 12))
    with torch.no_grad():
        eager = [model(**given).target, model(**given, context_too=False).target]
        torch._dynamo.reset()
        counter = CompileCounter()
        for block in model.blocks:
            block.compile(fullgraph=True, dynamic=False, backend=counter)
        narrow = "prediction" in changes  # which never gives the context
        torch.testing.assert_close(model(**given).target, eager[0], rtol=1e-4, atol=1e-5)
        assert counter.frame_count == 1 + narrow
        torch.testing.assert_close(model(**given, context_too=False).target, eager[1], rtol=1e-4, atol=1e-5)
        assert counter.frame_count == 2  # the last block, narrowed
        model(**{**given, "timestep": given["timestep"] / 3})
        assert counter.frame_count == 2
    torch._dynamo.reset()


def test_listening_to_a_compiled_model():
    model, given, heard = make(), inputs(), set()
    with torch.no_grad():
        for block in model.blocks:
            block.compile(fullgraph=True, backend=CompileCounter())
        model(**given, record=lambda block, name, value: heard.add((block, name)))
    assert len(heard) == 8
    torch._dynamo.reset()


def test_a_memory_that_counts_blocks_is_told_when_compiled():
    call = AttentionCall(None, None, torch.zeros(1, 1, 1), None)
    with pytest.raises(ValueError, match="let the memory's `part` give the block's own layers"):
        _ = call.block
    assert AttentionCall(3, None, torch.zeros(1, 1, 1), None).block == 3


class AnswersAll(FullMemory):
    """A rival that knows nothing of `asks`."""

    def attend(self, call, plan):
        return super().attend(AttentionCall(call.number, call.attention, call.tokens, call.sequence), plan)


def test_a_memory_may_answer_all_tokens():
    model, given = make({"kind": "full"}), inputs()
    with torch.no_grad():
        wanted = model(**given, context_too=False).target
        model.memory = AnswersAll(model.memory.settings, model.memory.backbone)
        torch.testing.assert_close(model(**given, context_too=False).target, wanted)


@pytest.mark.parametrize("kernel", [(1, 2, 2), (2, 3, 1)])
def test_patches_by_product_are_the_convolution(kernel):
    torch.manual_seed(0)
    layer = PatchEmbedding(5, 7, kernel_size=kernel, stride=kernel)
    latents = torch.randn(2, 5, 5, 7, 4)
    found = layer(latents)
    torch.testing.assert_close(found, nn.Conv3d.forward(layer, latents), rtol=1e-5, atol=1e-6)


def test_norms_by_hand_are_torch_s():
    norm = nn.RMSNorm(12, eps=1e-3)
    nn.init.normal_(norm.weight)
    x = torch.randn(2, 5, 12) * 0.1
    given = x.clone()
    with torch.no_grad():
        torch.testing.assert_close(rms_normed(norm, x), norm(x), rtol=1e-6, atol=1e-7)
    assert torch.equal(x, given)
    torch.testing.assert_close(rms_normed(norm, x), norm(x), rtol=1e-6, atol=1e-7)  # with gradients


def test_turning_as_complex_numbers_is_turning_pairs():
    by = angles_rotation(torch.randn(3, 7, 2, 4, dtype=torch.float64))
    apart = Rotation(by.cos.clone(), by.sin.clone())
    x = torch.randn(3, 7, 2, 8)
    even, odd = x[..., 0::2], x[..., 1::2]
    wanted = torch.stack((even * by.cos - odd * by.sin, even * by.sin + odd * by.cos), dim=-1).flatten(-2)
    torch.testing.assert_close(rotate(x, by), wanted, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(rotate(x, apart), wanted, rtol=1e-6, atol=1e-6)
    ends = Rotation(by.cos[:, 3:], by.sin[:, 3:])
    torch.testing.assert_close(rotate(x[:, 3:], ends), wanted[:, 3:], rtol=1e-6, atol=1e-6)


def test_compile_is_an_option(monkeypatch):
    compiled = lambda model: [block._compiled_call_impl is not None for block in model.blocks]  # noqa: E731
    cpu = torch.device("cpu")
    for wanted in (None, "auto", "false"):
        model = make()
        assert not running.compile_blocks(model, wanted, cpu) and compiled(model) == [False, False]
    monkeypatch.setattr(running.shutil, "which", lambda name: "/usr/bin/g++" if name == "g++" else None)
    assert running.compile_blocks(model, "true", cpu) and compiled(model) == [True, True]
    monkeypatch.setattr(running.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match=r"for cpu here: a C\+\+ compiler \(g\+\+ or clang\+\+\) is missing"):
        running.compile_blocks(model, "true", cpu)
    model, found = make(), {"triton": None}
    monkeypatch.setattr(running.importlib.util, "find_spec", lambda name: found[name])
    assert not running.compile_blocks(model, "auto", torch.device("cuda"))
    with pytest.raises(UserError, match="Triton"):
        running.compile_blocks(model, "true", torch.device("cuda"))
    found["triton"] = "here"
    assert running.compile_blocks(model, "auto", torch.device("cuda")) and compiled(model) == [True, True]


def test_compile_is_recorded():
    info = create_model("recent-window", profile="nano", device="cpu", options={"compile": "false"}).info
    assert info.settings["compiled"] is False
    assert create_model("hydra", profile="nano", device="cpu", options={}).info.settings["compiled"] is False
