"""What inspection says of folders and streams: quiet where data are as known, one line for each thing that is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hmbench.data.disc_world import DiscWorld, DiscWorldConfig
from hmbench.data.hub.download import DownloadRequest
from hmbench.data.inspection import inspect_folder, inspect_stream
from hmbench.data.json_shape import Shape
from hmbench.data.mask_facts import mask_colours
from hmbench.errors import UserError
from hmbench.video.files import read_video, write_lossless
from tests.conftest import write_hm_world
from tests.hm_world_archive import IDS

NAMES = IDS[:2]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two samples of 77 + 77 frames that fit every expectation, but for size and codec details."""
    folder = tmp_path_factory.mktemp("release") / "HM-World"
    world = DiscWorld(DiscWorldConfig(samples=2, frames=77))
    for sample_id, name in zip(world.ids("all"), NAMES, strict=True):
        write_hm_world(folder, world.load(sample_id)).rename(folder / name)
    (folder / "caption.txt").write_text("".join(f"{name}\tA disc.\n" for name in NAMES))
    return folder


def differing(folder: Path) -> dict[str, str]:
    return {fact.topic: fact.found for fact in inspect_folder(folder) if fact.verdict == "DIFFERS"}


def copy_of(release: Path, target: Path) -> Path:
    import shutil

    return Path(shutil.copytree(release, target / "HM-World"))


def test_known_data_differ_nowhere(release: Path) -> None:
    found = differing(release.parent)
    reason = found.pop("subjects told apart")  # two discs under one mask, without positions
    assert "by single in 1, not in 1; character.json has no positions of disc-1, disc-2" in reason
    assert found == {}


def edit(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def run(folder: Path) -> None:
        for path in folder.glob(f"*/{name}"):
            path.write_text(json.dumps(change(json.loads(path.read_text()))))

    return run


def recolour(colour: tuple[int, int, int]) -> Callable[[Path], None]:
    def run(folder: Path) -> None:
        for path in folder.glob("*/*_mask.mp4"):
            video = read_video(path)
            write_lossless(path, np.where(video[..., :1] > 127, np.uint8(colour), np.uint8(0)), fps=15)

    return run


def shorten(folder: Path) -> None:
    path = folder / NAMES[0] / "tgt.mp4"
    write_lossless(path, read_video(path)[:70], fps=15)


def shift_flags(content: Any) -> Any:
    """Frames counted from 1."""
    for half in content.values():
        for entries in half["actor"].values():
            for entry in entries:
                entry["frame"] += 1
    return content


def millimetres(content: Any) -> Any:
    """A walk of 3 metres a second, written in tenths of millimetres."""
    for key, first in (("cond_cam", 0), ("tgt_cam", 77)):
        for frame, matrix in content[key].items():
            matrix[0][3] += (first + int(frame)) * 2000
    return content


def detach_target(content: Any) -> Any:
    for matrix in content["tgt_cam"].values():
        matrix[0][3] += 300
    return content


DEVIATIONS: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "id": (lambda f: (f / NAMES[0]).rename(f / "sample1") and None, "ids", "not: sample1"),
    "missing file": (lambda f: (f / NAMES[0] / "check.json").unlink(), "files", "check.json missing in 1"),
    "unknown file": (lambda f: (f / NAMES[0] / "depth.exr").write_bytes(b"") and None, "files", "depth.exr x1"),
    "short clip": (shorten, "tgt.mp4", "70 frames"),
    "camera keys": (edit("camera.json", lambda c: {"frames": c}), "camera.json", "unknown form with frames"),
    "units": (edit("camera.json", millimetres), "camera units", "median speed"),
    "jump": (edit("camera.json", detach_target), "target goes on from context", "a jump in 2 of 2; largest seam"),
    "flags renamed": (edit("check.json", lambda c: {"check": 1}), "check.json", "{check: int 1..1}"),
    "flags from 1": (edit("check.json", shift_flags), "check.json against masks", "best at -1"),
    "flags counted": (edit("check.json", shift_flags), "check.json frames", "frames 1..77"),
    "blue masks": (recolour((0, 0, 255)), "mask colours", "blue in 2 of 2 samples"),
    "yellow masks": (recolour((255, 255, 0)), "mask colours", "yellow in 2"),
    "empty masks": (recolour((0, 0, 0)), "events in the masks", "0 of 2 samples have one"),
    "grey masks": (recolour((140, 140, 140)), "mask edges", "100.0%"),
    "no captions": (lambda f: (f / "caption.txt").unlink(), "caption.txt", "missing"),
    "captions of others": (lambda f: (f / "caption.txt").write_text("a\n") and None, "captions read", "0 of 2"),
}


@pytest.mark.parametrize("name", DEVIATIONS)
def test_each_deviation_is_named(release: Path, tmp_path: Path, name: str) -> None:
    change, topic, text = DEVIATIONS[name]
    folder = copy_of(release, tmp_path)
    change(folder)
    assert text in differing(folder)[topic]


def test_stream_from_parts(release: Path, tmp_path: Path) -> None:
    import io
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(release, "HM-World")
        archive.addfile(tarfile.TarInfo("HM-World/notes.md"))
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "HM-World_aa").write_bytes(buffer.getvalue())
    request = DownloadRequest(out=tmp_path / "scratch", samples=5, parts=tmp_path / "parts")
    facts = {fact.topic: fact for fact in inspect_stream(request)}
    assert {t for t, f in facts.items() if f.verdict == "DIFFERS"} == {
        "unknown files in the stream",
        "subjects told apart",  # two discs under one mask, without positions
    }
    assert facts["unknown files in the stream"].found == "notes.md (x1)"
    assert facts["order in the stream"].found.startswith("2 samples in the first")
    assert facts["samples"].found == "2; 2 read"


def test_nothing_to_inspect(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"No folder in .* holds any of cond\.mp4"):
        inspect_folder(tmp_path)


def test_shape_of_unknown_json() -> None:
    shape = Shape()
    for name in ("Wolf", "Dog"):
        shape.add({"fps": 15, name: {"0": [1.5, 2], "1": [3.0, -4]}, "kind": "animal"})
    numbers = "{<2 numbers 0..1>: [2 x float -4..3 or int -4..3]}"
    assert shape.describe() == f"{{fps: int 15..15, kind: text ('animal'), <names: Wolf, Dog>: {numbers}}}"
    listed = Shape()
    listed.add({"cond": [{"frame": 0, "inFrame": True}, {"frame": 76, "inFrame": False}]})
    assert listed.describe() == "{cond: [2 x {frame: int 0..76, inFrame: bool}]}"
    assert Shape().describe() == "nothing"


def test_mask_colours_ignore_smear() -> None:
    video = np.zeros((1, 10, 100, 3), dtype=np.uint8)
    video[0, :5] = (255, 0, 0)
    video[0, 5, :5] = (255, 255, 0)
    assert mask_colours(video) == ["red"]
    video[0, 6] = (255, 255, 255)
    assert mask_colours(video) == ["red", "white"]
    assert mask_colours(np.zeros_like(video)) == []


def test_real_examples_have_the_known_clips(real_clips: Path, tmp_path: Path) -> None:
    """The four public clips, as context of samples without target or masks: what is there is as known."""
    for number in range(1, 5):
        folder = tmp_path / f"{number:05d}_City_loc1_Run_Pan_1"
        folder.mkdir()
        (folder / "cond.mp4").symlink_to(real_clips / f"{number}.mp4")
        (folder / "camera.json").symlink_to(real_clips / f"cam{number}.json")
    facts = {fact.topic: fact for fact in inspect_folder(tmp_path)}
    for topic in ("ids", "cond.mp4", "camera.json", "camera units", "target goes on from context"):
        assert facts[topic].verdict == "as expected", facts[topic]
    assert "832x480, 15 fps, 77 frames, h264 yuv420p" in facts["cond.mp4"].found
    assert facts["masks"].verdict == facts["tgt.mp4"].verdict == "DIFFERS"
