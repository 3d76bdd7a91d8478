"""Pipelines of Wan's parts on one GPU, whatever the memory: text tokens from a cache, tiled codec, offloading.

UMT5-XXL takes 11 GB for a few tokens a clip. Captions are encoded once, all of a run together
(`paper_model.LargeWorldModel.prepare`), kept on disk, and the encoder is dropped before the transformer is needed; a
later run does not load it at all.
"""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, cast

import torch
from huggingface_hub import cached_assets_path
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase, UMT5Config, UMT5EncoderModel

from hmbench.digests import content_digest
from hmbench.durable import replacing
from hmbench.files import read_json
from reference_model.model.text import CLEANING, UMT5_LENGTH, encode_umt5
from reference_model.sampling.pipeline import HydraPipeline
from reference_model.sampling.saved import load_saved

Offload = Literal["none", "model", "sequential"]


class TextCache:
    """Text tokens on disk, one small file a caption; captions of another encoder never match.

    Args:
        pipeline_folder: Saved pipeline, with ``text_encoder`` and ``tokenizer``.
        cache_folder: Where the tokens are kept.
        dtype: Number format that the encoder computes in; tokens of another one are others.
    """

    def __init__(self, pipeline_folder: Path, cache_folder: Path, dtype: torch.dtype = torch.bfloat16) -> None:
        self._pipeline_folder = pipeline_folder
        self._dtype = dtype
        self._identity = _text_identity(pipeline_folder, dtype)
        self._folder = cache_folder / self._identity[:16]

    def missing(self, captions: Iterable[str]) -> list[str]:
        """Captions that are not cached, each once, in order."""
        return [caption for caption in dict.fromkeys(captions) if not self._path(caption).is_file()]

    def encode_missing(self, captions: Iterable[str], device: torch.device) -> int:
        """Encodes and keeps what is missing; the encoder is loaded only if there is anything, and dropped.

        Returns:
            How many captions were encoded.
        """
        missing = self.missing(captions)
        if not missing:
            return 0
        folder = self._pipeline_folder
        encoder = UMT5EncoderModel.from_pretrained(folder / "text_encoder", dtype=self._dtype, local_files_only=True)
        encoder.eval().to(device)
        tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True, trust_remote_code=False)
        try:
            for caption in missing:
                self._store(caption, encode_umt5(encoder, cast(PreTrainedTokenizerBase, tokenizer), [caption])[0])
        finally:
            del encoder
            gc.collect()
            if device.type == "cuda":
                torch.cuda.empty_cache()
        return len(missing)

    def read(self, captions: list[str]) -> Tensor:
        """Text tokens ``[B, 512, D]``, zero after each caption's end.

        Raises:
            KeyError: If a caption is not cached.
        """
        rows = []
        for caption in captions:
            if not self._path(caption).is_file():
                raise KeyError(caption)
            tokens = load_file(self._path(caption))["tokens"]
            rows.append(torch.cat((tokens, tokens.new_zeros(UMT5_LENGTH - len(tokens), tokens.shape[1]))))
        return torch.stack(rows)

    def _store(self, caption: str, tokens: Tensor) -> None:
        used = int(tokens.abs().sum(dim=1).gt(0).nonzero().max()) + 1 if tokens.any() else 1
        path = self._path(caption)
        with replacing(path) as temporary:
            save_file({"tokens": tokens[:used].cpu().contiguous()}, temporary, metadata={"caption": caption})

    def _path(self, caption: str) -> Path:
        return self._folder / f"{hashlib.sha256(caption.encode()).hexdigest()[:32]}.safetensors"


def load_large(
    folder: Path,
    kind: type[HydraPipeline] = HydraPipeline,
    *,
    tiling: bool = False,
    dtype: torch.dtype = torch.bfloat16,
    cache: Path | None = None,
) -> HydraPipeline:
    """A saved pipeline of Wan's parts on the CPU, its text encoder left on the disk.

    Args:
        folder: Written by `reference_model.released.paper_weights` or by training.
        kind: Class of the pipeline.
        tiling: Codec in tiles: less memory, other numbers.
        dtype: Of transformer and text; the codec stays in float32.
        cache: Folder of text tokens; None is huggingface-hub's assets cache.
    """
    formats = {"transformer": dtype, "vae": torch.float32}
    pipeline = load_saved(folder, kind, formats=formats, parts={"text_encoder": _no_encoder()})
    pipeline.text_cache = TextCache(folder, cache or cached_assets_path("hmbench", namespace="text"), dtype)
    pipeline.tiled = tiling
    return pipeline


def place(pipeline: HydraPipeline, device: torch.device, offload: Offload) -> None:
    """Puts a pipeline where it runs.

    Args:
        pipeline: On the CPU.
        device: Where it runs.
        offload: ``none``: all on the device; ``model``: each component only while it runs; ``sequential``: each layer,
            slow, for GPUs below about 10 GB. The last two need a CUDA device.
    """
    if offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device)
    else:
        pipeline.to(device)


def is_large(folder: Path | None) -> bool:
    """Whether a folder holds a pipeline of Wan's parts, by its index."""
    index = None if folder is None else folder / "model_index.json"
    if index is None or not index.is_file():
        return False
    named = read_json(index, kind=dict).get("text_encoder")
    return isinstance(named, list) and named[-1:] == ["UMT5EncoderModel"]


def _no_encoder() -> UMT5EncoderModel:
    """Stands where diffusers wants an encoder to be; a few hundred bytes, never called."""
    return UMT5EncoderModel(UMT5Config(vocab_size=2, d_model=2, d_kv=1, d_ff=2, num_layers=1, num_heads=2))


def _text_identity(folder: Path, dtype: torch.dtype) -> str:
    """What cleans, tokenizes and encodes, as a digest; the converter's record saves reading 11 GB for it."""
    digest = hashlib.sha256(f"cleaning {CLEANING}, {dtype}".encode())
    record = folder / "conversion.json"
    if record.is_file():
        digest.update(json.dumps(json.loads(record.read_text())["text_encoder"]["sha256"], sort_keys=True).encode())
    else:
        for path in sorted((folder / "text_encoder").glob("*.safetensors")):
            digest.update(content_digest(path).encode())
    for path in sorted((folder / "tokenizer").iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
