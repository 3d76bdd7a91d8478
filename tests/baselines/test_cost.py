"""Cost cards: the paper's token counts, operations counted by torch itself, and honest gaps."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
import typer
from camera_rows import random_cameras
from tiny_backbone import inputs, tiny
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from baselines.cost import cost_card, cost_cards, measure_step, pairs
from hmbench.cli.models import register
from hmbench.insight.cost import cost_table
from reference_model.model.hydra_memory import HydraMemory
from reference_model.model.memory_kinds import describe_memory, memory_class
from reference_model.model.methods import find_method
from reference_model.model.retrieval_attention import gathered_attention

PAPER = {
    # method: (tokens of memory, tokens seen); 1560 tokens a latent frame, 20 + 20 latent frames
    "hydra": (3_900, 11_700),
    "hydra-fov": (3_900, 11_700),
    "hydra-5-tokens": (1_950, 9_750),
    "hydra-15-tokens": (5_850, 13_650),
    "full-context": (31_200, 62_400),
    "frame-pack": (3_926, 35_126),
    "fov-retrieval": (15_600, 46_800),
    "worldmem": (14_040, 45_240),
    "recent-window": (7_800, 39_000),
    "dfot": (7_800, 39_000),
    "no-memory": (1_560, 32_760),
}


@pytest.mark.parametrize("name", PAPER)
def test_tokens_at_paper_size(name) -> None:
    card = cost_card(find_method(name), "paper")
    assert (card.memory_tokens, card.tokens_seen) == PAPER[name]
    assert card.clip == "832x480, 77 + 77 frames"
    assert (card.seconds, card.peak_bytes, card.measured_on) == (None, None, "not measured")


def test_parameters_at_paper_size() -> None:
    """Released: 18.9 M a block for the 2x2x2 tokenizer, 30 blocks (memory-methods of the paper's own count: 0.57 B)."""
    hydra, full = (cost_card(find_method(name), "paper") for name in ("hydra", "full-context"))
    assert hydra.parameters_added == 30 * (1536 * 1536 * 8 + 1536)
    assert hydra.parameters - hydra.parameters_added == full.parameters
    assert full.parameters_added == 0


MEMORIES = {
    "hydra": {"top_k": 2, "window": 3, "short_clips": "fewer"},
    "full": {},
    "baselines.recent_window:RecentWindow": {"frames": 3},
    "baselines.frame_pack:FramePack": {},
}


@pytest.mark.parametrize("kind", MEMORIES)
def test_attention_operations_equal_torchs_own_count(kind) -> None:
    """Matrix products inside scaled dot-product attention, as torch counts them, on one batch."""
    model = tiny(describe_memory(kind, memory_class(kind).Settings(**MEMORIES[kind])), layers=2)
    if isinstance(model.memory, HydraMemory):
        model.memory.attention = gathered_attention  # torch counts its own kernel, not those that join two parts
    context, target, text = inputs(8, 6)
    rows = (random_cameras(1, 8), random_cameras(1, 6))
    counted = 0
    plain = torch.nn.functional.scaled_dot_product_attention

    def spy(query, key, value, **options):
        nonlocal counted
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            out = plain(query, key, value, **options)
        if key.shape[-2] != text.shape[1]:  # not the cross-attention to the text
            counted += counter.get_total_flops()
        return out

    torch.nn.functional.scaled_dot_product_attention = spy
    try:
        with torch.no_grad():
            model(context, target, torch.tensor([500.0]), text, rows)
    finally:
        torch.nn.functional.scaled_dot_product_attention = plain
    grids = model.grids(8, 6, 8, 12)
    assert counted == 4 * 24 * 2 * pairs(model.memory, *grids)


def test_evaluations_a_step() -> None:
    assert cost_card(find_method("hydra"), "mini").evaluations == 1
    assert cost_card(find_method("hydra"), "paper").evaluations == 2  # with and without text
    assert cost_card(find_method("dfot"), "mini").evaluations == 2  # with and without history
    assert cost_card(find_method("dfot"), "paper").evaluations == 4


def test_paper_size_on_a_cpu_is_not_measured_and_says_so() -> None:
    assert measure_step(find_method("hydra"), "paper", "cpu")["why"].startswith("not measured: paper size needs a GPU")


@pytest.mark.slow
def test_a_failed_measurement_says_why() -> None:
    found = measure_step(find_method("hydra"), "nano", "cuda:77")
    assert found["why"].startswith("not measured: ")
    assert "seconds" not in found


@pytest.mark.slow
def test_measured_in_a_process_of_its_own() -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "baselines.cost", "no-memory", "nano", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found = json.loads(done.stdout)
    assert 0 < found["seconds"] < 60
    assert found["peak_bytes"] is None or 2**20 < found["peak_bytes"] < 2**30
    assert "CPU, 1 thread(s), float32, untrained weights" in found["why"]


def test_table_and_command(tmp_path) -> None:
    table = cost_table(cost_cards(preset="paper", device="cpu", measure=False)).markdown()
    for number in ("11,700", "62,400", "3,926"):
        assert number in table
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    result = CliRunner().invoke(
        app, ["models", "--cost", "--preset", "nano", "--out", str(tmp_path)], env={"COLUMNS": "220"}
    )
    assert result.exit_code == 0, result.output
    cards = {card["method"]: card for card in json.loads((tmp_path / "cost.json").read_text())}
    assert cards["full-context"]["tokens_seen"] == 40 * 14
    assert "frame-pack" in result.output
    listed = CliRunner().invoke(app, ["models"], env={"COLUMNS": "220"}).output
    assert "copy-last" in listed and "Repeats the last context frame." in listed
    options = CliRunner().invoke(app, ["models", "fov-retrieval"], env={"COLUMNS": "220"}).output
    assert "overlap | rays" in options and "float,float" in options
