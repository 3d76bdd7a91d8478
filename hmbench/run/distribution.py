"""FID, KID and FVD of a run: one walk over its clips, then one number each (`hmbench.metrics.distribution`)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from hmbench.data.dataset import open_dataset, open_recorded
from hmbench.errors import UserError
from hmbench.files import write_json
from hmbench.metrics.distribution import EVERY, SNIPPET, Distance, gaussian_distance, kernel_distance
from hmbench.networks.backbones import Backbone, from_folder
from hmbench.networks.distribution_networks import Features, load_inception, load_r3d18
from hmbench.results.prediction_files import stored_prediction
from hmbench.results.predictions import read_prediction
from hmbench.results.reading import reading_of
from hmbench.results.run_folder import RunFolder

FILE = "distribution.json"
"""In the run's folder."""
NO_PACKAGE = "torch-fidelity is not installed; run: pip install 'hmbench[distribution]'"


def distribution_networks(weights: Path | None, device: str) -> dict[str, Backbone[Features]]:
    """``inception`` and ``r3d18``, or why they cannot be had."""
    inception = from_folder("inception", weights, lambda path: load_inception(path, device, every=EVERY))
    if inception.missing is None and importlib.util.find_spec("torch_fidelity") is None:
        inception = Backbone("inception", inception.get, NO_PACKAGE)
    return {
        "inception": inception,
        "r3d18": from_folder("r3d18", weights, lambda path: load_r3d18(path, device, snippet=SNIPPET)),
    }


def measure_distribution(
    run: Path,
    *,
    networks: dict[str, Backbone[Features]],
    data: str | None = None,
    seed: int = 0,
    on_clip: Callable[[str, int], None] | None = None,
) -> list[Distance]:
    """Compares a run's predictions with the real futures, and writes ``distribution.json`` beside its summary.

    Args:
        run: A run folder with its predictions.
        networks: What features are taken by, see `distribution_networks`.
        data: Where the clips are; the run's own data by default.
        seed: Seed of KID's subsets.
        on_clip: Called with each clip and how many there are.

    Raises:
        UserError: If the folder is no run, its data have changed, or no clip has a real future.
    """
    folder = RunFolder(run)
    manifest = folder.read_manifest()
    dataset = open_dataset(data) if data else open_recorded(manifest.data)
    if dataset.revision(manifest.samples) != manifest.data_revision:
        raise UserError(f"The data at {data or manifest.data!r} are not those of {run}.", "Give the run's own --data.")
    there = {name: backbone for name, backbone in networks.items() if backbone.missing is None}
    sides: dict[str, tuple[list[torch.Tensor], list[torch.Tensor]]] = {name: ([], []) for name in there}
    clips = 0
    for name in manifest.samples if there else ():
        sample = dataset.load(name)
        if sample.truth is not None:
            video, _ = read_prediction(stored_prediction(folder, manifest, name), sample, reading_of(manifest.reading))
            for network, (real, generated) in sides.items():
                real.append(there[network].get()(sample.truth.target))
                generated.append(there[network].get()(video))
            clips += 1
        if on_clip:
            on_clip(name, len(manifest.samples))
    if there and clips == 0:
        raise UserError(f"No clip of {run} has a real future to compare with.", "Take data with targets.")
    features = {name: (torch.cat(real), torch.cat(generated)) for name, (real, generated) in sides.items()}
    found = [
        _distance("fid", "inception", networks, features, clips, seed),
        _distance("kid", "inception", networks, features, clips, seed),
        _distance("fvd_r3d18", "r3d18", networks, features, clips, seed),
    ]
    write_json(run / FILE, {"format": 1, "model": manifest.model, "distances": [asdict(d) for d in found]})
    return found


def _distance(
    metric: str,
    network: str,
    networks: dict[str, Backbone[Features]],
    features: dict[str, Any],
    clips: int,
    seed: int,
) -> Distance:
    if network not in features:
        missing = networks[network].missing
        return Distance(metric=metric, value=None, spread=None, reason=missing, clips=clips, samples=0)
    real, generated = features[network]
    if metric == "kid":
        return kernel_distance(real, generated, clips, seed=seed)
    return gaussian_distance(metric, real, generated, clips)
