"""No-reference picture quality by pyiqa: optional rows (`--quality`), since they say nothing about memory.

pyiqa is licensed for non-commercial use; it is imported only when these rows are asked for, and its weights are never
downloaded here: a network's file lies in ``<weights>/pyiqa`` (`hmbench weights pull DIR --only musiq --only niqe`), or
its row is skipped.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hmbench.case import Case
from hmbench.networks.backbones import from_folder
from hmbench.networks.files import fitting, read_state
from hmbench.networks.untrusted import check_weight_file
from hmbench.protocols import MetricInfo
from hmbench.types import Score

EVERY = 4
"""Frames between those that are looked at: picture quality changes slowly, and these networks are slow."""
NETWORKS: dict[str, tuple[bool, str]] = {
    "musiq": (True, "Ke et al. 2021, KonIQ-10k"),
    "niqe": (False, "Mittal et al. 2013"),
}
"""pyiqa's name, which is the backbone's, to whether higher is better, and its source."""


class NoReferenceQuality:
    """Mean of a pyiqa score over every fourth frame of the prediction.

    Args:
        name: pyiqa's name.
        weights: Weights folder.
        device: Torch device.
    """

    def __init__(self, name: str, *, weights: Path | None, device: str) -> None:
        higher, source = NETWORKS[name]
        self.network = from_folder(name, weights, lambda path: _load(name, path, device))
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


def _load(name: str, path: Path, device: str) -> Any:
    import pyiqa
    from scipy.io.matlab import MatReadError

    if path.suffix == ".pth":
        read_state(path)  # pyiqa would run what code a pickle holds; this lets tensors pass and nothing else
    else:
        check_weight_file(path)
    with fitting(path, MatReadError), contextlib.redirect_stdout(sys.stderr):  # pyiqa prints what it loads
        model = pyiqa.create_metric(name, device=torch.device("cpu"), pretrained_model_path=str(path))
    return model.to(device)
