"""Stage 2: clips as latents, cameras and text tokens on disk, so that training never waits for video.

A cache is a folder of safetensors shards of `CLIPS_A_SHARD` clips and ``manifest.json``, written last: its existence
means that everything is there. Each shard is written under a temporary name and renamed, so that a killed run goes on
at the first shard that is missing. A cache belongs to one data revision, one codec and one text encoder; another is
refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import pad

from reference_model.released.checkpoint import file_digest
from reference_model.training.clips import ClipSource, TrainingClip
from reference_model.training.disk import read_record, replacing, write_atomically
from reference_model.training.flow import LatentBatch
from reference_model.training.stop import TrainingStoppedError

MANIFEST = "manifest.json"
CLIPS_A_SHARD = 64
_PARTS = ("context", "target", "cameras_context", "cameras_target", "text", "subjects")


@dataclass(frozen=True, kw_only=True)
class CacheKey:
    """What a cache was made of."""

    data: str
    """Name of the data."""
    revision: str
    """Digest of the data."""
    codec: str
    """Digest of the codec's weights."""
    text: str
    """Kind and size of the text encoder."""
    size: tuple[int, int]
    """Width and height in pixels."""
    dtype: str = "float16"
    """Type of latents on disk."""
    subjects: bool = True
    """Holds where subjects are seen; caches of earlier versions do not."""


@dataclass(frozen=True, kw_only=True)
class Encoders:
    """What turns a clip into tensors."""

    video: Callable[[Tensor], Tensor]
    """``[1, 3, T, H, W]`` in [-1, 1] to normalised latents ``[1, C, F, h, w]``."""
    text: Callable[[list[str]], Tensor]
    """Captions to ``[B, L, D]``."""
    time_stride: int
    """Frames a latent frame."""


class LatentCache:
    """A finished cache, read lazily.

    Args:
        folder: Where `build_cache` wrote.

    Raises:
        TrainingStoppedError: If the cache is not complete or a shard does not have the size it was written with; one of
            other content is refused when it is first read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / MANIFEST
        if not path.is_file():
            raise TrainingStoppedError(f"{folder} holds no finished cache.", "Run the same command again to finish it.")
        content = read_record(path)
        self.key = CacheKey(**{**content["key"], "size": tuple(content["key"]["size"])})
        self.ids: tuple[str, ...] = tuple(i for shard in content["shards"] for i in shard["ids"])
        self.text_length = int(content["text_length"])
        self._place = {i: (n, k) for n, shard in enumerate(content["shards"]) for k, i in enumerate(shard["ids"])}
        self._files = [folder / shard["file"] for shard in content["shards"]]
        self._digests: list[str] = [str(shard["sha256"]) for shard in content["shards"]]
        self._open: dict[int, Any] = {}
        for file, shard in zip(self._files, content["shards"], strict=True):
            if not file.is_file() or file.stat().st_size != shard["bytes"]:
                raise TrainingStoppedError(
                    f"{file} is not as it was written ({shard['bytes']} bytes).",
                    f"Delete {folder} and run the same command again.",
                )
        self.digest = hashlib.sha256("".join(s["sha256"] for s in content["shards"]).encode()).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.ids)

    def shows_subjects(self) -> bool:
        """Whether masks told of a subject in any clip."""
        return any(bool(self._tensor(clip_id, "subjects").any()) for clip_id in self.ids)

    def batch(self, ids: list[str]) -> LatentBatch:
        """Clips in float32, text filled up with zeros to equal length."""
        rows = [self._read(clip_id) for clip_id in ids]
        stacked = {name: torch.stack([row[name] for row in rows]) for name in _PARTS}
        return LatentBatch(
            context=stacked["context"],
            target=stacked["target"],
            cameras=(stacked["cameras_context"], stacked["cameras_target"]),
            text=stacked["text"],
            subjects=stacked["subjects"],
        )

    def _read(self, clip_id: str) -> dict[str, Tensor]:
        found = {name: self._tensor(clip_id, name).float() for name in _PARTS}
        # UMT5 gives 512 rows, nearly all zero: only the others are stored
        found["text"] = pad(found["text"], (0, 0, 0, self.text_length - len(found["text"])))
        return found

    def _tensor(self, clip_id: str, name: str) -> Tensor:
        shard, row = self._place[clip_id]
        if shard not in self._open:
            file = self._files[shard]
            if file_digest(file) != self._digests[shard]:
                raise TrainingStoppedError(
                    f"{file} is not as it was written: its digest differs.",
                    f"Delete {self.folder} and run the same command again.",
                )
            self._open[shard] = safe_open(self._files[shard], framework="pt")
        return cast(Tensor, self._open[shard].get_tensor(f"{row}.{name}"))


def build_cache(
    folder: Path,
    source: ClipSource,
    key: CacheKey,
    encoders: Encoders,
    on_clip: Callable[[int], None] | None = None,
) -> LatentCache:
    """Encodes what is missing and opens the cache.

    Args:
        folder: Where it lives.
        source: Clips.
        key: What it is made of.
        encoders: Codec and text encoder.
        on_clip: Told how many clips are done.

    Raises:
        TrainingStoppedError: If the folder holds a cache of something else.
    """
    check_key(folder, key)
    if (folder / MANIFEST).is_file():
        return LatentCache(folder)
    ids = source.ids()
    text_length = 0
    shards: list[dict[str, Any]] = []
    for start in range(0, len(ids), CLIPS_A_SHARD):
        part = ids[start : start + CLIPS_A_SHARD]
        name = f"shard-{start // CLIPS_A_SHARD:05d}"
        record = folder / f"{name}.json"
        if not record.is_file():
            _write_shard(folder, name, part, source, encoders)
        shard = read_record(record)
        if shard["ids"] != list(part):
            raise _other(folder, "other clips")
        if shards and shard["shape"] != shards[0]["shape"]:
            raise _differ(ids[0], part[0], (shards[0]["shape"], shard["shape"]))
        text_length = shard["text_length"]
        shards.append(shard)
        if on_clip:
            on_clip(start + len(part))
    write_atomically(folder / MANIFEST, {"key": asdict(key), "text_length": text_length, "shards": shards})
    return LatentCache(folder)


def encode_share(
    folder: Path,
    source: ClipSource,
    encoders: Encoders,
    share: tuple[int, int],
    on_clip: Callable[[int], None] | None = None,
) -> None:
    """Encodes one process's shards, so that `build_cache` finds them: every n-th, and only what is missing.

    Args:
        folder: Where the cache lives, seen by all processes.
        source: Clips.
        encoders: Codec and text encoder.
        share: Number of this process and how many there are.
        on_clip: Told how many clips of all are done, counting this share for all of them.

    Whoever shares the work checks the key first, once (`check_key`).
    """
    number, count = share
    if (folder / MANIFEST).is_file():
        return
    ids = source.ids()
    shards = range(0, len(ids), CLIPS_A_SHARD)
    for place, start in enumerate(shards):
        if place % count != number:
            continue
        name, part = f"shard-{place:05d}", ids[start : start + CLIPS_A_SHARD]
        if not (folder / f"{name}.json").is_file():
            _write_shard(folder, name, part, source, encoders)
        if on_clip:
            on_clip(min(len(ids), (place + 1) * CLIPS_A_SHARD))


def shards_missing(folder: Path, clips: int) -> int:
    """How many clips of a cache have no shard yet."""
    if (folder / MANIFEST).is_file():
        return 0
    starts = range(0, clips, CLIPS_A_SHARD)
    missing = [s for place, s in enumerate(starts) if not (folder / f"shard-{place:05d}.json").is_file()]
    return sum(min(CLIPS_A_SHARD, clips - start) for start in missing)


def _write_shard(folder: Path, name: str, ids: tuple[str, ...], source: ClipSource, encoders: Encoders) -> None:
    tensors: dict[str, Tensor] = {}
    length = 0
    for row, clip_id in enumerate(ids):
        encoded = encode_clip(source.load(clip_id), encoders)
        length = len(encoded["text"])
        encoded["text"] = encoded["text"][: _last_row(encoded["text"])]
        tensors |= {f"{row}.{part}": tensor.contiguous() for part, tensor in encoded.items()}
    shapes = [[list(tensors[f"{row}.{half}"].shape) for half in ("context", "target")] for row in range(len(ids))]
    if other := next((row for row, shape in enumerate(shapes) if shape != shapes[0]), None):
        raise _differ(ids[0], ids[other], (shapes[0], shapes[other]))
    file = folder / f"{name}.safetensors"
    with replacing(file) as part:
        save_file(tensors, part)
    facts = {"ids": list(ids), "file": file.name, "bytes": file.stat().st_size, "sha256": file_digest(file)}
    write_atomically(folder / f"{name}.json", {**facts, "text_length": length, "shape": shapes[0]})


@torch.no_grad()
def encode_clip(clip: TrainingClip, encoders: Encoders) -> dict[str, Tensor]:
    """Tensors of a clip; context and target are encoded one by one, as at generation time: neither sees the other."""
    context, target = (encoders.video(half)[0].half().cpu() for half in clip.halves())
    past, future = clip.cameras(encoders.time_stride)
    return {
        "context": context,
        "target": target,
        "cameras_context": past.float(),
        "cameras_target": future.float(),
        "text": encoders.text([clip.caption])[0].half().cpu(),
        "subjects": clip.subject_share((target.shape[1], target.shape[2], target.shape[3])).half(),
    }


def _differ(first: str, other: str, shapes: tuple[Any, Any]) -> TrainingStoppedError:
    return TrainingStoppedError(
        f"Clips {first} and {other} differ in size or length: latents {shapes[0]} and {shapes[1]}.",
        "Train on clips of one size and length.",
    )


def _last_row(text: Tensor) -> int:
    """Rows up to the last that is not zero; at least one."""
    used = text.float().abs().sum(1).nonzero()
    return int(used.max()) + 1 if len(used) else 1


def check_key(folder: Path, key: CacheKey) -> None:
    """Makes the folder a cache's own.

    Raises:
        TrainingStoppedError: If it holds a cache of something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "key.json"
    asked = json.loads(json.dumps(asdict(key)))
    if not path.is_file():
        write_atomically(path, asked)
        return
    found = read_record(path)
    if wrong := [
        f"{name} {found.get(name)} (now {value})" for name, value in asked.items() if found.get(name) != value
    ]:
        raise _other(folder, ", ".join(wrong))


def _other(folder: Path, what: str) -> TrainingStoppedError:
    return TrainingStoppedError(
        f"{folder} holds a cache of something else: {what}.", "Give another --prepared folder, or delete this one."
    )
