"""No-reference picture quality by pyiqa: optional rows (`--quality`), since they say nothing about memory.

pyiqa is licensed for non-commercial use; it is imported only when these rows are asked for, and its weights are never
downloaded here: a network's file lies in ``<weights>/pyiqa``, or its row is skipped. NIQE and BRISQUE need theirs, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from hmbench.case import Case
from hmbench.protocols import MetricInfo
from hmbench.types import Score
from hmbench.weights.backbones import PULL, Backbone

EVERY = 4
"""Frames between those that are looked at: picture quality changes slowly, and these networks are slow."""
NETWORKS: dict[str, tuple[str, bool, str]] = {
    "musiq": ("musiq_koniq_ckpt-e95806b9.pth", True, "Ke et al. 2021, KonIQ-10k"),
    "niqe": ("niqe_modelparameters.mat", False, "Mittal et al. 2013"),
}
"""pyiqa's name to its file, whether higher is better, and its source."""


class NoReferenceQuality:
    """Mean of a pyiqa score over every fourth frame of the prediction.

    Args:
        name: pyiqa's name.
        weights: Weights folder.
        device: Torch device.
    """

    def __init__(self, name: str, *, weights: Path | None, device: str) -> None:
        file, higher, source = NETWORKS[name]
        path = None if weights is None else weights / "pyiqa" / file
        there = path is not None and path.is_file()
        self.network = Backbone[Any](name, lambda: _load(name, path, device), None if there else _missing(name, path))
        self.info = MetricInfo(
            name=f"quality_{name}",
            version=1,
            higher_is_better=higher,
            needs=frozenset({name}),
            source=f"{source}, by pyiqa",
        )

    def __call__(self, case: Case) -> Score:
        """The score; skipped without the network's file."""
        if self.network.missing:
            return Score.skipped(self.network.missing)
        frames = np.ascontiguousarray(case.prediction[::EVERY])
        model = self.network.get()
        with torch.inference_mode():
            images = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
            values = [float(model(image[None])) for image in images]
        return Score(float(np.mean(values)), details={"frames": len(values)})


def _load(name: str, path: Path | None, device: str) -> Any:
    import pyiqa

    return pyiqa.create_metric(name, device=torch.device(device), pretrained_model_path=str(path))


def _missing(name: str, path: Path | None) -> str:
    where = "no weights folder was given" if path is None else f"{path} does not exist"
    return f"{name} weights are missing ({where}); {PULL}"
