"""The codec as a bound: close to the truth, at the prompt's size, told apart from competitors."""

from __future__ import annotations

import numpy as np
import pytest

from baselines.codec_bound import CodecBound, codec
from hmbench.data.mini_world import accepted_specs, render_clip
from hmbench.errors import UserError
from hmbench.protocols import TruthModel
from hmbench.types import Intrinsics, Prompt, Truth
from reference_model.model.config import nano
from reference_model.training.codec_training import build_codec


def psnr(a, b) -> float:
    return float(10 * np.log10(255.0**2 / np.square(a.astype(float) - b.astype(float)).mean()))


@pytest.fixture(scope="module")
def clip():
    """An unseen test clip at the size that nano works at, 9 + 9 frames."""
    _, spec = next(accepted_specs("test", seed=0, count=1))
    made = render_clip(spec, (112, 64), half=9)
    prompt = Prompt(
        context=made.frames[:9],
        context_poses=made.poses[:9],
        target_poses=made.poses[9:],
        caption="",
        fps=15.0,
        intrinsics=Intrinsics(focal=made.focal, width=112, height=64),
    )
    return prompt, Truth(target=made.frames[9:], context_labels=None, target_labels=None)


def test_it_is_a_bound_and_says_so(clip):
    model = codec()
    assert isinstance(model, TruthModel) and "no competitor" in (model.info.notice or "")
    assert list(model.info.weights) == ["vae/diffusion_pytorch_model.safetensors"]
    found = model.generate_from_truth(*clip, seed=0)
    assert found.shape == clip[1].target.shape and found.dtype == np.uint8
    # nine coarsely sampled frames move four times faster than a clip's, which is hard on groups of four
    assert 22 < psnr(found, clip[1].target) < 60


def test_other_sizes_are_scaled_to_its_own_and_back(clip):
    prompt, truth = clip
    large = Truth(target=truth.target.repeat(2, 1).repeat(2, 2), context_labels=None, target_labels=None)
    context = prompt.context.repeat(2, 1).repeat(2, 2)
    found = codec().generate_from_truth(
        Prompt(**{**vars(prompt), "context": context, "intrinsics": Intrinsics(focal=1.0, width=224, height=128)}),
        large,
        seed=0,
    )
    assert found.shape == large.target.shape
    assert psnr(found, large.target) > 20


def test_lengths_and_untrained_codecs_are_refused(clip, tmp_path, monkeypatch):
    prompt, truth = clip
    untrained = CodecBound(build_codec(nano().codec, 0), (112, 64), {})
    with pytest.raises(UserError, match="cannot hold 8 frames"):
        untrained.generate_from_truth(
            prompt, Truth(target=truth.target[:8], context_labels=None, target_labels=None), seed=0
        )
    monkeypatch.setattr("reference_model.sampling.world_model.WEIGHTS", tmp_path)
    with pytest.raises(UserError, match="no trained small codec for profile nano"):
        codec(profile="nano")
