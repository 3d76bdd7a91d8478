"""Devices and processes of a run: what accelerate is given, and what is refused before anything is prepared."""

from __future__ import annotations

import os
from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, DistributedType, InitProcessGroupKwargs

from reference_model.training.config import TrainingConfig
from reference_model.training.stop import TrainingStoppedError

PATIENCE = timedelta(days=7)
"""How long processes wait for the first one, which trains the codec and encodes all clips before they meet again."""
_WHOLE_MODELS = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
_SHARDED = {"ACCELERATE_USE_FSDP": "FSDP", "ACCELERATE_USE_DEEPSPEED": "DeepSpeed"}


def training_device(name: str) -> torch.device:
    """The device of that name: ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        TrainingStoppedError: If it is none of these or not there: accelerate would take the CPU without a word.
    """
    remedy = "Give --device cpu, cuda or cuda:1."
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise TrainingStoppedError(f"{name!r} is no device.", remedy) from error
    if device.type not in ("cpu", "cuda"):
        raise TrainingStoppedError(f"{name!r} is no device that training knows.", remedy)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise TrainingStoppedError(
            f"The device {name} is not available: torch finds no CUDA.", "Give --device cpu, or install torch for CUDA."
        )
    if device.type == "cuda" and (device.index or 0) >= (count := torch.cuda.device_count()):
        raise TrainingStoppedError(f"The device {name} is not available: torch finds {count} GPU(s).", remedy)
    return device


def make_accelerator(config: TrainingConfig, device: str) -> Accelerator:
    """Accelerate for this run; under a launcher it joins the other processes.

    Raises:
        TrainingStoppedError: If there is no such device, or the launcher is told to share the model out.
    """
    wanted = training_device(device)
    if sharded := [name for setting, name in _SHARDED.items() if os.environ.get(setting, "").lower() in ("true", "1")]:
        raise _whole_models_only(sharded[0])
    if wanted.type == "cuda" and wanted.index is not None:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise TrainingStoppedError(
                f"Several processes cannot share {device}.", "Give --device cuda: each process takes a GPU of its own."
            )
        torch.cuda.set_device(wanted)
    on_cpu = wanted.type == "cpu"
    # a memory may leave parts of the backbone without a gradient (no context: its camera encoder)
    handlers = [DistributedDataParallelKwargs(find_unused_parameters=True), InitProcessGroupKwargs(timeout=PATIENCE)]
    accelerator = Accelerator(
        cpu=on_cpu, mixed_precision="no" if on_cpu else config.run.precision, kwargs_handlers=handlers
    )
    if accelerator.distributed_type not in _WHOLE_MODELS:
        raise _whole_models_only(accelerator.distributed_type.value)
    return accelerator


def share(batch: int, processes: int) -> int:
    """Clips of a step that each process takes.

    Raises:
        TrainingStoppedError: If they cannot have equal shares.
    """
    if batch % processes:
        raise TrainingStoppedError(
            f"A batch of {batch} clips cannot be shared by {processes} processes.",
            f"Give a --batch that is a multiple of {processes}.",
        )
    return batch // processes


def _whole_models_only(kind: str) -> TrainingStoppedError:
    return TrainingStoppedError(
        f"{kind} shares a model out over processes, which this trainer cannot average, sample or save.",
        "Launch without it (accelerate launch --multi_gpu): every process holds the whole model.",
    )
