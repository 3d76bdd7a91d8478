"""Models that `benchmarks/gpu_train.py` left, as folders of finished runs that can be evaluated and shipped.

    python -m reference_model.training.adopt RESULTS runs/gpu
    hmbench eval --model runs/gpu/nano-hydra
    python -m reference_model.training.ship runs/gpu/nano-hydra

A GPU is lent to a bare machine: only files come back. Codec, text encoder and scheduler are those of the model that
the training began from; they were not trained.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from reference_model.model.memory_kinds import memory_class
from reference_model.model.methods import Method, find_method
from reference_model.model.transformer import with_memory
from reference_model.sampling.saved import load_saved
from reference_model.training.base import base_record
from reference_model.training.config import TrainingConfig, train_nano
from reference_model.training.disk import read_record, write_atomically, write_text_atomically
from reference_model.training.export import save_model
from reference_model.training.monitor import METRICS, plot_loss
from reference_model.training.request import REQUEST
from reference_model.training.resident import CHECK_EVERY
from reference_model.training.ship import WEIGHTS
from reference_model.training.stop import TrainingStoppedError


def adopt(results: Path, out: Path, begin: Path = WEIGHTS / "nano-hydra") -> list[Path]:
    """Makes a run's folder of each model.

    Args:
        results: Where ``log.json`` and ``models-*.safetensors`` lie.
        out: Where the folders go, ``nano-<memory>`` and for further seeds ``nano-<memory>-seed<N>``.
        begin: The model that the training began from.

    Raises:
        TrainingStoppedError: If the results are not whole.
    """
    if not (results / "log.json").is_file():
        raise TrainingStoppedError(f"{results} holds no log.json.", "Give the folder that the training wrote.")
    log = read_record(results / "log.json")
    return [
        _adopt(out / f"nano-{name}", name, weights, log, begin) for name, weights in sorted(_models(results).items())
    ]


def _models(results: Path) -> dict[str, dict[str, Tensor]]:
    found: dict[str, dict[str, Tensor]] = {}
    for file in sorted(results.glob("models-*.safetensors")):
        for key, value in load_file(file).items():
            name, _, weight = key.partition("/")
            found.setdefault(name, {})[weight] = value.float()
    return found


def _adopt(out: Path, name: str, weights: Mapping[str, Tensor], log: Mapping[str, Any], begin: Path) -> Path:
    method = find_method(name.partition("-seed")[0])
    phase, first = log["phases"][name], log["phases"]["base"]
    config = _config(method, phase)
    pipeline = load_saved(begin, method.pipeline)
    transformer = with_memory(pipeline.transformer.float(), dict(config.model.transformer.memory))
    transformer.register_to_config(conditioning=method.conditioning)
    transformer.load_state_dict(weights)
    pipeline.register_modules(transformer=transformer.eval())
    out.mkdir(parents=True, exist_ok=True)
    write_text_atomically(out / METRICS, "".join(json.dumps(row) + "\n" for row in _metrics(phase)))
    plot_loss(out, config.model.name)
    came = (
        f"{base_record(begin)}, then {first['steps']} steps of {first['batch']} clips in which "
        f"{len(first['memories'])} memories took turns ({first['samples_a_memory']:.0f} samples each)"
    )
    record = {
        "config": json.loads(json.dumps(asdict(config))),
        "data": "mini-v1 and mini-easy-v1, train splits, seed 0, 112x64, drawn in memory with softened colours",
        "revision": f"the first {phase['clips']} clips",
        "seed": phase["seed"],
        "base": came,
        "device": log["machine"]["device"],
        "command": f"python benchmarks/gpu_train.py --seconds {log['arguments']['seconds']} --device cuda",
    }
    write_atomically(out / REQUEST, record)
    facts = {"codec_line": _row(begin, "codec"), "clips": phase["clips"], "torch": log["machine"]["torch"], **record}
    save_model(out, pipeline, config, facts)
    return out


def _config(method: Method, phase: Mapping[str, Any]) -> TrainingConfig:
    recipe = train_nano()
    model = method.apply("nano")
    flow = recipe.flow
    if memory_class(str(method.memory["kind"])).per_frame_noise:
        flow = replace(flow, levels="per_frame", shift=3.0)
    return replace(
        recipe,
        model=model,
        memory=method.name,
        flow=flow,
        steps=phase["steps"],
        optimizer=replace(recipe.optimizer, learning_rate=phase["learning_rate"]),
        run=replace(recipe.run, batch=phase["batch"], precision="bf16", log_every=CHECK_EVERY),
    )


def _metrics(phase: Mapping[str, Any]) -> list[dict[str, float]]:
    rows = [{"step": s, "loss": loss, "samples_per_second": phase["samples_per_second"]} for s, loss in phase["losses"]]
    worlds = {world: phase[f"{world} validation"] for world in ("mini", "easy") if f"{world} validation" in phase}
    mean = sum(worlds.values()) / len(worlds)
    return [*rows, {"step": phase["steps"], "validation": mean, **{f"validation/{k}": v for k, v in worlds.items()}}]


def _row(folder: Path, name: str) -> str:
    """A row of a card's table."""
    lines = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    return next(line.split("|")[2].strip() for line in lines if line.startswith(f"| {name} |"))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="folder that the training wrote")
    parser.add_argument("out", type=Path, help="where folders of runs go")
    asked = parser.parse_args()
    try:
        for folder in adopt(asked.results, asked.out):
            sys.stdout.write(f"{folder}\n")
    except TrainingStoppedError as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
