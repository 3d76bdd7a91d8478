"""The networks that metrics look through, found by profile and loaded when first used.

``paper``: CLIP, DINO, AlexNet from the folder that `hmbench weights pull DIR` filled; a missing one is a reason, not an
error. ``mini``: one small embedder, shipped with hmbench, stands in for CLIP and DINO, so that the same code runs
anywhere; its numbers are comparable among mini runs only, and rows carry the profile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from torch import Tensor

from hmbench.errors import UserError, did_you_mean
from hmbench.networks.pull import OPTIONAL, verify
from hmbench.types import Boxes, Video

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

PROFILES = ("mini", "paper")
FILES = {
    "alexnet": "alexnet/alexnet-owt-7be5be79.pth",
    "dino": "dino-vitb16/model.safetensors",
    "clip_b16": "clip-vit-base-patch16",
    "clip_b32": "clip-vit-base-patch32",
    "yolo11": "yolo11/yolo11x.pt",
    "musiq": "pyiqa/musiq_koniq_ckpt-e95806b9.pth",
    "niqe": "pyiqa/niqe_modelparameters.mat",
    "raft": "raft/raft_large_C_T_V1-22a6c225.pth",
    "interpolator": "interpolator/interpolator.pt",
    "inception": "inception/weights-inception-2015-12-05-6726825d.pth",
    "r3d18": "r3d18/r3d_18-b3b3357e.pth",
}
"""Backbone name to its place in a weights folder: a file, or a folder of transformers'."""
_PARTS = (("config.json",), ("model.safetensors", "pytorch_model.bin"))
"""What a folder of transformers' must have, of each group one."""


class FrameEncoder(Protocol):
    """Features of whole frames."""

    name: str

    def frames(self, video: Video) -> Tensor:
        """L2-normalised features, float32 ``[T, D]`` on the CPU."""
        ...


class MapEncoder(Protocol):
    """Features on a coarse grid over the frame."""

    name: str

    def maps(self, video: Video) -> Tensor:
        """Features, float32 ``[T, D, h, w]`` on the CPU."""
        ...


class CropEncoder(Protocol):
    """Features of subjects, cut out by their boxes."""

    name: str
    different: float | None
    """Typical cosine between different subjects, measured; None if nobody measured it."""
    gallery: dict[str, Tensor]
    """Strangers by name, unit features ``[D]``, that a subject must not be taken for; may be empty."""

    def crops(self, video: Video, boxes: Boxes) -> Tensor:
        """L2-normalised features of the boxes that are not NaN, in order, float32 ``[n, D]`` on the CPU."""
        ...


class Backbone(Generic[T_co]):
    """A network that is loaded when first asked for, or the reason why it cannot be.

    Args:
        name: Short name.
        load: Builds it.
        missing: Why it cannot be built, with the remedy; None if it can.
    """

    def __init__(self, name: str, load: Callable[[], T_co], missing: str | None = None) -> None:
        self.name = name
        self.missing = missing
        self._load = load
        self._loaded: T_co | None = None
        self._refused: UserError | None = None

    def get(self) -> T_co:
        """The network.

        Raises:
            UserError: If its file is not what it should be; it is read once, not again for every clip.
        """
        assert self.missing is None, f"{self.name}: {self.missing}"
        if self._refused is not None:
            raise UserError(self._refused.what, self._refused.hint)
        if self._loaded is None:
            try:
                self._loaded = self._load()
            except UserError as error:
                self._refused = error
                raise
        return self._loaded


@dataclass(frozen=True, kw_only=True)
class Backbones:
    """Everything that the default metrics use."""

    lpips: Backbone[Any]
    """LPIPS network."""
    subject_frames: Backbone[FrameEncoder]
    """VBench subject consistency: DINO ViT-B/16."""
    background_frames: Backbone[FrameEncoder]
    """VBench background consistency: CLIP ViT-B/32."""
    released_maps: Backbone[MapEncoder]
    """Released DSC: CLIP ViT-B/16, centre crop and all."""
    crops: dict[str, Backbone[CropEncoder]]
    """Suffix of the metric's name to what sees subjects; the first one, without suffix, decides identity."""


def find_backbones(*, profile: str, weights: Path | None, device: str) -> Backbones:
    """The networks of a profile.

    Args:
        profile: ``mini`` or ``paper``.
        weights: Folder filled by `hmbench weights pull`; None if there is none.
        device: Torch device.

    Raises:
        UserError: For an unknown profile or a weights folder that does not exist.
    """
    if profile not in PROFILES:
        raise UserError(f"There is no profile {profile!r}.", did_you_mean(profile, PROFILES))
    if weights is not None and not weights.is_dir():
        raise UserError(f"The weights folder {weights} does not exist.", f"To fill it, {pull_command(weights)}")
    return _mini(weights, device) if profile == "mini" else _paper(weights, device)


def from_folder(name: str, weights: Path | None, load: Callable[[Path], T]) -> Backbone[T]:
    """A backbone read from a weights folder, or the reason why it cannot be.

    When it is loaded, its files must be those that the folder's lock records.

    Args:
        name: Name in `FILES`.
        weights: Weights folder; None if none was given.
        load: Reads it from its place.
    """
    if weights is None:
        return Backbone(name, _unreachable, _missing(name, "no weights folder was given", None))
    path = weights / FILES[name]
    if lacking := _lacking(path):
        return Backbone(name, _unreachable, _missing(name, lacking, weights))

    def load_locked() -> T:
        verify(weights, name)
        return load(path)

    return Backbone(name, load_locked)


def pull_command(weights: Path | None, name: str | None = None) -> str:
    """What to run to get weights, as reasons and hints end.

    Args:
        weights: The folder that lacks them; None if none was given.
        name: A network that is fetched only by name.
    """
    only = f" --only {name}" if name else ""
    return f"run: hmbench weights pull {weights or 'DIR'}{only}" + ("" if weights else ", then pass --weights DIR")


def _missing(name: str, why: str, weights: Path | None) -> str:
    return f"{name} weights are missing ({why}); {pull_command(weights, name if name in OPTIONAL else None)}"


def _lacking(path: Path) -> str | None:
    """What is not there of a file, or of a folder of transformers' (an interrupted download leaves one without)."""
    if path.suffix:
        return None if path.is_file() else f"{path} does not exist"
    if not path.is_dir():
        return f"{path} does not exist"
    lost = [group for group in _PARTS if not any((path / name).is_file() for name in group)]
    return f"{path} has no {' or '.join(lost[0])}" if lost else None


def _paper(weights: Path | None, device: str) -> Backbones:
    from hmbench.networks.encoders import ClipFrames, ClipMaps, ClipSubjects, DinoFrames, DinoSubjects

    return Backbones(
        lpips=_lpips(weights, device),
        subject_frames=from_folder("dino", weights, lambda path: DinoFrames.load(path, device)),
        background_frames=from_folder("clip_b32", weights, lambda path: ClipFrames.load(path, device)),
        released_maps=from_folder("clip_b16", weights, lambda path: ClipMaps.load(path, device)),
        crops={
            "": from_folder("dino", weights, lambda path: DinoSubjects.load(path, device)),
            "clip": from_folder("clip_b16", weights, lambda path: ClipSubjects.load(path, device)),
        },
    )


def _mini(weights: Path | None, device: str) -> Backbones:
    from hmbench.networks.embedder import load_embedder
    from hmbench.networks.files import shipped

    there = shipped("reid").is_file()
    missing = None if there else "the shipped embedder is missing; run: python -m hmbench.subjects.train_reid"
    embedder = Backbone("reid", lambda: load_embedder(device), missing)
    return Backbones(
        lpips=_lpips(weights, device),
        subject_frames=embedder,
        background_frames=embedder,
        released_maps=embedder,
        crops={"": embedder},
    )


def _lpips(weights: Path | None, device: str) -> Backbone[Any]:
    from hmbench.networks.lpips_network import load_lpips

    return from_folder("alexnet", weights, lambda path: load_lpips(path, device))


def _unreachable() -> Any:
    raise AssertionError("a missing backbone was loaded")
