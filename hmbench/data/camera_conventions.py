"""How matrices in a ``camera.json`` may be meant: axes of the camera, direction, unit of length.

HM-World writes Unreal camera-to-world matrices in centimetres (``unreal``). Other people's tools write OpenCV or OpenGL
cameras, world-to-camera matrices, metres. All of them are rigid matrices of determinant 1, so nothing in a single
matrix tells them apart; `hmbench.data.camera_evidence` holds them against the pictures.

    convention("opencv")        OpenCV camera-to-world, metres
    convention("opencv-w2c")    the same, world-to-camera (extrinsics)
    convention("unreal-m")      Unreal camera-to-world in metres
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np

from hmbench.errors import UserError, did_you_mean
from hmbench.types import Poses
from hmbench.video.geometry import invert

Axes = Literal["unreal", "opencv", "opengl"]
"""unreal: columns forward, right, up in a left-handed world; opencv: right, down, forward; opengl: right, up, back."""


class Convention(NamedTuple):
    """One meaning of a file's 4x4 matrices."""

    axes: Axes
    """Axes of the camera, and with ``unreal`` the handedness of the world."""
    to_world: bool
    """Camera-to-world (True) or world-to-camera."""
    metres: float
    """Metres in the file's unit of length."""

    @property
    def name(self) -> str:
        """As the data set's card spells it; what is usual for the axes is left out."""
        usual = 0.01 if self.axes == "unreal" else 1.0
        unit = "" if self.metres == usual else ("-cm" if self.metres == 0.01 else "-m")
        return f"{self.axes}{'' if self.to_world else '-w2c'}{unit}"

    def poses(self, matrices: Poses) -> Poses:
        """Hmbench's poses from a file's matrices ``[T, 4, 4]``: OpenCV camera-to-world, metres."""
        poses: Poses = np.array(matrices if self.to_world else invert(matrices), dtype=np.float64)
        if self.axes == "unreal":
            poses = poses[..., [1, 2, 0, 3]]  # columns: right, up, forward, position
            poses[..., :3, 1] *= -1  # down instead of up
            poses[..., 1, :] *= -1  # mirror the world: left-handed to right-handed
        elif self.axes == "opengl":
            poses[..., :3, 1:3] *= -1
        poses[..., :3, 3] *= self.metres
        return poses

    def matrices(self, poses: Poses) -> Poses:
        """The inverse of `poses`."""
        matrices: Poses = np.array(poses, dtype=np.float64)
        matrices[..., :3, 3] /= self.metres
        if self.axes == "unreal":
            matrices[..., 1, :] *= -1
            matrices[..., :3, 1] *= -1
            matrices = matrices[..., [2, 0, 1, 3]]
        elif self.axes == "opengl":
            matrices[..., :3, 1:3] *= -1
        return matrices if self.to_world else np.asarray(invert(matrices))


HM_WORLD = Convention("unreal", True, 0.01)
"""What HM-World's public clips are in."""
CONVENTIONS = (
    HM_WORLD,
    *(
        Convention(axes, to_world, metres)
        for axes in get_args(Axes)
        for to_world in (True, False)
        for metres in (0.01, 1.0)
        if (axes, to_world, metres) != HM_WORLD
    ),
)
"""All that are tried, HM-World's first."""
NAMES = tuple(known.name for known in CONVENTIONS)


def replace_unit(known: Convention, metres: float) -> Convention:
    """The same convention in another unit of length."""
    return known._replace(metres=metres)


def convention(name: str) -> Convention:
    """The convention of a name; ``w2c`` alone is OpenCV's (extrinsics), ``c2w`` may be spelt out.

    Raises:
        UserError: If there is no such convention.
    """
    wanted = name.lower().replace("_", "-").replace("-c2w", "")
    wanted = "opencv-w2c" if wanted in ("w2c", "world-to-camera") else wanted
    for known in CONVENTIONS:
        usual = "-cm" if known.axes == "unreal" else "-m"
        if wanted in (known.name, known.name + usual):
            return known
    raise UserError(f"There is no camera convention {name!r}.", did_you_mean(wanted, NAMES))
