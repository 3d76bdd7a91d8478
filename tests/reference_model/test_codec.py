"""The mini codec: causal, invertible where its basis is complete, and one interface with Wan's autoencoder."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKLWan

from reference_model.model.codec import MiniVideoCodec, WanCodec, as_codec, latent_frames
from reference_model.model.patch_basis import Moments, PatchBasis, align_signs, cosine_basis


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def small(seed=0, **changes):
    torch.manual_seed(seed)
    return MiniVideoCodec(**{"latent_channels": 12, "hidden_channels": 16, **changes}).eval()


def stirred(codec):
    """Refiners start silent: give them a voice, so that tests of causality cannot pass for want of anything to test."""
    with torch.no_grad():
        for name, parameter in codec.named_parameters():
            if "head" in name:
                parameter.add_(torch.randn_like(parameter))
    return codec


def smooth_clips(count, frames=9, seed=0):
    g = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 3, 4, 6, generator=g) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (frames, 16, 24), mode="trilinear")


@torch.no_grad()
def test_shapes_there_and_back():
    codec = small(latent_channels=32)
    latents = codec.encode(noise(1, 3, 77, 128, 224))
    assert latents.shape == (1, 32, 20, 16, 28)
    assert codec.decode(latents).shape == (1, 3, 77, 128, 224)


@pytest.mark.parametrize("frame", [0, 5, 8, 12])
@torch.no_grad()
def test_a_frame_changes_no_latent_before_its_group(frame):
    codec, video = stirred(small()), noise(2, 3, 13, 16, 24)
    changed = video.clone()
    changed[:, :, frame] = -changed[:, :, frame]
    same = (codec.encode(video) == codec.encode(changed)).flatten(3).all(3).all(1)
    group = (frame + 3) // 4
    assert same[:, :group].all() and not same[:, group].any()


@pytest.mark.parametrize("latent", [0, 1, 3])
@torch.no_grad()
def test_a_latent_changes_no_frame_before_its_group(latent):
    codec = stirred(small())
    latents = noise(1, 12, 4, 2, 3) * 0.1
    changed = latents.clone()
    changed[:, :, latent] += 0.5
    decoded = [codec.decode_raw(z * 0.3) for z in (latents, changed)]
    same = (decoded[0] == decoded[1]).flatten(3).all(3).all((0, 1))
    first = max(0, 4 * latent - 3)
    assert same[:first].all() and not same[first]


def test_patches_are_undone():
    codec, video = small(), noise(2, 3, 13, 16, 24)
    assert torch.equal(codec.unpatch(*codec.patches(video)), video)
    first, groups = codec.patches(video)
    assert torch.equal(first[0, 0, 1, 2], video[0, :, 0, 8:16, 16:24].flatten())
    assert torch.equal(groups[1, 2, 0, 1], video[1, :, 9:13, :8, 8:16].movedim(1, 0).flatten())


@torch.no_grad()
def test_a_complete_basis_loses_nothing():
    codec = small(latent_channels=12, space_stride=2, time_stride=1)
    video = noise(2, 3, 5, 8, 6) * 0.9
    torch.testing.assert_close(codec.decode(codec.encode(video)), video, rtol=0, atol=1e-5)


@torch.no_grad()
def test_untrained_it_shows_the_picture():
    video = smooth_clips(2)
    error = small(latent_channels=32).decode(small(latent_channels=32).encode(video)) - video
    assert error.square().mean() < 0.2 * video.square().mean()


@torch.no_grad()
def test_principal_components_beat_cosines_and_are_the_best_linear_codec():
    clips = [smooth_clips(4, seed=n) for n in range(6)]
    codec = small(latent_channels=6)

    def loss():
        return sum((codec.decode(codec.encode(clip)) - clip).square().mean().item() for clip in clips)

    before = loss()
    codec.fit_patch_basis(clips)
    assert loss() < before
    _, groups = codec.patches(torch.cat(clips))
    flat = groups.flatten(0, -2).double()
    energy = torch.linalg.svdvals(flat - flat.mean(0)).square()
    rebuilt = codec.patches(codec.decode_raw(codec.encode_raw(torch.cat(clips))))[1].flatten(0, -2)
    residual = (rebuilt.double() - flat).square().sum()
    assert residual.item() == pytest.approx(energy[6:].sum().item(), rel=1e-3)


@torch.no_grad()
def test_normalised_latents_have_unit_variance_first_frames_apart():
    clips = [smooth_clips(4, seed=n) for n in range(4)]
    codec = small(latent_channels=6)
    codec.fit_patch_basis(clips)
    codec.fit_normalisation(clips)
    latents = torch.cat([codec.encode(clip) for clip in clips])
    for part in (latents[:, :, :1], latents[:, :, 1:]):
        flat = part.movedim(1, 0).flatten(1)
        torch.testing.assert_close(flat.mean(1), torch.zeros(6), rtol=0, atol=1e-3)
        torch.testing.assert_close(flat.std(1, correction=0), torch.ones(6), rtol=0, atol=1e-3)


def test_bases_are_orthonormal_and_bright_things_come_first():
    for frames in (1, 4):
        rows = cosine_basis(frames, 8).rows
        torch.testing.assert_close(rows @ rows.T, torch.eye(len(rows), dtype=torch.float64))
        assert torch.allclose(rows[0], rows[0, 0].expand_as(rows[0]))


def test_signs_of_groups_follow_the_still_picture():
    still, group = cosine_basis(1, 4), cosine_basis(2, 4)
    flipped = PatchBasis(group.mean, -group.rows)
    aligned = align_signs(flipped, still, 2)
    assert ((aligned.rows[:48] * still.rows.repeat(1, 2)).sum(1) >= -1e-9).all()


def test_moments_of_nothing_are_refused():
    with pytest.raises(ValueError, match="no vectors were added"):
        Moments(3).mean()


@pytest.mark.parametrize(
    ("frames", "message"), [(6, "for example 5 or 9"), (0, "for example 1 or 5"), (76, "73 or 77")]
)
def test_frames_that_do_not_divide_are_refused(frames, message):
    assert latent_frames(77, 4) == 20
    with pytest.raises(ValueError, match=rf"{frames} frames do not make whole latent frames: give 4k \+ 1 .*{message}"):
        latent_frames(frames, 4)


def test_sizes_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match=r"H, W divisible by 8, got \[1, 3, 5, 20, 24\]"):
        small().encode(noise(1, 3, 5, 20, 24))
    with pytest.raises(ValueError, match=r"latent_channels=200 must lie in 1..192"):
        small(latent_channels=200)


@torch.no_grad()
def test_wans_autoencoder_has_the_same_interface():
    torch.manual_seed(0)
    vae = AutoencoderKLWan(base_dim=8, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1).eval()
    codec = as_codec(vae)
    assert isinstance(codec, WanCodec)
    assert (codec.time_stride, codec.space_stride, codec.latent_channels) == (4, 8, 16)
    video = noise(1, 3, 9, 16, 24)
    latents = codec.encode(video)
    assert latents.shape == (1, 16, 3, 2, 3)
    assert codec.decode(latents).shape == video.shape
    raw = vae.encode(video).latent_dist.mode()
    mean, std = (torch.tensor(vae.config[f"latents_{n}"]).view(1, -1, 1, 1, 1) for n in ("mean", "std"))
    torch.testing.assert_close(latents, (raw - mean) / std)
    with pytest.raises(ValueError, match="8 frames do not make whole latent frames"):
        codec.encode(video[:, :, :8])
