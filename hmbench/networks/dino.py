"""DINO's vision transformer with its released key names (Caron et al. 2021), as VBench calls it.

Not timm's or transformers': they interpolate position embeddings to a target size, DINO by a scale factor with 0.1
added, and VBench's numbers depend on it. Files in transformers' naming are read through a key map.

Letters: B batch, N tokens, C channels.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from hmbench.networks.files import fitting, read_state


@dataclass(frozen=True, kw_only=True)
class DinoConfig:
    """Sizes of the network; `DinoConfig()` is ViT-B/16."""

    patch_size: int = 16
    """Pixels a side of a patch."""
    embed_dim: int = 768
    """C."""
    depth: int = 12
    """Blocks."""
    num_heads: int = 12
    """Attention heads; the one size that a state dict does not tell."""
    mlp_ratio: float = 4.0
    """Hidden width of the MLP over C."""
    eps: float = 1e-6
    """Of every layer norm."""
    grid: int = 14
    """Patches a side that the position embeddings were learnt at."""


class Dino(nn.Module):
    """ViT with a class token; returns the class token after the final norm.

    Args:
        config: Sizes.
    """

    def __init__(self, config: DinoConfig) -> None:
        super().__init__()
        self.config = config
        width = config.embed_dim
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, config.grid**2 + 1, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, config.patch_size, stride=config.patch_size)})
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width, eps=config.eps)

    def forward(self, images: Tensor) -> Tensor:
        """Class tokens ``[B, C]`` of normalised images ``[B, 3, H, W]``; rows and columns beyond whole patches drop."""
        tokens = self._tokens(images)
        for block in self.blocks:
            tokens = block(tokens)
        out: Tensor = self.norm(tokens[:, 0])
        return out

    def patches(self, images: Tensor) -> Tensor:
        """Patch tokens after the final norm as a map, ``[B, C, H / patch, W / patch]``."""
        tokens = self._tokens(images)
        for block in self.blocks:
            tokens = block(tokens)
        rows, columns = (side // self.config.patch_size for side in images.shape[2:])
        out: Tensor = self.norm(tokens[:, 1:]).transpose(1, 2).unflatten(2, (rows, columns))
        return out

    def _tokens(self, images: Tensor) -> Tensor:
        grid = self.patch_embed["proj"](images)
        position = self._position(grid.shape[2], grid.shape[3])
        tokens = grid.flatten(2).transpose(1, 2)
        return torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1) + position

    def _position(self, rows: int, columns: int) -> Tensor:
        side = self.config.grid
        if (rows, columns) == (side, side):
            return self.pos_embed
        learnt = self.pos_embed[:, 1:].transpose(1, 2).unflatten(2, (side, side))
        # DINO adds 0.1 against rounding; the factor, not the size, then decides where embeddings are sampled
        factor = ((rows + 0.1) / side, (columns + 0.1) / side)
        scaled = nn.functional.interpolate(learnt, scale_factor=factor, mode="bicubic")
        assert scaled.shape[2:] == (rows, columns), f"{scaled.shape=} {rows=} {columns=}"
        return torch.cat([self.pos_embed[:, :1], scaled.flatten(2).transpose(1, 2)], dim=1)


class _Block(nn.Module):
    def __init__(self, config: DinoConfig) -> None:
        super().__init__()
        width, hidden = config.embed_dim, round(config.embed_dim * config.mlp_ratio)
        self.num_heads = config.num_heads
        self.norm1 = nn.LayerNorm(width, eps=config.eps)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.norm2 = nn.LayerNorm(width, eps=config.eps)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, hidden), "fc2": nn.Linear(hidden, width)})

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.attn["qkv"](self.norm1(x)).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        attended = nn.functional.scaled_dot_product_attention(*qkv.unbind(0)).transpose(1, 2).flatten(2)
        x = x + self.attn["proj"](attended)
        hidden = nn.functional.gelu(self.mlp["fc1"](self.norm2(x)))
        out: Tensor = x + self.mlp["fc2"](hidden)
        return out


def load_dino(path: Path, device: str, *, num_heads: int | None = None) -> Dino:
    """DINO from a state dict in released (= timm's) or transformers' key names; every key must fit.

    Args:
        path: ``.safetensors`` or ``.pth`` with tensors only, or a folder that holds ``model.safetensors``.
        device: Torch device.
        num_heads: Heads; by default C / 64, as in every released DINO.

    Raises:
        UserError: If the file is damaged or another network's.
    """
    state = read_state(path / "model.safetensors" if path.is_dir() else path)
    with fitting(path):
        model = _from_state(released_keys(state), num_heads)
    return model.eval().requires_grad_(False).to(device)


def _from_state(state: dict[str, Tensor], num_heads: int | None) -> Dino:
    width = state["cls_token"].shape[-1]
    config = DinoConfig(
        patch_size=state["patch_embed.proj.weight"].shape[-1],
        embed_dim=width,
        depth=len({key.split(".")[1] for key in state if key.startswith("blocks.")}),
        num_heads=num_heads or width // 64,
        mlp_ratio=state["blocks.0.mlp.fc1.weight"].shape[0] / width,
        grid=math.isqrt(state["pos_embed"].shape[1] - 1),
    )
    model = Dino(config)
    model.load_state_dict(state)
    return model


_FROM_TRANSFORMERS = {
    r"embeddings\.cls_token": "cls_token",
    r"embeddings\.position_embeddings": "pos_embed",
    r"embeddings\.patch_embeddings\.projection\.(\w+)": r"patch_embed.proj.\1",
    r"encoder\.layer\.(\d+)\.layernorm_before\.(\w+)": r"blocks.\1.norm1.\2",
    r"encoder\.layer\.(\d+)\.layernorm_after\.(\w+)": r"blocks.\1.norm2.\2",
    r"encoder\.layer\.(\d+)\.attention\.output\.dense\.(\w+)": r"blocks.\1.attn.proj.\2",
    r"encoder\.layer\.(\d+)\.intermediate\.dense\.(\w+)": r"blocks.\1.mlp.fc1.\2",
    r"encoder\.layer\.(\d+)\.output\.dense\.(\w+)": r"blocks.\1.mlp.fc2.\2",
    r"layernorm\.(\w+)": r"norm.\1",
}


def released_keys(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict in DINO's released key names, whichever of the two namings it came in."""
    if "cls_token" in state:
        return state
    state = {key.removeprefix("vit."): value for key, value in state.items() if not key.startswith("pooler.")}
    out = {}
    for key, value in state.items():
        for pattern, name in _FROM_TRANSFORMERS.items():
            if re.fullmatch(pattern, key):
                out[re.sub(pattern, name, key)] = value
    for prefix in {m[0] for m in (re.match(r"encoder\.layer\.\d+\.", key) for key in state) if m}:
        block = prefix.replace("encoder.layer.", "blocks.")
        for kind in ("weight", "bias"):
            parts = [state[f"{prefix}attention.attention.{name}.{kind}"] for name in ("query", "key", "value")]
            out[f"{block}attn.qkv.{kind}"] = torch.cat(parts)
    return out
