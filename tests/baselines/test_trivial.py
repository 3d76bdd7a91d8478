"""The trivial models do what their one line says."""

from __future__ import annotations

import numpy as np
import pytest

from baselines.trivial import copy_last, noise, oracle, ping_pong, reverse_context
from hmbench.protocols import TruthModel, WorldModel
from hmbench.types import Intrinsics, Prompt, Truth


def make_prompt(context: int = 5, target: int = 7) -> Prompt:
    video = np.random.default_rng(0).integers(0, 256, (context, 6, 8, 3), dtype=np.uint8)
    eye = np.tile(np.eye(4), (max(context, target), 1, 1))
    lens = Intrinsics(focal=8.0, width=8, height=6)
    return Prompt(
        context=video, context_poses=eye[:context], target_poses=eye[:target], caption="", fps=24.0, intrinsics=lens
    )


def test_protocols() -> None:
    for model in (copy_last(), reverse_context(), noise()):
        assert isinstance(model, WorldModel)
        assert not isinstance(model, TruthModel)
        assert model.info.trained is None
    assert isinstance(oracle(), TruthModel)
    assert "shown the truth" in (oracle().info.notice or "")


@pytest.mark.parametrize("factory", [copy_last, reverse_context, noise])
@pytest.mark.parametrize("target", [1, 7, 23])
def test_shape_and_type(factory, target) -> None:
    frames = factory().generate(make_prompt(target=target), seed=1)
    assert frames.shape == (target, 6, 8, 3)
    assert frames.dtype == np.uint8


def test_oracle_returns_the_truth_and_keeps_it_intact() -> None:
    prompt = make_prompt()
    target = np.random.default_rng(3).integers(0, 256, (7, 6, 8, 3), dtype=np.uint8)
    truth = Truth(target=target, context_labels=None, target_labels=None)
    frames = oracle().generate_from_truth(prompt, truth, seed=0)
    np.testing.assert_array_equal(frames, target)
    frames[:] = 0
    assert truth.target.any()


def test_copy_last() -> None:
    prompt = make_prompt()
    for frame in copy_last().generate(prompt, seed=0):
        np.testing.assert_array_equal(frame, prompt.context[-1])


@pytest.mark.parametrize(("context", "target"), [(1, 4), (2, 5), (5, 3), (5, 30), (77, 77)])
def test_ping_pong_equals_a_walk(context, target) -> None:
    walk, at, step = [], context - 1, -1
    for _ in range(target):
        if not 0 <= at + step < context:
            step = -step
        at = at + step if context > 1 else 0
        walk.append(at)
    assert ping_pong(context, target).tolist() == walk


def test_reverse_context_starts_before_the_last_frame() -> None:
    prompt = make_prompt()
    frames = reverse_context().generate(prompt, seed=0)
    np.testing.assert_array_equal(frames[0], prompt.context[-2])
    np.testing.assert_array_equal(frames[3], prompt.context[0])
    np.testing.assert_array_equal(frames[4], prompt.context[1])


def test_noise_is_uniform_and_depends_on_the_seed_alone() -> None:
    prompt = make_prompt(target=40)
    first, again, other = (noise().generate(prompt, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.9
    assert abs(first.mean() - 127.5) < 3
    assert {0, 255} <= set(np.unique(first))
