"""Checkpoints of the codec's training: beside the codec's folder until the codec is there.

Crops follow from (seed, step), so that weights and moments are all that a killed run needs to end like another.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reference_model.training.checkpoints import Checkpoints, read_state
from reference_model.training.request import differences
from reference_model.training.stop import TrainingStoppedError

EVERY = 500
"""Steps between checkpoints."""
_FILE = "codec.pt"


class CodecCheckpoints:
    """The newest complete checkpoint of a codec that is being trained.

    Args:
        folder: ``<prepared>/codec-checkpoints``.
        made_of: What the codec follows from, as plain values.
    """

    def __init__(self, folder: Path, made_of: Mapping[str, Any]) -> None:
        self.files = Checkpoints(folder, keep=1)
        self.made_of = made_of

    def check(self) -> None:
        """Refuses to go on with a codec that was begun otherwise.

        Raises:
            TrainingStoppedError: If it was, naming the settings that differ.
        """
        newest = self.files.newest()
        if newest is None:
            return
        if wrong := differences(read_state(newest)["made_of"], self.made_of):
            raise TrainingStoppedError(
                f"{self.files.folder} holds a half-trained codec that was asked for differently ({'; '.join(wrong)}).",
                "Give another --prepared folder or the same settings, or delete that folder.",
            )

    def resume(
        self, codec: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device
    ) -> tuple[int, list[float]]:
        """Steps done and the linear part's PSNR values, after setting weights and moments; 0 and none at the start."""
        self.files.remove_remains()
        newest = self.files.newest()
        if newest is None:
            return 0, []
        stored: dict[str, Any] = torch.load(newest / _FILE, map_location=device, weights_only=True)
        codec.load_state_dict(stored["codec"])
        optimizer.load_state_dict(stored["optimizer"])
        return int(read_state(newest)["step"]), list(stored["linear"])

    def save(self, step: int, codec: nn.Module, optimizer: torch.optim.Optimizer, linear: list[float]) -> None:
        """Writes one.

        Raises:
            TrainingStoppedError: If the disk is full.
        """
        weights: dict[str, Tensor] = codec.state_dict()
        content = {"codec": weights, "optimizer": optimizer.state_dict(), "linear": linear}
        self.files.guarded(step, lambda folder: torch.save(content, folder / _FILE))
        self.files.finish(step, {"made_of": self.made_of})

    def remove(self) -> None:
        """Removes them: the codec is there, or it diverged."""
        shutil.rmtree(self.files.folder, ignore_errors=True)
