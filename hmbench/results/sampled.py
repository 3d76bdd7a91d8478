"""How a model was run, apart from what it is: settings by which runs of equal weights give other numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

HOW = {
    "dtype": "number format",
    "codec_tiles": "codec in tiles",
    "as_released": "sampled as released",
    "steps": "steps",
    "guidance": "guidance",
    "shift": "shift of noise levels",
    "stochastic": "noise drawn anew at each step",
    "compiled": "compiled blocks",
}
"""Settings of a model (`ModelInfo.settings`) that say how it was run, in words."""


def sampling_differences(labels: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sentences on runs that were not made alike; a model without such a setting takes no part.

    Args:
        labels: Names of the runs.
        settings: What each records of its model.
    """
    said = []
    for key, words in HOW.items():
        groups: dict[str, list[str]] = {}
        for label, known in zip(labels, settings, strict=True):
            if key in known:
                groups.setdefault(_word(known[key]), []).append(label)
        if len(groups) > 1:
            each = "; ".join(f"{value} for {', '.join(names)}" for value, names in groups.items())
            said.append(f"The runs were not sampled alike: {words} {each}.")
    return said


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, int | float) else str(value)
