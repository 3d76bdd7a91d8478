"""Draws frames of a scene with its subjects: visibility, shadows, shading, exact labels.

Usage: `Renderer(scene, (W, H)).frame(camera, bodies)`, where bodies are primitive rows of objects 1..n.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmbench.data.mini_world.kernels import FAR, View
from hmbench.data.mini_world.primitives import Rows
from hmbench.data.mini_world.raster import bounds, cover, visibility
from hmbench.data.mini_world.scenes.layout import Scene
from hmbench.data.mini_world.shading import Shadows, shade

FOCAL_PER_WIDTH = 1.4731
"""HM-World's recovered focal length over the width of the uncropped 16:9 frame (hFOV 36.6 degrees at 832x480)."""
NEAR = 0.1
SUBJECT_MAP, SUBJECT_SCALE = 112, 28.0
"""Texels and texels a metre of a subject's own shadow map: 4 m wide, 3.6 cm a texel."""


def focal_length(size: tuple[int, int], per_width: float = FOCAL_PER_WIDTH) -> float:
    """Return the focal length in pixels when a 16:9 frame is scaled to cover (W, H) and cropped in the centre."""
    return per_width * max(size[0], size[1] * 16 / 9)


class Frame(NamedTuple):
    """One drawn frame."""

    image: NDArray[np.uint8]
    """[H, W, 3]."""
    labels: NDArray[np.uint8]
    """[H, W]: the object that covers at least half of the pixel, else 0."""
    amodal: NDArray[np.float64]
    """Pixels of which every object, drawn alone, covers at least half, [objects + 1]: never fewer than its labels."""


class Renderer:
    """Draws one scene at one size; keeps its buffers between frames."""

    def __init__(
        self, scene: Scene, size: tuple[int, int], *, supersample: int = 2, focal: float = FOCAL_PER_WIDTH
    ) -> None:
        """Make buffers and use the scene's shadow map.

        Args:
            scene: The static world.
            size: (W, H) in pixels.
            supersample: Samples a pixel along each axis.
            focal: Focal length over the uncropped 16:9 width.
        """
        self.scene, self.size, self.supersample = scene, size, supersample
        self.focal = focal_length(size, focal) * supersample
        shape = (size[1] * supersample, size[0] * supersample)
        self.depth = np.empty(shape)
        self.index = np.empty(shape, np.int32)
        self._image = np.empty((size[1], size[0], 3), np.uint8)

    def frame(self, camera: NDArray[np.float64], bodies: Rows, objects: int) -> Frame:
        """Draw one frame.

        Args:
            camera: Camera-to-world [4, 4], native axes (z up), OpenCV camera axes.
            bodies: Rows of the subjects, objects 1..objects.
            objects: Number of subjects.
        """
        prims, order, view = self._arrange(camera, bodies)
        self._clear()
        visibility(prims, order, view, self.depth, self.index)
        static = len(self.scene.prims)
        amodal = np.array([0.0] + [self._alone(prims, view, static, i) for i in range(1, objects + 1)])
        shadows, labels = self._shadows(bodies, objects), np.empty((self.size[1], self.size[0]), np.uint8)
        world = self.scene.surroundings
        shade(prims, view, self.supersample, (self.depth, self.index), world, shadows, self._image, labels)
        return Frame(self._image.copy(), labels, amodal)

    def labels(self, camera: NDArray[np.float64], bodies: Rows) -> NDArray[np.uint8]:
        """Return sample-wise labels without shading: the acceptance filter's quick look."""
        prims, order, view = self._arrange(camera, bodies)
        self._clear()
        visibility(prims, order, view, self.depth, self.index)
        return np.where(self.index >= 0, prims[np.maximum(self.index, 0), 21], 0).astype(np.uint8)

    def _arrange(self, camera: NDArray[np.float64], bodies: Rows) -> tuple[Rows, NDArray[np.int64], View]:
        """Join scene and bodies; near things first, so that the rest is rejected early."""
        eye = np.ascontiguousarray(camera[:3, 3])
        rotation = np.ascontiguousarray(camera[:3, :3])
        prims = np.concatenate([self.scene.prims, bodies])
        d = prims[:, 1:4] - eye
        order = np.argsort(d[:, 0] * d[:, 0] + d[:, 1] * d[:, 1] + d[:, 2] * d[:, 2], kind="stable")
        h, w = self.depth.shape
        return prims, order, View(eye, rotation, float(self.focal), 1 / self.focal, w / 2, h / 2, NEAR, False)

    def _clear(self) -> None:
        self.depth.fill(FAR)
        self.index.fill(-1)

    def _alone(self, prims: Rows, view: View, static: int, object_id: int) -> float:
        """Count the pixels that would get the object's label if it were alone."""
        rows = static + np.flatnonzero(prims[static:, 21] == object_id)
        x0, x1, y0, y1 = bounds(prims, rows, view, *self.depth.shape)
        if x0 >= x1 or y0 >= y1:
            return 0.0
        n = self.supersample  # whole pixels, because labels go by pixels
        x0, x1, y0, y1 = x0 // n * n, -(-x1 // n) * n, y0 // n * n, -(-y1 // n) * n
        rank = np.zeros(len(prims) + 1, np.bool_)  # the last entry is that of the background, -1
        rank[rows] = True
        depth = np.where(rank[self.index[y0:y1, x0:x1]], 0.0, FAR)  # where it shows it need not be tested again
        cover(prims, rows, view._replace(cx=float(view.cx - x0), cy=float(view.cy - y0)), depth)
        held = (depth < FAR).reshape(depth.shape[0] // n, n, depth.shape[1] // n, n).sum((1, 3))
        return float(np.count_nonzero(2 * held >= n * n))

    def _shadows(self, bodies: Rows, objects: int) -> Shadows:
        """Draw each subject's own shadow map, snapped to its texels so that edges do not crawl."""
        view = self.scene.sun_view
        maps = np.full((objects, SUBJECT_MAP, SUBJECT_MAP), FAR, np.float32)
        origins, feet = np.zeros((objects, 2)), np.zeros((objects, 3))
        feet[:, 2] = 1e-3
        depth = np.empty((SUBJECT_MAP, SUBJECT_MAP))
        index = np.empty((SUBJECT_MAP, SUBJECT_MAP), np.int32)
        for k in range(objects):
            rows = np.flatnonzero(bodies[:, 21] == k + 1)
            if len(rows) == 0:
                continue
            low, high = bodies[rows, 1:4].min(0), bodies[rows, 1:4].max(0)
            center = (low + high) / 2 - view.eye
            for axis in range(2):
                r = view.rotation[:, axis]
                along = float(center[0] * r[0] + center[1] * r[1] + center[2] * r[2])
                origins[k, axis] = math.floor((along - SUBJECT_MAP / SUBJECT_SCALE / 2) * SUBJECT_SCALE) / SUBJECT_SCALE
            feet[k] = (
                center[0] + view.eye[0],
                center[1] + view.eye[1],
                0.35 + 0.5 * float((high - low)[:2].max()),
            )
            depth.fill(FAR)
            shift = -origins[k] * SUBJECT_SCALE
            local = View(
                view.eye, view.rotation, SUBJECT_SCALE, 1 / SUBJECT_SCALE, float(shift[0]), float(shift[1]), 0.01, True
            )
            visibility(bodies, rows, local, depth, index)
            maps[k] = depth
        return Shadows(view, self.scene.sun_map, maps, origins, SUBJECT_SCALE, feet)
