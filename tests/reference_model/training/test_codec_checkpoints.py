"""A codec whose training is killed ends like another; one that was begun otherwise is refused."""

from __future__ import annotations

import errno
import math
from dataclasses import replace

import pytest
import torch
from training_toys import Waves, pico

from reference_model.released.checkpoint import state_digest
from reference_model.sampling.pipeline import HydraPipeline
from reference_model.training import codec_training
from reference_model.training.monitor import Silent
from reference_model.training.run import TrainingRequest, run_training
from reference_model.training.stop import TrainingStoppedError


class Killed(Silent):
    """Stops the codec's training at a step, and tells where it began."""

    def __init__(self, at=None):
        self.at, self.name, self.first = at, "", None

    def stage(self, name, total, done):
        self.name = name

    def advance(self, done, note):
        if self.name == "codec":
            self.first = self.first or done
            if done == self.at:
                raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(codec_training, "EVERY", 3)


def asked(folder, steps=8, **changes):
    recipe = pico(steps=1, validation_clips=1)
    config = replace(recipe, codec=replace(recipe.codec, steps=steps))
    return TrainingRequest(**{"config": config, "source": Waves(), "out": folder, **changes})


def half_trained(folder, at=7):
    request = asked(folder)
    with pytest.raises(KeyboardInterrupt):
        run_training(request, Killed(at))
    return request


@pytest.mark.parametrize(("at", "begins"), [(2, 1), (5, 4), (8, 7)])
def test_a_killed_codec_ends_like_another(tmp_path, at, begins):
    whole = run_training(asked(tmp_path / "whole"))
    killed = half_trained(tmp_path / "killed", at)
    again = Killed()
    run_training(killed, again)
    assert again.first == begins
    codecs = [HydraPipeline.from_pretrained(folder).vae for folder in (whole, killed.out)]
    assert state_digest(codecs[0]) == state_digest(codecs[1]), "bit for bit"
    reports = [(folder / "prepared" / "codec" / "report.json").read_text() for folder in (whole, killed.out)]
    assert reports[0] == reports[1], "its linear part was measured before the stop"
    assert not (killed.out / "prepared" / "codec-checkpoints").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": 3}, "seed 0, now 3"),
        ({"source": Waves(9)}, "revision waves-10-21, now waves-9-21"),
        ({"steps": 12}, "settings.steps 8, now 12"),
    ],
)
def test_a_codec_that_was_begun_otherwise_is_refused_and_kept(tmp_path, changes, said):
    killed = half_trained(tmp_path)
    other = asked(tmp_path / "other", prepared=killed.codec_folder.parent, **changes)
    with pytest.raises(TrainingStoppedError, match=f"half-trained codec.*{said}.*another --prepared folder"):
        run_training(other)
    assert not other.out.exists()
    again = Killed()
    run_training(killed, again)
    assert again.first == 7, "the refused run left it alone"


def test_a_damaged_checkpoint_counts_for_nothing(tmp_path):
    killed = half_trained(tmp_path)
    (stored,) = (tmp_path / "prepared" / "codec-checkpoints").glob("*/codec.pt")
    stored.write_bytes(stored.read_bytes()[:-9])
    again = Killed()
    run_training(killed, again)
    assert again.first == 1


def test_what_diverged_leaves_nothing_to_go_on_from(tmp_path, monkeypatch):
    real, seen = codec_training._loss, []

    def poisoned(*arguments):
        seen.append(1)
        return real(*arguments) * (math.nan if len(seen) > 4 else 1)

    monkeypatch.setattr(codec_training, "_loss", poisoned)
    with pytest.raises(TrainingStoppedError, match="diverged: its loss of step 5 is nan"):
        run_training(asked(tmp_path))
    assert not (tmp_path / "prepared" / "codec-checkpoints").exists()


def test_a_full_disk_keeps_the_older_checkpoint(tmp_path, monkeypatch):
    real, calls = torch.save, []

    def save(content, path):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(content, path)

    monkeypatch.setattr("reference_model.training.codec_checkpoints.torch.save", save)
    request = asked(tmp_path)
    with pytest.raises(TrainingStoppedError, match=r"disk is full: the checkpoint of step 6 .*complete.*step-00000003"):
        run_training(request)
    monkeypatch.undo()
    again = Killed()
    run_training(request, again)
    assert again.first == 4
