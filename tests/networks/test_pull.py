"""`hmbench weights pull` against a small Hub on this machine, through huggingface-hub's real client."""

from __future__ import annotations

import hashlib
import json

import pytest

from hmbench.errors import UserError
from hmbench.metrics.quality import NETWORKS, NoReferenceQuality
from hmbench.networks.pull import LOCK, OPTIONAL, SOURCES, pull, read_lock, statuses, verify
from tests.hub_server import hub_server

NAMES = ("clip_b16", "dino", "yolo11")
CLIP = "models/openai/clip-vit-base-patch16"
DINO = "models/timm/vit_base_patch16_224.dino"
IQA = "models/chaofengc/IQA-PyTorch-Weights"


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
        IQA: {
            "musiq_koniq_ckpt-e95806b9.pth": big + b"musiq",
            "niqe_modelparameters.mat": b"niqe",
            "musiq_ava_ckpt-e8d3f067.pth": big,
        },
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
    assert {s.source.name: s.state for s in statuses(tmp_path / "w")}["alexnet"] == "missing"


def test_states_without_a_folder_and_with_files_put_there_by_hand(tmp_path):
    assert {s.state for s in statuses(None)} == {"missing"}
    (tmp_path / "yolo11").mkdir()
    (tmp_path / "yolo11" / "yolo11x.pt").write_bytes(b"x")
    assert {s.source.name: s.state for s in statuses(tmp_path)}["yolo11"] == "present"
    json.dumps(read_lock(tmp_path))


def test_quality_networks_are_fetched_by_name_to_where_their_rows_look(tmp_path):
    with hub_server(hub_files()) as hub:
        fetched = pull(tmp_path / "w", only=("musiq", "niqe"), endpoint=hub.url)
    assert fetched == ["pyiqa/musiq_koniq_ckpt-e95806b9.pth", "pyiqa/niqe_modelparameters.mat"]
    for name in NETWORKS:
        assert NoReferenceQuality(name, weights=tmp_path / "w", device="cpu").network.missing is None


def test_addresses_of_quality_networks_are_those_that_pyiqa_fetches():
    from pyiqa.archs.musiq_arch import default_model_urls as musiq
    from pyiqa.archs.niqe_arch import default_model_urls as niqe

    theirs = {"musiq": musiq["koniq10k"], "niqe": niqe["niqe"]}
    sources = {source.name: source for source in SOURCES}
    for name, address in theirs.items():
        ((file,),) = sources[name].files
        assert address.endswith(f"/{sources[name].repo}/resolve/main/{file}")


def test_non_commercial_weights_are_never_fetched_unasked(tmp_path, monkeypatch):
    asked = []

    def hub(folder, source, *rest):
        asked.append(source.name)
        return {"files": {}}

    monkeypatch.setattr("hmbench.networks.pull._pull_hub", hub)
    monkeypatch.setattr("hmbench.networks.pull._pull_torch", hub)
    pull(tmp_path / "w")
    assert asked == ["clip_b16", "clip_b32", "dino", "yolo11", "alexnet"]
    assert {source.name for source in SOURCES if "NC" in source.licence} == {"musiq", "niqe"}
    assert set(OPTIONAL) == {"musiq", "niqe", "inception", "r3d18", "raft"}, "fetched only when named"


def test_a_file_instead_of_a_folder_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    for only in (("dino",), ("alexnet",)):
        with pytest.raises(UserError, match=r"file is a file, not a folder"):
            pull(tmp_path / "file", only=only)
    with pytest.raises(UserError, match=r"cannot be written to .*file/inside: Not a directory"):
        pull(tmp_path / "file" / "inside", only=("alexnet",))
    with pytest.raises(UserError, match=r"file is a file, not a folder"):
        statuses(tmp_path / "file")


def test_a_full_disk_is_a_sentence(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hmbench.networks.pull._pull_hub", full)
    with pytest.raises(UserError, match=r"cannot be written to .*w: No space left on device"):
        pull(tmp_path / "w", only=("dino",))
