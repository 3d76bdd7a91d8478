"""Old module names of 0.1, which still import: each is its new module under another name, with a deprecation warning.

Saved models name modules, too (``model_index.json`` says ``reference_model.text``), and stay loadable by this table.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
import warnings
from collections.abc import Sequence

MOVED = {
    "hmbench.geometry": "hmbench.video.geometry",
    "hmbench.events": "hmbench.video.events",
    "hmbench.compare": "hmbench.report.compare",
    "hmbench.compare_inputs": "hmbench.report.compare_inputs",
    "hmbench.compare_report": "hmbench.report.compare_report",
    "hmbench.cost": "hmbench.insight.cost",
    "hmbench.doctor": "hmbench.run.doctor",
    "hmbench.environment": "hmbench.run.environment",
    "hmbench.evaluate": "hmbench.run.evaluate",
    "hmbench.requests": "hmbench.run.request",
    "hmbench.retrieval": "hmbench.insight.retrieval",
    "hmbench.retrieval_picture": "hmbench.insight.retrieval_picture",
    "hmbench.scorers": "hmbench.run.scorers",
    "hmbench.side_by_side": "hmbench.report.side_by_side",
    "hmbench.stages": "hmbench.run.stages",
    "hmbench.statistics": "hmbench.results.statistics",
    "hmbench.tables": "hmbench.report.run_tables",
    "hmbench.text_table": "hmbench.report.text_table",
    "hmbench.weights": "hmbench.networks",
    "hmbench.weights.backbones": "hmbench.networks.backbones",
    "hmbench.weights.dino": "hmbench.networks.dino",
    "hmbench.weights.embedder": "hmbench.networks.embedder",
    "hmbench.weights.encoders": "hmbench.networks.encoders",
    "hmbench.weights.files": "hmbench.networks.files",
    "hmbench.weights.identity": "hmbench.networks.identity",
    "hmbench.weights.lpips_network": "hmbench.networks.lpips_network",
    "hmbench.weights.pull": "hmbench.networks.pull",
    "hmbench.metrics.cast": "hmbench.metrics.reentry.matching",
    "hmbench.metrics.dynamic_subject": "hmbench.metrics.dsc",
    "hmbench.metrics.event_motion": "hmbench.metrics.reentry.event_motion",
    "hmbench.metrics.event_records": "hmbench.metrics.reentry.records",
    "hmbench.metrics.motion": "hmbench.metrics.reentry.motion",
    "hmbench.metrics.path_fit": "hmbench.metrics.reentry.path_fit",
    "hmbench.metrics.pictures": "hmbench.report.pictures",
    "hmbench.metrics.probe_clips": "hmbench.study.probe_clips",
    "hmbench.metrics.readings": "hmbench.metrics.reentry.readings",
    "hmbench.metrics.summary_choice": "hmbench.study.summary_choice",
    "hmbench.metrics.summary_score": "hmbench.metrics.summary",
    "hmbench.metrics.validity": "hmbench.study.validity",
    "hmbench.metrics.validity_report": "hmbench.study.validity_report",
    "hmbench.metrics.validity_targets": "hmbench.study.validity_targets",
    "hmbench.metrics.verdict": "hmbench.metrics.reentry.verdict",
    "reference_model.bands": "reference_model.model.bands",
    "reference_model.block": "reference_model.model.block",
    "reference_model.camera": "reference_model.model.camera",
    "reference_model.checkpoint": "reference_model.released.checkpoint",
    "reference_model.clean_prediction": "reference_model.model.clean_prediction",
    "reference_model.codec": "reference_model.model.codec",
    "reference_model.config": "reference_model.model.config",
    "reference_model.hydra_memory": "reference_model.model.hydra_memory",
    "reference_model.memory": "reference_model.model.memory",
    "reference_model.memory_kinds": "reference_model.model.memory_kinds",
    "reference_model.memory_plan": "reference_model.sampling.ram_plan",
    "reference_model.methods": "reference_model.model.methods",
    "reference_model.models": "reference_model.sampling.models",
    "reference_model.paper_model": "reference_model.sampling.paper_model",
    "reference_model.paper_pipeline": "reference_model.sampling.paper_pipeline",
    "reference_model.paper_weights": "reference_model.released.paper_weights",
    "reference_model.patch_basis": "reference_model.model.patch_basis",
    "reference_model.pipeline": "reference_model.sampling.pipeline",
    "reference_model.placing": "reference_model.model.placing",
    "reference_model.retrieval": "reference_model.model.retrieval_attention",
    "reference_model.rope": "reference_model.model.rope",
    "reference_model.saved": "reference_model.sampling.saved",
    "reference_model.sequence": "reference_model.model.sequence",
    "reference_model.text": "reference_model.model.text",
    "reference_model.transformer": "reference_model.model.transformer",
    "reference_model.wan_names": "reference_model.released.wan_names",
    "reference_model.weight_files": "reference_model.released.weight_files",
    "reference_model.world_model": "reference_model.sampling.world_model",
    "baselines.factory": "reference_model.sampling.method_factory",
    "baselines.methods": "baselines.rivals",
}
"""Old dotted name to new."""


class _Alias(importlib.abc.Loader):
    """Loads a new module in an old one's name."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """The new module itself, so that classes are the same ones under both names."""
        module = importlib.import_module(MOVED[spec.name])
        self._own = module.__spec__
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """The module has run under its new name; it gets its own specification back, which the import replaced."""
        module.__spec__ = self._own


class _Finder(importlib.abc.MetaPathFinder):
    """Finds modules by their names of 0.1."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A spec for an old name; None for any other."""
        if fullname not in MOVED:
            return None
        if not fullname.startswith("reference_model."):  # saved models name these, and nobody typed them
            warnings.warn(f"{fullname} is now {MOVED[fullname]}", DeprecationWarning, stacklevel=2)
        return importlib.machinery.ModuleSpec(fullname, _Alias(), is_package=fullname == "hmbench.weights")


def install() -> None:
    """Makes the old names importable; once is enough."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
