"""Makes everything anew that shows first results: leaderboard entries, tables of the documents, the README's picture.

    python benchmarks/first_results.py nano-hydra=runs/hydra-mini-test-seed0 still=runs/still-mini-test-seed0 ...
    python benchmarks/first_results.py            # the documents alone, from the entries and weights that are there

Each NAME=RUN becomes an entry of that name, in place of an older one. Runs of several worlds can be given at once:
each world is a board of its own. `--picture RUN RUN RUN RUN` draws the README's picture from runs with videos.
`tests/leaderboard/test_leaderboard.py` and `tests/test_first_results.py` hold documents, entries and weights equal.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hmbench.errors import UserError
from hmbench.files import write_text
from leaderboard.readme import update_document
from leaderboard.submission import RESULTS, accept, entry_from_run, read_entries
from reference_model.training.monitor import read_metrics
from reference_model.training.ship import WEIGHTS

ROOT = Path(__file__).resolve().parent.parent
TABLES = ("README.md", "docs/training/results.md", "docs/training/easy-world.md", "docs/training/seeds.md")
"""Documents with tables of the leaderboard's entries."""
LOSSES = "docs/training/results.md"
"""The document with the shipped weights' losses."""
PICTURE = "docs/images/return.webp"
BEGIN, END = "<!-- validation: python benchmarks/first_results.py -->", "<!-- validation end -->"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", metavar="NAME=RUN", help="entries and the run folders that they come from")
    parser.add_argument("--picture", nargs="+", type=Path, metavar="RUN", help="draw the README's picture from these")
    parser.add_argument("--data", help="the clips of the picture's runs, if they moved")
    parser.add_argument("--sample", help="the picture's clip; by default the one on which verdicts differ most")
    asked = parser.parse_args()
    named = [named_run(text) for text in asked.runs]
    for line in renew(named, ROOT, RESULTS, WEIGHTS):
        print(line)
    if asked.picture:
        draw_picture(ROOT / PICTURE, asked.picture, asked.data, asked.sample)


def named_run(text: str) -> tuple[str, Path]:
    """An entry's name and its run folder.

    Raises:
        UserError: If it is not NAME=RUN.
    """
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise UserError(f"{text!r} is not NAME=RUN.", "Write for example nano-hydra=runs/hydra-mini-test-seed0.")
    return name, Path(folder)


def renew(runs: Sequence[tuple[str, Path]], root: Path, results: Path, weights: Path) -> list[str]:
    """Takes runs in and writes the documents.

    Args:
        runs: Names of entries and run folders. All are checked before the first entry is written.
        root: The repository.
        results: Folder of entries.
        weights: Folder of shipped weights.

    Returns:
        A line on each thing that was made.

    Raises:
        UserError: If a run cannot be accepted, or a document has no place for what belongs there.
    """
    for name, folder in runs:
        entry_from_run(folder, name=name)
    told = [f"{accept(folder, name=name, results=results, replace=True)}: accepted" for name, folder in runs]
    entries = read_entries(results)
    changed = {name: update_document(root / name, entries) for name in TABLES}
    page = root / LOSSES
    old = page.read_text(encoding="utf-8")
    new = with_losses(old, losses_table(weights))
    if new != old:
        write_text(page, new)
        changed[LOSSES] = True
    return told + [f"{name}: {'updated' if new else 'up to date'}" for name, new in changed.items()]


def losses_table(weights: Path) -> str:
    """The last validation of each shipped model, as Markdown, the lowest first.

    Raises:
        UserError: If one has none.
    """
    found = []
    for folder in sorted(path.parent for path in weights.glob("*/model_index.json")):
        measured = [row for row in read_metrics(folder) if "validation" in row]
        if not measured:
            raise UserError(f"{folder / 'metrics.jsonl'} has no validation.", "Ship the run again.")
        found.append((float(measured[-1]["validation"]), int(measured[-1]["step"]), folder.name))
    lines = [f"| `{name}` | {loss:.3f} | {step} |" for loss, step, name in sorted(found)]
    return "\n".join(["| weights | validation loss | after step |", "|---|---|---|", *lines])


def with_losses(text: str, table: str) -> str:
    """A document's text with the table of losses in its place.

    Raises:
        UserError: If it has none.
    """
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.S)
    if not pattern.search(text):
        raise UserError(f"{LOSSES} has no place for the losses.", f"Write {BEGIN} and {END} around it.")
    return pattern.sub(lambda _: f"{BEGIN}\n{table}\n{END}", text)


def draw_picture(out: Path, runs: Sequence[Path], data: str | None, sample: str | None) -> None:
    """The README's picture, by its own script."""
    more = [*(["--data", data] if data else []), *(["--sample", sample] if sample else [])]
    script = Path(__file__).with_name("readme_picture.py")
    subprocess.run([sys.executable, str(script), str(out), "--runs", *map(str, runs), *more], check=True)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(f"{error.what} {error.hint}") from error
