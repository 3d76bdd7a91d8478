"""Hooks of the documents' site: pages made from the code, and links to files that are no pages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

REPOSITORY = "https://github.com/hmbench/hmbench/blob/main/"
ROOT = Path(__file__).resolve().parent.parent


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Links to files of the repository lead to it; the pages of commands and of metrics are made from the code."""
    made = {"reference/commands.md": commands, "reference/metrics.md": metrics}
    if page.file.src_uri in made:
        markdown += made[page.file.src_uri]()
    here = (ROOT / "docs" / page.file.src_uri).parent

    def lead(found: re.Match[str]) -> str:
        target = (here / found[1]).resolve()
        inside = target.is_relative_to(ROOT / "docs") and target.suffix in (".md", ".png", ".webp", ".svg", ".jpg")
        if "://" in found[1] or inside or not target.exists():
            return found[0]
        return f"]({REPOSITORY}{target.relative_to(ROOT).as_posix()})"

    return re.sub(r"\]\(([^)#\s]+)\)", lead, markdown)


def commands() -> str:
    """Every command with its arguments, options and example, as Markdown."""
    import typer

    from hmbench.cli import app
    from hmbench.cli.common import EXAMPLES, leaves

    parts = []
    root = typer.main.get_command(app)
    for words in leaves(app):
        command: Any = root
        for word in words.split():
            command = command.commands[word]
        text = " ".join((command.help or "").split())
        lines = [f"\n## hmbench {words}\n", text, ""]
        if words in EXAMPLES:
            lines += ["```", EXAMPLES[words], "```", ""]
        rows = [row for row in map(_row, command.params) if row]
        if rows:
            lines += ["| option | what it does | default |", "|---|---|---|", *rows]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def metrics() -> str:
    """Every metric with what its `MetricInfo` says, as a Markdown table."""
    from hmbench.metrics.table import default_metrics

    found = default_metrics(profile="mini", weights=None, device="cpu", quality=True, vbench=True)
    rows = []
    for info in (metric.info for metric in found):
        better = {True: "higher", False: "lower", None: "neither"}[info.higher_is_better]
        low, high = ("" if end is None else f"{end:g}" for end in info.bounds)
        ends = f"{low} to {high}" if low and high else f"from {low}" if low else f"up to {high}" if high else "no ends"
        bold = "**" if info.headline else ""
        needs = ", ".join(sorted(info.needs))
        source = info.source.replace("|", "\\|")
        unit = f" ({info.unit})" if info.unit else ""
        rows.append(f"| {bold}`{info.name}`{bold} | {info.version} | {better} | {ends}{unit} | {needs} | {source} |")
    head = ["| metric | version | better | range | needs | source |", "|---|---|---|---|---|---|"]
    return "\n" + "\n".join([*head, *rows]) + "\n"


def _row(parameter: Any) -> str:
    """A line of the table of options."""
    names = [*parameter.opts, *parameter.secondary_opts]
    if "--help" in names:
        return ""
    option = parameter.param_type_name == "option"
    name = ", ".join(f"`{one}`" for one in names) if option else f"`{parameter.name.upper()}`"
    help = " ".join((getattr(parameter, "help", None) or "").split()).replace("|", "\\|")
    default = parameter.default
    shown = "" if default in (None, False, ()) or callable(default) or not option else f"`{default}`"
    return f"| {name} | {help} | {'required' if parameter.required else shown} |"
