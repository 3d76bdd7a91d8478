"""Rows of an index that is being built: a line each, as they are made, so that a build that is stopped goes on.

The journal lies beside the index under a hidden name and is removed when the index is complete. It is not flushed to
the disk line by line: a row that a power loss took, or left half of, is made again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from hmbench.durable import flush_folder, storing


class Journal:
    """The journal of an index; use as a context manager, which leaves it where the body fails.

    Args:
        index: The index's path.
        facts: What its rows depend on besides the samples; lines of other facts are not read.
    """

    def __init__(self, index: Path, facts: dict[str, Any]) -> None:
        self.path = index.with_name(f".{index.name}.journal")
        self._facts = facts

    def __enter__(self) -> Journal:
        with storing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab")
            if self._file.tell() and not _ends_with_a_line(self.path):
                self._file.write(b"\n")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with storing(self.path):
            self._file.close()
            if kind is None:
                self.path.unlink(missing_ok=True)
                flush_folder(self.path.parent)

    def add(self, row: dict[str, Any]) -> None:
        """Appends a row in one write."""
        with storing(self.path):
            self._file.write(json.dumps([self._facts, row]).encode() + b"\n")
            self._file.flush()

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows that a stopped build left, in the order in which it made them; damaged lines are passed over."""
        if not self.path.is_file():
            return
        with self.path.open("rb") as lines:
            for line in lines:
                with suppress(ValueError, RecursionError):
                    content = json.loads(line)
                    if isinstance(content, list) and len(content) == 2 and content[0] == self._facts:
                        row = content[1]
                        if isinstance(row, dict) and isinstance(row.get("id"), str):
                            yield row


def _ends_with_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"
