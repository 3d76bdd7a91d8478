"""Devices and processes of a run: what accelerate is given, and what is refused before anything is prepared."""

from __future__ import annotations

import os
from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.utils import (
    DistributedDataParallelKwargs,
    DistributedType,
    FullyShardedDataParallelPlugin,
    InitProcessGroupKwargs,
)
from torch.distributed.fsdp import MixedPrecisionPolicy

from reference_model.training.config import TrainingConfig
from reference_model.training.stop import TrainingStoppedError

PATIENCE = timedelta(days=7)
"""How long processes wait for the first one, which trains the codec and encodes all clips before they meet again."""
_KNOWN = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU, DistributedType.FSDP)


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
        TrainingStoppedError: If there is no such device, or the launcher shares the model out in a way that this
            trainer does not know.
    """
    wanted = training_device(device)
    if _asked("ACCELERATE_USE_DEEPSPEED"):
        raise _unknown("DeepSpeed")
    plugin = _shards(wanted) if _asked("ACCELERATE_USE_FSDP") else None
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
        cpu=on_cpu,
        mixed_precision="no" if on_cpu else config.run.precision,
        kwargs_handlers=handlers,
        fsdp_plugin=plugin,
    )
    if accelerator.distributed_type not in _KNOWN:
        raise _unknown(accelerator.distributed_type.value)
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


def _asked(setting: str) -> bool:
    return os.environ.get(setting, "").lower() in ("true", "1")


def shards_plugin() -> FullyShardedDataParallelPlugin:
    """FSDP 2 as the launcher's settings say, but for what would go wrong here.

    * Every process loads the weights that it then takes its part of: accelerate's way of loading on one process alone
      asks for methods that only transformers' models have.
    * No number format of its own: accelerate's policy would also round timesteps, cameras and gradients to it. Mixed
      precision is autocast's business, as without shards (`loop.py`).
    """
    return FullyShardedDataParallelPlugin(
        fsdp_version=2, cpu_ram_efficient_loading=False, mixed_precision_policy=MixedPrecisionPolicy()
    )


def _shards(device: torch.device) -> FullyShardedDataParallelPlugin:
    """Refuses FSDP 1, whose flat parameters have no names to average or freeze by, offloading, and FSDP on CPUs.

    There accelerate would ignore it without a word.
    """
    if os.environ.get("FSDP_VERSION", "1") != "2":
        raise TrainingStoppedError(
            "FSDP of version 1 is not supported.", "Add --fsdp_version 2 to accelerate launch (or to its config file)."
        )
    if _asked("FSDP_OFFLOAD_PARAMS"):
        raise TrainingStoppedError(
            "FSDP that keeps weights off the GPUs is not supported.", "Launch without --fsdp_offload_params."
        )
    if device.type == "cpu":
        raise TrainingStoppedError(
            "FSDP needs GPUs, and this run was given --device cpu.",
            "Give --device cuda, or launch without FSDP: every process then holds the whole model.",
        )
    return shards_plugin()


def _unknown(kind: str) -> TrainingStoppedError:
    return TrainingStoppedError(
        f"{kind} is a way of sharing out a model that this trainer does not know.",
        "Launch with accelerate launch --multi_gpu (whole models) or --use_fsdp --fsdp_version 2 (shards).",
    )
