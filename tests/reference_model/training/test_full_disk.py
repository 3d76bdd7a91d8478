"""A disk that is really full: a tiny file system, and the errors that torch and safetensors raise on it."""

from __future__ import annotations

import errno
import subprocess
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from torch.distributed.checkpoint.api import CheckpointException
from training_toys import Waves, pico

from reference_model.training import run as run_module
from reference_model.training.checkpoints import Checkpoints
from reference_model.training.disk import is_disk_full, write_atomically
from reference_model.training.monitor import Silent
from reference_model.training.run import TrainingRequest, run_training
from reference_model.training.stop import TrainingStoppedError

MEGABYTES = 24
LARGE = {"weights": torch.zeros(MEGABYTES * 300_000)}
"""More bytes than the disk has."""


@pytest.fixture
def disk(tmp_path):
    """A file system of a few MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"a small file system cannot be mounted here: {error}")
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder):
    """Takes what space is left."""
    with pytest.raises(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def save_large(folder, how):
    if how == "safetensors":
        save_file(LARGE, folder / "large.safetensors")
    elif how == "torch":
        torch.save(LARGE, folder / "large.bin")
    elif how == "old torch":
        torch.save(LARGE, folder / "large.bin", _use_new_zipfile_serialization=False)
    else:
        (folder / "large.txt").write_bytes(bytes(MEGABYTES * 1_200_000))


WAYS = ["safetensors", "torch", "old torch", "bytes"]


@pytest.mark.parametrize("how", WAYS)
def test_what_libraries_raise_is_known(disk, how):
    with pytest.raises(Exception) as found:
        save_large(disk, how)
    assert is_disk_full(found.value), repr(found.value)


def test_what_torchs_sharded_checkpoints_raise_is_caught(tmp_path):
    """It is no `Exception`; its text holds what happened on which process."""

    def write(folder):
        raise CheckpointException("save", {1: (OSError(errno.ENOSPC, "No space left on device"), None)})

    with pytest.raises(TrainingStoppedError, match="The disk is full: the checkpoint of step 5"):
        Checkpoints(tmp_path, 2).guarded(5, write)


def test_other_errors_are_not_taken_for_a_full_disk():
    for error in (
        PermissionError(errno.EACCES, "Permission denied"),
        RuntimeError("expected scalar type Float but found Half"),
        RuntimeError("CUDA out of memory"),
        TrainingStoppedError("The loss is nan.", "Give a lower one."),
    ):
        assert not is_disk_full(error)
    assert is_disk_full(OSError(errno.EDQUOT, "Disk quota exceeded"))


@pytest.mark.parametrize("how", WAYS)
def test_a_checkpoint_that_has_no_room_leaves_the_older_one_and_nothing_else(disk, how):
    checkpoints = Checkpoints(disk, keep=2)
    checkpoints.guarded(10, lambda folder: (folder / "weights").write_text("x"))
    checkpoints.finish(10, {"seed": 5})
    with pytest.raises(TrainingStoppedError, match=r"The disk is full: .* of step 20 .*step-00000010"):
        checkpoints.guarded(20, lambda folder: save_large(folder, how))
    assert [path.name for path in disk.iterdir()] == ["step-00000010"]
    assert checkpoints.newest() == checkpoints.path(10)


def test_a_checkpoint_that_cannot_be_completed_is_taken_back(disk):
    checkpoints = Checkpoints(disk, keep=2)
    checkpoints.guarded(10, lambda folder: (folder / "weights").write_text("x"))
    fill(disk)
    with pytest.raises(TrainingStoppedError, match=r"The disk is full: .* of step 10 .*no older checkpoint"):
        checkpoints.finish(10, {"seed": 5})
    assert [path.name for path in disk.iterdir()] == ["filler"]


def test_a_record_that_has_no_room_keeps_the_older_one(disk):
    write_atomically(disk / "record.json", {"a": 1})
    fill(disk)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(disk / "record.json", {"a": 2})
    assert sorted(path.name for path in disk.iterdir()) == ["filler", "record.json"]
    assert '"a": 1' in (disk / "record.json").read_text()


class Filling(Silent):
    """Fills the disk when a stage begins."""

    def __init__(self, folder, at):
        self.folder, self.at = folder, at

    def stage(self, name, total, done):
        if name == self.at:
            fill(self.folder)


def remains(folder):
    return [str(path.relative_to(folder)) for path in folder.rglob(".*")]


@pytest.mark.parametrize("at", ["codec", "latents", "transformer", "model"])
def test_every_stage_ends_in_a_sentence_and_goes_on_later(disk, at, monkeypatch):
    request = TrainingRequest(config=pico(steps=4), source=Waves(), out=disk / "run")
    if at == "model":
        real = run_module.save_model

        def save(*arguments):
            fill(disk)
            real(*arguments)

        monkeypatch.setattr(run_module, "save_model", save)
    with pytest.raises(TrainingStoppedError, match=r"The disk is full: .*checkpoint"):
        run_training(request, Filling(disk, at))
    assert remains(disk) == []
    assert not (disk / "run" / "model_index.json").exists(), "half a model is none"
    assert (disk / "run" / "prepared" / "codec").exists() == (at != "codec")
    (disk / "filler").unlink()
    monkeypatch.undo()
    assert (run_training(request) / "digests.json").is_file()


def test_a_model_that_has_no_room_leaves_the_older_one(disk, monkeypatch):
    request = TrainingRequest(config=pico(steps=4), source=Waves(), out=disk / "run")
    run_training(request)
    files = ("digests.json", "transformer/diffusion_pytorch_model.safetensors")
    before = [(disk / "run" / name).read_bytes() for name in files]
    real = run_module.save_model
    monkeypatch.setattr(run_module, "save_model", lambda *arguments: (fill(disk), real(*arguments)))
    with pytest.raises(TrainingStoppedError, match="The disk is full"):
        run_training(replace(request))
    assert [(disk / "run" / name).read_bytes() for name in files] == before
