"""What a run and an entry of a leaderboard say of a metric: read and written here, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from hmbench.protocols import MetricInfo

LAST = 10_000
"""Place in tables of a metric whose record says none."""
_MAY_BE_UNTOLD = ("needs", "bounds")


@dataclass(frozen=True, kw_only=True)
class MetricRecord(MetricInfo):
    """A metric of a run: what its numbers mean, and what decided them."""

    weights: dict[str, str] | None = None
    """Weight file to digest of what it looks through; None in runs of 0.1, which named those of all metrics at once."""
    tracks: str | None = None
    """Digest of what decided the tracks that it rests on; None if it needs none."""
    stamp: str | None = None
    """Digest of all that decides its numbers besides the video; None in runs of 0.1."""
    order: int = LAST
    """Its place in tables."""
    untold: frozenset[str] = field(default=frozenset(), metadata={"on disk": False})
    """What the file did not say of ``needs`` and ``bounds``: these are then unknown, whatever stands here."""

    def content(self) -> dict[str, Any]:
        """The record as JSON; what nobody knows is left out."""
        found = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "untold"}
        found |= {"needs": sorted(self.needs), "bounds": list(self.bounds)}
        unknown = {name for name in ("weights", "tracks", "stamp") if found[name] is None} | self.untold
        if self.order == LAST:
            unknown.add("order")
        return {name: value for name, value in found.items() if name not in unknown}

    @classmethod
    def of(cls, info: MetricInfo, **decided_by: Any) -> MetricRecord:
        """The record of a metric.

        Args:
            info: What it says of itself.
            **decided_by: Fields of the record.
        """
        return cls(**{one.name: getattr(info, one.name) for one in fields(MetricInfo)}, **decided_by)

    @classmethod
    def from_content(cls, name: str, said: Mapping[str, Any]) -> MetricRecord:
        """The record of checked JSON (`hmbench.results.record_checks`); runs of 0.1 say less.

        Args:
            name: The metric.
            said: Its entry in ``run.json``, or in an entry of a leaderboard.
        """
        low, high = said.get("bounds") or (None, None)
        weights = said.get("weights")
        return cls(
            name=name,
            version=int(said["version"]),
            higher_is_better=said.get("higher_is_better"),
            unit=str(said.get("unit") or ""),
            bounds=(low, high),
            needs=frozenset(said.get("needs") or ()),
            source=str(said.get("source") or ""),
            headline=bool(said.get("headline")),
            weights=dict(weights) if isinstance(weights, dict) else None,
            tracks=said.get("tracks"),
            stamp=said.get("stamp"),
            order=LAST if said.get("order") is None else int(said["order"]),
            untold=frozenset(key for key in _MAY_BE_UNTOLD if said.get(key) is None),
        )


def metric_records(said: Mapping[str, Mapping[str, Any]]) -> dict[str, MetricRecord]:
    """The records of a file's ``metrics``, by name."""
    return {name: MetricRecord.from_content(name, one) for name, one in said.items()}


def metric_contents(records: Mapping[str, MetricRecord]) -> dict[str, dict[str, Any]]:
    """The same as JSON."""
    return {name: record.content() for name, record in records.items()}
