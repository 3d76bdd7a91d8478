"""Names of hmbench's metrics without importing any: for completion in the shell, and for typos answered at once.

``python -m hmbench.metrics.names`` writes them anew after a metric was added; a test holds them to the metrics.
"""

from __future__ import annotations

from pathlib import Path

from hmbench.files import read_json, write_json

FILE = Path(__file__).with_name("names.json")


def metric_names() -> tuple[str, ...]:
    """All names, optional metrics included, in the order of tables."""
    return tuple(read_json(FILE, kind=list))


def current_names() -> list[str]:
    """Names as the metrics themselves say."""
    from hmbench.metrics.table import default_metrics

    metrics = default_metrics(profile="mini", weights=None, device="cpu", quality=True, vbench=True)
    return [metric.info.name for metric in metrics]


if __name__ == "__main__":
    write_json(FILE, current_names())
