"""Rows and run folders on disk, their means and intervals. What needs scipy is imported when it is first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hmbench.files import read_json, write_json, write_text
from hmbench.results.records import Row, RunManifest, read_rows, write_rows
from hmbench.results.run_folder import RunFolder

if TYPE_CHECKING:
    from hmbench.results.intervals import Interval, difference_interval, mean_interval
    from hmbench.results.summary import MetricSummary, bootstrap_interval, summarise

__all__ = [
    "Interval",
    "MetricSummary",
    "Row",
    "RunFolder",
    "RunManifest",
    "bootstrap_interval",
    "difference_interval",
    "mean_interval",
    "read_json",
    "read_rows",
    "summarise",
    "write_json",
    "write_rows",
    "write_text",
]


def __getattr__(name: str) -> Any:
    for module in ("intervals", "summary"):
        if name in __all__:
            found = importlib.import_module(f"hmbench.results.{module}")
            if hasattr(found, name):
                return getattr(found, name)
    raise AttributeError(f"module 'hmbench.results' has no attribute {name!r}")
