"""What the package carries: whole, small enough, documented, and loadable by name."""

from __future__ import annotations

import json

import pytest

from hmbench.registry import create_model
from reference_model.released.checkpoint import file_digest
from reference_model.training.ship import LARGEST, WEIGHTS

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
    assert card.startswith(f"# {folder.name}\n") and asked["config"]["model"]["name"] == folder.name
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
    preset, _, method = folder.name.partition("-")
    info = create_model(method, profile=preset, device="cpu").info
    assert info.trained is True and info.notice is None
    digests = json.loads((folder / "digests.json").read_text())
    assert info.weights == digests


def test_rivals_were_trained_alike():
    """Same data, codec, steps, batch, seed: only then may their rows stand side by side."""
    asked = [json.loads((folder / "train.json").read_text()) for folder in SHIPPED if folder.name.startswith("nano-")]
    for field in ("data", "revision", "seed", "base"):
        assert len({row.get(field) for row in asked}) <= 1, field
    for field in ("steps", "optimizer", "run", "codec"):
        assert len({json.dumps(row["config"][field], sort_keys=True) for row in asked}) <= 1, field
    codecs = {json.loads((f / "digests.json").read_text())["vae/diffusion_pytorch_model.safetensors"] for f in SHIPPED
              if f.name.startswith("nano-")}  # fmt: skip
    assert len(codecs) <= 1


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_no_record_names_a_place_on_the_machine_that_made_it(folder):
    for record in folder.rglob("*.json"):
        assert "_name_or_path" not in record.read_text(), record
