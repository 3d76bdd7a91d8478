"""Samples from arrays."""

from __future__ import annotations

import numpy as np
import pytest

import hmbench
from hmbench.data.disc_world import DiscWorld

DISC = DiscWorld().load(DiscWorld().ids("all")[1])


def made(**changes) -> hmbench.Sample:
    labels = np.concatenate([DISC.truth.context_labels, DISC.truth.target_labels])
    given = {
        "context": DISC.prompt.context,
        "target": DISC.truth.target,
        "context_poses": DISC.prompt.context_poses,
        "target_poses": DISC.prompt.target_poses,
        "labels": labels,
        "names": {1: "Ada"},
        **changes,
    }
    return hmbench.make_sample("x-1", given.pop("context"), given.pop("target"), **given)


def test_a_sample_from_arrays_is_the_worlds_own() -> None:
    sample = made(scene="Hall", caption="Discs.")
    assert sample.truth.events == DISC.truth.events and sample.truth.separate_subjects
    assert [s.name for s in sample.truth.subjects] == ["Ada", "subject-2"]
    np.testing.assert_array_equal(sample.truth.subjects[1].boxes, DISC.truth.subjects[1].boxes)
    assert sample.meta.scene == "Hall" and sample.prompt.caption == "Discs." and sample.meta.warnings == ()


def test_what_is_not_given_is_said_or_unknown() -> None:
    still = made(context_poses=None, target_poses=None, labels=None)
    assert "standing still" in still.meta.warnings[0] and still.truth.events == ()
    blind = made(target=None, labels=None, target_poses=None, num_target_frames=5, fov=90.0)
    assert blind.truth is None and blind.prompt.num_target_frames == 5
    assert blind.prompt.intrinsics.focal == pytest.approx(40.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"context": DISC.prompt.context / 255}, "the context must be uint8"),
        ({"target": DISC.truth.target[:, :40]}, "one size"),
        ({"labels": np.zeros((3, 48, 80), int)}, "labels must be whole numbers"),
        ({"labels": np.full((42, 48, 80), 0.5)}, "labels must be whole numbers"),
        ({"target_poses": np.eye(4)[None]}, "how many target frames"),
        ({"context_poses": np.eye(4)[None]}, r"poses must be \[21, 4, 4\]"),
        ({"target": None, "target_poses": None}, "how many target frames"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        made(**changes)
