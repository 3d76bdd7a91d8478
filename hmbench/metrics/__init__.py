"""Metrics: each a class with a `MetricInfo`, called with a `Case`, answering with a `Score`.

for metric in default_metrics(profile="mini", weights=None, device="cpu"):
    reason = unmet_need(metric.info, case)
    score = Score.skipped(reason) if reason else metric(case)
"""

from __future__ import annotations

from hmbench.metrics.needs import unmet_need
from hmbench.metrics.table import default_metrics

__all__ = ["default_metrics", "unmet_need"]
