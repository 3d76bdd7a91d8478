"""What tests of every package share: the material beside the project, and a small folder in HM-World's layout."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from hmbench.data.cameras import to_unreal
from hmbench.data.disc_world import DiscWorld, DiscWorldConfig
from hmbench.types import Sample
from hmbench.video.files import write_lossless

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def heard_again():
    """A test that asked a command for --quiet or --json silences no other one of its process."""
    yield
    if console := sys.modules.get("hmbench.cli.console"):
        console.MODE.quiet = console.MODE.json = False


def pytest_configure() -> None:
    """One thread for tensors this small, in tests and in the processes that they start.

    Several wait for each other on a busy machine: one test took 113 s with two threads beside two trainings, and 2 s
    with one.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if "PYTEST_XDIST_WORKER" in os.environ:
        # pytest-xdist sets 80 columns, which consoles made at import keep, whatever a test asks for later
        os.environ.pop("COLUMNS", None)


def shared_folder(*parts: str) -> Path:
    """A folder of the material beside the project (HMBENCH_SHARED), or skip with the reason."""
    root = Path(os.environ.get("HMBENCH_SHARED", REPOSITORY.parent / "shared"))
    folder = root.joinpath(*parts)
    if not folder.exists():
        pytest.skip(f"{'/'.join(parts)} is not at {root} (set HMBENCH_SHARED)")
    return folder


@pytest.fixture(scope="session")
def real_clips() -> Path:
    """The four public HM-World example clips."""
    return shared_folder("data", "hm-world-examples")


@pytest.fixture(scope="session")
def discs() -> DiscWorld:
    """Four clips of discs, 21 + 21 frames of 80x48."""
    return DiscWorld()


@pytest.fixture
def disc_folder(tmp_path: Path) -> Path:
    """Two disc clips of 9 + 9 frames written as HM-World samples, lossless, with red masks and in-frame flags."""
    world = DiscWorld(DiscWorldConfig(samples=2, frames=9))
    folder = tmp_path / "discs"
    for sample_id in world.ids("all"):
        write_hm_world(folder, world.load(sample_id))
    lines = [f"{i}\t{world.load(i).prompt.caption}\n" for i in world.ids("all")]
    (folder / "caption.txt").write_text("".join(lines))
    return folder


def write_hm_world(folder: Path, sample: Sample) -> Path:
    """Writes a sample in HM-World's layout, with the released data's red masks."""
    own, prompt, truth = folder / sample.id, sample.prompt, sample.truth
    assert truth is not None and truth.context_labels is not None and truth.target_labels is not None
    own.mkdir(parents=True)
    write_lossless(own / "cond.mp4", prompt.context, fps=prompt.fps)
    write_lossless(own / "tgt.mp4", truth.target, fps=prompt.fps)
    halves = (("cond", truth.context_labels, prompt.context_poses), ("tgt", truth.target_labels, prompt.target_poses))
    cameras, check = {}, {}
    for side, labels, poses in halves:
        red = np.zeros((*labels.shape, 3), dtype=np.uint8)
        red[labels > 0] = (255, 0, 0)
        write_lossless(own / f"{side}_mask.mp4", red, fps=prompt.fps)
        cameras[f"{side}_cam"] = {str(i): m.tolist() for i, m in enumerate(to_unreal(poses))}
        flags = {
            subject.name: [
                {"frame": i, "inFrame": bool((labels[i] == subject.label).any())} for i in range(len(labels))
            ]
            for subject in truth.subjects
        }
        check[f"{side}_check"] = {"actor": flags}
    (own / "camera.json").write_text(json.dumps(cameras))
    (own / "check.json").write_text(json.dumps(check))
    (own / "character.json").write_text("{}")
    return own
