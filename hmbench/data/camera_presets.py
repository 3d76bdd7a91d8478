"""Camera paths for clips that have none: what HM-World's cameras do, as named curves.

In the public HM-World clips the camera keeps its heading for most of the context, turns 30 to 50 degrees away in the
last third of it or at the seam, turns back within the first half of the target, and rests. A user's own clip was
usually filmed without that turn, so here the context stands still and the same sweep happens in the target: the subject
leaves the view and must come back. ``hm-world-left`` and ``-right`` turn in the context too, for clips filmed that way.

Poses are OpenCV camera-to-world in metres; a context that stands still is the identity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hmbench.durable import replacing
from hmbench.errors import UserError, did_you_mean
from hmbench.types import Poses

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curve = tuple[tuple[float, float], ...]
"""Keys (time, share of the full amount): time runs from -1 (first context frame) over 0 (last) to 1 (last target
frame); between keys the value eases in and out along half a cosine."""
STILL: Curve = ((-1.0, 0.0),)
_THERE: Curve = ((0.0, 0.0), (0.9, 1.0))
_AND_BACK: Curve = ((0.0, 0.0), (0.4, 1.0), (0.5, 1.0), (0.9, 0.0))


@dataclass(frozen=True, kw_only=True)
class CameraPreset:
    """A camera path as three curves."""

    description: str
    """One line."""
    yaw: Curve = STILL
    """Heading, in shares of the sweep, positive to the right."""
    forward: Curve = STILL
    """Position along the first heading, in shares of `travel`."""
    sweep: float = 0.0
    """Degrees at share 1."""
    travel: float = 0.0
    """Metres at share 1."""
    orbit: float = 0.0
    """Metres ahead of the camera around which it turns; 0 turns on the spot."""

    @property
    def moves_context(self) -> bool:
        """Whether it claims that the camera moved while the context was filmed."""
        context = np.linspace(-1, 0, 100)
        return any(bool(_ease(curve, context).any()) for curve in (self.yaw, self.forward))


def _sided(side: str, sign: float) -> dict[str, CameraPreset]:
    return {
        f"pan-{side}-and-back": CameraPreset(
            description=f"turns 40 degrees {side}, so that the subject leaves, and back", yaw=_AND_BACK, sweep=40 * sign
        ),
        f"pan-{side}": CameraPreset(description=f"turns 40 degrees {side} and stays", yaw=_THERE, sweep=40 * sign),
        f"orbit-{side}-and-back": CameraPreset(
            description=f"walks 30 degrees around a point 4 m ahead, to the {side}, and back",
            yaw=_AND_BACK,
            sweep=-30 * sign,
            orbit=4.0,
        ),
        f"hm-world-{side}": CameraPreset(
            description=f"as HM-World's cameras: has turned {side} when the context ends, turns back in the target",
            yaw=((-0.35, 0.0), (0.05, 1.0), (0.45, 0.0)),
            sweep=45 * sign,
        ),
    }


PRESETS: dict[str, CameraPreset] = {
    "static": CameraPreset(description="stands still"),
    **_sided("left", -1.0),
    **_sided("right", 1.0),
    "look-around": CameraPreset(
        description="turns 35 degrees left, then as far right, and back",
        yaw=((0.0, 0.0), (0.25, -1.0), (0.7, 1.0), (0.95, 0.0)),
        sweep=35.0,
    ),
    "dolly-in": CameraPreset(description="goes 2 m ahead", forward=_THERE, travel=2.0),
    "dolly-out": CameraPreset(description="goes 2 m back", forward=_THERE, travel=-2.0),
    "dolly-out-and-back": CameraPreset(description="goes 2 m back and returns", forward=_AND_BACK, travel=-2.0),
}
"""Name to preset."""


def preset_poses(name: str, num_context: int, num_target: int) -> tuple[Poses, Poses]:
    """Context and target cameras of a preset.

    Args:
        name: A name of `PRESETS`; ``name:60`` sets its sweep in degrees (or, for a dolly, its travel in metres).
        num_context: Context frames.
        num_target: Target frames.

    Returns:
        Poses ``[num_context, 4, 4]`` and ``[num_target, 4, 4]``, OpenCV camera-to-world, metres.

    Raises:
        UserError: If there is no such preset, or the amount is no number or out of range.
    """
    preset = _resolve(name)
    count = num_context + num_target
    time = np.concatenate([np.linspace(-1, 0, num_context), np.arange(1, num_target + 1) / num_target])
    heading = np.radians(preset.sweep * _ease(preset.yaw, time))
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, 0, 0] = poses[:, 2, 2] = np.cos(heading)
    poses[:, 0, 2], poses[:, 2, 0] = np.sin(heading), -np.sin(heading)
    poses[:, 0, 3] = -preset.orbit * np.sin(heading)
    poses[:, 2, 3] = preset.orbit * (1 - np.cos(heading)) + preset.travel * _ease(preset.forward, time)
    return poses[:num_context], poses[num_context:]


def draw_preset(name: str, num_context: int = 77, num_target: int = 77) -> Figure:
    """A preset as a picture: path and headings from above, and heading over time.

    Args:
        name: A preset, as in `preset_poses`.
        num_context: Context frames.
        num_target: Target frames.
    """
    from matplotlib.figure import Figure

    from hmbench.video.geometry import yaw

    halves = preset_poses(name, num_context, num_target)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    above, curve = figure.subplots(1, 2)
    for poses, colour, label in zip(halves, ("tab:blue", "tab:orange"), ("context", "target"), strict=True):
        position, direction = poses[:, :3, 3], poses[:, :3, 2]
        above.plot(position[:, 0], position[:, 2], color=colour, linewidth=2)
        some = slice(None, None, max(len(poses) // 12, 1))
        above.quiver(
            *position[some, ::2].T,
            *direction[some, ::2].T,
            color=colour,
            angles="xy",
            scale_units="xy",
            scale=1,
            width=0.004,
        )
        above.scatter(*position[-1:, ::2].T, color=colour, zorder=3, label=f"{label}'s last frame")
        start = 0 if label == "context" else num_context
        curve.plot(np.arange(start, start + len(poses)), yaw(poses), color=colour, linewidth=2, label=label)
    reach = max(2.0, np.abs(np.concatenate(halves)[:, :3, 3]).max() + 1.5)
    above.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xlabel="right (m)", ylabel="ahead (m)")
    above.set_title("from above")
    above.legend(fontsize=7, loc="lower right")
    curve.axvline(num_context - 0.5, color="grey", linestyle=":")
    curve.set(xlabel="frame", ylabel="heading (degrees, + is right)", ylim=(-70, 70))
    curve.set_title("heading")
    curve.legend(fontsize=7)
    figure.suptitle(f"{name}: {PRESETS[name.split(':')[0]].description}", fontsize=10)
    return figure


def draw_presets(folder: Path) -> list[Path]:
    """Draws every preset into ``<folder>/<name>.png``; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in PRESETS:
        paths.append(folder / f"{name}.png")
        with replacing(paths[-1]) as temporary:
            draw_preset(name).savefig(temporary, dpi=110)
    return paths


def _resolve(name: str) -> CameraPreset:
    base, _, amount = name.partition(":")
    if base not in PRESETS:
        raise UserError(
            f"There is no camera preset {base!r}.",
            f"{did_you_mean(base, PRESETS)} Or give a camera.json in HM-World's form. See `hmbench data cameras`.",
        )
    preset = PRESETS[base]
    if not amount:
        return preset
    value, limit = (preset.sweep, 180.0) if preset.sweep else (preset.travel, 50.0)
    try:
        size = float(amount)
    except ValueError:
        size = -1.0
    if value == 0 or not 0 < size <= limit:
        raise UserError(
            f"The camera preset {name!r} asks for {amount!r}.",
            f"Give degrees or metres between 0 and {limit:g}, for example pan-left-and-back:60 or dolly-in:3.",
        )
    signed = float(np.copysign(size, value))
    return replace(preset, sweep=signed) if preset.sweep else replace(preset, travel=signed)


def _ease(curve: Curve, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """The curve's values at `time`; constant before its first key and after its last."""
    keys = np.array(curve)
    segment = np.clip(np.searchsorted(keys[:, 0], time, side="right") - 1, 0, max(len(keys) - 2, 0))
    if len(keys) == 1:
        return np.full(len(time), keys[0, 1])
    start, stop = keys[segment], keys[segment + 1]
    share = np.clip((time - start[:, 0]) / (stop[:, 0] - start[:, 0]), 0, 1)
    return np.asarray(start[:, 1] + (stop[:, 1] - start[:, 1]) * (1 - np.cos(np.pi * share)) / 2)
