"""Metrics: each a class with a `MetricInfo`, called with a `Case`, answering with a `Score`; and functions of arrays.

for metric in default_metrics(profile="mini", weights=None, device="cpu"):
    reason = unmet_need(metric.info, case)
    score = Score.skipped(reason) if reason else metric(case)

On plain arrays: ``psnr(a, b)``, ``ssim``, ``lpips``, ``dsc``, ``hota``, ``idf1``, ``reentry``, which stand in
`hmbench.metrics.arrays`. Nothing heavy is imported before it is asked for.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hmbench.metrics.arrays import idf1, lpips, psnr, ssim
    from hmbench.metrics.needs import unmet_need
    from hmbench.metrics.table import default_metrics

__all__ = ["default_metrics", "dsc", "hota", "idf1", "lpips", "psnr", "reentry", "ssim", "unmet_need"]
_ARRAYS = ("dsc", "hota", "idf1", "lpips", "psnr", "reentry", "ssim")
_PLACES = {
    "default_metrics": "hmbench.metrics.table",
    "unmet_need": "hmbench.metrics.needs",
    **dict.fromkeys(_ARRAYS, "hmbench.metrics.arrays"),
}


class _Metrics(types.ModuleType):
    """This package; three of its functions bear the name of a module that stands beside them.

    Importing ``hmbench.metrics.hota`` binds that module to this package's attribute `hota`, over the function. Here the
    function stays; ``from hmbench.metrics.hota import ...`` finds the module as ever.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _ARRAYS and isinstance(value, types.ModuleType):
            return
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        if name not in _PLACES:
            raise AttributeError(f"module 'hmbench.metrics' has no attribute {name!r}")
        return getattr(importlib.import_module(_PLACES[name]), name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_PLACES})


sys.modules[__name__].__class__ = _Metrics
