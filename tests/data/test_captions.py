"""Captions by models: what the model is shown, where the text goes, and a real image-text class with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hmbench.data.captions import TransformersCaptioner, caption_folder, one_line
from hmbench.data.hm_world import HMWorld
from hmbench.errors import UserError
from hmbench.types import Video
from hmbench.video.files import read_video


class Scripted:
    """Stands for a model: remembers what it was shown."""

    name = "scripted"

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.shown: list[Video] = []

    def caption(self, frames: Video) -> str:
        self.shown.append(frames)
        return self.answers.pop(0)


def test_only_missing_captions_are_written(disc_folder: Path) -> None:
    ids = HMWorld(disc_folder).ids("all")
    (disc_folder / "caption.txt").write_text(f"{ids[0]}\tkept as it is\nelsewhere\ta sample that is not here")
    model = Scripted('"Two  discs\nroll away."')
    report = caption_folder(disc_folder, model, num_frames=3)
    assert report.written == {ids[1]: "Two discs roll away."} and report.kept == 1
    data = HMWorld(disc_folder)
    assert (data.caption(ids[0]), data.caption(ids[1])) == ("kept as it is", "Two discs roll away.")
    assert "elsewhere\ta sample that is not here\n" in (disc_folder / "caption.txt").read_text()
    assert json.loads((disc_folder / "captions.json").read_text()) == {ids[1]: "scripted"}
    context = read_video(disc_folder / ids[1] / "cond.mp4")
    np.testing.assert_array_equal(model.shown[0], context[[0, 4, 8]])
    again = caption_folder(disc_folder, Scripted("new 0", "new 1"), overwrite=True)
    assert len(again.written) == 2 and HMWorld(disc_folder).caption(ids[0]) == "new 0"


def test_no_answer_is_no_caption(disc_folder: Path) -> None:
    (disc_folder / "caption.txt").unlink()
    report = caption_folder(disc_folder, Scripted("  ", "a disc"))
    assert len(report.empty) == 1 and HMWorld(disc_folder).caption(report.empty[0]) is None


def test_a_file_that_cannot_be_added_to(disc_folder: Path) -> None:
    ids = HMWorld(disc_folder).ids("all")
    (disc_folder / "caption.txt").write_text(json.dumps({ids[0]: "from an object"}))
    with pytest.raises(UserError, match="in a form to which no line can be added"):
        caption_folder(disc_folder, Scripted("a disc"))
    assert json.loads((disc_folder / "caption.txt").read_text()) == {ids[0]: "from an object"}


def test_one_line() -> None:
    assert one_line(' "A man.\n He walks." ') == "A man. He walks."
    assert one_line("It's a dog's") == "It's a dog's" and one_line('"') == '"' and one_line("") == ""


@pytest.mark.slow  # imports torch and transformers
def test_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"captioning model .* cannot be loaded"):
        TransformersCaptioner(str(tmp_path / "none"))


@pytest.mark.slow
def test_real_class_with_random_weights(tmp_path: Path) -> None:
    """Llava with few random weights through the real pipeline: its words mean nothing, the way there is real."""
    folder = tiny_llava(tmp_path / "llava")
    captioner = TransformersCaptioner(str(folder), max_new_tokens=5)
    frames = np.random.default_rng(0).integers(0, 255, (3, 40, 60, 3), dtype=np.uint8)
    first, second = captioner.caption(frames), captioner.caption(frames)
    assert first == second and set(first.split()) <= set(WORDS)
    assert captioner.caption(255 - frames) is not None


WORDS = ("a", "dog", "walks", "in", "the", "rain")


def tiny_llava(folder: Path) -> Path:
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    special = ["<pad>", "<s>", "</s>", "<unk>", "<image>"]
    words = Tokenizer(WordLevel({w: i for i, w in enumerate([*special, *WORDS])}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    template = (
        "{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<image> {% else %}"
        "{{ c['text'] }}{% endif %}{% endfor %}{% endfor %}"
    )
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<image>",
        chat_template=template,
    )
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=16, patch_size=8
    )
    text = LlamaConfig(
        vocab_size=len(special) + len(WORDS),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=512,
    )
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(
        LlavaConfig(vision_config=vision, text_config=text, image_token_index=4, vision_feature_layer=-1)
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def test_captions_beyond_reason_are_refused_in_a_sentence(tmp_path: Path) -> None:
    from hmbench.data import captions_file
    from hmbench.data.captions_file import read_captions
    from hmbench.errors import UserError

    path = tmp_path / "caption.txt"
    with path.open("wb") as file:
        file.truncate(captions_file.MAX_BYTES + 1)  # sparse: nothing of it is written
    with pytest.raises(UserError, match=r"has 64 MiB, more than the 64 MiB that captions may have"):
        read_captions(path, ["a"])
    path.write_text("a\t" + "x" * 20_001)
    with pytest.raises(UserError, match=r"a caption of 20,001 characters for a, more than 20,000"):
        read_captions(path, ["a"])
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(UserError, match=r"Git LFS pointer"):
        read_captions(path, ["a"])
    for text in ("[" * 100_000, '{"a": ' + "9" * 6000 + "}", "{" * 3):
        path.write_text(text)
        assert read_captions(path, ["a", "b"]) == {}
