"""What a run needs: counted where it can be counted, and the sentences that a user reads."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKLWan
from transformers import UMT5Config, UMT5EncoderModel

import reference_model.sampling.ram_plan
from reference_model.model.config import hydra_wan_1_3b, mini
from reference_model.model.transformer import HydraTransformer3DModel
from reference_model.released.paper_weights import UMT5_XXL
from reference_model.sampling.ram_plan import (
    GIB,
    UMT5_PARAMETERS,
    WAN_VAE_PARAMETERS,
    Component,
    RamPlan,
    example_inputs,
    live_bytes,
    ram_plan,
    transformer_activations,
    transformer_parameters,
)


def test_live_bytes_of_a_known_run() -> None:
    def run() -> None:
        a = torch.empty(1000, device="meta")  # 4000 bytes
        b = a + 1  # 8000
        c = b.view(10, 100)  # a view costs nothing
        del a, b  # c keeps b's storage
        d = torch.empty(500, device="meta")  # 6000
        del c
        torch.cat((d, d, d))  # 2000 + 6000

    assert live_bytes(run) == 8000
    weight = torch.empty(9999, 3, device="meta")
    assert live_bytes(lambda: weight.t() @ weight) == 9 * 4  # what was there before does not count, nor its views


def test_attention_counts_as_fused_and_is_put_back() -> None:
    from torch.nn import functional

    before = functional.scaled_dot_product_attention
    q = torch.empty(1, 2, 300, 8, device="meta")
    assert live_bytes(lambda: functional.scaled_dot_product_attention(q, q, q)) == q.numel() * 4
    assert functional.scaled_dot_product_attention is before


def test_counts_of_parameters() -> None:
    with init_empty_weights():
        assert sum(p.numel() for p in AutoencoderKLWan().parameters()) == WAN_VAE_PARAMETERS
        text = UMT5EncoderModel(UMT5Config(**UMT5_XXL))
    named = text.state_dict()
    assert sum(t.numel() for name, t in named.items() if name != "encoder.embed_tokens.weight") == UMT5_PARAMETERS
    small = replace(mini(), name="x")
    model = HydraTransformer3DModel(**small.transformer_arguments())
    assert transformer_parameters(small) == sum(p.numel() for p in model.parameters())


def test_two_blocks_stand_for_all() -> None:
    config = mini()
    two = transformer_activations(config, torch.float32)
    with init_empty_weights():
        model = HydraTransformer3DModel(**config.transformer_arguments()).eval()
    latents, cameras, text, level = example_inputs(config, torch.float32)
    every = live_bytes(lambda: model(latents[0], latents[1], level, text, cameras).target)
    assert two <= every < 1.02 * two


def test_plan_at_paper_scale() -> None:
    plan = ram_plan(hydra_wan_1_3b(), "cpu")
    transformer, codec, text = plan.components
    assert 2.0e9 < transformer.parameters < 2.1e9 and transformer.weights == 2 * transformer.parameters
    assert 3 * GIB < transformer.active < 4 * GIB and text.weights > 10 * GIB
    assert plan.needed("none") > plan.needed("model") > plan.needed("sequential")
    whole = ram_plan(hydra_wan_1_3b(), "cpu", tiling=False).components[1]
    assert whole.active > 2.5 * codec.active
    wide = ram_plan(hydra_wan_1_3b(), "cpu", torch.float32).components[0]
    assert wide.weights == 2 * transformer.weights and wide.active > 1.5 * transformer.active
    assert any("needed while sampling" in line for line in plan.lines())
    with pytest.raises(ValueError, match="it needs no plan"):
        ram_plan(mini(), "cpu")


@pytest.mark.parametrize(
    ("free", "offload", "sentence"),
    [
        (80, "none", None),
        (8.9, "model", "Use offload=model."),
        (6, "sequential", "Use offload=sequential."),
        (2, None, "This does not fit"),
    ],
)
def test_advice(free: float, offload: str | None, sentence: str | None) -> None:
    def component(name: str, weights: float, active: float) -> Component:
        return Component(name=name, parameters=1, weights=int(weights * GIB), active=int(active * GIB))

    plan = RamPlan(
        device="cuda:0",
        available=int(free * GIB),
        total=80 * GIB,
        host_available=64 * GIB,
        components=(component("transformer", 3.8, 3.4), component("codec", 0.5, 2.7), component("text", 10.6, 0.1)),
    )
    assert plan.offload == offload
    text = "\n".join(plan.lines())
    assert (sentence in text) if sentence else ("offload=" not in text)
    assert "cuda:0 has" in text and "the machine has 64.0 GiB free" in text
    with pytest.raises(ValueError, match="offload must be"):
        plan.needed("all")


def test_names_of_0_1_say_the_present_ones() -> None:
    with pytest.warns(DeprecationWarning, match=r"ram_plan\.memory_plan is now ram_plan"):
        from reference_model.sampling.ram_plan import memory_plan
    assert memory_plan is ram_plan
    with pytest.raises(AttributeError, match="no attribute 'plans'"):
        reference_model.sampling.ram_plan.plans  # noqa: B018
