"""Weight folders that are not what they should be: half pulled, of another network, with other bytes than locked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from hmbench.errors import UserError
from hmbench.files import write_json
from hmbench.networks import files
from hmbench.networks.backbones import FILES, Backbone, find_backbones, from_folder
from hmbench.networks.dino import Dino, DinoConfig, load_dino
from hmbench.networks.encoders import ClipFrames, ClipMaps, DinoFrames
from hmbench.networks.identity import weights_identity
from hmbench.networks.lpips_network import empty_lpips, load_lpips
from hmbench.networks.pull import LOCK, SOURCES
from hmbench.subjects import create_tracker, tracker_missing


def small_clip(folder: Path, **changes: int) -> Path:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    CLIPVisionModelWithProjection(CLIPVisionConfig(**{**sizes, "projection_dim": 16, **changes})).save_pretrained(
        folder
    )
    return folder


def small_dino(folder: Path) -> Path:
    path = folder / FILES["dino"]
    path.parent.mkdir(parents=True, exist_ok=True)
    from safetensors.torch import save_file

    save_file(Dino(DinoConfig(embed_dim=64, depth=1, num_heads=1)).state_dict(), path)
    return path


def lock(folder: Path, name: str, path: Path, sha256: str | None = None) -> None:
    entry = {"sha256": sha256 or files.digest(path), "bytes": path.stat().st_size}
    write_json(folder / LOCK, {name: {"files": {str(path.relative_to(folder)): entry}}})


@pytest.mark.parametrize(
    ("there", "lacks"),
    [
        ((".cache/huggingface/x.incomplete",), "has no config.json"),
        (("config.json",), "has no model.safetensors or pytorch_model.bin"),
        (("model.safetensors",), "has no config.json"),
    ],
)
def test_half_a_pull_is_missing_weights_not_an_error(tmp_path, there, lacks):
    for name in there:
        (tmp_path / FILES["clip_b16"] / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / FILES["clip_b16"] / name).write_bytes(b"{}")
    found = find_backbones(profile="paper", weights=tmp_path, device="cpu").released_maps
    assert found.missing == (
        f"clip_b16 weights are missing ({tmp_path / FILES['clip_b16']} {lacks}); run: hmbench weights pull {tmp_path}"
    )


def test_a_folder_where_a_file_should_be_is_missing(tmp_path):
    (tmp_path / FILES["dino"]).mkdir(parents=True)
    assert "does not exist" in from_folder("dino", tmp_path, load_dino).missing


def test_a_complete_folder_is_loaded(tmp_path):
    small_clip(tmp_path / FILES["clip_b16"], patch_size=16)
    found = from_folder("clip_b16", tmp_path, lambda path: ClipMaps.load(path, "cpu"))
    assert found.missing is None and found.get().name == "clip_b16_released"


def test_every_file_that_is_asked_for_is_one_that_pull_fetches():
    sources = {source.name: source for source in SOURCES}
    made_by_the_user = {"interpolator"}  # exported from a network that no library has
    assert set(FILES) - made_by_the_user == set(sources)
    for name, place in FILES.items():
        if name in made_by_the_user:
            continue
        listed = {f"{sources[name].folder}/{file}" for group in sources[name].files for file in group}
        wanted = {place} if Path(place).suffix else {f"{place}/config.json", f"{place}/model.safetensors"}
        assert wanted <= listed, name


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"conv.weight": torch.zeros(2)}, "do not fit the network: "),
        ({"a": 1}, "cannot be read: they are no tensors by name"),
        ([1, 2], "cannot be read: they are no tensors by name"),
    ],
)
def test_a_file_of_another_network_is_a_sentence(tmp_path, content, sentence):
    path = tmp_path / "other.pth"
    torch.save(content, path)
    for load in (load_dino, load_lpips):
        with pytest.raises(UserError, match=rf"other\.pth {sentence}") as error:
            load(path, "cpu")
        assert "hmbench weights pull" in error.value.hint or "Fetch them again" in error.value.hint


def test_alexnet_of_other_sizes_is_a_sentence(tmp_path):
    convs = {f"features.{i}.{kind}": torch.zeros(3) for i in (0, 3, 6, 8, 10) for kind in ("weight", "bias")}
    torch.save(convs, tmp_path / "alexnet.pth")
    with pytest.raises(UserError, match=r"do not fit the network: .*size mismatch"):
        load_lpips(tmp_path / "alexnet.pth", "cpu")
    trunk = dict(empty_lpips().net.state_dict())
    named = {f"features.{key.split('.', 1)[1]}": value for key, value in trunk.items()}
    torch.save(named, tmp_path / "alexnet.pth")
    assert load_lpips(tmp_path / "alexnet.pth", "cpu") is not None


def test_clip_weights_that_lack_a_layer_are_refused_not_drawn_at_random(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = small_clip(tmp_path / "clip")
    state = load_file(folder / "model.safetensors")
    lost = next(key for key in state if "layers.0" in key and key.endswith("q_proj.weight"))
    del state[lost]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    for kind in (ClipFrames, ClipMaps):
        with pytest.raises(UserError, match=r"do not fit the network: 1 entries are missing, the first .*q_proj"):
            kind.load(folder, "cpu")


@pytest.mark.parametrize("damage", ["cut", "config", "other size"])
def test_a_damaged_clip_folder_is_a_sentence(tmp_path, damage):
    folder = small_clip(tmp_path / "clip")
    model = folder / "model.safetensors"
    if damage == "cut":
        model.write_bytes(model.read_bytes()[:100])
    elif damage == "config":
        (folder / "config.json").write_text("{")
    else:
        model.write_bytes((small_clip(tmp_path / "wide", hidden_size=64) / "model.safetensors").read_bytes())
    sentence = "is no safetensors file, or it is cut off" if damage == "cut" else "clip do not fit the network: "
    with pytest.raises(UserError, match=sentence):
        ClipFrames.load(folder, "cpu")


def test_other_bytes_than_locked_are_refused_when_the_network_is_loaded(tmp_path):
    path = small_dino(tmp_path)
    lock(tmp_path, "dino", path, "0" * 64)
    found = from_folder("dino", tmp_path, lambda p: DinoFrames.load(p, "cpu", num_heads=1))
    assert found.missing is None, "a wrong file is an error, a missing one a reason"
    with pytest.raises(UserError, match=f"is not the file that {LOCK} records") as error:
        found.get()
    assert error.value.hint == f"Delete it and run: hmbench weights pull {tmp_path}"
    lock(tmp_path, "dino", path)
    assert from_folder("dino", tmp_path, lambda p: DinoFrames.load(p, "cpu", num_heads=1)).get().name == "dino"


def test_a_file_is_hashed_once_a_process_and_again_when_it_changed(tmp_path, monkeypatch):
    path = small_dino(tmp_path)
    lock(tmp_path, "dino", path)
    hashed = []
    monkeypatch.setattr(files, "digest", lambda p, real=files.digest: hashed.append(p) or real(p))
    for _ in range(3):
        from_folder("dino", tmp_path, lambda p: DinoFrames.load(p, "cpu", num_heads=1)).get()
    assert hashed == [path]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    os.utime(path, ns=(1, 1))
    with pytest.raises(UserError, match="is not the file that"):
        from_folder("dino", tmp_path, lambda p: DinoFrames.load(p, "cpu", num_heads=1)).get()
    assert hashed == [path, path]


def test_a_network_that_cannot_be_loaded_is_not_tried_for_every_clip():
    tries = []

    def load() -> object:
        tries.append(1)
        raise UserError("The weights do not fit.", "Fetch them again.")

    backbone = Backbone("x", load)
    for _ in range(3):
        with pytest.raises(UserError, match="do not fit") as error:
            backbone.get()
        assert error.value.hint == "Fetch them again."
    assert len(tries) == 1


def test_a_detector_file_of_another_kind_is_a_sentence(tmp_path):
    small_dino(tmp_path)
    path = tmp_path / FILES["yolo11"]
    path.parent.mkdir()
    for content in (b"no pickle", b""):
        path.write_bytes(content)
        assert tracker_missing(profile="paper", weights=tmp_path) is None
        with pytest.raises(UserError, match=r"yolo11x\.pt"):
            create_tracker(profile="paper", weights=tmp_path, device="cpu")
    torch.save({"model": 1}, path)
    with pytest.raises(UserError, match=r"yolo11x\.pt"):
        create_tracker(profile="paper", weights=tmp_path, device="cpu")


def test_what_a_broken_pull_left_behind_is_no_weight(tmp_path):
    before = weights_identity(tmp_path)
    rest = tmp_path / FILES["clip_b16"] / ".cache" / "huggingface" / "x.incomplete"
    rest.parent.mkdir(parents=True)
    rest.write_bytes(b"half")
    assert weights_identity(tmp_path) == before
