"""Rows and run folders on disk, their means and intervals."""

from __future__ import annotations

from hmbench.files import read_json, write_json, write_text
from hmbench.results.intervals import Interval, difference_interval, mean_interval
from hmbench.results.records import Row, RunManifest, read_rows, write_rows
from hmbench.results.run_folder import RunFolder
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
