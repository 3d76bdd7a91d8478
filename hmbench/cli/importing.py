"""``hmbench data import`` and ``hmbench data masks``: anybody's videos, and masks for whoever has none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hmbench.cli.data import Limit, Samples

if TYPE_CHECKING:
    from hmbench.data.importing import Imported

SHOWN = 30
DEVICE = "Torch device: cpu, cuda, cuda:1; auto takes a GPU if there is one."


def register(app: typer.Typer) -> None:
    """Adds the commands to ``hmbench data``."""
    app.command("import")(import_command)
    app.command("masks")(masks_command)


def import_command(
    source: Annotated[
        Path, typer.Argument(help="Folder of videos, with cameras, masks and captions if there are any.")
    ],
    target: Annotated[Path, typer.Argument(help="Folder of samples to write.")],
    context_frames: Annotated[int, typer.Option(help="Frames of the context (4k + 1).")] = 77,
    target_frames: Annotated[int, typer.Option(help="Frames of the target after them (4k + 1).")] = 77,
    fps: Annotated[str, typer.Option(help="Frames a second of the samples; 'own' takes every frame.")] = "15",
    size: Annotated[str, typer.Option(help="Width x height that videos are cropped to; 'own' keeps theirs.")] = "own",
    cameras: Annotated[
        str, typer.Option(help="What matrices mean: unreal, opencv, opengl; with -w2c, -cm or -m after it.")
    ] = "unreal",
    fov: Annotated[float | None, typer.Option(help="Horizontal field of view of the videos in degrees.")] = None,
) -> None:
    """Turn a folder of videos into samples: the first part of each is the context, the next its target.

    Cameras (NAME_camera.json, NAME_poses.npy), masks (NAME_masks.npz, .json or a folder of PNG) and captions (NAME.txt)
    beside a video are taken. For example: hmbench data import my-videos my-data --fps 15 --size 832x480
    """
    from rich.table import Table

    from hmbench.cli.console import out, progress_bar
    from hmbench.data.importing import ImportConfig, find_videos, import_folder
    from hmbench.errors import UserError

    width, _, height = size.lower().partition("x")
    if size != "own" and not (width.isdecimal() and height.isdecimal()):
        raise UserError(f"--size {size!r} is not of the form WIDTHxHEIGHT.", "For example 832x480, or 'own'.")
    if fps != "own" and not fps.replace(".", "", 1).isdecimal():
        raise UserError(f"--fps {fps!r} is no number.", "For example 15, or 'own'.")
    config = ImportConfig(
        context=context_frames,
        target=target_frames,
        fps=None if fps == "own" else float(fps),
        size=None if size == "own" else (int(height), int(width)),
        cameras=cameras,
        fov=fov,
    )
    videos = find_videos(source)
    with progress_bar() as progress:
        task = progress.add_task("import", total=len(videos), note="")

        def heard(one: Imported) -> None:
            progress.update(task, advance=1, note=one.name)

        done = import_folder(source, target, config, heard)
    table = Table("video", "cameras", "masks", "subjects", header_style="bold")
    for one in [one for one in done if one.problem is None][:SHOWN]:
        table.add_row(one.name, one.cameras, one.masks, str(one.subjects) if one.subjects else "-")
    good = sum(one.problem is None for one in done)
    if good:
        out.print(table)
    for text, count in _counted([w for one in done for w in one.warnings]).items():
        out.print(f"{text} ({count} of {good})", markup=False, highlight=False, soft_wrap=True)
    for one in done:
        if one.problem is not None:
            out.print(f"not imported: {one.problem}", markup=False, highlight=False, soft_wrap=True)
    out.print(f"{good} of {len(done)} videos are samples in {target}", markup=False, highlight=False, soft_wrap=True)
    if good < len(done):
        raise typer.Exit(1)


def masks_command(
    data: Annotated[Path, typer.Argument(help="Folder of samples.")],
    profile: Annotated[str, typer.Option(help="mini or paper: whose tracker.")] = "mini",
    weights: Annotated[Path | None, typer.Option(help="Folder of networks (`hmbench weights pull DIR`).")] = None,
    tracker: Annotated[str, typer.Option(help="botsort, bytetrack, or package.module:NAME.")] = "botsort",
    any_class: Annotated[bool, typer.Option("--any-class", help="Whatever the detector finds is a subject.")] = False,
    device: Annotated[str, typer.Option(help=DEVICE)] = "auto",
    replace: Annotated[bool, typer.Option("--replace", help="Also where there are masks already.")] = False,
    sample: Samples = None,
    limit: Limit = None,
) -> None:
    """Make masks by following subjects in the real clips: every track is a subject, its boxes are filled.

    Better masks come from a segmenter: docs/own-data.md shows how SAM 2's are brought in.
    """
    from hmbench.run.name_checks import check_names

    check_names(model=None, data=str(data), profile=profile, tracker=tracker)
    import numpy as np

    from hmbench.cli.console import out, progress_bar
    from hmbench.data.dataset import chosen_ids
    from hmbench.data.hm_world import HMWorld
    from hmbench.data.label_files import label_path
    from hmbench.data.own_notes import add_notes
    from hmbench.errors import UserError
    from hmbench.run.request import checked_device
    from hmbench.subjects.create import SHIPPED, create_tracker, tracker_missing
    from hmbench.subjects.masks_from_tracks import masks_from_tracker
    from hmbench.video.files import read_video, write_labels

    source = HMWorld(data)
    made = create_tracker(
        profile=profile, weights=weights, device=checked_device(device), method=tracker, any_class=any_class
    )
    if made is None:
        raise UserError(f"There is no tracker: {tracker_missing(profile=profile, weights=weights)}.")
    todo, chosen = [], chosen_ids(source, samples=sample or (), limit=limit)
    for one in chosen:
        folder = source.place(one)
        if replace or not (label_path(folder) or (folder / "cond_mask.mp4").is_file()):
            todo.append(folder)
    with progress_bar() as progress:
        task = progress.add_task("follow", total=len(todo), note="")
        for folder in todo:
            video = np.concatenate([read_video(folder / f"{half}.mp4") for half in ("cond", "tgt")])
            found = masks_from_tracker(video, made)
            write_labels(folder / "masks.mkv", found.labels, fps=15)
            add_notes(folder, found.names, f"masks are the boxes of the tracker {made.name}, not outlines")
            progress.update(task, advance=1, note=f"{folder.name}: subjects {len(found.names)}")
    if todo and profile == "mini" and tracker in SHIPPED:
        out.print(
            "The mini profile's detector knows the mini world's subjects only: elsewhere it finds pieces of bodies. "
            "Look at these masks before you use them, or make them anew with --replace --profile paper --weights DIR.",
            soft_wrap=True,
        )
    out.print(f"Masks of {len(todo)} of {len(chosen)} samples in {source.folder}", highlight=False)
    if len(todo) < len(chosen):
        out.print("The others have masks already; --replace makes them anew.")


def _counted(texts: list[str]) -> dict[str, int]:
    return {text: texts.count(text) for text in dict.fromkeys(texts)}
