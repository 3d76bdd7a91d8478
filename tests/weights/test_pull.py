"""`hmbench weights pull` against a small Hub on this machine, through huggingface-hub's real client."""

from __future__ import annotations

import hashlib
import json

import pytest

from hmbench.errors import UserError
from hmbench.weights.pull import LOCK, SOURCES, pull, read_lock, statuses, verify
from tests.hub_server import hub_server

NAMES = ("clip_b16", "dino", "yolo11")
CLIP = "models/openai/clip-vit-base-patch16"
DINO = "models/timm/vit_base_patch16_224.dino"


def hub_files() -> dict[str, dict[str, bytes]]:
    big = bytes(range(256)) * 8
    return {
        CLIP: {
            "config.json": b"{}",
            "preprocessor_config.json": b"{}",
            "pytorch_model.bin": big + b"clip",
            "tf_model.h5": big,
        },
        DINO: {"model.safetensors": big + b"dino", "pytorch_model.bin": big},
        "models/Ultralytics/YOLO11": {"yolo11n.pt": big, "yolo11x.pt": big + b"x"},
    }


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def test_files_revisions_and_digests_are_recorded_and_nothing_else_is_fetched(tmp_path):
    with hub_server(hub_files()) as hub:
        fetched = pull(tmp_path / "w", only=NAMES, endpoint=hub.url)
        assert sorted(fetched) == [
            "clip-vit-base-patch16/config.json",
            "clip-vit-base-patch16/preprocessor_config.json",
            "clip-vit-base-patch16/pytorch_model.bin",
            "dino-vitb16/model.safetensors",
            "yolo11/yolo11x.pt",
        ]
        assert not any("tf_model" in line or "yolo11n" in line for line in hub.log)
    lock = read_lock(tmp_path / "w")
    assert lock["dino"]["revision"] == "c" * 40
    entry = lock["dino"]["files"]["dino-vitb16/model.safetensors"]
    assert entry["sha256"] == hashlib.sha256(hub_files()[DINO]["model.safetensors"]).hexdigest()
    files = {str(p.relative_to(tmp_path / "w")) for p in (tmp_path / "w").rglob("*") if p.is_file()}
    assert files == {*fetched, LOCK}


def test_a_second_pull_asks_nobody(tmp_path):
    with hub_server(hub_files()) as hub:
        pull(tmp_path / "w", only=NAMES, endpoint=hub.url)
        asked = len(hub.log)
        assert pull(tmp_path / "w", only=NAMES, endpoint=hub.url) == []
        assert len(hub.log) == asked


def test_the_lock_pins_the_commit_and_refuses_other_bytes(tmp_path):
    with hub_server(hub_files()) as hub:
        pull(tmp_path / "w", only=("dino",), endpoint=hub.url)
    (tmp_path / "w" / "dino-vitb16" / "model.safetensors").unlink()
    changed = hub_files()
    changed[DINO]["model.safetensors"] += b"!"
    with hub_server(changed) as hub, pytest.raises(UserError, match=f"{LOCK} records"):
        pull(tmp_path / "w", only=("dino",), endpoint=hub.url)
    assert any("c" * 40 in line for line in hub.log)
    assert not (tmp_path / "w" / "dino-vitb16" / "model.safetensors").exists()


def test_a_damaged_file_is_found(tmp_path):
    with hub_server(hub_files()) as hub:
        pull(tmp_path / "w", only=("dino",), endpoint=hub.url)
    path = tmp_path / "w" / "dino-vitb16" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[7] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match="is not the file that") as error:
        verify(tmp_path / "w", "dino")
    assert error.value.hint == f"Delete it and run: hmbench weights pull {tmp_path / 'w'}"
    path.write_bytes(bytes(content[:-1]))
    assert {s.source.name: s.state for s in statuses(tmp_path / "w")}["dino"] == "damaged"


def test_a_repository_that_lost_its_file_says_so(tmp_path):
    files = hub_files()
    del files[DINO]["model.safetensors"]
    with hub_server(files) as hub, pytest.raises(UserError, match=r"has none of model\.safetensors"):
        pull(tmp_path / "w", only=("dino",), endpoint=hub.url)


def test_an_unreachable_hub_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match=r"Could not fetch timm/vit_base_patch16_224\.dino"):
        pull(tmp_path / "w", only=("dino",), endpoint="http://127.0.0.1:9")


def test_an_unknown_name_lists_what_there_is(tmp_path):
    with pytest.raises(UserError, match="no weights named 'dinno'") as error:
        pull(tmp_path / "w", only=("dinno",))
    assert "Did you mean 'dino'?" in error.value.hint


def test_alexnet_must_have_the_digest_in_its_name(tmp_path):
    source = next(s for s in SOURCES if s.name == "alexnet")
    name = source.files[0][0]
    served = tmp_path / "served"
    served.mkdir()
    (served / name).write_bytes(b"not AlexNet")
    with pytest.raises(UserError, match="invalid hash value"):
        pull(tmp_path / "w", only=("alexnet",), torch_url=served.as_uri())
    assert statuses(tmp_path / "w")[-1].state == "missing"


def test_states_without_a_folder_and_with_files_put_there_by_hand(tmp_path):
    assert {s.state for s in statuses(None)} == {"missing"}
    (tmp_path / "yolo11").mkdir()
    (tmp_path / "yolo11" / "yolo11x.pt").write_bytes(b"x")
    assert {s.source.name: s.state for s in statuses(tmp_path)}["yolo11"] == "present"
    json.dumps(read_lock(tmp_path))
