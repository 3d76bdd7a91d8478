"""What the documentation knows of metrics, read from where it stands: a study of their powers, and their sentences."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from hmbench.files import read_json

DOCS = Path(__file__).resolve().parents[3] / "docs"
"""The repository's documents; an installed package has none."""


def validity(path: Path | None = None) -> dict[str, Any] | None:
    """The tables of a study by `hmbench validate-metrics`; None if there is none.

    Args:
        path: Its JSON file, with or without the single values; by default the repository's own.
    """
    path = path or DOCS / "data" / "validity.json"
    if not path.is_file():
        return None
    content = dict(read_json(path))
    return dict(content.get("summary") or content)


def explained(names: Collection[str], pages: Sequence[Path] | None = None) -> dict[str, str]:
    """What the pages of metrics say of each: the table row or list item that begins with its name.

    Args:
        names: Metrics.
        pages: Markdown files; by default ``docs/metrics.md`` and the pages of the families.
    """
    if pages is None:
        pages = [DOCS / "metrics.md", *sorted((DOCS / "metrics").glob("*.md"))]
    found: dict[str, str] = {}
    for page in (page for page in pages if page.is_file()):
        for text in _lines(page.read_text(encoding="utf-8")):
            head = re.match(r"(?:[^`:]{0,12}`[a-z0-9_]+`,? ?(?:and )?)+", text)
            for name in re.findall(r"`([a-z0-9_]+)`", head.group() if head else ""):
                if name in names:
                    found.setdefault(name, text)
    return found


def _lines(text: str) -> list[str]:
    """Table rows and list items as sentences, without emphasis and links."""
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in re.findall(r"^\|.*`.*\|$", text, re.M)]
    items = [f"{cells[0]}: {cells[1]}" for cells in rows if len(cells) > 1]
    items += re.findall(r"^\* (.+(?:\n  .+)*)", text, re.M)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", item).replace("**", "") for item in items)
    return [re.sub(r"\s+", " ", item) for item in plain]
