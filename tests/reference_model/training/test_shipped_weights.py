"""What the package carries: whole, small enough, documented, and loadable by name."""

from __future__ import annotations

import json
import re

import pytest
import torch

from hmbench.data.mini_world.spec import VERSION
from hmbench.data.mini_world.splits import EASY_VERSION
from hmbench.registry import create_model
from reference_model.released.checkpoint import file_digest
from reference_model.sampling.carriers import load_carrier
from reference_model.training.carrier import parsed
from reference_model.training.ship import LARGEST, WEIGHTS

NAME = re.compile(r"(?P<preset>[a-z]+)-(?P<world>easy-)?(?P<method>.+)")
SHIPPED = sorted(folder.parent for folder in WEIGHTS.glob("*/model_index.json"))
ALL_TOGETHER = 100_000_000


def test_something_is_shipped():
    assert any(folder.name.endswith("-hydra") for folder in SHIPPED)


def test_sizes_stay_small():
    sizes = {file: file.stat().st_size for file in WEIGHTS.rglob("*.safetensors")}
    assert max(sizes.values()) <= LARGEST and sum(sizes.values()) <= ALL_TOGETHER


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_files_are_what_the_run_wrote(folder):
    digests = json.loads((folder / "digests.json").read_text())
    assert {str(f.relative_to(folder)) for f in folder.rglob("*.safetensors")} == set(digests)
    for name, digest in digests.items():
        assert file_digest(folder / name) == digest, name


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_the_card_tells_how_they_were_made(folder):
    card = (folder / "README.md").read_text()
    asked = json.loads((folder / "train.json").read_text())
    preset, world, method = NAME.fullmatch(folder.name).groups()
    assert card.startswith(f"# {folder.name}\n") and asked["config"]["model"]["name"] == f"{preset}-{method}"
    assert asked["data"].startswith(EASY_VERSION if world else f"{VERSION} ")
    for part in (
        "| data |",
        "| command | `hmbench train-reference",
        "| seed |",
        "| steps |",
        "| device |",
        "| codec |",
    ):
        assert part in card, part
    assert (folder / "loss.png").stat().st_size < 100_000


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_they_load_by_name(folder):
    preset, world, method = NAME.fullmatch(folder.name).groups()
    options = {"world": "mini-easy"} if world else {}
    info = create_model(method, profile=preset, device="cpu", options=options).info
    assert info.trained is True and info.notice is None
    digests = json.loads((folder / "digests.json").read_text())
    carrier = json.loads((folder.parent / "nano-carrier" / "digests.json").read_text()) if preset == "nano" else {}
    assert info.weights == digests | {f"carrier/{name}": digest for name, digest in carrier.items()}


@pytest.mark.parametrize("world", [None, "easy-"])
def test_rivals_were_trained_alike(world):
    """Same data, codec, steps, batch, seed: only then may their rows stand side by side."""
    rivals = [f for f in SHIPPED if NAME.fullmatch(f.name).group("preset", "world") == ("nano", world)]
    assert world or len(rivals) >= 7
    asked = [json.loads((folder / "train.json").read_text()) for folder in rivals]
    for field in ("data", "revision", "seed", "base"):
        assert len({row.get(field) for row in asked}) <= 1, field
    for field in ("steps", "optimizer", "run", "codec"):
        assert len({json.dumps(row["config"][field], sort_keys=True) for row in asked}) <= 1, field
    digests = [json.loads((folder / "digests.json").read_text()) for folder in rivals]
    codecs = {digest["vae/diffusion_pytorch_model.safetensors"] for digest in digests}
    assert len(codecs) <= 1


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_no_record_names_a_place_on_the_machine_that_made_it(folder):
    for record in folder.rglob("*.json"):
        assert "_name_or_path" not in record.read_text(), record


CARRIERS = sorted(WEIGHTS.glob("nano-carrier*"))


@pytest.mark.parametrize("folder", CARRIERS, ids=lambda folder: folder.name)
def test_carriers_are_what_was_trained(folder):
    digests = json.loads((folder / "digests.json").read_text())
    assert {name: file_digest(folder / name) for name in digests} == digests
    assert [f.name for f in folder.glob("*.safetensors")] == list(digests) == ["diffusion_pytorch_model.safetensors"]
    load_carrier(folder)


def test_seeds_of_the_carrier_differ_in_the_seed_alone():
    assert [folder.name for folder in CARRIERS] == ["nano-carrier", "nano-carrier-seed0", "nano-carrier-seed1"]
    requests = []
    for seed in (0, 1):
        card = (WEIGHTS / f"nano-carrier-seed{seed}" / "README.md").read_text()
        asked = re.search(r"`python -m reference_model\.training\.carrier (.+)`", card)[1].split()
        assert f"| seed | {seed} |" in card and parsed(asked).seed == seed
        requests.append({**parsed(asked).record(), "seed": None})
    assert requests[0] == requests[1] == {**parsed(["--out", "runs"]).record(), "seed": None}  # what it does if unasked
    weights = [load_carrier(folder).state_dict() for folder in CARRIERS]
    for name in ("seer.out.weight", "follower.leave.weight"):
        assert not torch.equal(weights[1][name], weights[2][name])
