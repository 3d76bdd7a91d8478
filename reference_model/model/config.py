"""Complete settings of a model, as frozen records; recipes are functions that return one.

A variant calls a recipe and changes fields::

    base = mini()
    rival = replace(base, transformer=replace(base.transformer, memory={"kind": "full"}))

Whatever cannot work together is refused here, with the values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reference_model.model.codec import latent_frames
from reference_model.model.hydra_memory import HydraSettings
from reference_model.model.memory import Backbone
from reference_model.model.memory_kinds import describe_memory, memory_settings
from reference_model.model.placing import Positions
from reference_model.model.sequence import Grid
from reference_model.model.transformer import Conditioning, Prediction

WAN_NEGATIVE_PROMPT = (
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，"
    "丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，"
    "杂乱的背景，三条腿，背景人很多，倒着走"
)
"""What Wan 2.1 was tuned to be steered away from."""


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Sizes of the transformer."""

    memory: Mapping[str, Any] = field(default_factory=lambda: describe_memory("hydra", HydraSettings()))
    """The method, ``{"kind": ..., **settings}`` (`reference_model.model.memory_kinds`)."""
    dim: int
    """Channels of a token."""
    heads: int
    """Attention heads."""
    layers: int
    """Blocks."""
    ffn_dim: int
    """Hidden channels of the feed-forward."""
    freq_dim: int = 256
    """Channels of the sinusoidal timestep embedding."""
    patch: tuple[int, int, int] = (1, 2, 2)
    """Latents that make one token: frames, rows, columns."""
    bands: int = 1
    """Horizontal bands of the picture whose tokens attend among themselves (`reference_model.model.bands`)."""
    conditioning: Conditioning = "shared"
    """Noise level of context tokens: the target's (``shared``, as released) or 0 (``clean_context``)."""
    positions: Positions = "grid"
    """Of rotary angles: on the picture's grid, as Wan's, or in the world (`reference_model.model.placing`)."""
    field_of_view: float = 36.6
    """Of the picture's width in degrees, which ``world`` needs: HM-World's, recovered."""
    depths: tuple[float, ...] = (4.0, 8.0, 16.0, 1000.0)
    """Metres that the heads assume in turn under ``world``, from near the camera to the horizon; 0: moves with it."""
    content: int = 0
    """Under ``world``: channels of each head that no position turns."""
    prediction: Prediction = "velocity"
    """What the last layer gives: velocities, as Wan's, or ``clean`` latents (`clean_prediction`)."""

    def __post_init__(self) -> None:
        if self.dim % self.heads or self.dim // self.heads % 2:
            raise ValueError(f"{self.dim=} must give each of {self.heads=} an even number of channels")
        if min(self.patch) < 1 or len(self.patch) != 3:
            raise ValueError(f"{self.patch=} must be three numbers of at least 1")
        if self.bands < 1:
            raise ValueError(f"{self.bands=} must be at least 1")
        memory_settings(self.memory)


@dataclass(frozen=True, kw_only=True)
class CodecConfig:
    """Sizes of the codec."""

    kind: str = "mini"
    """``mini`` (`MiniVideoCodec`) or ``wan`` (`AutoencoderKLWan`, whose sizes are fixed by its weights)."""
    latent_channels: int = 16
    """Channels of a latent."""
    hidden_channels: int = 96
    """Channels of the mini codec's convolutions."""
    encoder_depth: int = 2
    """Causal convolutions of the mini codec's encoder."""
    decoder_depth: int = 4
    """Causal convolutions of the mini codec's decoder."""
    time_stride: int = 4
    """Frames a latent frame."""
    space_stride: int = 8
    """Pixels a latent row or column."""

    def __post_init__(self) -> None:
        if self.kind not in ("mini", "wan"):
            raise ValueError(f"codec kind must be 'mini' or 'wan', got {self.kind!r}")


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """The text encoder."""

    kind: str = "hashed"
    """``hashed`` (words, nothing learned) or ``umt5``."""
    dim: int = 128
    """Channels of its output."""
    max_words: int = 32
    """Tokens that the hashed encoder keeps."""

    def __post_init__(self) -> None:
        if self.kind not in ("hashed", "umt5"):
            raise ValueError(f"text kind must be 'hashed' or 'umt5', got {self.kind!r}")


@dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """The flow-matching sampler."""

    steps: int
    """Euler steps."""
    shift: float
    """How far the noise levels are pushed towards noise: s' = shift s / (1 + (shift - 1) s)."""
    guidance: float = 1.0
    """Weight of the text against `negative_prompt`; 1 is none and costs one evaluation a step instead of two."""
    negative_prompt: str = ""
    """What guidance steers away from."""
    stochastic: bool = False
    """Each step adds noise drawn anew to the predicted clean latents (arXiv 2303.01469, algorithm 1), instead of going
    along the predicted velocity, as released: what a small model reads into its noise does not stay."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.shift <= 0:
            raise ValueError(f"{self.steps=} must be at least 1 and {self.shift=} positive")


@dataclass(frozen=True, kw_only=True)
class HydraConfig:
    """Everything that makes a model, except its weights."""

    name: str
    """Short name, as in tables and folders."""
    width: int
    """Pixels across."""
    height: int
    """Pixels down."""
    context_frames: int = 77
    """Frames it is trained to remember."""
    target_frames: int = 77
    """Frames it is trained to generate."""
    fps: float = 15.0
    """Frames a second."""
    transformer: TransformerConfig
    """The transformer."""
    codec: CodecConfig
    """The codec."""
    text: TextConfig
    """The text encoder."""
    sampler: SamplerConfig
    """The sampler."""

    def __post_init__(self) -> None:
        self.check(self.context_frames, self.target_frames)

    def grids(self, context_frames: int, target_frames: int) -> tuple[Grid, Grid]:
        """Token grids of context and target, of one band, for clips of this many frames.

        Raises:
            ValueError: If frames or size do not divide.
        """
        t, h, w = self.transformer.patch
        h *= self.transformer.bands
        stride = self.codec.space_stride
        if self.height % (stride * h) or self.width % (stride * w):
            raise ValueError(
                f"{self.width=} must be a multiple of {stride * w} and {self.height=} of {stride * h} "
                f"(codec {stride}, patch {self.transformer.patch}, {self.transformer.bands} bands)"
            )
        frames = [latent_frames(n, self.codec.time_stride) for n in (context_frames, target_frames)]
        if any(n % t for n in frames):
            raise ValueError(f"{frames} latent frames must be divisible by the patch's {t}")
        size = (self.height // (stride * h), self.width // (stride * w))
        return Grid(frames[0] // t, *size), Grid(frames[1] // t, *size)

    def check(self, context_frames: int, target_frames: int) -> None:
        """Raises ValueError if a clip of this many frames cannot be worked on, saying why."""
        memory_settings(self.transformer.memory).check(*self.grids(context_frames, target_frames))

    def backbone(self) -> Backbone:
        """Sizes that a memory is built for."""
        t = self.transformer
        return Backbone(t.dim, t.heads, t.layers, self.codec.latent_channels, t.patch)

    def transformer_arguments(self) -> dict[str, Any]:
        """Keyword arguments of `HydraTransformer3DModel`."""
        t = self.transformer
        return {
            "memory_settings": dict(t.memory),
            "patch_size": t.patch,
            "bands": t.bands,
            "num_attention_heads": t.heads,
            "attention_head_dim": t.dim // t.heads,
            "in_channels": self.codec.latent_channels,
            "text_dim": self.text.dim,
            "freq_dim": t.freq_dim,
            "ffn_dim": t.ffn_dim,
            "num_layers": t.layers,
            "conditioning": t.conditioning,
            "positions": t.positions,
            "field_of_view": t.field_of_view,
            "depths": t.depths,
            "content": t.content,
            "prediction": t.prediction,
        }


def hydra_wan_1_3b() -> HydraConfig:
    """The released model: Wan 2.1 T2V 1.3B at 832x480, 50 steps, guidance 5 (arXiv 2603.25716 and its code)."""
    return HydraConfig(
        name="hydra-wan-1.3b",
        width=832,
        height=480,
        transformer=TransformerConfig(dim=1536, heads=12, layers=30, ffn_dim=8960),
        codec=CodecConfig(kind="wan", latent_channels=16),
        text=TextConfig(kind="umt5", dim=4096),
        sampler=SamplerConfig(steps=50, shift=5.0, guidance=5.0, negative_prompt=WAN_NEGATIVE_PROMPT),
    )


_FROM_NOTHING: dict[str, Any] = {
    "positions": "world",
    "field_of_view": 36.95,  # of 224x128 and 112x64, which lose less at their sides than 832x480 (36.6)
    "depths": (0.0, 4.0, 12.0, 1000.0),
    "prediction": "clean",
}
"""How ``mini`` and ``nano`` differ from Wan's transformer: they begin without its training."""


def mini() -> HydraConfig:
    """A model that runs on a laptop and trains on one GPU: 224x128, 4,480 tokens a clip, 5.5 M parameters."""
    return HydraConfig(
        name="hydra-mini",
        width=224,
        height=128,
        transformer=TransformerConfig(
            memory=_small_memory(), dim=192, heads=4, layers=8, ffn_dim=768, freq_dim=128, content=24, **_FROM_NOTHING
        ),
        codec=CodecConfig(latent_channels=48, hidden_channels=96, decoder_depth=4),
        text=TextConfig(dim=128, max_words=32),
        sampler=SamplerConfig(steps=20, shift=3.0),
    )


def nano() -> HydraConfig:
    """A model that even trains on a laptop: 112x64, 2,240 tokens a clip, 1.4 M parameters.

    Tokens are 8 pixels wide and 16 high, in four bands that attend each by itself: what a turning camera moves is
    columns. The memory tokenizer compresses two columns of two frames into one.
    """
    memory = describe_memory(
        "hydra", HydraSettings(tokenizer="depthwise", short_clips="fewer", kernel=(2, 1, 2), stride=(2, 1, 2))
    )
    return HydraConfig(
        name="hydra-nano",
        width=112,
        height=64,
        transformer=TransformerConfig(
            memory=memory,
            dim=128,
            heads=4,
            layers=4,
            ffn_dim=512,
            freq_dim=128,
            patch=(1, 2, 1),
            bands=4,
            content=16,
            **_FROM_NOTHING,
        ),
        codec=CodecConfig(latent_channels=128, hidden_channels=64, decoder_depth=3),
        text=TextConfig(dim=128, max_words=32),
        sampler=SamplerConfig(steps=8, shift=5.0, stochastic=True),
    )


RECIPES = {"mini": mini, "nano": nano, "paper": hydra_wan_1_3b}
"""Recipes by profile."""


def _small_memory() -> dict[str, Any]:
    return describe_memory("hydra", HydraSettings(tokenizer="depthwise", short_clips="fewer"))
