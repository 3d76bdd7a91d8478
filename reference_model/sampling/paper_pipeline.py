"""HyDRA at paper scale on one GPU: text embeddings from a cache, tiled codec, offloading.

UMT5-XXL takes 11 GB for a few tokens a clip. Captions are encoded once, all of a run together
(`PaperPipeline.prepare`), kept on disk, and the encoder is dropped before the transformer is needed; a later run does
not load it at all.
"""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, cast

import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase, UMT5Config, UMT5EncoderModel

from hmbench.durable import replacing
from reference_model.model.text import CLEANING, UMT5_LENGTH, encode_umt5
from reference_model.released.checkpoint import file_digest
from reference_model.sampling.pipeline import HydraPipeline

Offload = Literal["none", "model", "sequential"]
TILE = {
    "tile_sample_min_height": 240,
    "tile_sample_min_width": 416,
    "tile_sample_stride_height": 120,
    "tile_sample_stride_width": 208,
}
"""Pixels of the codec's tiles: those of the released inference, 30x52 latents every 15x26."""


class TextCache:
    """Text tokens on disk, one small file a caption; captions of another encoder never match.

    Args:
        pipeline_folder: Saved pipeline, with ``text_encoder`` and ``tokenizer``.
        cache_folder: Where the tokens are kept.
    """

    def __init__(self, pipeline_folder: Path, cache_folder: Path) -> None:
        self._pipeline_folder = pipeline_folder
        self._identity = _text_identity(pipeline_folder)
        self._folder = cache_folder / self._identity[:16]

    def missing(self, captions: Iterable[str]) -> list[str]:
        """Captions that are not cached, each once, in order."""
        return [caption for caption in dict.fromkeys(captions) if not self._path(caption).is_file()]

    def encode_missing(self, captions: Iterable[str], device: torch.device, dtype: torch.dtype) -> int:
        """Encodes and keeps what is missing; the encoder is loaded only if there is anything, and dropped.

        Returns:
            How many captions were encoded.
        """
        missing = self.missing(captions)
        if not missing:
            return 0
        folder = self._pipeline_folder
        encoder = UMT5EncoderModel.from_pretrained(folder / "text_encoder", dtype=dtype, local_files_only=True)
        encoder.eval().to(device)
        tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
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


class PaperPipeline(HydraPipeline):
    """`HydraPipeline` without a text encoder in memory; load it with `load_paper_pipeline`."""

    text_cache: TextCache | None = None

    def prepare(self, captions: Iterable[str], device: torch.device | None = None) -> int:
        """Encodes all captions of a run at once, the negative prompt with them; call it before generating.

        Args:
            captions: All of the run.
            device: Where to encode; None is where the pipeline runs. On a GPU of 16 GB or less, the CPU is the place.

        Returns:
            How many had to be encoded.
        """
        wanted = [*captions, str(self.config["negative_prompt"])]
        return self._cache().encode_missing(wanted, device or self._execution_device, self.transformer.dtype)

    @torch.no_grad()
    def encode_text(self, captions: list[str]) -> Tensor:
        """Text tokens ``[B, 512, D]``; what `prepare` was not told of loads the encoder for once."""
        self._cache().encode_missing(captions, self._execution_device, self.transformer.dtype)
        return self._cache().read(captions)

    def _cache(self) -> TextCache:
        if self.text_cache is None:
            raise ValueError("this pipeline has no text cache: load it with load_paper_pipeline")
        return self.text_cache


def load_paper_pipeline(
    folder: Path,
    device: torch.device,
    *,
    offload: Offload = "none",
    tiling: bool = True,
    dtype: torch.dtype = torch.bfloat16,
    cache: Path | None = None,
) -> PaperPipeline:
    """A saved pipeline, ready to generate.

    Args:
        folder: Written by `reference_model.released.paper_weights`.
        device: Where it runs.
        offload: ``none``: all on the device; ``model``: each component only while it runs; ``sequential``: each layer,
            slow, for GPUs below about 10 GB. The last two need a CUDA device.
        tiling: Codec in tiles: less memory, slightly different at the tiles' seams.
        dtype: Of transformer and text; the codec stays in float32.
        cache: Folder of text tokens; None is huggingface-hub's assets cache.
    """
    from huggingface_hub import cached_assets_path

    pipeline: Any = PaperPipeline.from_pretrained(
        folder,
        text_encoder=_no_encoder(),
        torch_dtype={"transformer": dtype, "vae": torch.float32, "default": torch.float32},
        local_files_only=True,
    )
    pipeline.text_cache = TextCache(folder, cache or cached_assets_path("hmbench", namespace="text"))
    if tiling and isinstance(pipeline.vae, AutoencoderKLWan):
        pipeline.vae.enable_tiling(**TILE)
    if offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device)
    else:
        pipeline.to(device)
    return cast(PaperPipeline, pipeline)


def _no_encoder() -> UMT5EncoderModel:
    """Stands where diffusers wants an encoder to be; a few hundred bytes, never called."""
    return UMT5EncoderModel(UMT5Config(vocab_size=2, d_model=2, d_kv=1, d_ff=2, num_layers=1, num_heads=2))


def _text_identity(folder: Path) -> str:
    """What cleans, tokenizes and encodes, as a digest; the converter's record saves reading 11 GB for it."""
    digest = hashlib.sha256(f"cleaning {CLEANING}".encode())
    record = folder / "conversion.json"
    if record.is_file():
        digest.update(json.dumps(json.loads(record.read_text())["text_encoder"]["sha256"], sort_keys=True).encode())
    else:
        for path in sorted((folder / "text_encoder").glob("*.safetensors")):
            digest.update(file_digest(path).encode())
    for path in sorted((folder / "tokenizer").iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
