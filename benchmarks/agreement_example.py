"""The worked example of docs/statistics.md: five people who do not exist judge two runs that do not exist.

People see a lead of the first run on every clip, with noise. One metric sees the same lead almost as it is, one through
a lot of noise, one sees something else. What comes out is the table that `hmbench study agreement` prints.

python benchmarks/agreement_example.py [OUT]
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from hmbench.results.metric_record import metric_records
from hmbench.results.records import Row, RunManifest, write_rows
from hmbench.results.run_folder import RunFolder
from hmbench.study.agreement import agreement, agreement_table
from hmbench.study.synthetic_raters import synthetic_choices

CLIPS, RATERS = 36, 5


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    runs, lead = example_runs(out)
    files = []
    for number, content in enumerate(synthetic_choices(runs, lead, raters=RATERS, sharpness=1.5, seed=0)):
        files.append(out / f"choices-{number}.json")
        files[-1].write_text(json.dumps(content), encoding="utf-8")
    print(agreement_table(agreement(files, runs)).markdown())


def example_runs(out: Path, *, seed: int = 0) -> tuple[list[Path], dict[str, float]]:
    """Two run folders with rows, and the lead of the first that people see, by clip."""
    rng = np.random.default_rng(seed)
    samples = tuple(f"clip{i:02d}" for i in range(CLIPS))
    lead = rng.normal(0.4, 1.5, CLIPS)
    seen = {
        "sees_it": lead + rng.normal(0, 0.5, CLIPS),
        "sees_some": lead + rng.normal(0, 1.5, CLIPS),
        "sees_something_else": rng.normal(0, 1, CLIPS),
    }
    info = {"version": 1, "higher_is_better": True, "unit": "", "headline": True}
    folders = []
    for name, sign in (("first", 0.5), ("second", -0.5)):
        manifest = RunManifest(
            model=name, options={}, model_info={"name": name, "trained": None, "notice": None}, data="example",
            data_name="example", data_revision="1", split="all", samples=samples, seed=0, profile="mini", device="cpu",
            metrics=metric_records(dict.fromkeys(seen, info)),
        )  # fmt: skip
        folder = out / name
        RunFolder(folder).write_manifest(manifest)
        rows = [
            Row(sample=s, metric=metric, version=1, value=float(sign * gap), cluster=f"scene{i % 12}")
            for metric, gaps in seen.items()
            for i, (s, gap) in enumerate(zip(samples, gaps, strict=True))
        ]
        write_rows(folder / "rows.jsonl", rows)
        folders.append(folder)
    return folders, dict(zip(samples, map(float, lead), strict=True))


if __name__ == "__main__":
    main()
