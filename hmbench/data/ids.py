"""What an HM-World sample id says: ``00001_City_loc10_Complex_Follow_1``.

The order (index, scene, location, subject path, camera path, take) is inferred from the examples in public, not
documented, so an id that does not parse is no error: it just tells nothing.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from hmbench.files import file_name

_PATTERN = re.compile(
    r"^(?P<number>\d+)_(?P<scene>[A-Za-z0-9-]+)_(?P<location>loc[A-Za-z0-9-]+)"
    r"_(?P<subject_path>[A-Za-z0-9-]+)_(?P<camera_path>[A-Za-z0-9-]+)_(?P<take>\d+)$"
)


class IdParts(NamedTuple):
    """The parts of a sample id."""

    number: int
    scene: str
    location: str
    subject_path: str
    camera_path: str
    take: int


def parse_id(sample_id: str) -> IdParts | None:
    """The parts of an id, or None if it does not follow HM-World's pattern."""
    match = _PATTERN.match(sample_id)
    if match is None:
        return None
    parts = match.groupdict()
    return IdParts(
        int(parts["number"]),
        parts["scene"],
        parts["location"],
        parts["subject_path"],
        parts["camera_path"],
        int(parts["take"]),
    )


def check_id(sample_id: str) -> None:
    """Refuses an id that is no plain file name: ids become names of files that hmbench writes.

    Raises:
        SampleError: If the id holds a path separator, starts with a dot, or is empty.
    """
    file_name(sample_id)
