"""Captions of archives of several folders: each for the clip of its own folder, or nobody's."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from hmbench.data.hm_world import HMWorld
from hmbench.data.hub.download import DownloadRequest, download
from tests.hm_world_archive import file_bytes, member


def parts_folder(folder: Path, archives: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in archives.items():
        (folder / name).write_bytes(content)
    return folder


def captioned(ids: Sequence[str], texts: dict[str, str]) -> bytes:
    """An archive of samples, and caption files by their path."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in ids:
            for name in ("cond.mp4", "tgt.mp4", "camera.json"):
                member(archive, f"{path}/{name}", file_bytes(path.rpartition("/")[2], name))
        for path, text in texts.items():
            member(archive, path, text.encode())
    return gzip.compress(buffer.getvalue())


@pytest.mark.parametrize(
    "form", ["{name}\t{text}", "{name}|{text}", "{text}", "{name}\n{text}", "{folder}/{name} {text}"]
)
def test_captions_of_one_name_under_several_folders(tmp_path: Path, form: str) -> None:
    """Each part an archive of its own with captions of its own, each caption for the clip of its own folder."""
    names = ["clip2", "clip10", "clip1"]
    archives = {}
    for folder in "ab":
        rows = [{"name": n, "folder": folder, "text": f"A dog of {folder}, {n}."} for n in ("clip1", "clip2", "clip10")]
        text = "".join(form.format(**row) + "\n" for row in rows)
        captions = {f"HM-World/{folder}/caption.txt": text}
        archives[f"HM-World_{folder}"] = captioned([f"HM-World/{folder}/{n}" for n in names], captions)
    parts, out = parts_folder(tmp_path / "parts", archives), tmp_path / "out"
    wanted = {n: f"A dog of a, {n}." for n in names} | {f"b-{n}": f"A dog of b, {n}." for n in names}
    for _ in range(2):
        download(DownloadRequest(out=out, split="all", parts=parts, to_the_end=True))
        data = HMWorld(out)
        assert {name: data.caption(name) for name in data.ids("all")} == wanted
        shutil.rmtree(out / "b-clip2")  # fetched again, its caption stays the right one


def test_a_caption_that_two_folders_may_mean_is_nobody_s(tmp_path: Path) -> None:
    texts = {"HM-World/caption.txt": "clip1: A dog.\nb/clip2: A cat.\na/clip2: A hen.\nclip3: A cow.\n"}
    places = [f"HM-World/{folder}/{name}" for folder in "ab" for name in ("clip1", "clip2")]
    parts = parts_folder(tmp_path / "parts", {"HM-World_a": captioned([*places, "HM-World/b/clip3"], texts)})
    download(DownloadRequest(out=tmp_path / "out", split="all", parts=parts))
    data = HMWorld(tmp_path / "out")
    found = {name: data.caption(name) for name in data.ids("all")}
    assert found == {"clip1": None, "b-clip1": None, "clip2": "A hen.", "b-clip2": "A cat.", "clip3": "A cow."}
