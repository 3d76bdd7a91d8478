"""Augmentation moves boxes with the picture, and a training can go on from weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hmbench.subjects.detect import mini_network
from hmbench.subjects.train_detector import DetectorTraining, Labelled, augmented, train


def test_boxes_follow_the_enlarged_picture():
    image = np.full((96, 160, 3), 20, np.uint8)
    image[30:60, 50:90] = 220
    item = Labelled(image, np.array([[50, 30, 90, 60]], np.float32), np.array([2]))
    rng = np.random.default_rng(4)
    areas = []
    for _ in range(60):
        got = augmented(item, rng, zoom=2.5)
        for box in got.boxes:
            x0, y0, x1, y1 = np.round(box).astype(int)
            inside = got.image[y0:y1, x0:x1].mean()
            outside = got.image.sum() - got.image[y0:y1, x0:x1].sum()
            outside /= max(got.image.size - 3 * (y1 - y0) * (x1 - x0), 1)
            assert inside > outside + 60
            areas.append((x1 - x0) * (y1 - y0))
    assert len(areas) > 55, "an enlarged picture keeps a part of the body"
    assert max(areas) > 2.5 * 30 * 40


@pytest.mark.slow
def test_training_goes_on_from_weights():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        start = mini_network().state_dict()
    recipe = DetectorTraining(clips=1, half=5, steps=1, batch=1, learning_rate=1e-9, weight_decay=0.0)
    after = train(recipe, state=start).state_dict()
    other = train(recipe).state_dict()
    name = next(k for k, v in start.items() if v.ndim == 4)
    assert torch.allclose(after[name], start[name], atol=1e-5)
    assert not torch.allclose(other[name], start[name], atol=1e-3)
