"""A random stream that is the same on every machine and in every numpy version.

numpy reserves the right to change `Generator` streams between releases (NEP 19), and a frozen benchmark must not move
with them, so the mini world draws from SplitMix64 (Steele, Lea, Flood 2014): integer arithmetic only, one hash a
number.
"""

import hashlib
import operator
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


class Stream:
    """Draws numbers that depend only on the key it is made with."""

    def __init__(self, *key: int | str) -> None:
        """Start a stream; keys that differ in any part give unrelated streams, and equal ones of any type the same."""
        plain = tuple(str(part) if isinstance(part, str) else int(operator.index(part)) for part in key)
        digest = hashlib.sha256(repr(plain).encode()).digest()
        self._state = int.from_bytes(digest[:8], "little")

    def bits(self) -> int:
        """Return the next 64-bit integer."""
        self._state = (self._state + _GOLDEN) & _MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * ((self.bits() >> 11) * 2.0**-53)

    def integer(self, n: int) -> int:
        """Return an integer in [0, n)."""
        return self.bits() % n

    def sign(self) -> int:
        """Return -1 or 1."""
        return 1 if self.bits() & 1 else -1

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self.uniform() < probability

    def choice(self, items: Sequence[T]) -> T:
        """Return one item."""
        return items[self.integer(len(items))]

    def sample(self, items: Sequence[T], n: int) -> list[T]:
        """Return n different items in random order."""
        if n > len(items):
            raise ValueError(f"cannot draw {n} different items from {len(items)}")
        pool = list(items)
        return [pool.pop(self.integer(len(pool))) for _ in range(n)]

    def array(self, *shape: int) -> NDArray[np.float64]:
        """Return numbers in [0, 1) with the given shape."""
        n = int(np.prod(shape))
        with np.errstate(over="ignore"):
            z = np.uint64(self.bits()) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z = z ^ (z >> np.uint64(31))
        return (z >> np.uint64(11)).astype(np.float64).reshape(shape) * 2.0**-53
