"""Video codecs: pixels to latents and back, causal in time, 4 frames and 8x8 pixels a latent.

`VideoCodec` is what the pipeline needs of one. `WanCodec` wraps diffusers' `AutoencoderKLWan`, the paper's.
`MiniVideoCodec` is a small one for CPUs: a linear transform of causal patches (the first frame alone, then groups of
`time_stride` frames) with a few causal convolutions added to it. Untrained it is a truncated cosine transform, an
orthonormal basis that needs no data; `fit_patch_basis` replaces it by the principal components of real clips.

Letters: B batch, T frames (time_stride * k + 1), F = k + 1 latent frames, h, w latent rows and columns, Z channels.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, cast

import torch
from diffusers import AutoencoderKLWan
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

from reference_model.model.patch_basis import Moments, PatchBasis, align_signs, cosine_basis
from reference_model.model.tiles import in_tiles


class VideoCodec(Protocol):
    """Pixels in [-1, 1] to normalised latents (about zero mean and unit variance a channel) and back."""

    time_stride: int
    """Frames a latent frame."""
    space_stride: int
    """Pixels a latent row or column."""
    latent_channels: int
    """Channels of a latent (Z)."""

    def encode(self, video: Tensor) -> Tensor:
        """``[B, 3, T, H, W]`` in [-1, 1] -> ``[B, Z, F, h, w]``."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """``[B, Z, F, h, w]`` -> ``[B, 3, T, H, W]``, clamped to [-1, 1]."""
        ...


def latent_frames(num_frames: int, time_stride: int) -> int:
    """Latent frames of a clip.

    Raises:
        ValueError: If the clip is not ``time_stride * k + 1`` frames long.
    """
    if num_frames < 1 or (num_frames - 1) % time_stride:
        below = max(0, num_frames - 1) // time_stride * time_stride + 1
        raise ValueError(
            f"{num_frames} frames do not make whole latent frames: give {time_stride}k + 1 frames, "
            f"for example {below} or {below + time_stride}"
        )
    return (num_frames - 1) // time_stride + 1


class WanCodec:
    """`AutoencoderKLWan` as a `VideoCodec`: the posterior's mode, normalised by the channel statistics in its config.

    Args:
        vae: The autoencoder.
        tiled: Whether it works in the released tiles (`reference_model.model.tiles`).
    """

    def __init__(self, vae: AutoencoderKLWan, *, tiled: bool = False) -> None:
        self.vae = vae
        self.tiled = tiled
        config: Any = vae.config
        self.time_stride = int(config["scale_factor_temporal"])
        self.space_stride = int(config["scale_factor_spatial"])
        self.latent_channels = int(config["z_dim"])
        self._mean = torch.tensor(config["latents_mean"])[None, :, None, None, None]
        self._std = torch.tensor(config["latents_std"])[None, :, None, None, None]

    def encode(self, video: Tensor) -> Tensor:
        """See `VideoCodec.encode`."""
        latent_frames(video.shape[2], self.time_stride)
        given = video.to(self.vae.dtype)
        return in_tiles(self._encode, given, (self.space_stride, 1)) if self.tiled else self._encode(given)

    def decode(self, latents: Tensor) -> Tensor:
        """See `VideoCodec.decode`."""
        given = latents.to(self.vae.dtype)
        video = in_tiles(self._decode, given, (1, self.space_stride)) if self.tiled else self._decode(given)
        return video.clamp(-1, 1)

    def _encode(self, video: Tensor) -> Tensor:
        mode = cast(Tensor, self.vae.encode(video).latent_dist.mode())
        return (mode - self._mean.to(mode)) / self._std.to(mode)

    def _decode(self, latents: Tensor) -> Tensor:
        return cast(Tensor, self.vae.decode(latents * self._std.to(latents) + self._mean.to(latents)).sample)


class CausalConv3d(nn.Conv3d):
    """3x3x3 convolution that sees its own and the two frames before; the first frame is repeated into the past."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 3, padding=(0, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, F, h, w] -> [B, C', F, h, w]``."""
        past = x[:, :, :1].expand(-1, -1, self.kernel_size[0] - 1, -1, -1)
        return super().forward(torch.cat((past, x), dim=2))


class Refiner(nn.Module):
    """A causal residual network whose output is zero at the start."""

    def __init__(self, channels_in: int, hidden: int, depth: int, channels_out: int) -> None:
        super().__init__()
        self.stem = nn.Conv3d(channels_in, hidden, 1)
        self.norms = nn.ModuleList(nn.GroupNorm(1, hidden) for _ in range(depth))
        self.convs = nn.ModuleList(CausalConv3d(hidden, hidden) for _ in range(depth))
        self.head = nn.Conv3d(hidden, channels_out, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(cast(Tensor, self.head.bias))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, F, h, w] -> [B, C', F, h, w]``."""
        x = self.stem(x)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            # frames are normalised one by one: statistics over time would let the future into the past
            frames = x.transpose(1, 2).flatten(0, 1)
            normed = norm(frames).unflatten(0, (x.shape[0], -1)).transpose(1, 2)
            x = x + conv(functional.silu(normed))
        return cast(Tensor, self.head(functional.silu(x)))


class MiniVideoCodec(ModelMixin, ConfigMixin):
    """Small causal video codec.

    Args:
        latent_channels: Z, at most 3 * space_stride ** 2.
        hidden_channels: Channels of the refining convolutions.
        encoder_depth: Causal convolutions of the encoder.
        decoder_depth: Causal convolutions of the decoder.
        time_stride: Frames a latent frame.
        space_stride: Pixels a latent row or column.
    """

    @register_to_config
    def __init__(
        self,
        *,
        latent_channels: int = 32,
        hidden_channels: int = 96,
        encoder_depth: int = 2,
        decoder_depth: int = 4,
        time_stride: int = 4,
        space_stride: int = 8,
    ) -> None:
        super().__init__()
        first, group = 3 * space_stride**2, 3 * space_stride**2 * time_stride
        if not 1 <= latent_channels <= first:
            raise ValueError(f"{latent_channels=} must lie in 1..{first}, the numbers in a {space_stride=} patch")
        self.first_in, self.group_in = nn.Linear(first, latent_channels), nn.Linear(group, latent_channels)
        self.first_out, self.group_out = nn.Linear(latent_channels, first), nn.Linear(latent_channels, group)
        self.first_seen = nn.Linear(first, hidden_channels, bias=False)
        self.group_seen = nn.Linear(group, hidden_channels, bias=False)
        self.encoder = Refiner(hidden_channels, hidden_channels, encoder_depth, latent_channels)
        self.decoder = Refiner(latent_channels, hidden_channels, decoder_depth, hidden_channels)
        self.first_detail = nn.Linear(hidden_channels, first, bias=False)
        self.group_detail = nn.Linear(hidden_channels, group, bias=False)
        # row 0: the first frame, whose patches are smaller; row 1: all other latent frames
        self.register_buffer("latent_mean", torch.zeros(2, latent_channels))
        self.register_buffer("latent_std", torch.ones(2, latent_channels))
        self.latent_mean: Tensor
        self.latent_std: Tensor
        self._start_from_cosines()

    def encode(self, video: Tensor) -> Tensor:
        """See `VideoCodec.encode`."""
        raw = self.encode_raw(video)
        return (raw - _per_frame(self.latent_mean, raw)) / _per_frame(self.latent_std, raw)

    def decode(self, latents: Tensor) -> Tensor:
        """See `VideoCodec.decode`."""
        latents = latents.type_as(self.latent_std)
        raw = latents * _per_frame(self.latent_std, latents) + _per_frame(self.latent_mean, latents)
        return self.decode_raw(raw).clamp(-1, 1)

    def encode_raw(self, video: Tensor) -> Tensor:
        """Latents before normalisation."""
        first, groups = self.patches(video)
        linear = torch.cat((self.first_in(first), self.group_in(groups)), dim=1).movedim(-1, 1)
        seen = torch.cat((self.first_seen(first), self.group_seen(groups)), dim=1).movedim(-1, 1)
        return cast(Tensor, linear + self.encoder(seen))

    def decode_raw(self, latents: Tensor) -> Tensor:
        """Video from unnormalised latents, not clamped (for training)."""
        detail = self.decoder(latents).movedim(1, -1)
        linear = latents.movedim(1, -1)
        first = self.first_out(linear[:, :1]) + self.first_detail(detail[:, :1])
        groups = self.group_out(linear[:, 1:]) + self.group_detail(detail[:, 1:])
        return self.unpatch(first, groups)

    def patches(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """Causal patches: first frame ``[B, 1, h, w, 3 * s * s]``, the rest ``[B, F - 1, h, w, t * 3 * s * s]``.

        Raises:
            ValueError: If the video's frames or size do not divide.
        """
        t, s = self._strides()
        latent_frames(video.shape[2], t)
        if video.shape[1] != 3 or video.shape[3] % s or video.shape[4] % s:
            raise ValueError(f"video must be [B, 3, T, H, W] with H, W divisible by {s}, got {list(video.shape)}")
        cells = video.unflatten(4, (-1, s)).unflatten(3, (-1, s)).permute(0, 2, 3, 5, 1, 4, 6)
        rest = cells[:, 1:].unflatten(1, (-1, t)).permute(0, 1, 3, 4, 2, 5, 6, 7)
        return cells[:, :1].flatten(4), rest.flatten(4)

    def unpatch(self, first: Tensor, groups: Tensor) -> Tensor:
        """Inverse of `patches`."""
        t, s = self._strides()
        rest = groups.unflatten(4, (t, 3, s, s)).permute(0, 1, 4, 2, 3, 5, 6, 7).flatten(1, 2)
        cells = torch.cat((first.unflatten(4, (3, s, s)), rest), dim=1)
        return cells.permute(0, 4, 1, 2, 5, 3, 6).flatten(5, 6).flatten(3, 4)

    @torch.no_grad()
    def set_patch_basis(self, first: PatchBasis, group: PatchBasis) -> None:
        """Makes the linear part analyse and synthesise in these orthonormal bases of at least Z rows."""
        pairs = ((self.first_in, self.first_out, first), (self.group_in, self.group_out, group))
        for analyse, synthesise, (mean, rows) in pairs:
            kept = rows[: analyse.out_features].to(analyse.weight)
            middle = mean.to(analyse.weight)
            analyse.weight.copy_(kept)
            analyse.bias.copy_(-kept @ middle)
            synthesise.weight.copy_(kept.T)
            synthesise.bias.copy_(middle)

    @torch.no_grad()
    def fit_patch_basis(self, clips: Iterable[Tensor]) -> None:
        """Starts the codec at the principal components of clips ``[B, 3, T, H, W]``, read once, one after another."""
        first = Moments(self.first_in.in_features)
        group = Moments(self.group_in.in_features)
        for clip in clips:
            for moments, patches in zip((first, group), self.patches(clip), strict=True):
                moments.add(patches.flatten(0, -2))
        # a first-frame patch shown for a whole group is the same picture: align signs so that latents continue
        basis, moving = first.basis(), group.basis()
        self.set_patch_basis(basis, align_signs(moving, basis, self._strides()[0]))

    @torch.no_grad()
    def fit_normalisation(self, clips: Iterable[Tensor]) -> None:
        """Measures mean and deviation of each latent channel, first frames apart, on clips ``[B, 3, T, H, W]``."""
        first, rest = Moments(self.latent_channels), Moments(self.latent_channels)
        for clip in clips:
            raw = self.encode_raw(clip).movedim(1, -1)
            first.add(raw[:, :1].flatten(0, -2))
            rest.add(raw[:, 1:].flatten(0, -2))
        for row, moments in enumerate((first, rest)):
            self.latent_mean[row] = moments.mean()
            self.latent_std[row] = moments.covariance().diagonal().clamp_min(1e-12).sqrt()

    @property
    def time_stride(self) -> int:
        """Frames a latent frame."""
        return self._strides()[0]

    @property
    def space_stride(self) -> int:
        """Pixels a latent row or column."""
        return self._strides()[1]

    @property
    def latent_channels(self) -> int:
        """Channels of a latent."""
        return self.first_in.out_features

    def _strides(self) -> tuple[int, int]:
        config: Any = self.config
        return int(config["time_stride"]), int(config["space_stride"])

    def _start_from_cosines(self) -> None:
        t, s = self._strides()
        first, group = cosine_basis(1, s), cosine_basis(t, s)
        self.set_patch_basis(first, group)
        # the strength of a component of natural video falls with its frequency; measured values replace this
        self.latent_std.copy_(torch.linspace(2.0, 0.3, self.latent_channels))


def _per_frame(rows: Tensor, latents: Tensor) -> Tensor:
    """``[2, Z]`` (first frame, others) as ``[1, Z, F, 1, 1]``."""
    frames = latents.shape[2]
    return torch.cat((rows[:1], rows[1:].expand(frames - 1, -1))).T[None, :, :, None, None]


def as_codec(vae: AutoencoderKLWan | MiniVideoCodec, *, tiled: bool = False) -> VideoCodec:
    """The codec in a saved pipeline; a small one never works in tiles."""
    return WanCodec(vae, tiled=tiled) if isinstance(vae, AutoencoderKLWan) else vae
