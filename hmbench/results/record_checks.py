"""Are records of strangers what they say, inside too? Anybody can make the digests of a run or an entry anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hmbench.errors import UserError

_TEXTS = ("options", "environment", "metric_weights", "reading", "weights")
"""Entries of a manifest or an entry that map text to text."""


def check_inside(content: Mapping[str, Any], source: str) -> None:
    """Refuses a run's or an entry's JSON whose inner values are not of the kinds that tables and pages take.

    Args:
        content: What was read; its own entries are of the right kinds (`hmbench.results.records.check_fields`).
        source: What the message calls it.

    Raises:
        UserError: With the first value that does not fit.
    """
    for key in _TEXTS:
        for name, value in (content.get(key) or {}).items():
            if not isinstance(value, str):
                raise _wrong(source, f"{key}, {name}", value, "text")
    for name, record in (content.get("metrics") or {}).items():
        _check_metric(record, source, f"metric {name}")
    info = content.get("model_info") or {}
    texts = (str, type(None))
    kinds = {"name": (str,), "description": texts, "notice": texts, "standing": texts, "trained": (bool, type(None))}
    for key, kind in {**kinds, "weights": (dict, type(None)), "settings": (dict, type(None))}.items():
        if not isinstance(info.get(key, None if type(None) in kind else ""), kind):
            raise _wrong(source, f"model_info, {key}", info.get(key), " or ".join(one.__name__ for one in kind))
    for name, value in (info.get("weights") or {}).items():
        if not isinstance(value, str):
            raise _wrong(source, f"model_info, weights, {name}", value, "text")


def _check_metric(record: Any, source: str, where: str) -> None:
    if not isinstance(record, dict):
        raise _wrong(source, where, record, "an object")
    if type(record.get("version")) is not int:
        raise _wrong(source, f"{where}, version", record.get("version"), "a whole number")
    kinds: dict[str, tuple[type, ...]] = {
        "higher_is_better": (bool, type(None)), "headline": (bool, type(None)), "unit": (str, type(None)),
        "name": (str, type(None)), "source": (str, type(None)),
        "stamp": (str, type(None)), "tracks": (str, type(None)), "needs": (list, type(None)),
        "order": (int, type(None)),
    }  # fmt: skip
    for key, kind in kinds.items():
        if not isinstance(record.get(key), kind) or (type(record.get(key)) is bool and bool not in kind):
            raise _wrong(source, f"{where}, {key}", record.get(key), kind[0].__name__)
    for need in record.get("needs") or ():
        if not isinstance(need, str):
            raise _wrong(source, f"{where}, needs", need, "text")
    if "higher_is_better" not in record:
        raise _wrong(source, f"{where}, higher_is_better", None, "true, false or null")
    bounds = record.get("bounds")
    ends = bounds if isinstance(bounds, list | tuple) else ()
    fit = len(ends) == 2 and all(end is None or type(end) in (int, float) for end in ends)
    if bounds is not None and not (fit and (None in ends or ends[0] <= ends[1])):
        raise _wrong(source, f"{where}, bounds", bounds, "two numbers")


def _wrong(source: str, where: str, found: Any, wanted: str) -> UserError:
    return UserError(
        f"{source} is damaged: its {where[:80]} is {str(found)[:60]!r}, expected {wanted}.",
        "It was damaged or edited; make it again.",
    )
