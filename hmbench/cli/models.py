"""``hmbench models``: what can be evaluated, with which options, and what it costs; ``hmbench retrieval``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hmbench.cli import completion
from hmbench.cli.options import Typed, takes_request
from hmbench.errors import UserError
from hmbench.prefixes import whole_id

Name = Annotated[str | None, typer.Argument(help="Show this model's options.", autocompletion=completion.models)]
Cost = Annotated[bool, typer.Option("--cost", help="Cost cards: tokens, parameters, operations, time, memory.")]
Preset = Annotated[str, typer.Option("--preset", help="Size of the cost cards: mini, nano or paper.")]
Measure = Annotated[
    bool, typer.Option("--measure/--no-measure", help="Also time and memory of a denoising step (a minute or more).")
]
CostOut = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for cost.json, .md, .csv and .tex.")]
SampleId = Annotated[
    str, typer.Option("--sample", help="Which clip, by its id or a beginning of it.", autocompletion=completion.samples)
]
PictureOut = Annotated[Path, typer.Option("--out", "-o", help="Folder for retrieval.json and retrieval.png.")]


def register(app: typer.Typer) -> None:
    """Adds ``models`` and ``retrieval``."""
    app.command("models")(takes_request("models")(models))
    app.command("retrieval")(takes_request("retrieval")(retrieval))


def models(
    typed: Typed,
    name: Name = None,
    cost: Cost = False,
    preset: Preset = "mini",
    measure: Measure = False,
    out: CostOut = None,
) -> None:
    """List models; with a name, its options; with --cost, what memory methods cost."""
    if cost:
        _show_cost(preset, typed["device"], measure, out)
    elif name:
        _show_options(name)
    else:
        _list_models()


def retrieval(typed: Typed, sample: SampleId, out: PictureOut) -> None:
    """Show which parts of the past each target frame retrieved, as data and as a picture."""
    from hmbench.cli.console import out as screen
    from hmbench.data.dataset import Wanted, open_dataset
    from hmbench.insight.retrieval import trace_retrieval
    from hmbench.insight.retrieval_picture import write_retrieval
    from hmbench.registry import create_model

    request = typed.request(out=out)
    assert request.model is not None, "the option is required"
    clips = open_dataset(request.data, wanted=Wanted(samples=(sample,)))
    sample = whole_id(sample, clips.ids("all"), clips.name)
    built = create_model(request.model, profile=request.profile, device=request.device, options=request.options)
    clip = clips.load(sample)
    trace = trace_retrieval(built, clip.prompt, seed=request.seed)
    record = write_retrieval(trace, clip, out)
    if built.info.notice:
        screen.print(f"[bold yellow]Note:[/] {built.info.notice}", highlight=False)
    for event in record["events"]:
        screen.print(
            f"{event['subject']} returns in frame {event['reentry']}: shown by what was retrieved in "
            f"{event['contains']:.0%} of retrievals; {event['share']:.0%} of the retrieved parts show it, "
            f"{event['base_share']:.0%} of all parts do.",
            highlight=False,
        )
    if not record["events"]:
        screen.print(f"No event: {record['events_reason']}", highlight=False)
    screen.print(f"Wrote retrieval.json and retrieval.png to {out}", highlight=False)


def _list_models() -> None:
    from rich.markup import escape
    from rich.table import Table

    from hmbench.cli.console import MODE, show_json
    from hmbench.cli.console import out as screen
    from hmbench.registry import model_names

    found = {name: (_description(name, point.value), point.value) for name, point in model_names().items()}
    if MODE.json:
        show_json([{"model": n, "description": what, "from": value} for n, (what, value) in found.items()])
        return
    table = Table(header_style="bold")
    table.add_column("model", no_wrap=True)
    table.add_column("what it does")
    for name, (what, _) in found.items():
        table.add_row(escape(name), escape(what))
    screen.print(table)
    if not MODE.quiet:
        screen.print("Options of one: `hmbench models NAME`. What memories cost: `hmbench models --cost`.")


def _description(name: str, value: str | None = None) -> str:
    import inspect

    from hmbench.described import described
    from hmbench.registry import find_factory

    if value is not None and (found := described(value)):
        return found
    try:
        factory, _ = find_factory(name)
    except UserError as error:
        return f"cannot be loaded: {error.what}"
    return (inspect.getdoc(factory) or "").partition("\n")[0]


def _show_options(name: str) -> None:
    from rich.markup import escape
    from rich.table import Table

    from hmbench.cli.console import MODE, show_json
    from hmbench.cli.console import out as screen
    from hmbench.registry import factory_options, find_factory

    factory, implied = find_factory(name)
    if MODE.json:
        own = {o: _type_name(p.annotation) for o, p in factory_options(factory).items()}
        show_json({"model": name, "description": _description(name), "options": own})
        return
    table = Table("--option", "type", "default", title=f"{name}: {_description(name)}", title_justify="left")
    for option, parameter in factory_options(factory).items():
        default = implied.get(option, parameter.default)
        shown = "the model's own" if default is None else str(default)
        table.add_row(option, escape(_type_name(parameter.annotation)), escape(shown))
    screen.print(table)


def _type_name(annotation: Any) -> str:
    """How a value is written: ``int``, ``float,float`` or the choices."""
    import typing

    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " | ".join(map(str, parts))
    if origin is tuple:
        return ",".join(_type_name(part) for part in parts)
    if parts:
        return " | ".join(_type_name(part) for part in parts if part is not type(None))
    return str(getattr(annotation, "__name__", annotation)).lower()


def _show_cost(preset: str, device: str, measure: bool, out: Path | None) -> None:
    from dataclasses import asdict

    from hmbench.cli.compare import screen_table
    from hmbench.cli.console import MODE, show_json
    from hmbench.cli.console import out as screen
    from hmbench.files import write_json, write_text
    from hmbench.insight.cost import cost_cards, cost_table
    from hmbench.run.request import checked_device

    cards = cost_cards(preset=preset, device=checked_device(device), measure=measure)
    if MODE.json:
        show_json([asdict(card) for card in cards])
        return
    table = cost_table(cards)
    screen.print(screen_table(table))
    if out is not None:
        write_json(out / "cost.json", [asdict(card) for card in cards])
        for suffix, text in (("md", table.markdown()), ("csv", table.csv()), ("tex", table.latex())):
            write_text(out / f"cost.{suffix}", text)
        screen.print(f"Wrote cost.json, .md, .csv and .tex to {out}", highlight=False)
