"""Samples in shards are the samples of the folder, under the same revision."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hmbench.cli import app
from hmbench.data import shards
from hmbench.data.dataset import open_dataset
from hmbench.data.hm_world import HMWorld
from hmbench.errors import SampleError, UserError


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "CLIPS_A_SHARD", 1)


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_written_and_read(disc_folder: Path, tmp_path: Path, small: None, form: str) -> None:
    folder = HMWorld(disc_folder)
    ids = folder.ids("all")
    shards.export_shards(folder, ids, tmp_path / "out", form)  # type: ignore[arg-type]
    data = open_dataset(str(tmp_path / "out"))
    assert isinstance(data, shards.Shards) and data.ids("all") == ids and data.name == folder.name
    assert data.revision(ids) == folder.revision(ids) and data.revision(ids[:1]) == folder.revision(ids[:1])
    assert len(list((tmp_path / "out").glob("0*"))) == len(ids)
    streamed = {sample.id: sample for sample in data.stream()}
    for name in ids:
        wanted = folder.load(name)
        for found in (data.load(name), streamed[name]):
            np.testing.assert_array_equal(found.prompt.context, wanted.prompt.context)
            np.testing.assert_array_equal(found.truth.target, wanted.truth.target)
            np.testing.assert_array_equal(found.truth.target_labels, wanted.truth.target_labels)
            assert found.prompt.caption == wanted.prompt.caption and found.meta == wanted.meta


def test_the_hub_s_own_reader_reads_the_tars(disc_folder: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    folder = HMWorld(disc_folder)
    shards.export_shards(folder, folder.ids("all"), tmp_path / "out", "webdataset")
    files = str(tmp_path / "out" / "*.tar")
    rows = list(load_dataset("webdataset", data_files=files, split="train", streaming=True).decode(False))
    assert [row["__key__"] for row in rows] == list(folder.ids("all"))
    assert {"cond.mp4", "tgt.mp4", "camera.json", "caption.txt"} <= set(rows[0])


def test_a_stream_is_read_forwards_alone(disc_folder: Path, tmp_path: Path) -> None:
    folder = HMWorld(disc_folder)
    shards.export_shards(folder, folder.ids("all"), tmp_path / "out", "webdataset")

    class Answer(io.RawIOBase):
        """Bytes that come once, as over HTTP."""

        def __init__(self, content: bytes) -> None:
            self._rest = io.BytesIO(content)

        def read(self, size: int = -1) -> bytes:
            return self._rest.read(min(size, 700) if size > 0 else size)

    found = dict(shards.stream_tar(Answer((tmp_path / "out" / "00000.tar").read_bytes())))
    assert tuple(found) == folder.ids("all")
    for name, files in found.items():
        for path in (disc_folder / name).iterdir():
            assert files[path.name] == path.read_bytes()


def test_what_was_changed_is_refused(disc_folder: Path, tmp_path: Path) -> None:
    folder = HMWorld(disc_folder)
    first = folder.ids("all")[0]
    shards.export_shards(folder, (first,), tmp_path / "out", "webdataset")
    path = tmp_path / "out" / "00000.tar"
    with tarfile.open(path) as archive:
        member = archive.getmember(f"{first}.camera.json")
    content = bytearray(path.read_bytes())
    content[member.offset_data] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(SampleError, match=r"camera.json is not the file that shards.json names"):
        shards.Shards(tmp_path / "out").load(first)
    path.unlink()
    with pytest.raises(SampleError, match="is missing"):
        shards.Shards(tmp_path / "out").load(first)
    (disc_folder / first / "more").mkdir()
    with pytest.raises(UserError, match="has the folder more, which a shard cannot hold"):
        shards.export_shards(folder, (first,), tmp_path / "other", "parquet")


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_splits_cards_and_files_of_a_sample_come_along(disc_folder: Path, tmp_path: Path, form: str) -> None:
    """Also where the folder lists its own splits, its card lies above it, and a sample has a caption.txt of its own."""
    first, second = HMWorld(disc_folder).ids("all")
    (disc_folder / "splits.json").write_text(json.dumps({"test": [second], "odd": [first]}))
    (disc_folder.parent / "hmbench.json").write_text(json.dumps({"cameras": "unreal"}))
    (disc_folder / first / "caption.txt").write_text("somebody's own note")
    folder = HMWorld(disc_folder)
    shards.export_shards(folder, folder.ids("all"), tmp_path / "out", form)  # type: ignore[arg-type]
    data = shards.Shards(tmp_path / "out")
    assert [data.ids(name) for name in ("test", "odd")] == [(second,), (first,)]
    with pytest.raises(UserError, match="has no split 'train'"):
        data.ids("train")
    assert data.revision(data.ids("all")) == folder.revision(folder.ids("all"))
    assert [sample.prompt.caption for sample in data.stream()] == [folder.caption(first), folder.caption(second)]
    (path,) = (tmp_path / "out").glob("0*")
    path.unlink()
    with pytest.raises(UserError, match=r"shard .* is missing"):
        next(data.stream())


def test_the_command(disc_folder: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke(app, ["data", "export", str(disc_folder), str(tmp_path / "o"), "--format", "parquet"])
    assert run.exit_code == 0 and "as parquet" in run.output and (tmp_path / "o" / "00000.parquet").is_file()


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
@pytest.mark.parametrize("where", ["../../victim.json", "/victim.json", "a/b.json", "..", "NUL"])
def test_an_index_names_no_file_outside(disc_folder: Path, tmp_path: Path, form: str, where: str) -> None:
    """A name of a stranger's index became a path that was written to."""
    folder = HMWorld(disc_folder)
    index = shards.export_shards(folder, folder.ids("all")[:1], tmp_path / "out", form)  # type: ignore[arg-type]
    content = json.loads(index.read_text())
    (name,) = content["files"]
    for change in (
        {"files": {name: {**content["files"][name], where: hashlib.sha256(b"x").hexdigest()}}},
        {"shards": [{"file": where, "ids": [name]}]},
        {"shards": [{"file": content["shards"][0]["file"], "ids": [where]}]},
    ):
        index.write_text(json.dumps({**content, **change}))
        with pytest.raises(UserError, match="cannot name a file"):
            open_dataset(str(tmp_path / "out"))


def test_a_member_that_climbs_out_writes_nothing(disc_folder: Path, tmp_path: Path, monkeypatch) -> None:
    """The tar alone, whose index is honest: what the index does not name is not read."""
    folder = HMWorld(disc_folder)
    name = folder.ids("all")[0]
    shards.export_shards(folder, (name,), tmp_path / "out", "webdataset")
    with tarfile.open(tmp_path / "out" / "00000.tar", "a") as archive:
        info = tarfile.TarInfo(f"{name}.../../victim.json")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"x"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert open_dataset(str(tmp_path / "out")).load(name).id == name
    assert not list(tmp_path.rglob("victim.json"))


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
@pytest.mark.parametrize("damage", ["cut", "empty", "noise"])
def test_a_damaged_shard_is_a_sentence(disc_folder: Path, tmp_path: Path, form: str, damage: str) -> None:
    folder = HMWorld(disc_folder)
    shards.export_shards(folder, folder.ids("all"), tmp_path / "out", form)  # type: ignore[arg-type]
    (path,) = (tmp_path / "out").glob("0*")
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[: len(whole) // 3], "empty": b"", "noise": b"noise" * 999}[damage])
    data = open_dataset(str(tmp_path / "out"))
    with pytest.raises(SampleError, match=r"cannot be read|is not the file that"):
        data.load(data.ids("all")[-1])
    for content in ("[]", "{}", '{"shards": 3}', "{", '{"shards": [{"file": "00000.tar", "ids": null}]}'):
        (tmp_path / "out" / "shards.json").write_text(content)
        with pytest.raises(UserError):
            open_dataset(str(tmp_path / "out"))
