"""Puts a finished run's model where the package finds it: ``reference_model/weights/<preset>-<memory>/``.

A run on the easy world goes to ``<preset>-easy-<memory>/``, which ``--option world=mini-easy`` chooses.

Usage: ``python -m reference_model.training.ship runs/nano-hydra [--steps 2] [--note "what a reader must know"]``
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

import torch

from reference_model.model.transformer import HydraTransformer3DModel
from reference_model.released.checkpoint import file_digest
from reference_model.sampling.world_model import shipped_name, world_of_data
from reference_model.training.disk import replacing_folder, write_atomically
from reference_model.training.export import DIGESTS, MODEL_FILE
from reference_model.training.stop import TrainingStoppedError

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
LARGEST = 15_000_000
"""Bytes of one weight file that a package may carry."""
_COMPONENTS = ("transformer", "vae", "text_encoder", "scheduler")
_FILES = ("model_index.json", MODEL_FILE, DIGESTS, "README.md", "loss.png", "train.json", "metrics.jsonl")


def ship(run: Path, weights: Path = WEIGHTS, *, steps: int | None = None, note: str = "") -> Path:
    """Copies model (its transformer in bfloat16), card, settings, metrics and loss curve; the rest stays behind.

    Args:
        run: A finished run's folder.
        weights: Where shipped models live.
        steps: Sampling steps that the shipped model takes by default; None: the recipe's.
        note: A paragraph for the end of the card.

    Returns:
        The model's folder.

    Raises:
        TrainingStoppedError: If the run is not finished, was changed after it finished, or is too large to ship.
    """
    if not (run / DIGESTS).is_file():
        raise TrainingStoppedError(f"{run} holds no finished model.", "Run its command again: it goes on from there.")
    for name, digest in json.loads((run / DIGESTS).read_text(encoding="utf-8")).items():
        if file_digest(run / name) != digest:
            raise TrainingStoppedError(f"{run / name} is not what the run wrote.", "Train it again.")
    asked = json.loads((run / "train.json").read_text(encoding="utf-8"))
    config, world = asked["config"], world_of_data(str(asked["data"]))
    name = shipped_name(str(config["model"]["name"]), world)
    target = weights / name
    with replacing_folder(target) as part:
        for component in _COMPONENTS:
            shutil.copytree(run / component, part / component)
        for file_name in _FILES:
            shutil.copy2(run / file_name, part / file_name)
        _halve(part)
        if steps is not None:
            text = json.dumps({**json.loads((part / "model_index.json").read_text("utf-8")), "steps": steps}, indent=2)
            (part / "model_index.json").write_text(f"{text}\n", encoding="utf-8")
        title, rest = (part / "README.md").read_text(encoding="utf-8").split("\n", 1)
        assert title.startswith("# "), title
        card = f"# {name}\n{rest}" + (f"\n{note}\n" if note else "")
        (part / "README.md").write_text(card, encoding="utf-8")
    return target


def _halve(folder: Path) -> None:
    """Stores the transformer in bfloat16, half the bytes, and renews the digests.

    Raises:
        TrainingStoppedError: If a file is still too large.
    """
    weights = folder / "transformer"
    half = {"local_files_only": True, "torch_dtype": torch.bfloat16}  # norms and timesteps stay as they are
    HydraTransformer3DModel.from_pretrained(weights, **half).save_pretrained(weights)
    for record in folder.glob("*/config.json"):
        config = json.loads(record.read_text(encoding="utf-8"))
        config.pop("_name_or_path", None)  # where it was loaded from here: nobody else has that folder
        record.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    files = sorted(folder.rglob("*.safetensors"))
    for file in files:
        if (size := file.stat().st_size) > LARGEST:
            shutil.rmtree(folder)
            raise TrainingStoppedError(
                f"{file.name} of {folder.name} has {size / 1e6:.1f} MB; a package carries at most "
                f"{LARGEST / 1e6:.0f} MB a file.",
                "Ship it as a download instead.",
            )
    write_atomically(folder / DIGESTS, {str(file.relative_to(folder)): file_digest(file) for file in files})


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished runs")
    parser.add_argument("--steps", type=int, help="sampling steps of the shipped model")
    parser.add_argument("--note", default="", help="a paragraph for the card")
    asked = parser.parse_args()
    try:
        for run in asked.runs:
            sys.stdout.write(f"{ship(run, steps=asked.steps, note=asked.note)}\n")
    except TrainingStoppedError as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
