"""Writes a site: pages from Jinja2 templates, data files for the scripts, videos, and the libraries it brings along."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import jinja2
from markupsafe import Markup

from hmbench.durable import sweep
from hmbench.errors import UserError
from hmbench.files import write_text
from hmbench.report.pages import views
from hmbench.report.pages.colours import UNKNOWN, verdict_colours
from hmbench.report.pages.content import Board, Metric, Site
from hmbench.report.pages.data_files import (
    board_record,
    boxes_record,
    clips_record,
    events_record,
    tag,
    tip,
    values_record,
    write_data,
    write_page,
)
from hmbench.report.pages.gallery import ClipView, Gallery, Plan, plan
from hmbench.report.pages.media import place
from hmbench.report.pages.words import file_names, number, shown

if TYPE_CHECKING:
    from hmbench.data.dataset import Dataset

HERE = Path(__file__).parent
MARKER = "hmbench-site.json"
"""Says that a folder is a site of ours, which may be written over."""


@dataclass(frozen=True, kw_only=True)
class Videos:
    """Which videos a site gets, and how they are made."""

    which: str = "none"
    """``none``, ``all`` or ``worst:N``."""
    max_bytes: int | None = None
    """What the whole site may take; None for any size."""
    workers: int = 2
    """Threads of the encoder."""


class Watcher(Protocol):
    """Hears how a build goes."""

    def planned(self, board: Board, plan: Plan) -> None:
        """Videos of a board are about to be made."""

    def video(self) -> None:
        """One more video is complete."""

    def stage(self, name: str, total: int) -> None:
        """So many pages are about to be written: a board's, or those that all boards share."""

    def page(self) -> None:
        """One more page is written."""


class Quiet:
    """Hears and says nothing."""

    def planned(self, board: Board, plan: Plan) -> None:
        """Ignores it."""

    def video(self) -> None:
        """Ignores it."""

    def stage(self, name: str, total: int) -> None:
        """Ignores it."""

    def page(self) -> None:
        """Ignores it."""


OpenData = Callable[[Board], "Dataset | None"]
"""The data of a board, None if they are not there."""


def write_site(
    site: Site,
    out: Path,
    *,
    videos: Videos | None = None,
    open_data: OpenData | None = None,
    watcher: Watcher | None = None,
) -> int:
    """Writes everything; a folder that holds an older site of ours is replaced page by page.

    Args:
        site: What to show.
        out: Folder.
        videos: Which clips get videos.
        open_data: Finds a board's data, for context, target and true boxes.
        watcher: Hears how it goes.

    Returns:
        Bytes of the site.

    Raises:
        UserError: If the folder holds something else, or the videos would take more than they may.
    """
    videos, watcher = videos or Videos(), watcher or Quiet()
    plans = {board.file: plan(board, videos.which) for board in site.boards}
    _check_size(plans, videos)
    _claim(out)
    writer = _Writer(site, out, watcher)
    writer.assets()
    for board in site.boards:
        watcher.planned(board, plans[board.file])
        data = open_data(board) if open_data and plans[board.file].clips else None
        gallery = Gallery(board, data, workers=videos.workers, on_video=watcher.video)
        writer.board(board, {clip.key: gallery.view(clip) for clip in plans[board.file].clips})
    writer.shared()
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    if videos.max_bytes is not None and size > videos.max_bytes:
        raise UserError(
            f"The site in {out} takes {size / 1e6:.1f} MB, more than --max-size {videos.max_bytes / 1e6:.1f} MB.",
            "Give fewer videos (--videos worst:N), or a larger --max-size.",
        )
    return size


def _check_size(plans: Mapping[str, Plan], videos: Videos) -> None:
    total, count = sum(p.bytes for p in plans.values()), sum(p.videos for p in plans.values())
    if videos.max_bytes is None or total <= videos.max_bytes or not count:
        return
    clips = sum(len(p.clips) for p in plans.values())
    fit = max(1, int(clips * videos.max_bytes / total))
    raise UserError(
        f"{count} videos of {clips} clips would take about {total / 1e6:.0f} MB, more than --max-size "
        f"{videos.max_bytes / 1e6:.0f} MB.",
        f"Give --videos worst:{fit}, or a larger --max-size.",
    )


def _claim(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file.", "Give a folder for the site.")
    if out.is_dir():
        sweep(out)  # of a build that was stopped as it began
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise UserError(f"{out} holds something else than a site of hmbench.", "Give a new or empty folder.")
    out.mkdir(parents=True, exist_ok=True)
    for name in ("b", "data", "metrics", "assets"):  # pages of models and clips that are gone must not stay
        shutil.rmtree(out / name, ignore_errors=True)


class _Writer:
    """Renders templates into a folder."""

    def __init__(self, site: Site, out: Path, watcher: Watcher) -> None:
        self.site, self.out, self.watcher = site, out, watcher
        self.metrics: dict[str, Metric] = {}
        for board in site.boards:
            for metric in board.metrics:
                self.metrics.setdefault(metric.name, metric)
        self.metric_files = file_names(self.metrics)
        self.used: set[str] = set()
        self.env = self._environment()

    def _environment(self) -> jinja2.Environment:
        env = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            finalize=lambda value: shown(value) if type(value) is str else value,  # whoever forgot to, it is done here
            trim_blocks=True,
            lstrip_blocks=True,
        )
        colours = verdict_colours(word for board in self.site.boards for word in board.verdicts)
        env.filters["number"] = number
        env.filters["soft"] = lambda name: Markup("_<wbr>").join(str(name).split("_"))  # lines break after a _
        env.filters["verdict_colour"] = lambda word: colours.get(str(word), UNKNOWN)
        env.filters["tojson_text"] = lambda value: json.dumps(value)
        env.globals.update(
            site=self.site,
            version=metadata.version("hmbench"),
            metric_files=self.metric_files,
            board=self.site.boards[0] if self.site.boards else None,
            tag=tag,
            tip=tip,
            bounds=views.bounds,
            power=views.power_cell,
            pct=lambda part, whole: f"{100 * part / max(whole, 1):.3f}%",
        )
        return env

    def page(self, template: str, path: str, **content: Any) -> None:
        depth = path.count("/")
        html = self.env.get_template(template).render(root="../" * depth, **content)
        write_page(self.out / path, html)
        self.watcher.page()

    def assets(self) -> None:
        """Style, scripts, libraries and their licences; the marker first, so that a stopped build can go on."""
        write_text(self.out / MARKER, json.dumps({"made by": "hmbench", "version": metadata.version("hmbench")}) + "\n")
        write_page(self.out / ".nojekyll", "")
        target = self.out / "assets"
        shutil.copytree(HERE / "static", target, dirs_exist_ok=True)
        (target / "vendor").mkdir(parents=True, exist_ok=True)
        licences = []
        for path in sorted((HERE / "vendor").iterdir()):
            if path.suffix == ".js":
                shutil.copyfile(path, target / "vendor" / path.name)
            elif path.name.endswith(".LICENSE.txt"):
                licences.append(f"{path.name.removesuffix('.LICENSE.txt')}\n\n{path.read_text(encoding='utf-8')}")
        write_page(target / "vendor" / "LICENSES.txt", "\n\n".join(licences))

    def board(self, board: Board, clip_views: Mapping[str, ClipView]) -> None:
        """Pages and data of one board."""
        folder, data = f"b/{board.file}", self.out / "data"
        self.watcher.stage(board.title, 1 + len(board.clips) + len(board.contenders))
        write_data(data, f"{board.file}/board", board_record(board, metric_files=self.metric_files))
        write_data(data, f"{board.file}/clips", clips_record(board, clip_views))
        write_data(data, f"{board.file}/events", events_record(board))
        for k, metric in enumerate(board.metrics):
            write_data(data, f"{board.file}/values-{k}", values_record(board, metric))
        self.page("clips.html", f"{folder}/clips.html", board=board, here="clips")
        for k, contender in enumerate(board.contenders):
            content = views.model_page(board, k)
            self.page("model.html", f"{folder}/models/{contender.file}.html", board=board, here="", **content)
        for k, clip in enumerate(board.clips):
            view = clip_views.get(clip.key, ClipView())
            boxes = boxes_record(view)
            name = f"{board.file}/boxes-{k}"
            if boxes:
                write_data(data, name, boxes)
            self._media(view)
            content = views.clip_page(board, k, view)
            self.page(
                "clip.html",
                f"{folder}/clips/{clip.file}.html",
                board=board,
                here="",
                tracks_name=name if boxes else "",
                **content,
            )

    def shared(self) -> None:
        """The first page and the metrics' pages; media that no page shows any more are removed."""
        studied = views.Study(self.site.validity)
        metrics = list(self.metrics.values())
        self.watcher.stage("first page and metrics", 2 + len(metrics))
        self.page("index.html", "index.html", here="results")
        powers = {m.name: studied.faults(m.name) for m in metrics}
        self.page(
            "metrics.html",
            "metrics/index.html",
            here="metrics",
            metrics=metrics,
            faults=studied.fault_names,
            powers={name: dict(found) for name, found in powers.items()},
        )
        for metric in metrics:
            content = views.metric_page(self.site, metric, studied)
            self.page(
                "metric.html", f"metrics/{self.metric_files[metric.name]}.html", here="", metric=metric, **content
            )
        media = self.out / "media"
        for path in media.iterdir() if media.is_dir() else ():
            if path.name not in self.used:
                path.unlink()

    def _media(self, view: ClipView) -> None:
        for panel in view.panels:
            if panel.made is not None:
                self.used |= {place(panel.made.video, self.out / "media"), place(panel.made.strip, self.out / "media")}
