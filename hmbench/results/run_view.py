"""A run for people who work in Python: its rows, events and samples as pandas tables (`hmbench.load_run`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmbench.errors import UserError
from hmbench.files import read_json
from hmbench.results.records import RunManifest
from hmbench.results.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

    from hmbench.types import Video

SUMMARY = ("metric", "better", "mean", "low", "high", "unit", "scored", "total", "headline")
ROWS = ("sample", "metric", "value", "reason", "version", "cluster")
EVENTS = ("sample", "subject", "exit", "reentry", "hidden", "verdict", "success")
SAMPLES = ("id", "scene", "cell", "subject_path", "camera_path")


class Run:
    """A run folder that is read when asked.

    Args:
        path: The folder.

    Raises:
        UserError: If it is no run.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.folder = RunFolder(self.path)
        self.manifest: RunManifest = self.folder.read_manifest()

    @property
    def model(self) -> str:
        """Name of the model, as in tables."""
        return self.manifest.about.name

    def rows(self, metric: str | Sequence[str] | None = None) -> pd.DataFrame:
        """One line a sample and metric: ``sample, metric, value, reason, version, cluster, details``.

        Args:
            metric: This one only, or these.

        Returns:
            `value` is NaN where `reason` says why it could not be measured.

        Raises:
            UserError: If the run has not been scored, or has no such metric.
        """
        import pandas as pd

        wanted = None if metric is None else {metric} if isinstance(metric, str) else set(metric)
        if wanted is not None and (unknown := sorted(wanted - set(self.manifest.metrics))):
            from hmbench.errors import did_you_mean

            raise UserError(f"The run has no metric {unknown[0]!r}.", did_you_mean(unknown[0], self.manifest.metrics))
        found = [row for row in self.folder.rows() if wanted is None or row.metric in wanted]
        lines = [{**{name: getattr(row, name) for name in ROWS}, "details": row.details} for row in found]
        table = pd.DataFrame(lines, columns=[*ROWS, "details"])
        return table.astype({"value": "float64"})

    def scores(self, headline: bool = False) -> pd.DataFrame:
        """Samples down, metrics across, values inside; NaN where one could not be measured.

        Args:
            headline: Headline metrics only.
        """
        table = self.rows().pivot(index="sample", columns="metric", values="value")
        names = [n for n, about in self.manifest.metrics.items() if not headline or about.headline]
        return table.reindex(index=list(self.manifest.samples), columns=names)

    def events(self) -> pd.DataFrame:
        """One line an exit and re-entry, with its verdict and every number behind it (docs/metrics/subjects.md)."""
        return self._lines("events.jsonl", EVENTS)

    def samples(self) -> pd.DataFrame:
        """One line a sample: scene, cell, paths of subject and camera, number of subjects and events, warnings."""
        return self._lines("samples.jsonl", SAMPLES)

    def summary(self, headline: bool = False) -> pd.DataFrame:
        """One line a metric: mean over clips, its 95 % interval over scenes, how many samples were scored.

        Args:
            headline: Headline metrics only.

        Returns:
            Indexed by metric; `low` and `high` are NaN where there are too few scenes for an interval.
        """
        import pandas as pd

        path = self.path / "summary.json"
        if not path.is_file():
            raise UserError(f"{self.path} has not been scored.", f"Run: hmbench score --run {self.path}")
        stored = read_json(path, kind=dict)["metrics"]
        lines: list[dict[str, Any]] = []
        for name, about in self.manifest.metrics.items():
            if name in stored and (about.headline or not headline):
                direction = {True: "higher", False: "lower", None: ""}[about.higher_is_better]
                more = {"better": direction, "unit": about.unit, "headline": about.headline}
                lines.append({**{key: stored[name].get(key) for key in SUMMARY}, **more, "metric": name})
        table = pd.DataFrame(lines, columns=list(SUMMARY)).set_index("metric")
        return table.astype({"mean": "float64", "low": "float64", "high": "float64"})

    def video(self, sample: str) -> Video:
        """The prediction of a sample, uint8 ``[Tt, H, W, 3]``, as it is stored.

        Args:
            sample: Its id, or a part from the beginning that no other has.
        """
        import numpy as np

        from hmbench.results.prediction_files import stored_prediction
        from hmbench.video.sources import source_pictures

        path = stored_prediction(self.folder, self.manifest, self.id(sample))
        return np.stack([picture.image for picture in source_pictures(path)])

    def id(self, beginning: str) -> str:
        """The whole id of a sample of this run.

        Args:
            beginning: The id, or a part from the beginning that no other has.

        Raises:
            UserError: If none or several begin so.
        """
        from hmbench.prefixes import whole_id

        return whole_id(beginning, self.manifest.samples, f"The run {self.path}")

    def _lines(self, name: str, first: Sequence[str]) -> pd.DataFrame:
        import pandas as pd

        path = self.path / name
        if not path.is_file():
            raise UserError(f"{self.path} has not been scored.", f"Run: hmbench score --run {self.path}")
        found = list(self.folder.lines(name))
        others = list(dict.fromkeys(key for one in found for key in one if key not in first))
        return pd.DataFrame(found, columns=[*first, *others])

    def __repr__(self) -> str:
        count = len(self.manifest.samples)
        return f"Run({str(self.path)!r}: {self.model} on {self.manifest.data_name}, {count} samples)"

    def _repr_html_(self) -> str:
        table = self.summary(headline=True)
        return f"<p>{_escaped(repr(self))}</p>{table.drop(columns='headline').to_html(float_format='%.4f')}"


def _escaped(text: str) -> str:
    import html

    return html.escape(text)
