"""The documents' page of what metrics can see, made from a study: ``python -m hmbench.study.documents STUDY [DOCS]``.

STUDY is the folder that `hmbench validate-metrics --out STUDY` left. Written are ``data/validity.json`` (all numbers),
``metrics/validity.md`` (the page) and ``images/validity.svg`` (the heat map). The page holds nothing that is not in the
numbers. Without STUDY the page and the picture are made anew from the numbers that are there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hmbench.errors import UserError
from hmbench.files import read_json, write_json, write_text
from hmbench.study.heat_map import write_heat_map
from hmbench.study.validity_report import page_sections

NUMBERS = Path("data") / "validity.json"
"""Below the documents' folder: everything that the page and the picture show."""
HEAD = """# What each metric can see

Clips with exactly one known thing wrong are scored by every metric, through the real tracker. This page is made from
the study's numbers, which are in [validity.json](../data/validity.json). To make the study anew:

```bash
{command}
python -m hmbench.study.documents V docs
```

* A **fault** is something that a person sees at once. A metric should fall.
* A **nuisance** is something that nobody minds. A metric should stay.
* A prediction that **needs no memory** should get nothing.
* **AUC** is the probability that a clean clip scores better than a faulty one. 1 sees the fault, 0.5 is blind.
* The **right word** is the verdict that a person would use.

![AUC of every metric against every fault and nuisance](../images/validity.svg)

Rows are metrics, columns are faults and, after the gap, nuisances. Blue sees, white is blind, red prefers the faulty
clip. Measures that are exact (`place_error`, `psnr`) tell even a nuisance from the clean clip, which is compared with
itself. Read them in their units.

## What is shown

* Nuisances: H.264 at crf 28 (crf), moved by 2 pixels (shift), a tenth brighter, two frames late, 2 % larger (zoom),
  shaken by 2 pixels (jitter), blurred by one pixel, half the resolution and back, each frame twice (rate), gamma 0.85,
  and grain of five grey levels.
* Faults of the first subject: frozen, vanished, another person (swapped), stretched (distorted), delayed, displaced,
  doubled, another way (wrongway), mirrored, walking backwards (moonwalk), sliding, one colour (blob), half as large
  again (enlarged), shown all the time (ever-present), or on the second subject's path (exchanged). Of the place:
  another view (forgotten).
* No memory: one frame of the context (first, last, blurred), its mean (flat, rows, mean), the context again, backwards
  or shuffled, the last frame turned with the camera, and subjects cut out and stuck on (pinned, stuck, gated).

## What was found
"""


def command_of(summary: dict[str, Any]) -> str:
    """The command that made a study."""
    strengths = ",".join(f"{value:g}" for value in summary["strengths"])
    size = "x".join(map(str, summary["size"]))
    clips = f"--split {summary['split']} --clips {summary['clips']} --size {size}"
    if summary.get("seed"):  # other clips of the split
        clips += f" --seed {summary['seed']}"
    return f"hmbench validate-metrics {clips} --strengths {strengths} --out V"


def page(summary: dict[str, Any]) -> str:
    """The page as Markdown."""
    return HEAD.format(command=command_of(summary)) + "\n" + "\n".join(page_sections(summary)) + "\n"


def write_documents(summary: dict[str, Any], docs: Path) -> None:
    """Writes numbers, page and picture below the documents' folder."""
    write_json(docs / NUMBERS, summary)
    write_text(docs / "metrics" / "validity.md", page(summary))
    write_heat_map(summary, docs / "images" / "validity.svg")


def main(arguments: Sequence[str]) -> None:
    """``STUDY [DOCS]``, or nothing.

    Raises:
        UserError: If the study left no numbers there.
    """
    docs = Path(arguments[1]) if len(arguments) > 1 else Path("docs")
    content = read_json(Path(arguments[0]) / "validity.json" if arguments else docs / NUMBERS, kind=dict)
    write_documents(content.get("summary", content), docs)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"Error: {error}")
