"""Toy clips of far scenery: smooth colours by direction, seen by cameras that turn."""

from __future__ import annotations

import math

import numpy as np

from hmbench.types import Intrinsics, Prompt

WIDTH, HEIGHT = 96, 54
LENS = Intrinsics(focal=140.0, width=WIDTH, height=HEIGHT)


def turned(yaw, at=(0.0, 0.0, 0.0)):
    pose = np.eye(4)
    c, s = math.cos(yaw), math.sin(yaw)
    pose[:3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
    pose[:3, 3] = at
    return pose


def rays():
    """Where each pixel's centre looks in the camera's coordinates, at depth 1, ``[H, W, 3]``."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return np.stack(((x - WIDTH / 2) / LENS.focal, (y - HEIGHT / 2) / LENS.focal, np.ones_like(x)), -1)


def painted(pose):
    """A far panorama: colours are smooth functions of direction, evaluated for each pixel's ray."""
    world = rays() @ pose[:3, :3].T
    yaw = np.arctan2(world[..., 0], world[..., 2])
    pitch = np.arctan2(world[..., 1], np.hypot(world[..., 0], world[..., 2]))
    waves = [np.sin(9 * yaw) * np.cos(7 * pitch), np.cos(5 * yaw + 1), np.sin(3 * yaw - 8 * pitch)]
    return np.round(127.5 + 120 * np.stack(waves, -1)).astype(np.uint8)


def prompt(past, future):
    return Prompt(
        context=np.stack([painted(pose) for pose in past]),
        context_poses=np.stack(past),
        target_poses=np.stack(future),
        caption="",
        fps=15.0,
        intrinsics=LENS,
    )
