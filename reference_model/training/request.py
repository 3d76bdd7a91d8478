"""What a run was asked for, and every check that needs no preparation: a refused command leaves its folder alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from reference_model.training.base import base_record, check_base
from reference_model.training.checkpoints import Checkpoints
from reference_model.training.clips import ClipSource, hold_out
from reference_model.training.config import TrainingConfig
from reference_model.training.disk import read_record, write_atomically
from reference_model.training.export import DIGESTS
from reference_model.training.paper import check_wan
from reference_model.training.processes import share
from reference_model.training.stop import TrainingStoppedError

REQUEST = "train.json"
_IGNORED = ("command", "device")
_SHOWN = 60
"""Characters of a value that a sentence shows."""
_NOTHING = object()


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingRequest:
    """One command."""

    config: TrainingConfig
    """Settings."""
    source: ClipSource
    """Clips."""
    out: Path
    """The run's folder."""
    prepared: Path | None = None
    """Folder of codec and cache; None: inside `out`."""
    seed: int = 0
    """Of weights, order and noise."""
    device: str = "cpu"
    """``cpu``, ``cuda`` or ``cuda:N``."""
    base: Path | None = None
    """Where the transformer begins: for the paper's preset Wan 2.1 in diffusers' format, for the others a finished run
    of the same preset, or None."""
    command: str = ""
    """How the run was asked for, for the card."""

    @property
    def codec_folder(self) -> Path:
        """Where the small codec lives."""
        return (self.prepared or self.out / "prepared") / "codec"

    @property
    def latents_folder(self) -> Path:
        """Where the cache lives."""
        return (self.prepared or self.out / "prepared") / "latents"

    def split(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Ids to train on and ids held out.

        Raises:
            TrainingStoppedError: If nothing is left to train on.
        """
        try:
            return hold_out(self.source.ids(), self.config.run.validation_clips)
        except ValueError as error:
            raise TrainingStoppedError(
                f"This cannot be trained: {error}.", "Give more --clips, or fewer --validation-clips."
            ) from error


def check_request(request: TrainingRequest, processes: int) -> None:
    """Refuses what cannot be trained, before anything is written or prepared.

    Raises:
        TrainingStoppedError: If batch, clips or base do not fit.
    """
    share(request.config.run.batch, processes)
    if request.config.model.codec.kind != "mini":
        check_wan(request.config.model, request.base)
    elif request.base is not None:
        check_base(request.config.model, request.base, request.codec_folder)
    request.split()


def as_record(request: TrainingRequest) -> dict[str, Any]:
    """The request as plain values."""
    config = json.loads(json.dumps(asdict(request.config)))
    return {
        "config": config,
        "data": request.source.name,
        "revision": request.source.revision(),
        "seed": request.seed,
        "base": base_record(request.base),
        "device": request.device,
        "command": request.command,
    }


def remember(request: TrainingRequest, accelerator: Accelerator) -> None:
    """Writes the request; where a run has a checkpoint or a model already, compares it with that run's.

    Raises:
        TrainingStoppedError: If the folder holds the run of another request.
    """
    path, asked = request.out / REQUEST, as_record(request)
    begun = Checkpoints(request.out / "checkpoints", 1).newest() is not None or (request.out / DIGESTS).is_file()
    known = begun and path.is_file()
    if known:
        found = read_record(path)
        kept = {key: found.get(key) for key in asked if key not in _IGNORED}
        if wrong := differences(kept, {key: asked[key] for key in kept}):
            raise TrainingStoppedError(
                f"{request.out} holds a run that was asked for differently ({'; '.join(wrong)}).",
                f"Give another --out, or the settings that stand in {path}.",
            )
    accelerator.wait_for_everyone()
    if accelerator.is_main_process and not known:
        request.out.mkdir(parents=True, exist_ok=True)
        write_atomically(path, asked)
    accelerator.wait_for_everyone()


def differences(found: Any, asked: Any, name: str = "") -> list[str]:
    """Leaves of two trees of plain values that differ, as ``config.run.batch 3, now 4``.

    A setting that `found` does not know is younger than it and no difference, except in a memory's description.
    """
    if isinstance(found, Mapping) and isinstance(asked, Mapping):
        strict = name.endswith(".memory")
        keys = [key for key in asked if strict or key in found] + [key for key in found if key not in asked]
        below = (
            differences(found.get(key, _NOTHING), asked.get(key, _NOTHING), f"{name}.{key}" if name else str(key))
            for key in keys
        )
        return [line for lines in below for line in lines]
    return [] if found == asked else [f"{name} {_short(found)}, now {_short(asked)}"]


def _short(value: Any) -> str:
    if value is None or value is _NOTHING:
        return "none"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
