"""Which clips get videos, what that costs, and what a clip's page shows: videos, boxes, who is in view when."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hmbench.digests import video_digest
from hmbench.errors import SampleError, UserError
from hmbench.report.pages.content import Board, Clip, Contender
from hmbench.report.pages.in_view import (
    BoxTrack,
    ClipTracks,
    EventKey,
    Span,
    event_key,
    in_view,
    predicted_tracks,
    read_tracks,
    real_tracks,
    spans,
)
from hmbench.report.pages.media import Job, Made, estimate, key_of, make_all, moments_around
from hmbench.report.pages.words import shown
from hmbench.results.run_folder import RunFolder

if TYPE_CHECKING:
    from hmbench.data.dataset import Dataset
    from hmbench.types import Sample

FRAMES = 77
"""Of a video whose length nobody knows before it is read."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One video of a clip's page."""

    title: str
    """Context, target, or the model's name."""
    kind: str
    """``context``, ``target`` or ``model``."""
    begins: int
    """Frame of the clip in which it begins."""
    made: Made | None
    """The video; None if there is none."""
    reason: str = ""
    """Why there is none."""
    tracks: tuple[BoxTrack, ...] = ()
    """Boxes to draw."""


@dataclass(frozen=True, kw_only=True)
class ClipView:
    """What a clip's page shows besides its numbers."""

    panels: tuple[Panel, ...] = ()
    """Videos, context and target first, then the models in the board's order."""
    caption: str = ""
    """What the clip shows."""
    fps: float = 15.0
    """Frames a second."""
    context_frames: int = 0
    """Frames before the target begins; 0 if unknown."""
    total_frames: int = 0
    """Frames of the whole clip; 0 if unknown."""
    real: Mapping[int, tuple[Span, ...]] = field(default_factory=dict)
    """Subject's label to when it really is in view."""
    seen: Mapping[tuple[str, EventKey], tuple[Span, ...]] = field(default_factory=dict)
    """Model and event to when the model has the subject in view."""

    notes: tuple[str, ...] = ()
    """What is missing, and why."""

    @property
    def placed(self) -> bool:
        """Whether it is known where the target begins, so that videos and events have one time."""
        return self.context_frames > 0 or all(panel.made is None for panel in self.panels)

    @property
    def frames(self) -> int:
        """Frames that the videos cover; 0 without any."""
        return max((p.begins + p.made.frames for p in self.panels if p.made is not None), default=0)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which clips of a board get videos."""

    clips: tuple[Clip, ...]
    """Those clips."""
    videos: int
    """Videos that they have."""
    bytes: int
    """What they will take, estimated."""


def choose_clips(board: Board, videos: str) -> tuple[Clip, ...]:
    """Clips for ``none``, ``all`` or ``worst:N``: the mean of the ranked models on the ranking metric, worst first.

    Raises:
        UserError: For anything else.
    """
    if videos == "none":
        return ()
    if videos == "all":
        return board.clips
    worst = re.fullmatch(r"worst:(\d{1,9})", videos, re.ASCII)
    count = int(worst[1]) if worst else 0
    if count < 1:
        raise UserError(f"--videos {videos!r} is not understood.", "Write none, all or worst:N, for example worst:8.")
    upward = board.by_name[board.rank_by].higher_is_better is not False
    columns = [c.values.get(board.rank_by) for c in board.contenders if c.ranked] or [
        c.values.get(board.rank_by) for c in board.contenders
    ]

    def badness(at: int) -> tuple[bool, float, int]:
        found = [v for column in columns if column is not None and (v := column[at]) is not None]
        mean = sum(found) / len(found) if found else math.inf
        return not found, mean if upward else -mean, at

    chosen = sorted(range(len(board.clips)), key=badness)[:count]
    return tuple(board.clips[i] for i in sorted(chosen))


def plan(board: Board, videos: str) -> Plan:
    """What will be made, before anything is: the first video that is found tells size and length of all."""
    from hmbench.video.files import probe

    clips = choose_clips(board, videos)
    paths = [path for clip in clips for c in board.contenders if (path := prediction(c, clip)) is not None]
    if not paths:
        return Plan(clips=clips, videos=0, bytes=0)
    try:
        info = probe(paths[0])
        pixels = info.width * info.height
    except SampleError:
        pixels = 832 * 480
    count = len(paths) + 2 * len(clips)  # context and target of each
    return Plan(clips=clips, videos=count, bytes=estimate(count, pixels, FRAMES))


def prediction(contender: Contender, clip: Clip) -> Path | None:
    """The model's video of a clip, if there is one and it is the one that was scored."""
    if contender.run is None or Path(clip.key).name != clip.key:
        return None
    path = RunFolder(contender.run).prediction(clip.key)
    if not path.is_file():  # a run of somebody's videos names their folder as its model
        path = Path(RunFolder(contender.run).read_manifest().model) / f"{clip.key}.mp4"
    try:
        if not path.is_file():
            return None
    except OSError:  # a model's name may be no path at all: too long, or of strange characters
        return None
    wanted = contender.video_digests
    return path if wanted is None or wanted.get(clip.key) == video_digest(path) else None


class Gallery:
    """Makes the videos of chosen clips.

    Args:
        board: Whose.
        data: The board's data; None if they are not there, then context and target are missing.
        workers: Threads of the encoder.
        on_video: Hears of each video that is complete.
    """

    def __init__(
        self,
        board: Board,
        data: Dataset | None,
        *,
        workers: int = 2,
        on_video: Callable[[], None] | None = None,
    ) -> None:
        self.board = board
        self.data = data
        self.workers = workers
        self.on_video = on_video

    def view(self, clip: Clip) -> ClipView:
        """Videos, boxes and times of one clip."""
        sample = self._sample(clip)
        tracked = {c.name: found for c in self.board.contenders if (found := read_tracks(c, clip)) is not None}
        before, total = _lengths(sample, tracked)
        reentries = [int(e["reentry"]) for c in self.board.contenders for e in c.events.get(clip.key, ())]
        first = min(reentries, default=None)
        after = None if first is None or not before else max(0, first - before)
        jobs = self._jobs(clip, sample, after, total - before or FRAMES)
        made = make_all(list(jobs.values()), workers=self.workers, on_done=self._heard)
        panels = self._panels(clip, sample, jobs, made, before, tracked)
        seen = {
            (c.name, event_key(event)): in_view(tracked[c.name], event, before)
            for c in self.board.contenders
            if c.name in tracked and not tracked[c.name].damaged
            for event in c.events.get(clip.key, ())
        }
        subjects = sample.truth.subjects if sample is not None and sample.truth is not None else ()
        return ClipView(
            panels=tuple(panels),
            caption=shown(sample.prompt.caption) if sample is not None else "",
            fps=sample.prompt.fps if sample is not None else 15.0,
            context_frames=before,
            total_frames=total,
            real={s.label: spans(s.visible_area > 0) for s in subjects},
            seen=seen,
            notes=tuple(
                without_folder(f"{c.name} has no boxes here: {tracked[c.name].damaged}", c.run)
                for c in self.board.contenders
                if c.name in tracked and tracked[c.name].damaged
            ),
        )

    def _heard(self, more: int) -> None:
        if self.on_video:
            for _ in range(more):
                self.on_video()

    def _sample(self, clip: Clip) -> Sample | None:
        if self.data is None:
            return None
        try:
            return self.data.load(clip.key)
        except UserError:
            return None

    def _jobs(self, clip: Clip, sample: Sample | None, after: int | None, frames: int) -> dict[str, Job]:
        """Panel title to its job; those of the real ones begin with NUL, which no model's shown name can hold."""
        jobs: dict[str, Job] = {}
        fps = sample.prompt.fps if sample is not None else 15.0
        if sample is not None:
            real = {"\0context": sample.prompt.context}
            if sample.truth is not None:
                real["\0target"] = sample.truth.target
            for name, video in real.items():
                key = key_of(name, video.shape, _array_digest(video))
                moments = moments_around(after if name == "\0target" else None, len(video))
                jobs[name] = Job(key=key, frames=functools.partial(np.asarray, video), fps=fps, moments=moments)
        for contender in self.board.contenders:
            path = prediction(contender, clip)
            if path is None:
                continue
            jobs[contender.name] = Job(
                key=key_of("prediction", video_digest(path), frames),
                frames=functools.partial(_read, path, sample),
                fps=fps,
                moments=moments_around(after, frames),
            )
        return jobs

    def _panels(
        self,
        clip: Clip,
        sample: Sample | None,
        jobs: Mapping[str, Job],
        made: Mapping[str, Made | str],
        before: int,
        tracked: Mapping[str, ClipTracks],
    ) -> list[Panel]:
        panels = []
        for kind in ("context", "target"):
            job = jobs.get(f"\0{kind}")
            begins = 0 if kind == "context" else before
            why = "The data of this clip are not here." if self.data is None or sample is None else "There is no truth."
            panels.append(_panel(kind, kind, begins, job, made, why, real_tracks(sample, kind)))
        for contender in self.board.contenders:
            job = jobs.get(contender.name)
            tracks = predicted_tracks(contender, clip, tracked.get(contender.name))
            why = "Nobody gave the videos." if contender.run is None else "The video is not here."
            panel = _panel(contender.name, "model", before, job, made, why, tracks)
            panels.append(replace(panel, reason=without_folder(panel.reason, contender.run)))
        return panels


def without_folder(text: str, run: Path | None) -> str:
    """A message without the run's folder: a page that is published must not tell where it was on whose machine."""
    return text if run is None else text.replace(f"{run}/", "").replace(f"{run.resolve()}/", "")


def _panel(
    title: str, kind: str, begins: int, job: Job | None, made: Mapping[str, Made | str], why: str, tracks: Any
) -> Panel:
    found = made.get(job.key) if job is not None else None
    if isinstance(found, Made):
        return Panel(title=title, kind=kind, begins=begins, made=found, tracks=tracks)
    return Panel(title=title, kind=kind, begins=begins, made=None, reason=shown(found or why))


def _read(path: Path, sample: Sample | None) -> Any:
    from hmbench.results.predictions import read_prediction
    from hmbench.video.files import read_video

    return read_video(path) if sample is None else read_prediction(path, sample)[0]


def _array_digest(video: Any) -> str:
    import hashlib

    return hashlib.sha256(np.ascontiguousarray(video).tobytes()).hexdigest()


def _lengths(sample: Sample | None, tracked: Mapping[str, ClipTracks]) -> tuple[int, int]:
    """Frames of the context and of the whole clip; zeros if nobody knows."""
    if sample is not None:
        return sample.num_context_frames, sample.num_context_frames + sample.prompt.num_target_frames
    return next((found for tracks in tracked.values() if any(found := tracks.lengths)), (0, 0))
