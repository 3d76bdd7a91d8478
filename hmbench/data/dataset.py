"""What every source of clips offers to the runner, and how ``--data`` finds one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from hmbench.errors import UserError
from hmbench.types import Sample


class Dataset(Protocol):
    """Samples by id, read one at a time."""

    name: str
    """What tables call it."""

    def ids(self, split: str) -> tuple[str, ...]:
        """Ids of a split, sorted."""
        ...

    def load(self, sample_id: str) -> Sample:
        """One sample.

        Raises:
            SampleError: If its files are missing, damaged or contradict each other.
        """
        ...

    def caption(self, sample_id: str) -> str | None:
        """A sample's caption without reading its videos; None if nobody wrote one."""
        ...

    def revision(self, ids: tuple[str, ...]) -> str:
        """A digest of the data behind these ids; equal revisions are the same data."""
        ...


OnClip = Callable[[str, int], None]
"""Called with the id of a clip that was rendered and how many there will be."""


def open_dataset(spec: str, on_clip: OnClip | None = None) -> Dataset:
    """The data that ``--data`` names.

    Args:
        spec: ``mini`` (the embedded world), ``disc`` (the unit tests' tiny world), a folder in HM-World's layout, or
            somebody's own video as JSON: ``{"video": path, "camera": preset, "caption": text}`` with any field of
            `hmbench.data.own_video.OwnVideoConfig`.
        on_clip: Hears of each clip of the mini world that has to be rendered first.

    Raises:
        UserError: If there is no such folder or nothing in it looks like HM-World.
    """
    if spec == "disc":
        from hmbench.data.disc_world import DiscWorld

        return DiscWorld()
    if spec.startswith("{"):
        return _own_video(spec)
    folder = _mini_folder(on_clip) if spec == "mini" else Path(spec)
    if not folder.is_dir():
        raise UserError(
            f"There is no data folder {spec!r}.",
            "Give a folder in HM-World's layout, or 'mini' for the world that comes with hmbench.",
        )
    from hmbench.data.hm_world import HMWorld

    return HMWorld(folder)


def _own_video(spec: str) -> Dataset:
    from hmbench.data.own_video import OwnVideo, OwnVideoConfig

    try:
        fields = json.loads(spec)
        video, camera, caption = fields.pop("video"), fields.pop("camera"), fields.pop("caption", "")
        if fields.get("size") is not None:
            fields["size"] = tuple(fields["size"])
        config = OwnVideoConfig(**fields)
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError(
            f"The own video {spec!r} does not parse: {error}.",
            'Write {"video": "my.mp4", "camera": "pan-left-and-back"}.',
        ) from error
    return OwnVideo(Path(video), camera, caption, config)


def _mini_folder(on_clip: OnClip | None) -> Path:
    """The embedded world's test clips, rendered into the cache the first time."""
    from hmbench.cache import cache_folder
    from hmbench.data.mini_world.default import ensure_default_mini

    return ensure_default_mini(
        cache_folder() / "mini-world", on_done=lambda made, total: on_clip(made.name, total) if on_clip else None
    )
