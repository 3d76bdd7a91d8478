"""``hmworld-test-v1`` and its training split: a rule on ids alone, because HM-World's own 1000 test ids are not public.

The rule. ``u(key)`` is the first 8 bytes of sha256 of ``"hmworld-test-v1|" + key`` as a number in [0, 1).
1. A scene is *held out* if ``u("scene|" + scene) < 0.15``: none of its clips is ever trained on.
2. A clip of a held-out scene is in the *reserve* if ``u("clip|" + id) < 0.05``, any other clip if it is below 0.02.
3. Train is every clip that is in neither a held-out scene nor the reserve.
4. Test is the 1000 clips of the reserve with the smallest ``u / limit``; all of it if there are fewer.

Reserve, train and held-out scenes depend on one id at a time, so they are the same for any subset of the data, and a
clip of the reserve is never trained on. About 57,000 ids give 1300 to 1400 reserve clips, of which step 4 keeps 1000;
only that cut needs the whole list of ids. Ids name no subject in the only form known (``00001_City_loc10_...``), so
subjects are not held out by this rule. An id that does not parse counts as a clip of a seen scene.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from hmbench.data.ids import parse_id
from hmbench.errors import UserError, did_you_mean
from hmbench.files import write_json

NAME = "hmworld-test-v1"
TEST_CLIPS = 1000
HELD_OUT_SCENES = 0.15
RESERVE_SEEN = 0.02
RESERVE_UNSEEN = 0.05

EMBEDDED_SPLITS = {
    "mini": ("all", "test", "seen", "unseen-scene", "unseen-subject", "unseen-both"),
    "mini-easy": ("all", "test", "easy"),
}
"""Splits of the sets that are rendered when first used: a typo is told before anything is drawn."""
_ALIASES = {
    "all": "all",
    "test": "test",
    "train": "train",
    "hmworld-test-v1": "test",
    "hmworld-train-v1": "train",
}


def split_ids(ids: Iterable[str], name: str) -> tuple[str, ...]:
    """The ids of a split, sorted; the order of `ids` makes no difference.

    Args:
        ids: All ids that there are.
        name: ``test``, ``train`` or ``all``; also ``hmworld-test-v1`` and ``hmworld-train-v1``.

    Raises:
        UserError: If there is no such split.
    """
    split, unique = _resolve(name), set(ids)
    if split == "test":
        standings = {sample: _standing(sample) for sample in unique}
        reserve = (sample for sample in unique if standings[sample] < 1.0)
        return tuple(sorted(sorted(reserve, key=lambda sample: (standings[sample], sample))[:TEST_CLIPS]))
    return tuple(sorted(sample for sample in unique if in_split(sample, split)))


def in_split(sample_id: str, name: str) -> bool:
    """Whether an id alone puts a clip into a split; for ``test`` this is the reserve, of which 1000 are used.

    Raises:
        UserError: If there is no such split.
    """
    split = _resolve(name)
    if split == "all":
        return True
    reserved = _standing(sample_id) < 1.0
    return reserved if split == "test" else not reserved and cell_of(sample_id) == "seen"


def cell_of(sample_id: str) -> Literal["seen", "unseen-scene"]:
    """Whether the clip's scene is held out from training, as far as the id tells."""
    parts = parse_id(sample_id)
    return "unseen-scene" if parts is not None and _held_out(parts.scene) else "seen"


def write_split(path: Path, ids: Iterable[str], name: str, source: str) -> dict[str, Any]:
    """Writes a split as a file to publish and cite: the ids, what they were chosen from, and digests of both.

    Args:
        path: A JSON file.
        ids: All ids that there are.
        name: The split.
        source: Where the ids come from, for example a repository and commit.

    Returns:
        What was written.
    """
    everything = sorted(set(ids))
    members = split_ids(everything, name)
    content = {
        "name": {"test": NAME, "train": "hmworld-train-v1", "all": "all"}[_resolve(name)],
        "rule": (__doc__ or "").strip(),
        "source": source,
        "chosen_from": {"count": len(everything), "sha256": digest_of(everything)},
        "count": len(members),
        "sha256": digest_of(members),
        "cells": {cell: sum(cell_of(m) == cell for m in members) for cell in ("seen", "unseen-scene")},
        "held_out_scenes": sorted({p.scene for i in everything if (p := parse_id(i)) and cell_of(i) != "seen"}),
        "ids": list(members),
    }
    write_json(path, content)
    return content


def digest_of(ids: Iterable[str]) -> str:
    """sha256 of the sorted ids, one a line."""
    return hashlib.sha256("".join(f"{i}\n" for i in sorted(ids)).encode()).hexdigest()


def _standing(sample_id: str) -> float:
    """Below 1 in the reserve; the smaller the earlier a clip is chosen, equally for seen and unseen scenes."""
    limit = RESERVE_SEEN if cell_of(sample_id) == "seen" else RESERVE_UNSEEN
    return _u(f"clip|{sample_id}") / limit


@functools.cache
def _held_out(scene: str) -> bool:
    return _u(f"scene|{scene}") < HELD_OUT_SCENES


def _u(key: str) -> float:
    return int.from_bytes(hashlib.sha256(f"{NAME}|{key}".encode()).digest()[:8], "big") / 2**64


def _resolve(name: str) -> str:
    if name not in _ALIASES:
        raise UserError(f"There is no split {name!r}.", did_you_mean(name, _ALIASES))
    return _ALIASES[name]
