"""Positions, cameras and captions: what the transformer is told beside pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed
from safetensors.torch import save_file
from transformers import UMT5Config, UMT5EncoderModel

from reference_model.model.camera import camera_condition, camera_rows, relative_poses
from reference_model.model.config import WAN_NEGATIVE_PROMPT
from reference_model.model.rope import axis_dims, grid_positions, rotate, rotation
from reference_model.model.text import HashedTextEncoder, share_embeddings, wan_cleaned, word_signs


@pytest.mark.parametrize("head_dim", [12, 32, 48, 128])
def test_whole_positions_have_diffusers_angles(head_dim):
    table = WanRotaryPosEmbed(head_dim, (1, 2, 2), 64)
    cos, sin = table(torch.zeros(1, 1, 5, 6, 8))
    found = rotation(grid_positions(torch.arange(5), torch.arange(3), torch.arange(4)), head_dim)
    torch.testing.assert_close(found.cos[:, 0], cos[0, :, 0, ::2], rtol=0, atol=1e-6)
    torch.testing.assert_close(found.sin[:, 0], sin[0, :, 0, 1::2], rtol=0, atol=1e-6)


def test_products_depend_on_distance_only_even_between_whole_positions():
    x = torch.randn(1, 1, 1, 48, generator=torch.Generator().manual_seed(0)).double()

    def product(a, b):
        turned = [rotate(x, rotation(torch.tensor([p]), 48)) for p in (a, b)]
        return (turned[0] * turned[1]).sum().item()

    assert product([0.5, 2, 4], [3, 1, 1]) == pytest.approx(product([7.5, 3, 6], [10, 2, 3]), rel=1e-5)


def test_rotation_keeps_length_and_refuses_odd_heads():
    x = torch.randn(2, 6, 3, 12)
    turned = rotate(x, rotation(torch.rand(6, 3) * 9, 12))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    assert sum(axis_dims(12)) == 12
    with pytest.raises(ValueError, match="even number of channels a head, got head_dim=7"):
        rotation(torch.zeros(1, 3), 7)


EXPECTED_DOG = [-1, -1, 1, 1, -1, -1, 1, 1, -1, -1, -1, -1, 1, 1, 1, 1]


def poses(count, seed=0):
    rng = np.random.default_rng(seed)
    made = np.tile(np.eye(4), (count, 1, 1))
    for pose in made:
        pose[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        pose[:3, 3] = rng.normal(size=3)
    return made


def test_first_target_camera_becomes_the_identity():
    context, target = camera_condition(poses(9), poses(13, 1))
    assert context.shape == (1, 3, 12) and target.shape == (1, 4, 12)
    torch.testing.assert_close(target[0, 0], torch.eye(4)[:3].flatten(), rtol=0, atol=1e-6)


def test_rows_are_frames_0_4_8_row_major():
    given = poses(9)
    rows = camera_rows(given)
    for k, row in enumerate(rows):
        np.testing.assert_array_equal(row.reshape(3, 4), given[4 * k, :3])


def test_relative_poses_do_not_depend_on_the_world():
    given, world = poses(5), poses(1, 3)[0]
    moved = relative_poses(world @ given, world @ given[2])
    np.testing.assert_allclose(moved, relative_poses(given, given[2]), atol=1e-12)
    np.testing.assert_allclose(given[2] @ moved, given, atol=1e-12)


def test_poses_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match=r"8 poses do not make whole latent frames: give 4k \+ 1 poses"):
        camera_rows(poses(8))


def test_words_are_the_same_everywhere_and_nearly_orthogonal():
    # a literal, so that no library's version can change what a trained model was told
    assert word_signs("dog", 16).tolist() == EXPECTED_DOG
    words = torch.stack([word_signs(w, 1024) for w in ("dog", "dogs", "a", "robot", "left", "right")])
    overlap = (words @ words.T / 1024 - torch.eye(6)).abs()
    assert overlap.max() < 0.15


def test_captions_fill_and_cut():
    encoder = HashedTextEncoder(dim=16, max_words=3)
    text = encoder(["", "A dog", "a DOG, runs: away far"])
    assert text.shape == (3, 3, 16)
    assert not text[0].any() and not text[1, 2].any()
    torch.testing.assert_close(text[1, :2], text[2, :2])
    torch.testing.assert_close(text[2, 2], word_signs("runs", 16))


TRICKY = ("It&amp;#39;s  a “dog”\n\t there", "&lt;b&gt; cafÃ©", " ’quoted’ ", "", "a plain dog")


@pytest.mark.parametrize("caption", [*TRICKY, WAN_NEGATIVE_PROMPT])
def test_captions_are_cleaned_as_wans_are(caption):
    """diffusers has Wan's two functions; every sample's negative prompt passes through them."""
    from diffusers.pipelines.wan.pipeline_wan import prompt_clean

    assert wan_cleaned(caption) == prompt_clean(caption)


def test_the_negative_prompt_changes_in_each_of_its_commas():
    cleaned = wan_cleaned(WAN_NEGATIVE_PROMPT)
    assert len(cleaned) == len(WAN_NEGATIVE_PROMPT) == 137
    changed = [(a, b) for a, b in zip(WAN_NEGATIVE_PROMPT, cleaned, strict=True) if a != b]
    assert changed == [("，", ",")] * 27


def test_an_encoder_whose_configuration_says_untied_reads_the_table_that_its_file_holds(tmp_path):
    """Wan's configuration: not tied, and ``shared.weight`` alone in the file."""
    sizes = {"vocab_size": 64, "d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    torch.manual_seed(3)
    whole = UMT5EncoderModel(UMT5Config(**sizes)).eval()
    weights = {k: v.clone() for k, v in whole.state_dict().items() if k != "encoder.embed_tokens.weight"}
    UMT5Config(**sizes, tie_word_embeddings=False, architectures=["UMT5EncoderModel"]).save_pretrained(tmp_path)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    loaded = UMT5EncoderModel.from_pretrained(tmp_path, local_files_only=True).eval()
    with torch.no_grad():  # what a version that leaves the second table alone gives
        loaded.encoder.embed_tokens = torch.nn.Embedding(64, 8)
    share_embeddings(loaded)
    ids = torch.tensor([[5, 9, 33, 1]])
    torch.testing.assert_close(loaded(ids).last_hidden_state, whole(ids).last_hidden_state)
