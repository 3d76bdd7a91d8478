"""PSNR, SSIM and LPIPS against scikit-image, torchmetrics and the lpips package."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hmbench.case import Case
from hmbench.metrics.fidelity import MIN_REGION, PSNR_CAP, SSIM_BORDER, Psnr, Ssim, ssim_maps
from hmbench.metrics.needs import unmet_need
from hmbench.metrics.perceptual import Lpips, lpips_parts
from hmbench.networks.backbones import Backbone
from hmbench.networks.lpips_network import empty_lpips, load_lpips
from hmbench.types import Intrinsics, Prompt, Sample, SubjectTruth, Truth

H, W, T = 48, 72, 4


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    base = np.linspace(40, 200, W)[None, None, :, None] + 20 * np.sin(np.arange(H) / 5)[None, :, None, None]
    target = (base + rng.normal(0, 9, (T, H, W, 3))).clip(0, 255).astype(np.uint8)
    prediction = (target + rng.normal(0, 1, target.shape) * np.array([2, 6, 12, 24])[:, None, None, None]).clip(0, 255)
    return prediction.astype(np.uint8), target


def make_case(prediction, target, labels=None) -> Case:
    prompt = Prompt(
        context=target[:1],
        context_poses=np.eye(4)[None],
        target_poses=np.repeat(np.eye(4)[None], len(target), axis=0),
        caption="",
        fps=15.0,
        intrinsics=Intrinsics(focal=W, width=W, height=H),
    )
    subjects = ()
    if labels is not None:
        boxes = np.full((len(target) + 1, 4), np.nan, np.float32)
        subjects = (SubjectTruth(label=1, name="a", category="other", boxes=boxes, visible_area=np.zeros(len(boxes))),)
    context = None if labels is None else np.zeros_like(labels[:1])
    truth = Truth(target=target, context_labels=context, target_labels=labels, subjects=subjects)
    return Case(Sample(id="s", prompt=prompt, truth=truth), prediction)


def test_psnr_is_scikit_images_per_frame_and_says_the_pooled_value(clips):
    metrics = pytest.importorskip("skimage.metrics")
    prediction, target = clips
    score = Psnr()(make_case(prediction, target))
    frames = [metrics.peak_signal_noise_ratio(b, a) for a, b in zip(prediction, target, strict=True)]
    assert score.value == pytest.approx(np.mean(frames), abs=1e-4)
    assert score.details["pooled"] == pytest.approx(metrics.peak_signal_noise_ratio(target, prediction), abs=1e-4)
    assert score.value - score.details["pooled"] > 1  # unequal frames: the two definitions are not the same


def test_identical_frames_are_capped_and_counted(clips):
    prediction, target = clips
    prediction[:2] = target[:2]
    score = Psnr()(make_case(prediction, target))
    assert score.details["capped_frames"] == 2
    assert Psnr()(make_case(target, target)).value == PSNR_CAP


def test_ssim_is_wangs(clips):
    metrics = pytest.importorskip("skimage.metrics")
    prediction, target = clips
    for t in range(T):
        want = metrics.structural_similarity(
            prediction[t], target[t], channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert ssim_maps(prediction, target)[t].mean() == pytest.approx(want, abs=2e-6)
    assert Ssim()(make_case(target, target)).value == pytest.approx(1.0)


def test_ssim_is_torchmetrics_map_cropped(clips):
    ssim = pytest.importorskip("torchmetrics.functional.image").structural_similarity_index_measure
    prediction, target = clips
    x, y = (torch.from_numpy(v).permute(0, 3, 1, 2).double() / 255 for v in clips)
    _, full = ssim(x, y, data_range=1.0, return_full_image=True, reduction="none")
    border = slice(SSIM_BORDER, -SSIM_BORDER)
    want = full.mean(dim=1)[:, border, border] if full.shape[2] == H else full.mean(dim=1)
    np.testing.assert_allclose(ssim_maps(prediction, target), want.numpy(), atol=4e-5)


def test_regions_tell_lost_subjects_from_lost_backgrounds(clips):
    _, target = clips
    labels = np.zeros(target.shape[:3], np.uint8)
    labels[1:, 10:40, 20:50] = 1
    lost = target.copy()
    lost[labels > 0] = 255 - lost[labels > 0]
    case = make_case(lost, target, labels)
    assert Psnr("background")(case).value == PSNR_CAP
    assert Psnr("subject")(case).value < 20
    assert Psnr("subject")(case).details["frames"] == T - 1
    assert Ssim("subject")(case).value < Ssim("background")(case).value
    inverse = case.prediction.astype(float)[labels > 0] / 255 - target.astype(float)[labels > 0] / 255
    pooled = 10 * np.log10(1 / np.mean(inverse**2))
    assert Psnr("subject")(case).details["pooled"] == pytest.approx(pooled, abs=1e-3)


def test_a_region_that_nobody_sees_is_a_skip_with_a_reason(clips):
    prediction, target = clips
    case = make_case(prediction, target, np.zeros(target.shape[:3], np.uint8))
    assert Psnr("subject")(case).reason == "no target frame shows the subject"
    assert Ssim("subject")(case).reason == "no target frame shows the subject"


def test_unmet_needs_say_what_is_missing(clips):
    case = make_case(*clips)
    assert unmet_need(Psnr().info, case) is None
    assert unmet_need(Psnr("subject").info, case) == "the sample has no subject masks"
    blind = Case(Sample(id="s", prompt=case.sample.prompt, truth=None), clips[0])
    assert "no real continuation" in (unmet_need(Psnr().info, blind) or "")


def test_unequal_clips_are_refused(clips):
    prediction, target = clips
    with pytest.raises(ValueError, match="one shape"):
        Psnr()(make_case(prediction[:-1], target))


@pytest.fixture(scope="module")
def lpips_model():
    torch.manual_seed(0)  # the trunk's values do not matter, its arithmetic does
    return empty_lpips()


def signed(video):
    return torch.from_numpy(video).permute(0, 3, 1, 2).float() / 127.5 - 1


def test_lpips_equals_the_package(clips, lpips_model):
    prediction, target = (np.repeat(np.repeat(v, 2, 1), 2, 2) for v in clips)
    parts = lpips_parts(lpips_model, prediction, target)
    with torch.inference_mode():
        want = lpips_model(signed(prediction), signed(target))[:, 0, 0, 0]
        lpips_model.spatial = True
        maps = lpips_model(signed(prediction), signed(target))[:, 0]
        lpips_model.spatial = False
        wrong = lpips_model((signed(prediction) + 1) / 2, (signed(target) + 1) / 2)[:, 0, 0, 0]
    np.testing.assert_allclose(parts.frames, want.numpy(), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(parts.maps, maps.numpy(), rtol=1e-3, atol=1e-6)
    assert abs(float(wrong.mean()) - parts.frames.mean()) > 0.05 * parts.frames.mean()  # [0, 1] would be another number


def test_lpips_without_its_trunk_is_a_skip_with_the_command(clips):
    metric = Lpips(Backbone("alexnet", empty_lpips, "alexnet weights are missing; run: hmbench weights pull DIR"))
    assert "hmbench weights pull" in (metric(make_case(*clips)).reason or "")


def test_lpips_reads_torchvisions_trunk(tmp_path, clips):
    import torchvision

    trunk = torchvision.models.alexnet(weights=None)
    torch.save(trunk.state_dict(), tmp_path / "alexnet.pth")
    model = load_lpips(tmp_path / "alexnet.pth", "cpu")
    loaded = dict(model.net.slice4.named_parameters())["8.weight"]
    assert torch.equal(loaded, trunk.features[8].weight)
    assert Lpips(Backbone("alexnet", lambda: model))(make_case(clips[1], clips[1])).value == 0.0


def test_regions_are_all_subjects_and_frames_that_show_enough(clips):
    """Two subjects whose pixels have unequal errors; in one frame exactly `MIN_REGION` pixels show, in one one less."""
    prediction, target = clips
    labels = np.zeros(target.shape[:3], np.uint8)
    labels[0, 4:20, 4:20], labels[0, 30:40, 40:60] = 1, 2
    labels[1].flat[:MIN_REGION] = 2
    labels[2].flat[: MIN_REGION - 1] = 1
    squared = (np.square(prediction.astype(float) - target) / 255**2).mean(axis=3)
    shown = [squared[t][labels[t] > 0].mean() for t in (0, 1)]
    score = Psnr("subject")(make_case(prediction, target, labels))
    assert score.value == pytest.approx(np.mean([-10 * np.log10(mse) for mse in shown]), abs=1e-4)
    assert score.details["frames"] == 2
    ground = [squared[t][labels[t] == 0].mean() for t in range(len(target))]
    background = Psnr("background")(make_case(prediction, target, labels))
    assert background.value == pytest.approx(np.mean([-10 * np.log10(mse) for mse in ground]), abs=1e-4)
