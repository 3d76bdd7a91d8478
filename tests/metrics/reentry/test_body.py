"""Bodies against the real one: texture, facing and gait of a toy whose sides differ and whose leg swings."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hmbench.metrics.reentry.body import body_evidence

H, W, T = 80, 120, 20
LEFT, TOP, WIDE, TALL = 30, 20, 24, 40


def walker(phases, *, mirrored: bool = False, flat: bool = False):
    """A body on grey: red left, blue right, a yellow leg that swings along its lower half; its boxes and pixels."""
    video = np.full((len(phases), H, W, 3), 110, np.uint8)
    mask = np.zeros((len(phases), H, W), bool)
    boxes = np.tile(np.array([[LEFT, TOP, LEFT + WIDE, TOP + TALL]], np.float32), (len(phases), 1))
    for frame, pixels, phase in zip(video, mask, phases, strict=True):
        body = np.zeros((TALL, WIDE, 3), np.uint8)
        body[:, : WIDE // 2], body[:, WIDE // 2 :] = (200, 40, 40), (40, 40, 200)
        x = round(8 + 8 * math.sin(2 * math.pi * phase / 12))
        body[TALL // 2 :, x : x + 8] = (220, 220, 60)
        if mirrored:
            body = body[:, ::-1]
        if flat:
            body[:] = np.median(body.reshape(-1, 3), axis=0)
        frame[TOP : TOP + TALL, LEFT : LEFT + WIDE] = body
        pixels[TOP : TOP + TALL, LEFT : LEFT + WIDE] = True
    return video, boxes, mask


STEPS = np.arange(T)
REAL = walker(STEPS)


def evidence(shown):
    return body_evidence(shown[0], shown[1], *REAL)


def test_the_real_body_is_one_in_every_number():
    got = evidence(REAL)
    assert got.frames == T
    assert (got.facing, got.gait) == pytest.approx((1, 1), abs=1e-4)
    assert got.contrast == pytest.approx(1, abs=1e-4)
    assert got.texture == pytest.approx(1, abs=1e-4)
    assert got.change == pytest.approx(1, abs=0.02)
    assert (got.pose, got.flat) == pytest.approx((1, 0), abs=1e-4)


def test_a_mirror_image_faces_the_other_way():
    got = evidence(walker(STEPS, mirrored=True))
    assert got.facing == pytest.approx(-1, abs=0.1)
    assert got.gait < 0.3  # its leg is on the other side, too


def test_a_body_that_slides_has_no_gait_and_does_not_change():
    got = evidence(walker(np.zeros(T)))
    assert got.gait == pytest.approx(0, abs=1e-4)  # exactly none, whatever the picture is
    assert got.change == pytest.approx(0, abs=1e-3)
    assert got.facing > 0.5
    assert got.pose == pytest.approx(1, abs=0.01) and got.texture < 0.95  # a real pose, of another time


def test_backward_steps_are_out_of_step_but_change_as_much():
    got = evidence(walker(-STEPS))
    assert got.gait < 0.1
    assert got.change == pytest.approx(1, abs=0.15)


def test_a_flat_blob_has_no_texture_whatever_its_outline():
    got = evidence(walker(STEPS, flat=True))
    assert got.contrast < 0.25  # its rim mixes with the background
    assert got.texture < 0.3
    assert got.gait == pytest.approx(0, abs=0.05)
    assert got.flat == pytest.approx(1, abs=0.15) and got.pose < 0.35


def test_what_the_real_body_has_of_one_colour_is_no_blob():
    """The larger part of the real one is plain: it is 0 itself, and 1 is a body of one colour all over."""
    video, boxes, mask = REAL
    half = np.zeros_like(mask)
    half[:, TOP + 18 : TOP + TALL, LEFT : LEFT + WIDE] = True
    real = np.where(half[..., None], np.uint8(90), video)
    assert body_evidence(real, boxes, real, boxes, mask).flat == pytest.approx(0, abs=1e-6)
    flat, places, _ = walker(STEPS, flat=True)
    assert body_evidence(flat, places, real, boxes, mask).flat == pytest.approx(1, abs=0.2)
    share = body_evidence(video, boxes, real, boxes, mask).flat
    assert share < -0.4, "less of one colour than the real one"
    all_plain = np.where(mask[..., None], np.uint8(90), video)
    assert math.isnan(body_evidence(real, boxes, all_plain, boxes, mask).flat)


def test_a_larger_body_is_the_same_body():
    """Pictures are cut out at one height: size has a number of its own."""
    import cv2

    video, boxes, _ = REAL
    matrix = np.array([[1.25, 0, -10], [0, 1.25, -15]], np.float32)
    larger = np.stack([cv2.warpAffine(f, matrix, (W, H), borderMode=cv2.BORDER_REPLICATE) for f in video])
    places = boxes * 1.25 - np.array([10, 15, 10, 15], np.float32)
    got = body_evidence(larger, places.astype(np.float32), *REAL)
    assert got.texture > 0.9
    assert got.facing > 0.85
    assert got.gait > 0.85


def test_what_is_its_own_mirror_image_faces_nowhere_and_what_stands_does_not_step():
    video, boxes, mask = walker(np.zeros(T))
    same = np.concatenate([video[:, :, : LEFT + WIDE // 2], video[:, :, LEFT + WIDE // 2 - 1 :: -1]], axis=2)[:, :, :W]
    symmetric = np.pad(same, ((0, 0), (0, 0), (0, W - same.shape[2]), (0, 0)), constant_values=110)
    got = body_evidence(symmetric, boxes, symmetric, boxes, mask)
    assert math.isnan(got.facing) and math.isnan(got.gait) and math.isnan(got.change)
    assert got.texture == pytest.approx(1, abs=1e-4)


def test_too_few_or_too_small_bodies_say_nothing():
    video, boxes, mask = REAL
    few = boxes.copy()
    few[3:] = np.nan
    assert body_evidence(video, few, video, boxes, mask) is None
    small = boxes.copy()
    small[:, 3] = small[:, 1] + 10
    assert body_evidence(video, small, video, small, mask) is None


def test_bodies_that_the_frame_cuts_off_alike_are_compared_in_place():
    video, boxes, mask = walker(STEPS)
    left = LEFT + WIDE // 2
    cut = boxes - np.array([left, 0, left, 0], np.float32)
    cut[:, 0] = 0
    got = body_evidence(video[:, :, left:], cut, video[:, :, left:], cut, mask[:, :, left:])
    assert got is not None and got.texture == pytest.approx(1, abs=1e-4)
