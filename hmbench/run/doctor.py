"""What this machine can run: device, memory needed against memory there, weights, codecs, network settings."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import psutil

from hmbench.run.environment import environment

GIB = 1024**3
Verdict = Literal["ok", "note", "problem"]
HM_WORLD = "KlingTeam/HM-World"
"""What the Hub is asked for."""
HUB_SECONDS = 15.0
"""How long its answer may take."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of the report."""

    name: str
    """What was looked at."""
    verdict: Verdict
    """``problem`` stops the main job, ``note`` limits something."""
    found: str
    """What was found, and the remedy if there is one."""


def examine(*, weights: Path | None = None, hub: bool = False) -> list[Check]:
    """Looks at the machine; computes nothing, writes nothing, uses no network unless asked.

    Args:
        weights: Folder of backbone weights to look into.
        hub: Whether to ask the Hub for an answer.
    """
    return [_software(), *_devices(), _memory(), _disk(), _codecs(), _lap(), _backbones(weights), _hub(tried=hub)]


def _software() -> Check:
    found = environment()
    shown = ("hmbench", "python", "torch", "diffusers", "transformers", "ultralytics")
    missing = [name for name, version in found.items() if version == "not installed"]
    text = ", ".join(f"{name} {found[name]}" for name in shown)
    if missing:
        return Check(name="software", verdict="problem", found=f"missing: {', '.join(missing)}; pip install hmbench")
    return Check(name="software", verdict="ok", found=text)


def _devices() -> list[Check]:
    import torch

    cores = Check(name="processor", verdict="ok", found=f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()}")
    if not torch.cuda.is_available():
        text = "none: the mini profile runs on the processor; HyDRA at paper scale needs a GPU"
        return [cores, Check(name="GPU", verdict="note", found=text)]
    cards = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        cards.append(
            Check(
                name=f"GPU {index}", verdict="ok", found=f"{properties.name}, {properties.total_memory / GIB:.0f} GiB"
            )
        )
    return [cores, *cards]


def _memory() -> Check:
    free, needed = psutil.virtual_memory().available / GIB, 2.0
    verdict: Verdict = "ok" if free >= needed else "problem"
    return Check(
        name="RAM",
        verdict=verdict,
        found=f"{free:.1f} GiB free; evaluating one 832x480 clip takes about {needed:.0f} GiB",
    )


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / GIB
    return Check(
        name="disk",
        verdict="ok" if free > 5 else "note",
        found=f"{free:.0f} GiB free here; an 832x480 prediction takes about 0.05 GiB",
    )


def _codecs() -> Check:
    missing = [name for name in ("h264", "libx264", "libx264rgb", "ffv1") if name not in av.codecs_available]
    if missing:
        return Check(
            name="codecs", verdict="problem", found=f"PyAV lacks {', '.join(missing)}; pip install --force-reinstall av"
        )
    return Check(name="codecs", verdict="ok", found=f"H.264 (lossless too) and FFV1, PyAV {av.__version__}")


def _lap() -> Check:
    from importlib.util import find_spec

    if find_spec("lap") is None:
        return Check(
            name="tracking",
            verdict="problem",
            found="'lap' is missing and ultralytics would install it at run time; pip install lap",
        )
    return Check(name="tracking", verdict="ok", found="ultralytics and lap are installed")


def _backbones(weights: Path | None) -> Check:
    if weights is None:
        text = "no --weights folder given: paper-profile metrics are skipped; get one with `hmbench weights pull DIR`"
        return Check(name="metric weights", verdict="note", found=text)
    files = sorted(p.name for p in weights.glob("*")) if weights.is_dir() else []
    if not files:
        return Check(
            name="metric weights",
            verdict="problem",
            found=f"{weights} is empty or missing; `hmbench weights pull {weights}`",
        )
    return Check(name="metric weights", verdict="ok", found=f"{weights}: {', '.join(files[:8])}")


def _hub(*, tried: bool) -> Check:
    """How the Hub is set up and, if it was tried, whether it answers."""
    from huggingface_hub import HfApi, constants

    said = f"endpoint {constants.ENDPOINT}, cache {constants.HF_HUB_CACHE}"
    if constants.HF_HUB_OFFLINE:
        return Check(name="Hub", verdict="note", found=f"offline (HF_HUB_OFFLINE), {said}")
    if not tried:
        return Check(name="Hub", verdict="note", found=f"not tried (`hmbench doctor --hub` does), {said}")
    try:
        HfApi().dataset_info(HM_WORLD, timeout=HUB_SECONDS)
    except Exception as error:  # noqa: BLE001 - whatever a network or its client raises is the answer
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        return Check(name="Hub", verdict="problem", found=f"{HM_WORLD} cannot be reached: {first}; {said}")
    return Check(name="Hub", verdict="ok", found=f"{HM_WORLD} answers, {said}")
