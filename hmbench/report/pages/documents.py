"""What the documentation knows of metrics, read from where it stands: a study of their powers, and their sentences."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from hmbench.files import read_json

DOCS = Path(__file__).resolve().parents[3] / "docs"
"""The repository's documents; an installed package has none."""


def validity(path: Path | None = None) -> dict[str, Any] | None:
    """A study by `hmbench validate-metrics`; None if there is none.

    Args:
        path: Its JSON file; by default the repository's own.
    """
    path = path or DOCS / "validity.json"
    return dict(read_json(path)) if path.is_file() else None


def explained(names: Collection[str], path: Path | None = None) -> dict[str, str]:
    """What the page of metrics says of each: the list item that begins with its name, or with a family's ``dsc_*``.

    Args:
        names: Metrics.
        path: A Markdown file; by default ``docs/metrics.md``.
    """
    path = path or DOCS / "metrics.md"
    if not path.is_file():
        return {}
    items = re.findall(r"^\* (.+(?:\n  .+)*)", path.read_text(encoding="utf-8"), re.M)
    texts = [re.sub(r"\s+", " ", item).replace("**", "") for item in items]
    heads = [re.match(r"(?:[^`:]{0,12}`[a-z0-9_]+`,? ?(?:and )?)+", text) for text in texts]
    found: dict[str, str] = {}
    for text, head in zip(texts, heads, strict=True):
        for name in re.findall(r"`([a-z0-9_]+)`", head.group() if head else ""):
            if name in names:
                found.setdefault(name, text)
    return found
