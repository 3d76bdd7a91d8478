"""Small files in every format that the released models come in, with real bytes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch import Tensor
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from reference_model.model.config import TextConfig, TransformerConfig, hydra_wan_1_3b
from reference_model.model.transformer import HydraTransformer3DModel
from reference_model.released.paper_weights import ORIGINAL, PaperSizes

VAE = {"base_dim": 8, "z_dim": 16, "num_res_blocks": 2}
UMT5 = {
    "vocab_size": 40,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 24,
    "num_layers": 2,
    "num_heads": 4,
    "relative_attention_num_buckets": 8,
    "feed_forward_proj": "gated-gelu",
}


def small_sizes() -> PaperSizes:
    """The released architecture, narrow and shallow, on 20 + 20 latents of 32x32 pixels."""
    config = replace(
        hydra_wan_1_3b(),
        name="hydra-small",
        width=32,
        height=32,
        transformer=TransformerConfig(dim=24, heads=2, layers=2, ffn_dim=40),
        text=TextConfig(kind="umt5", dim=32),
    )
    return PaperSizes(hydra=config, vae=VAE, umt5=UMT5)


def transformer_weights(seed: int = 0) -> dict[str, Tensor]:
    """Random weights in the names used here."""
    torch.manual_seed(seed)
    return HydraTransformer3DModel(**small_sizes().hydra.transformer_arguments()).state_dict()


def to_released(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The released names, written independently of the map under test, from the model's own structure."""
    return {_released_name(name): tensor for name, tensor in weights.items()}


def _released_name(name: str) -> str:
    fixed = {
        "scale_shift_table": "head.modulation",
        "condition_embedder.time_embedder.linear_1": "time_embedding.0",
        "condition_embedder.time_embedder.linear_2": "time_embedding.2",
        "condition_embedder.text_embedder.linear_1": "text_embedding.0",
        "condition_embedder.text_embedder.linear_2": "text_embedding.2",
        "condition_embedder.time_proj": "time_projection.1",
        "proj_out": "head.head",
    }
    inner = {
        "attn1.to_out.0": "self_attn.o",
        "attn2.to_out.0": "cross_attn.o",
        "attn1.to_": "self_attn.",
        "attn2.to_": "cross_attn.",
        "attn1.norm": "self_attn.norm",
        "attn2.norm": "cross_attn.norm",
        "norm2": "norm3",
        "ffn.net.0.proj": "ffn.0",
        "ffn.net.2": "ffn.2",
        "scale_shift_table": "modulation",
        "camera_context": "cam_encoder_con",
        "camera_target": "cam_encoder_tgt",
    }
    parts = name.split(".")
    if parts[0] == "memory":
        return f"blocks.{parts[2]}.self_attn.tokenizer.conv.{parts[-1]}"
    if parts[0] == "blocks":
        rest = ".".join(parts[2:])
        start = next((ours for ours in inner if rest.startswith(ours)), "")
        return f"blocks.{parts[1]}.{inner.get(start, '')}{rest.removeprefix(start)}"
    start = next((ours for ours in fixed if name.startswith(ours)), "")
    return fixed.get(start, "") + name.removeprefix(start)


def original_vae_names(stages: int = 4, blocks: int = 2) -> list[str]:
    """Names of Wan's original codec, from its structure (``wan/modules/vae.py``)."""
    pair = ("weight", "bias")
    residual = [f"residual.{i}.{p}" for i, ps in ((0, ("gamma",)), (2, pair), (3, ("gamma",)), (6, pair)) for p in ps]
    names = [f"{conv}.{p}" for conv in ("conv1", "conv2") for p in pair]
    for side, outer, inner in (("encoder", "downsamples", blocks), ("decoder", "upsamples", blocks + 1)):
        names += [f"{side}.conv1.{p}" for p in pair] + [f"{side}.head.0.gamma"] + [f"{side}.head.2.{p}" for p in pair]
        for place in ("middle.0", "middle.2"):
            names += [f"{side}.{place}.{r}" for r in residual]
        names += [
            f"{side}.middle.1.{a}" for a in ("norm.gamma", *(f"{k}.{p}" for k in ("to_qkv", "proj") for p in pair))
        ]
        place = 0
        for stage in range(stages):
            for block in range(inner):
                names += [f"{side}.{outer}.{place}.{r}" for r in residual]
                widens = stage in (1, 2) if side == "encoder" else stage == 1
                if widens and block == 0:
                    names += [f"{side}.{outer}.{place}.shortcut.{p}" for p in pair]
                place += 1
            if stage < stages - 1:
                names += [f"{side}.{outer}.{place}.resample.1.{p}" for p in pair]
                in_time = stage > 0 if side == "encoder" else stage < 2
                names += [f"{side}.{outer}.{place}.time_conv.{p}" for p in pair if in_time]
                place += 1
    return names


def original_umt5_names(layers: int) -> dict[str, str]:
    """transformers' names to Wan's original ones (``wan/modules/t5.py``)."""
    names = {"shared.weight": "token_embedding.weight", "encoder.final_layer_norm.weight": "norm.weight"}
    for i in range(layers):
        attention, dense = f"encoder.block.{i}.layer.0.", f"encoder.block.{i}.layer.1."
        names |= {f"{attention}SelfAttention.{k}.weight": f"blocks.{i}.attn.{k}.weight" for k in "qkvo"}
        names[f"{attention}SelfAttention.relative_attention_bias.weight"] = f"blocks.{i}.pos_embedding.embedding.weight"
        names |= {f"{attention}layer_norm.weight": f"blocks.{i}.norm1.weight"}
        names |= {f"{dense}layer_norm.weight": f"blocks.{i}.norm2.weight"}
        pairs = {"wi_0": "gate.0", "wi_1": "fc1", "wo": "fc2"}
        names |= {f"{dense}DenseReluDense.{k}.weight": f"blocks.{i}.ffn.{v}.weight" for k, v in pairs.items()}
    return names


def write_tokenizer(folder: Path) -> None:
    """A tokenizer of a few words that AutoTokenizer loads."""
    words = ["<pad>", "</s>", "<unk>", *["a", "dog", "walks", "in", "the", "rain", "and", "comes", "back"]]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)


def small_vae() -> AutoencoderKLWan:
    torch.manual_seed(1)
    return AutoencoderKLWan(**VAE).eval()


def small_umt5() -> UMT5EncoderModel:
    torch.manual_seed(2)
    return UMT5EncoderModel(UMT5Config(**UMT5)).eval()


def write_diffusers_layout(folder: Path) -> Path:
    """A small Wan in diffusers' layout."""
    small_vae().save_pretrained(folder / "vae")
    small_umt5().save_pretrained(folder / "text_encoder")
    write_tokenizer(folder / "tokenizer")
    return folder


def write_original_layout(folder: Path) -> Path:
    """The same small Wan in its authors' layout."""
    folder.mkdir(parents=True)
    own = small_vae().state_dict()
    torch.save({name: own[diffusers_vae_name(name)] for name in original_vae_names()}, folder / ORIGINAL["vae"])
    text = small_umt5().state_dict()
    names = original_umt5_names(int(UMT5["num_layers"]))  # type: ignore[call-overload]
    torch.save({original: text[ours] for ours, original in names.items()}, folder / ORIGINAL["text"])
    write_tokenizer(folder / ORIGINAL["tokenizer"])
    return folder


def diffusers_vae_name(name: str) -> str:
    """diffusers' own converter, as the independent reference."""
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    (converted,) = convert_wan_vae_to_diffusers({name: torch.zeros(())})
    return str(converted)


def write_checkpoint(path: Path, weights: dict[str, Tensor]) -> Path:
    """HyDRA's weights as trainers and people write them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file(weights, path)
    elif path.suffix == ".ckpt":
        torch.save(
            {"state_dict": {f"pipe.dit.{k}": v for k, v in weights.items()}, "epoch": 3, "global_step": 10}, path
        )
    else:
        torch.save(weights, path)
    return path


def header(path: Path) -> dict[str, object]:
    """Header of a safetensors file."""
    with path.open("rb") as file:
        found: dict[str, object] = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return found
