"""The shape of JSON files whose schema nobody documented, merged over many of them and said in one line."""

from __future__ import annotations

from typing import Any

_SHOWN = 8


class Shape:
    """What values were seen at one place of a JSON tree."""

    def __init__(self) -> None:
        self.count = 0
        """Values seen."""
        self.types: set[str] = set()
        """Their JSON types."""
        self.keys: dict[str, Shape] = {}
        """Shapes below an object's keys; keys that are numbers are merged under ``<number>``."""
        self.numbers: list[int] = []
        """Smallest and largest key that is a number, and how many an object has: [low, high, fewest, most]."""
        self.items: Shape | None = None
        """Shape of an array's items."""
        self.lengths: list[int] = []
        """Shortest and longest array."""
        self.range: list[float] = []
        """Smallest and largest number."""
        self.texts: list[str] = []
        """The first different strings."""

    def add(self, value: Any) -> None:
        """Merges one value in."""
        self.count += 1
        if isinstance(value, dict):
            self.types.add("object")
            self._add_object(value)
        elif isinstance(value, list):
            self.types.add("array")
            self.lengths = _widened(self.lengths, len(value))
            self.items = self.items or Shape()
            for item in value:
                self.items.add(item)
        elif isinstance(value, bool) or value is None:
            self.types.add("bool" if isinstance(value, bool) else "null")
        elif isinstance(value, int | float):
            self.types.add("int" if isinstance(value, int) else "float")
            self.range = _widened(self.range, value)
        else:
            self.types.add("text")
            if len(self.texts) < _SHOWN and value not in self.texts:
                self.texts.append(value)

    def describe(self) -> str:
        """For example ``{cond_check: {<1 to 3 keys: Wolf, Dog>: [77 x {frame: int 0..76, inFrame: bool}]}}``."""
        if not self.types:
            return "nothing"
        return " or ".join(self._describe_one(kind) for kind in sorted(self.types))

    def _add_object(self, value: dict[str, Any]) -> None:
        numbered = [int(key) for key in value if key.isdecimal()]
        if numbered:
            low, high, fewest, most = self.numbers or [min(numbered), max(numbered), len(numbered), len(numbered)]
            self.numbers = [
                min(low, *numbered),
                max(high, *numbered),
                min(fewest, len(numbered)),
                max(most, len(numbered)),
            ]
        for key, item in value.items():
            self.keys.setdefault("<number>" if key.isdecimal() else key, Shape()).add(item)

    def _describe_one(self, kind: str) -> str:
        if kind == "object":
            return "{" + ", ".join(self._describe_keys()) + "}"
        if kind == "array":
            low, high = self.lengths
            length = str(low) if low == high else f"{low} to {high}"
            return f"[{length} x {self.items.describe() if self.items else 'nothing'}]"
        if kind in {"int", "float"}:
            return f"{kind} {self.range[0]:g}..{self.range[1]:g}"
        if kind == "text":
            shown = ", ".join(repr(text[:40]) for text in self.texts[:3])
            return f"text ({shown}{', ...' if len(self.texts) > 3 else ''})"
        return kind

    def _describe_keys(self) -> list[str]:
        """Keys with their shapes; keys that vary between samples (names) are merged into one entry."""
        named = {key: shape for key, shape in self.keys.items() if key != "<number>"}
        entries = []
        if "<number>" in self.keys:
            low, high, fewest, most = self.numbers
            count = f"{fewest}" if fewest == most else f"{fewest} to {most}"
            entries.append(f"<{count} numbers {low}..{high}>: {self.keys['<number>'].describe()}")
        fixed = {key: shape for key, shape in named.items() if shape.count == self.count}
        if len(fixed) > _SHOWN:
            fixed = {}
        entries += [f"{key}: {shape.describe()}" for key, shape in fixed.items()]
        names = [key for key in named if key not in fixed]
        if names:
            merged = Shape()
            for key in names:
                merged.merge(named[key])
            shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
            entries.append(f"<names: {shown}>: {merged.describe()}")
        return entries

    def merge(self, other: Shape) -> None:
        """Merges another shape in."""
        self.count += other.count
        self.types |= other.types
        for key, shape in other.keys.items():
            self.keys.setdefault(key, Shape()).merge(shape)
        if other.numbers:
            mine = self.numbers or other.numbers
            pairs = zip(mine, other.numbers, (min, max, min, max), strict=True)
            self.numbers = [pick(a, b) for a, b, pick in pairs]
        if other.items:
            self.items = self.items or Shape()
            self.items.merge(other.items)
        for length in other.lengths:
            self.lengths = _widened(self.lengths, length)
        for number in other.range:
            self.range = _widened(self.range, number)
        self.texts += [text for text in other.texts if text not in self.texts][: _SHOWN - len(self.texts)]


def _widened(bounds: list[Any], value: float) -> list[Any]:
    return [min(bounds[0], value), max(bounds[1], value)] if bounds else [value, value]
