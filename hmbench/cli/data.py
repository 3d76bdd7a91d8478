"""``hmbench data import-examples``, ``show`` and ``check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer

from hmbench.cli.completion import samples, sources
from hmbench.prefixes import whole_id


def register(app: typer.Typer) -> None:
    """Adds the commands to ``hmbench data``."""
    app.command("import-examples")(import_examples_command)
    app.command("show")(show_command)
    app.command("check")(check_command)
    app.command("card")(card_command)
    app.command("prompts")(prompts_command)
    app.command("export")(export_command)


Folder = Annotated[str, typer.Argument(help="'mini', or a folder in HM-World's layout.", autocompletion=sources)]
Split = Annotated[str, typer.Option(help="Split of the data.")]
Samples = Annotated[
    list[str] | None,
    typer.Option("--sample", help="This sample only, by its id or a beginning that no other has; repeatable."),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="The first so many samples only.")]


def import_examples_command(
    source: Annotated[Path, typer.Argument(help="Folder with 1.mp4, cam1.json, ..., caption.txt.")],
    target: Annotated[Path, typer.Argument(help="HM-World folder to write.")],
    context_frames: Annotated[int, typer.Option(help="Frames that become the context (4k + 1).")] = 37,
    target_frames: Annotated[int, typer.Option(help="Frames after them that become the target (4k + 1).")] = 37,
) -> None:
    """Turn example clips into HM-World samples with real targets by splitting each in two, pixels unchanged."""
    from hmbench.cli.console import out
    from hmbench.data.examples import import_examples
    from hmbench.errors import UserError

    held = sorted(entry.name for entry in target.iterdir()) if target.is_dir() else []
    others = [name for name in held if name != "caption.txt" and not name.startswith(("example-", "."))]
    if others or (target.exists() and not target.is_dir()):
        raise UserError(
            f"{target} holds other things ({', '.join(others[:3])}), whose captions would be replaced."
            if others
            else f"{target} is a file.",
            "Take a new or empty folder, or one that holds imported examples only.",
        )
    ids = import_examples(source, target, context_frames=context_frames, target_frames=target_frames)
    out.print(f"{len(ids)} samples in {target}: {', '.join(ids)}", highlight=False)


def export_command(
    folder: Annotated[Path, typer.Argument(help="Folder of samples in HM-World's layout.")],
    out: Annotated[Path, typer.Argument(help="Folder of the shards.")],
    form: Annotated[str, typer.Option("--format", help="webdataset (tars) or parquet.")] = "webdataset",
    split: Split = "all",
    sample: Samples = None,
    limit: Limit = None,
) -> None:
    """Write samples as WebDataset or Parquet shards, which --data reads as it reads the folder."""
    from hmbench.cli.console import out as screen
    from hmbench.data.dataset import chosen_ids
    from hmbench.data.hm_world import HMWorld
    from hmbench.data.shards import export_shards

    source = HMWorld(folder)
    ids = chosen_ids(source, split, sample or (), limit)
    index = export_shards(source, ids, out, cast(Any, form))
    screen.print(f"{len(ids)} samples as {form} in {out}; {index.name} names their files.", highlight=False)


def prompts_command(
    data: Annotated[str, typer.Argument(help="'mini', or a folder in HM-World's layout.")],
    out: Annotated[Path, typer.Argument(help="Folder to write, one folder a sample.")],
    split: Split = "all",
    sample: Samples = None,
    limit: Limit = None,
    cameras: Annotated[
        str, typer.Option(help="Convention: opencv, opencv-w2c, opengl, unreal, ...; -cm or -m after it.")
    ] = "opencv",
    origin: Annotated[
        str, typer.Option(help="Where the cameras' world begins: first-target or world.")
    ] = "first-target",
    camera_file: Annotated[str, typer.Option(help="npz, json, or colmap (lines of images.txt).")] = "npz",
    fps: Annotated[float | None, typer.Option(help="The model's rate, if not the data's.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Target frames that the model makes, if not all.")] = None,
) -> None:
    """Write what a model that lives elsewhere is given: context, caption and cameras of each sample, and no target."""
    from hmbench.cli.console import open_shown
    from hmbench.cli.console import out as screen
    from hmbench.data.dataset import Wanted, chosen_ids
    from hmbench.data.prompts import CameraFile, Origin, PromptForm, write_prompts
    from hmbench.errors import UserError, did_you_mean

    for name, value, known in (
        ("origin", origin, get_args(Origin)),
        ("camera-file", camera_file, get_args(CameraFile)),
    ):
        if value not in known:
            raise UserError(f"--{name} cannot be {value!r}.", did_you_mean(value, known))
    form = PromptForm(cameras=cameras, origin=cast(Any, origin), file=cast(Any, camera_file), fps=fps, frames=frames)
    wanted = Wanted(split, sample or (), limit)
    source = open_shown(data, wanted)
    ids = chosen_ids(source, *wanted)
    done = write_prompts(source, ids, out, form)
    screen.print(
        f"{len(done)} new prompts of {len(ids)} in {out}; README.txt there says what to do with them.", highlight=False
    )


def card_command(
    folder: Annotated[Path, typer.Argument(help="Folder of the samples.")],
    cameras: Annotated[
        str | None, typer.Option(help="What camera.json holds: unreal, opencv, opengl; with -w2c, -cm or -m after it.")
    ] = None,
    positions: Annotated[
        str | None, typer.Option(help="What character.json holds, as data inspect prints it: 'x,-y,z cm world'.")
    ] = None,
    tracker: Annotated[
        str | None, typer.Option(help="Tells subjects apart where positions do not: mini (the default) or none.")
    ] = None,
) -> None:
    """Write down what is known of a data set and its files do not say; it is still held against the pictures.

    What an earlier call wrote stays, unless this one says otherwise. Without options the card is shown.
    """
    from dataclasses import asdict, replace

    from hmbench.cli.console import out
    from hmbench.data.card import CARD_FILE, read_card, write_card
    from hmbench.data.hm_world import HMWorld

    root = HMWorld(folder).folder
    given = {"cameras": cameras, "positions": positions, "tracker": tracker}
    said = {name: value for name, value in given.items() if value is not None}
    card = replace(read_card(root), **said)
    if said:
        write_card(root, card)
    shown = ", ".join(f"{name}: {value or 'not said'}" for name, value in asdict(card).items())
    out.print(f"{root / CARD_FILE}: {shown}", highlight=False, markup=False, soft_wrap=True)


def show_command(
    data: Folder,
    sample: Annotated[
        str | None,
        typer.Argument(help="Show this sample in detail; the beginning of its id is enough.", autocompletion=samples),
    ] = None,
    split: Split = "all",
) -> None:
    """Tell what is in a folder, or in one of its samples."""
    from hmbench.cli.console import open_shown, out
    from hmbench.data.dataset import Wanted
    from hmbench.data.overview import dataset_table, sample_table

    source = open_shown(data, Wanted(samples=(sample,)) if sample else Wanted(split))
    if sample:
        sample = whole_id(sample, source.ids("all"), source.name)
    out.print(sample_table(source.load(sample)) if sample else dataset_table(source, split))


def check_command(
    data: Folder,
    split: Split = "all",
    report: Annotated[Path | None, typer.Option(help="Also write the findings here, an object a line.")] = None,
    sample: Samples = None,
    limit: Limit = None,
) -> None:
    """Read every sample and tell which cannot be used and what deviates; exits 1 if any cannot be used."""
    from dataclasses import asdict

    from hmbench.cli.console import MODE, errors, open_shown, out, progress_bar, show_json
    from hmbench.data.dataset import Wanted, chosen_ids
    from hmbench.data.overview import check_sample, findings_table, write_findings
    from hmbench.errors import UserError

    wanted = Wanted(split, sample or (), limit)
    source = open_shown(data, wanted)
    ids = chosen_ids(source, *wanted)
    with progress_bar() as progress:
        task = progress.add_task("check", total=len(ids), note="")
        findings = []
        for sample_id in ids:
            findings.append(check_sample(source, sample_id))
            progress.update(task, advance=1, note=sample_id)
    if MODE.json:
        show_json([asdict(finding) for finding in findings])
    else:
        out.print(findings_table(findings))
    if report is not None:
        try:
            write_findings(report, findings)
        except OSError as error:
            raise UserError(
                f"The findings cannot be written to {report}: {error.strerror or error}.",
                "Give a file name in a folder that can be written.",
            ) from error
    broken = [finding for finding in findings if finding.error]
    if broken:
        errors.print(f"[bold red]{len(broken)} of {len(ids)} samples cannot be used.[/]")
        raise typer.Exit(1)
