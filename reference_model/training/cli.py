"""What ``hmbench train-reference`` runs: the entry point ``hmbench.trainers``, which imports torch last.

A name that nobody offers is answered at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmbench.errors import UserError, did_you_mean
from hmbench.registry import MEMORIES
from hmbench.run.name_checks import check_names
from reference_model.training.options import TrainOptions

if TYPE_CHECKING:
    from reference_model.training.monitor import Listener

PRESETS = ("mini", "nano", "paper")
"""Names of the recipes (`reference_model.training.config.TRAINING`)."""


def reference(options: Mapping[str, Any], listener: Listener | None = None) -> Path:
    """The trainer that hmbench finds: options by the names of `TrainOptions`.

    Raises:
        UserError: For a mistake in the options, and when a run cannot go on.
    """
    wanted = TrainOptions(**options)
    if wanted.preset not in PRESETS:
        raise UserError(f"There is no preset {wanted.preset!r}.", did_you_mean(wanted.preset, PRESETS))
    for memory in (wanted.memory, *wanted.also):
        if ":" not in memory and memory not in MEMORIES.points():
            raise MEMORIES.unknown(memory)
    check_names(model=None, data=wanted.data, profile=None)
    from reference_model.training.trainer import train

    return train(wanted, listener)
