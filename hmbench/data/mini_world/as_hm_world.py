"""The mini world in HM-World's poverty: one mask for all, undocumented positions, no exact truth.

HM-World gives one mask video for one to three subjects, in-frame flags by character and 3D positions in a file whose
schema nobody documented. `impoverish` writes clips in that form, in any of many forms that the real files may turn out
to have, from a folder of the mini world that keeps the exact truth: for tests and studies, never for a model.

    hmbench data make-mini out --as-hm-world                    # out/ in poverty, out-truth/ with everything
    hmbench data make-mini out --as-hm-world --form positions=records --form unit=m
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmbench.data.camera_conventions import HM_WORLD, convention
from hmbench.data.cameras import parse_cameras
from hmbench.durable import replacing_folder, write_bytes
from hmbench.errors import UserError, did_you_mean
from hmbench.files import read_json, write_json, write_text
from hmbench.subject_names import current_name
from hmbench.types import Video
from hmbench.video.files import read_labels, write_video

Floats = NDArray[np.float64]
AXES: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "unreal": ((0, 1, 2), (1, -1, 1)),
    "world": ((0, 1, 2), (1, 1, 1)),
    "y-up": ((0, 2, 1), (1, 1, -1)),
    "opencv": ((1, 2, 0), (-1, -1, 1)),
}
"""Which of the world's axes (x, y, z up) each number of a position is, and its sign."""
PALETTES = ("red", "white", "green", "blue", "yellow", "colours", "dark", "zero-one", "black-on-white")
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
PER_METRE = {"cm": 100.0, "m": 1.0, "mm": 1000.0}
CHECKS = ("flags", "events", "none")
POINTS = ("middle", "feet")


@dataclass(frozen=True, kw_only=True)
class HMWorldForm:
    """What the poor files look like."""

    positions: str = "nested"
    """A key of `SCHEMAS`, ``none`` (an empty file) or ``missing``."""
    unit: str = "cm"
    """``cm``, ``m`` or ``mm``."""
    axes: str = "unreal"
    """A key of `AXES`."""
    point: str = "middle"
    """``middle`` of the body or ``feet``."""
    noise: float = 0.0
    """Standard deviation of an error that stays with a subject for the clip, metres."""
    jitter: float = 0.0
    """Standard deviation of an error of every single position, metres."""
    lag: int = 0
    """Frames by which positions come late."""
    cameras: str = HM_WORLD.name
    """A convention of `hmbench.data.camera_conventions`."""
    masks: str = "red"
    """One of `PALETTES`."""
    check: str = "flags"
    """``check.json``: a flag a frame, only the ``events``, or ``none``."""
    same_character: bool = False
    """All actors wear one character."""

    def __post_init__(self) -> None:
        choices = {
            "positions": (*SCHEMAS, "none", "missing"), "unit": tuple(PER_METRE), "axes": AXES, "point": POINTS,
            "masks": PALETTES, "check": CHECKS,
        }  # fmt: skip
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise UserError(
                    f"There is no {name}={getattr(self, name)} to write.", did_you_mean(getattr(self, name), known)
                )
        convention(self.cameras)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> HMWorldForm:
        """The form of ``key=value`` texts.

        Raises:
            UserError: If a key or value is unknown.
        """
        kinds = {f.name: type(getattr(cls(), f.name)) for f in fields(cls)}
        given: dict[str, Any] = {}
        for text in texts:
            key, _, value = text.partition("=")
            key = key.strip().replace("-", "_")
            if key not in kinds:
                raise UserError(f"HM-World's form has no setting {key!r}.", did_you_mean(key, list(kinds)))
            try:
                given[key] = value.lower() in ("1", "true", "yes") if kinds[key] is bool else kinds[key](value)
            except ValueError as error:
                raise UserError(f"{key}={value} does not parse.", f"It is a {kinds[key].__name__}.") from error
        return cls(**given)


class _Walker(NamedTuple):
    """One subject in the file's own numbers."""

    actor: str
    character: str
    points: Floats
    """``[T, 3]``."""
    yaw: Floats
    """Degrees, ``[T]``."""


def truth_folder(poor: Path) -> Path:
    """Where the exact truth of a folder in HM-World's poverty lies: beside it."""
    return poor.with_name(f"{poor.name}-truth")


def impoverish(rich: Path, poor: Path, form: HMWorldForm | None = None) -> list[str]:
    """Writes every clip of a mini world folder in HM-World's form; clips that are there stay.

    Args:
        rich: A folder of the mini world, with ``truth.json`` and ``masks.mkv``: keep it for the truth.
        poor: The folder to write.
        form: How.

    Returns:
        Ids of all clips.

    Raises:
        UserError: If `rich` holds no clips.
    """
    form = form or HMWorldForm()
    _check_form(poor, form)
    folders = sorted(path.parent for path in rich.glob("[!.]*/truth.json"))
    if not folders:
        raise UserError(f"{rich} holds no clips of the mini world.", "Make some with `hmbench data make-mini`.")
    for folder in folders:
        if not (poor / folder.name / "camera.json").is_file():
            impoverish_clip(folder, poor / folder.name, form)
    for name in ("caption.txt", "splits.json"):
        if (rich / name).is_file():
            write_bytes(poor / name, (rich / name).read_bytes())
    return [folder.name for folder in folders]


def _check_form(poor: Path, form: HMWorldForm) -> None:
    """A folder holds clips of one form; the form is noted under a hidden name, for HM-World has no such file."""
    path, asked = poor / ".form.json", asdict(form)
    if path.is_file() and read_json(path) != asked:
        raise UserError(f"{poor} already holds clips in another form.", "Take a new or empty folder.")
    write_json(path, asked)


def impoverish_clip(rich: Path, poor: Path, form: HMWorldForm) -> None:
    """One clip of `impoverish`."""
    with replacing_folder(poor) as part:
        _write_poor(rich, part, form)


def _write_poor(rich: Path, part: Path, form: HMWorldForm) -> None:
    truth = read_json(rich / "truth.json")
    n = int(truth["num_context"])
    for name in ("cond.mp4", "tgt.mp4"):
        shutil.copyfile(rich / name, part / name)
    if form.masks == "red":
        for name in ("cond_mask.mp4", "tgt_mask.mp4"):
            shutil.copyfile(rich / name, part / name)
    else:
        video = painted(read_labels(rich / "masks.mkv"), form.masks)
        for name, half in (("cond_mask", video[:n]), ("tgt_mask", video[n:])):
            write_video(part / f"{name}.mp4", half, fps=truth["fps"], crf=17)
    walkers = _walkers(truth, form, rich.name)
    if form.positions != "missing":
        content = {} if form.positions == "none" else SCHEMAS[form.positions](walkers, n)
        write_text(part / "character.json", json.dumps(content))
    if form.check != "none":
        seen = {key: read_json(rich / "check.json")[f"{key}_check"] for key in ("cond", "tgt")}
        write_text(part / "check.json", json.dumps(_check(seen, walkers, form)))
    poses = np.concatenate(parse_cameras(read_json(rich / "camera.json"), n, _total(truth) - n, str(rich)))
    matrices = convention(form.cameras).matrices(poses)
    halves = {"cond_cam": matrices[:n], "tgt_cam": matrices[n:]}
    cameras = {key: {str(i): m.tolist() for i, m in enumerate(half)} for key, half in halves.items()}
    write_text(part / "camera.json", json.dumps(cameras))


def painted(labels: NDArray[np.uint8], palette: str) -> Video:
    """Label maps ``[T, H, W]`` as a mask video ``[T, H, W, 3]`` in one of `PALETTES`."""
    video = np.zeros((*labels.shape, 3), np.uint8)
    if palette == "colours":
        for label in range(1, int(labels.max(initial=0)) + 1):
            video[labels == label] = COLOURS[(label - 1) % len(COLOURS)]
        return video
    if palette == "black-on-white":
        video[labels == 0] = 255
        return video
    full = {
        "red": (255, 0, 0), "white": (255,) * 3, "green": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0),
        "dark": (40,) * 3, "zero-one": (1,) * 3,
    }  # fmt: skip
    video[labels > 0] = full[palette]
    return video


def _total(truth: dict[str, Any]) -> int:
    return len(truth["subjects"][0]["visible_area"])


def _walkers(truth: dict[str, Any], form: HMWorldForm, clip: str) -> list[_Walker]:
    rng = np.random.default_rng(list(clip.encode()))
    order, signs = AXES[form.axes]
    found = []
    for subject in truth["subjects"]:
        points = np.array(subject["feet" if form.point == "feet" else "positions"], np.float64)
        points = points + rng.normal(size=3) * form.noise + rng.normal(size=points.shape) * form.jitter
        late = np.clip(np.arange(len(points)) - form.lag, 0, len(points) - 1)
        numbers = points[late][:, order] * np.array(signs) * PER_METRE[form.unit]
        yaw = np.degrees(np.array(subject["yaw"], np.float64))
        character = current_name((truth["subjects"][0] if form.same_character else subject)["name"])
        found.append(_Walker(f"actor_{subject['label']}", character, np.round(numbers, 4), yaw))
    return found


def _check(seen: dict[str, Any], walkers: list[_Walker], form: HMWorldForm) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, actors in seen.items():
        half = {}
        for walker in walkers:
            entries = next(iter(actors[walker.actor].values()))
            if form.check == "events":
                entries = [e for i, e in enumerate(entries) if i == 0 or e["inFrame"] != entries[i - 1]["inFrame"]]
            half[walker.actor] = {walker.character: entries}
        out[f"{key}_check"] = half
    return out


def _halves(walkers: list[_Walker], n: int, half: Callable[[list[_Walker], slice], Any], keys: tuple[str, str]) -> Any:
    return {key: half(walkers, part) for key, part in zip(keys, (slice(0, n), slice(n, None)), strict=True)}


def _nested(walkers: list[_Walker], part: slice) -> Any:
    return {w.actor: {w.character: {str(i): list(p) for i, p in enumerate(w.points[part])}} for w in walkers}


def _records(walkers: list[_Walker], part: slice) -> Any:
    return {
        w.actor: {
            w.character: [
                {
                    "frame": i,
                    "location": dict(zip("xyz", map(float, p), strict=True)),
                    "rotation": {"pitch": 0.0, "yaw": float(a), "roll": 0.0},
                }
                for i, (p, a) in enumerate(zip(w.points[part], w.yaw[part], strict=True))
            ]
        }
        for w in walkers
    }


def _lists(walkers: list[_Walker], part: slice) -> Any:
    return {f"{w.actor}_{w.character}": w.points[part].tolist() for w in walkers}


def _matrices(walkers: list[_Walker], n: int) -> Any:
    def one(point: Floats, yaw: float) -> Any:
        turn = np.radians(yaw)
        matrix = np.eye(4)
        matrix[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        matrix[:3, 3] = point
        return matrix.tolist()

    return {
        w.actor: {w.character: {str(i): one(p, a) for i, (p, a) in enumerate(zip(w.points, w.yaw, strict=True))}}
        for w in walkers
    }


def _frames_first(walkers: list[_Walker], n: int) -> Any:
    return [
        {
            "frame": i,
            "actors": [
                {"actor": w.actor, "character": w.character, "position": w.points[i].tolist(), "yaw": float(w.yaw[i])}
                for w in walkers
            ],
        }
        for i in range(len(walkers[0].points))
    ]


def _continued(walkers: list[_Walker], n: int) -> Any:
    return {
        key: {w.actor: {w.character: {str(i): w.points[i].tolist() for i in frames}} for w in walkers}
        for key, frames in (("cond", range(n)), ("tgt", range(n, len(walkers[0].points))))
    }


def _from_one(walkers: list[_Walker], n: int) -> Any:
    return {
        w.actor: {
            "character": w.character,
            "translation": [{"frame": i + 1, "t": list(map(float, p))} for i, p in enumerate(w.points)],
        }
        for w in walkers
    }


def _columns(walkers: list[_Walker], part: slice) -> Any:
    return {w.actor: {w.character: dict(zip("xyz", w.points[part].T.tolist(), strict=True))} for w in walkers}


def _texts(walkers: list[_Walker], part: slice) -> Any:
    return {
        w.actor: {w.character: {str(i): "X={:.3f} Y={:.3f} Z={:.3f}".format(*p) for i, p in enumerate(w.points[part])}}
        for w in walkers
    }


SCHEMAS: dict[str, Callable[[list[_Walker], int], Any]] = {
    "nested": lambda w, n: _halves(w, n, _nested, ("cond_character", "tgt_character")),
    "records": lambda w, n: _halves(w, n, _records, ("cond_character", "tgt_character")),
    "lists": lambda w, n: _halves(w, n, _lists, ("cond", "tgt")),
    "columns": lambda w, n: _halves(w, n, _columns, ("context", "target")),
    "texts": lambda w, n: _halves(w, n, _texts, ("cond_character", "tgt_character")),
    "matrices": _matrices,
    "frames-first": _frames_first,
    "continued": _continued,
    "from-one": _from_one,
}
"""Name to writer of a ``character.json``."""
