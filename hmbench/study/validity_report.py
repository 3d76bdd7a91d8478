"""Tables of a validity study: JSON for programs, Markdown for the documentation."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np

from hmbench.data.mini_world import PROBE_KINDS
from hmbench.metrics.table import default_metrics
from hmbench.study.body_faults import BODY_FAULTS
from hmbench.study.summary_choice import summary_lines, weigh_summaries
from hmbench.study.tricks import TRICKS
from hmbench.study.validity import (
    EXPECTED,
    SIZE_BINS,
    Study,
    auc,
    auc_interval,
    kinds_of,
    monotonicity,
    signed_values,
)
from hmbench.study.validity_targets import BLIND, table_row, target_lines, targets


def summarise_study(study: Study) -> dict[str, Any]:
    """Everything that the tables show, JSON types, null for what could not be measured."""
    faults, nuisances = kinds_of(study)
    full = study.config.strengths[-1]
    metrics = {}
    for name in study.directions:
        clean = signed_values(study, name, "clean", 0.0)
        entry: dict[str, Any] = {"clean": _mean(clean), "scored": len(clean), "faults": {}, "nuisances": {}}
        for kind in faults:
            entry["faults"][kind] = _against(study, name, kind, full, clean)
        for kind in nuisances:
            entry["nuisances"][kind] = _against(study, name, kind, full, clean)
        metrics[name] = entry
    return {
        "clips": study.config.clips,
        "split": study.config.split,
        "seed": study.config.seed,
        "size": list(study.config.size),
        "profile": study.config.profile,
        "strengths": list(study.config.strengths),
        "tracker": study.tracker,
        "versions": study.versions,
        "metrics": metrics,
        "verdicts": verdicts(study),
        "tracker_recall": recall_by_size(study),
        "targets": targets(study, metrics, verdicts(study)),
        "summaries": weigh_summaries(study),
    }


def verdicts(study: Study) -> dict[str, dict[str, int]]:
    """Variant at full strength to the verdicts of the faulty subject (clean and nuisances: of all subjects).

    Events that are not judged count for nobody.
    """
    out: dict[str, dict[str, int]] = {}
    full = study.config.strengths[-1]
    for row in study.events:
        kind = row["kind"]
        if row["verdict"] == "not judged":
            continue
        if row["strength"] in (0.0, full) and (row["probed"] or kind not in (*PROBE_KINDS, *BODY_FAULTS)):
            out.setdefault(kind, Counter())[str(row["verdict"])] += 1
    return {kind: dict(Counter(counts).most_common()) for kind, counts in out.items()}


def recall_by_size(study: Study) -> list[dict[str, float | int | None]]:
    """The tracker's recall on clean clips by a subject's visible share of the frame."""
    out: list[dict[str, float | int | None]] = []
    for low, high in itertools.pairwise(SIZE_BINS):
        hits = [hit for share, hit in study.recalls if low <= share < high]
        out.append({"from": low, "to": high, "frames": len(hits), "recall": float(np.mean(hits)) if hits else None})
    return out


def to_markdown(summary: dict[str, Any]) -> str:
    """Everything as Markdown: what `page_sections` says, then every AUC."""
    return "\n".join([*page_sections(summary), "", *_auc_tables(summary)]) + "\n"


def _versions(summary: dict[str, Any]) -> list[str]:
    """Which metrics have had other numbers since the study."""
    then = summary["versions"]
    now = {m.info.name: m.info.version for m in default_metrics(profile=summary["profile"], weights=None, device="cpu")}
    others = [f"`{name}` {then[name]} (now {now[name]})" for name in then if now.get(name, then[name]) != then[name]]
    if not others:
        return []
    return [f"Measured with earlier versions of {', '.join(others)}. The study was not made anew since.", ""]


def page_sections(summary: dict[str, Any]) -> list[str]:
    """What was studied, what is asked and whether it is met, verdicts, the tracker, and the choice of the summary."""
    lines = [
        f"{summary['clips']} clips of the mini world's {summary['split']} split at "
        f"{summary['size'][0]}x{summary['size'][1]}, profile {summary['profile']}, tracker {summary['tracker']}.",
        "",
        *_versions(summary),
        *target_lines(summary["targets"]),
        "",
        "### Verdicts",
        "",
        "At full strength, events of the faulty subject; of clean clips and nuisances, all events.",
        "",
        table_row("shown", "right word", "given"),
        table_row(*["---"] * 3),
    ]
    for kind, counts in summary["verdicts"].items():
        shown = ", ".join(f"{verdict} {count}" for verdict, count in counts.items())
        lines.append(table_row(kind, EXPECTED.get(kind, "-" if kind in TRICKS else "returned"), shown))
    lines += ["", "### The tracker", "", "Recall (IoU >= 0.5) on clean clips by visible share of the frame.", ""]
    lines += [table_row("share of the frame", "recall", "frames"), table_row(*["---"] * 3)]
    for row in summary["tracker_recall"]:
        share = f"{100 * row['from']:.2g} % to {100 * row['to']:.3g} %"
        lines.append(table_row(share, _number(row["recall"]), str(row["frames"])))
    return [*lines, "", "### The summary", "", *summary_lines(summary["summaries"])]


def _auc_tables(summary: dict[str, Any]) -> list[str]:
    faults = list(next(iter(summary["metrics"].values()))["faults"])
    nuisances = list(next(iter(summary["metrics"].values()))["nuisances"])
    lines = [
        "### All numbers",
        "",
        "AUC at full strength: probability that a clean clip scores better than a faulty one, with its 95 % interval. "
        f"An AUC up to {BLIND} is blind. Before them the mean over clean clips.",
        "",
        table_row("metric", "clean", *faults),
        table_row(*["---"] * (len(faults) + 2)),
    ]
    for name, entry in summary["metrics"].items():
        cells = (_cell(entry["faults"][k]) for k in faults)
        lines.append(table_row(f"`{name}`", _number(entry["clean"]), *cells))
    if nuisances:
        lines += ["", "False alarms: AUC of clean against nuisance; 0.5 is right.", ""]
        lines += [table_row("metric", *nuisances), table_row(*["---"] * (len(nuisances) + 1))]
        for name, entry in summary["metrics"].items():
            lines.append(table_row(f"`{name}`", *(_number(entry["nuisances"][k]["auc"]) for k in nuisances)))
    return lines


def _against(study: Study, name: str, kind: str, strength: float, clean: dict[str, float]) -> dict[str, Any]:
    faulty = signed_values(study, name, kind, strength)
    both = sorted(set(clean) & set(faulty))
    curves = []
    steps = {s: signed_values(study, name, kind, s) for s in study.config.strengths}
    for sample in both:
        curves.append([clean[sample], *(steps[s][sample] for s in study.config.strengths if sample in steps[s])])
    paired = [auc([clean[s]], [faulty[s]]) for s in both]
    value = auc(list(clean.values()), list(faulty.values()))
    return {
        "auc": _null(value),
        "interval": [_null(end) for end in auc_interval(value, len(clean), len(faulty))],
        "paired": _null(float(np.mean(paired)) if paired else math.nan),
        "monotone": _null(monotonicity(curves)),
        "mean": _mean(faulty),
        "skipped": len(clean) - len(faulty),
    }


def _mean(values: dict[str, float]) -> float | None:
    return round(float(np.mean(list(values.values()))), 5) if values else None


def _null(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def _cell(entry: dict[str, Any]) -> str:
    if entry["auc"] is None:
        return "-"
    low, high = entry["interval"]
    return f"{entry['auc']:.2f} [{low:.2f}, {high:.2f}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
