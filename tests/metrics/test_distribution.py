"""FID, KID and FVD: closed forms, sums written out, the real networks with random weights, and refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from hmbench.cli import app
from hmbench.data.disc_world import DiscWorld
from hmbench.errors import UserError
from hmbench.metrics.distribution import MIN_CLIPS, frechet, gaussian_distance, kernel, kernel_distance
from hmbench.networks.backbones import FILES, Backbone
from hmbench.networks.distribution_networks import load_inception, load_r3d18
from hmbench.networks.pull import SOURCES
from hmbench.results.records import RunManifest
from hmbench.results.run_folder import RunFolder
from hmbench.run.distribution import distribution_networks, measure_distribution
from hmbench.video.files import write_lossless


def whitened(count: int, dimensions: int, seed: int) -> torch.Tensor:
    """Samples with exactly the mean 0 and the covariance 1."""
    values = np.random.default_rng(seed).normal(size=(count, dimensions))
    values -= values.mean(axis=0)
    root = np.linalg.cholesky(np.cov(values.T))
    return torch.tensor(values @ np.linalg.inv(root).T)


def test_frechet_equals_its_closed_form_for_gaussians() -> None:
    """Diagonal covariances: |m1 - m2|^2 + sum (s1 - s2)^2."""
    first_mean, second_mean = torch.tensor([1.0, 0.0, -2.0, 3.0]), torch.tensor([0.0, 0.5, 1.0, 3.0])
    first_sd, second_sd = torch.tensor([1.0, 2.0, 0.5, 3.0]), torch.tensor([2.0, 2.0, 1.5, 1.0])
    real = whitened(60, 4, 0) * first_sd + first_mean
    generated = whitened(90, 4, 1) * second_sd + second_mean
    expected = ((first_mean - second_mean) ** 2).sum() + ((first_sd - second_sd) ** 2).sum()
    assert frechet(real, generated) == pytest.approx(float(expected), rel=1e-9)
    assert frechet(real, real) == pytest.approx(0.0, abs=1e-6)


def test_frechet_of_correlated_features_equals_the_formula() -> None:
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(3)
    real, generated = rng.normal(size=(80, 5)) @ rng.normal(size=(5, 5)), rng.normal(size=(70, 5)) + 0.3
    first, second = np.cov(real.T), np.cov(generated.T)
    gap = real.mean(axis=0) - generated.mean(axis=0)
    expected = gap @ gap + np.trace(first + second - 2 * sqrtm(first @ second).real)
    assert frechet(torch.tensor(real), torch.tensor(generated)) == pytest.approx(expected, rel=1e-6)


def test_kernel_distance_of_one_whole_subset_is_the_unbiased_sum() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(12, 3)), rng.normal(0.5, 1.0, size=(12, 3))

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return (a @ b / 3 + 1) ** 3

    pairs = [(i, j) for i in range(12) for j in range(12) if i != j]
    expected = sum(k(x[i], x[j]) + k(y[i], y[j]) for i, j in pairs) / (12 * 11)
    expected -= 2 * sum(k(a, b) for a in x for b in y) / 144
    mean, spread = kernel(torch.tensor(x), torch.tensor(y), subset=12, subsets=3)
    assert mean == pytest.approx(expected, rel=1e-6) and spread == pytest.approx(0.0, abs=1e-9)


def test_subsets_follow_the_seed_and_leave_the_global_one_alone() -> None:
    x, y = torch.randn(80, 4, generator=torch.Generator().manual_seed(0)), torch.ones(80, 4)
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first = kernel(x, y, subset=20, seed=1)
    assert kernel(x, y, subset=20, seed=1) == first != kernel(x, y, subset=20, seed=2)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_too_few_samples_are_refused_with_the_reason() -> None:
    features = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    full = gaussian_distance("fid", features, features, clips=20)
    assert full.value is None
    assert full.reason.startswith("64 pictures of each side: a Gaussian in 64 dimensions needs more than 64")
    more = torch.randn(65, 64, generator=torch.Generator().manual_seed(0))
    assert gaussian_distance("fvd_r3d18", more, more, clips=20).value == pytest.approx(0.0, abs=1e-3)
    clips = gaussian_distance("fid", more, more, clips=MIN_CLIPS - 1)
    assert clips.value is None and clips.reason.startswith("9 clips: fewer than 10")
    assert kernel_distance(more, more, clips=20).reason.startswith("65 pictures of each side: fewer than 100")
    many = torch.randn(120, 8, generator=torch.Generator().manual_seed(1))
    assert kernel_distance(many, many + 1, clips=20).value > 0.1


def test_inception_reads_its_file_and_no_other(tmp_path, monkeypatch) -> None:
    """torch-fidelity's network with random weights, saved and read again."""
    extractor = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    path = tmp_path / FILES["inception"]
    path.parent.mkdir()
    torch.save({}, path)
    torch.manual_seed(0)
    with monkeypatch.context() as patch:
        patch.setattr(extractor.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        model = extractor.FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path)
        )
    torch.save(model.state_dict(), path)
    video = np.random.default_rng(0).integers(0, 256, (9, 32, 48, 3), dtype=np.uint8)
    found = load_inception(path, "cpu", every=4)(video)
    assert found.shape == (3, 2048)
    expected = model(torch.from_numpy(video[::4].copy()).permute(0, 3, 1, 2))[0]
    torch.testing.assert_close(found, expected)
    torch.save({"conv.weight": torch.zeros(2)}, path)
    with pytest.raises(UserError, match="do not fit the network"):
        load_inception(path, "cpu", every=4)


def test_r3d18_reads_torchvisions_file_and_leaves_the_rest_of_a_clip(tmp_path) -> None:
    from torchvision.models.video import R3D_18_Weights, r3d_18

    path = tmp_path / FILES["r3d18"]
    path.parent.mkdir()
    torch.manual_seed(0)
    model = r3d_18(weights=None).eval()
    torch.save(model.state_dict(), path)
    video = np.random.default_rng(0).integers(0, 256, (13, 40, 56, 3), dtype=np.uint8)
    found = load_r3d18(path, "cpu", snippet=4)(video)
    assert found.shape == (3, 512)
    snippet = R3D_18_Weights.KINETICS400_V1.transforms()(torch.from_numpy(video[4:8].copy()).permute(0, 3, 1, 2))
    model.fc = torch.nn.Identity()
    with torch.inference_mode():
        torch.testing.assert_close(found[1], model(snippet[None])[0], rtol=1e-4, atol=1e-4)
    assert load_r3d18(path, "cpu", snippet=16)(video).shape == (0, 512)


def make_run(folder, shift: int):
    clips = DiscWorld().ids("all")
    manifest = RunManifest(
        model="toy", options={}, model_info={"name": "toy", "trained": None, "notice": None}, data="disc",
        data_name="disc", data_revision=DiscWorld().revision(clips), split="all", samples=clips, seed=0,
        profile="mini", device="cpu",
    )  # fmt: skip
    run = RunFolder(folder)
    run.write_manifest(manifest)
    for name in clips:
        video = np.clip(DiscWorld().load(name).truth.target.astype(int) + shift, 0, 255).astype(np.uint8)
        write_lossless(run.prediction(name), video, fps=DiscWorld().load(name).prompt.fps)
    return run.path


def corners(video: np.ndarray) -> torch.Tensor:
    """Four numbers a frame: a network in every respect but that it has learnt nothing."""
    flat = video.reshape(len(video), -1).astype(np.float64)
    return torch.tensor(np.stack([flat[:, ::50].mean(1), flat[:, 7], flat[:, 400], flat.std(1)], axis=1))


def test_a_run_is_walked_once_and_written(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("hmbench.metrics.distribution.MIN_CLIPS", 1)
    run = make_run(tmp_path / "run", 9)
    seen: list[str] = []
    networks = {"inception": Backbone("inception", lambda: corners), "r3d18": Backbone("r3d18", corners, "not there")}
    found = measure_distribution(run, networks=networks, on_clip=lambda name, total: seen.append(name))
    clips = DiscWorld().ids("all")
    assert seen == list(clips)
    real = torch.cat([corners(DiscWorld().load(name).truth.target) for name in clips])
    moved = [np.clip(DiscWorld().load(n).truth.target.astype(int) + 9, 0, 255).astype(np.uint8) for n in clips]
    by_name = {d.metric: d for d in found}
    assert by_name["fid"].value == pytest.approx(frechet(real, torch.cat([corners(v) for v in moved])))
    assert by_name["fid"].samples == len(real) and by_name["fid"].clips == len(clips)
    assert by_name["fvd_r3d18"].value is None and by_name["fvd_r3d18"].reason == "not there"
    record = json.loads((run / "distribution.json").read_text())
    assert [d["metric"] for d in record["distances"]] == ["fid", "kid", "fvd_r3d18"]
    assert record["distances"][0]["value"] == by_name["fid"].value


def test_what_is_missing_is_said(tmp_path) -> None:
    found = distribution_networks(tmp_path, "cpu")
    assert f"run: hmbench weights pull {tmp_path} --only inception" in found["inception"].missing
    assert f"run: hmbench weights pull {tmp_path} --only r3d18" in found["r3d18"].missing
    assert {"inception", "r3d18"} <= {source.name for source in SOURCES if source.optional}
    run = make_run(tmp_path / "run", 0)
    done = CliRunner().invoke(app, ["distribution", str(run)])
    assert done.exit_code == 0, done.output
    assert "inception weights are missing" in " ".join(done.output.split())
