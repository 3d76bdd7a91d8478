"""The codec's tiles against a slow, independent rule, place by place."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from reference_model.model import tiles


def test_nine_tiles_at_the_paper_s_size() -> None:
    assert tiles.spans(60, 30, 15) == [(0, 30), (15, 45), (30, 60)]
    assert tiles.spans(104, 52, 26) == [(0, 52), (26, 78), (52, 104)]
    assert tiles.spans(20, 30, 15) == [(0, 20)]
    assert tiles.spans(50, 30, 15) == [(0, 30), (15, 45), (30, 50)]


def test_ramps() -> None:
    assert tiles.ramp((0, 6), 12, 3).tolist() == pytest.approx([1, 1, 1, 1, 2 / 3, 1 / 3])
    assert tiles.ramp((3, 9), 12, 3).tolist() == pytest.approx([1 / 3, 2 / 3, 1, 1, 2 / 3, 1 / 3])
    assert tiles.ramp((6, 12), 12, 3).tolist() == pytest.approx([1 / 3, 2 / 3, 1, 1, 1, 1])
    assert tiles.ramp((0, 6), 6, 3).tolist() == [1] * 6


def test_joined_values_place_by_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each tile answers with its own number, so that the result shows the weights alone."""
    monkeypatch.setattr(tiles, "SIZE", (4, 6))
    monkeypatch.setattr(tiles, "STEP", (2, 3))
    given = torch.arange(8 * 9.0).view(1, 1, 1, 8, 9)
    answers: list[float] = []

    def run(tile: Tensor) -> Tensor:
        answers.append(float(len(answers) + 1) ** 2)
        return torch.full((1, 2, 1, tile.shape[3] * 2, tile.shape[4] * 2), answers[-1])

    found = tiles.in_tiles(run, given, (1, 2))
    assert found.shape == (1, 2, 1, 16, 18) and len(answers) == 3 * 2
    corners = [(r, c) for r in (0, 4, 8) for c in (0, 6)]
    for row in range(16):
        for column in range(18):
            total = weight = 0.0
            for (top, left), value in zip(corners, answers, strict=True):
                y, x = row - top, column - left
                if not (0 <= y < 8 and 0 <= x < 12):
                    continue
                down = min(1 if top == 0 else (y + 1) / 4, 1 if top == 8 else (8 - y) / 4, 1)
                across = min(1 if left == 0 else (x + 1) / 6, 1 if left == 6 else (12 - x) / 6, 1)
                total, weight = total + value * min(down, across), weight + min(down, across)
            assert found[0, 1, 0, row, column].item() == pytest.approx(total / weight, rel=1e-5)


def test_what_depends_on_nothing_around_is_the_same_in_tiles() -> None:
    video = torch.rand(1, 3, 2, 480, 832)
    found = tiles.in_tiles(lambda tile: tile[..., ::8, ::8] * 2, video, (8, 1))
    torch.testing.assert_close(found, video[..., ::8, ::8] * 2)
