"""hmbench: benchmark and evaluation toolkit for hybrid memory in video world models.

    import hmbench

    run = hmbench.evaluate("hydra", hmbench.open_data("mini", limit=4))
    run.summary(headline=True)

``open_data``, ``evaluate``, ``score``, ``load_run`` and ``compare`` are told of in docs/api.md, metrics on arrays in
`hmbench.metrics`. Nothing heavy is imported before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hmbench import _moved

if TYPE_CHECKING:
    from hmbench import metrics
    from hmbench.api import Data, Run, compare, evaluate, load_run, open_data, score
    from hmbench.case import Case
    from hmbench.data.from_arrays import make_sample
    from hmbench.errors import UserError
    from hmbench.protocols import MetricInfo, ModelInfo
    from hmbench.types import Prompt, Sample, Score, Track

__version__ = "0.1.0"

__all__ = [
    "Case", "Data", "MetricInfo", "ModelInfo", "Prompt", "Run", "Sample", "Score", "Track", "UserError", "compare",
    "evaluate", "load_run", "make_sample", "metrics", "open_data", "score",
]  # fmt: skip
_PLACES = {
    **dict.fromkeys(("Data", "Run", "compare", "evaluate", "load_run", "open_data", "score"), "hmbench.api"),
    **dict.fromkeys(("Prompt", "Sample", "Score", "Track"), "hmbench.types"),
    **dict.fromkeys(("MetricInfo", "ModelInfo"), "hmbench.protocols"),
    "Case": "hmbench.case",
    "make_sample": "hmbench.data.from_arrays",
    "UserError": "hmbench.errors",
}

_moved.install()


def __getattr__(name: str) -> Any:
    """Public names, imported when first used."""
    if name == "metrics":
        return importlib.import_module("hmbench.metrics")
    if name not in _PLACES:
        raise AttributeError(f"module 'hmbench' has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
