"""What goes into the networks and what comes out, held against the packages that released them, on random weights."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision.models import alexnet

from hmbench.metrics.perceptual import lpips_parts
from hmbench.networks.encoders import ClipMaps
from hmbench.networks.lpips_network import load_lpips
from hmbench.subjects.detect import network_input


def video(frames: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (frames, height // 8 + 1, width // 8 + 1, 3), np.uint8)
    return np.stack([np.asarray(Image.fromarray(f).resize((width, height))) for f in coarse])


def test_lpips_is_the_package_s(tmp_path: Path) -> None:
    import lpips

    torch.manual_seed(0)
    trunk = alexnet(weights=None)
    save_file(trunk.state_dict(), tmp_path / "alexnet.safetensors")
    theirs = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    own = [layer for layer in trunk.features if isinstance(layer, nn.Conv2d)]
    copies = [layer for layer in theirs.net.modules() if isinstance(layer, nn.Conv2d)]
    assert len(own) == len(copies) == 5
    for layer, copy in zip(own, copies, strict=True):
        copy.load_state_dict(layer.state_dict())
    a, b = video(3, 64, 96), video(3, 64, 96, seed=1)
    as_package = [torch.from_numpy(v).permute(0, 3, 1, 2).float() / 127.5 - 1 for v in (a, b)]  # lpips.im2tensor
    with torch.no_grad():
        wanted = theirs(*as_package).flatten()
    found = lpips_parts(load_lpips(tmp_path / "alexnet.safetensors", "cpu"), a, b).frames
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-5)


@pytest.mark.parametrize("size", [(60, 104), (50, 30)])
def test_clip_s_input_is_its_released_processor_s(size: tuple[int, int]) -> None:
    """openai/clip-vit-base-patch16's preprocessor_config.json: shortest side, bicubic, centre crop, CLIP's statistics.

    Pillow's resize rounds to whole numbers, torch's to others by one at most: 1 / 255 over the deviation.
    """
    from transformers import CLIPImageProcessor

    given: list[torch.Tensor] = []

    def network(pixel_values: torch.Tensor) -> SimpleNamespace:
        given.append(pixel_values)
        return SimpleNamespace(last_hidden_state=torch.zeros(len(pixel_values), 5, 3))

    network.config = SimpleNamespace(image_size=32, patch_size=16)  # type: ignore[attr-defined]
    network.device = torch.device("cpu")  # type: ignore[attr-defined]
    frames = video(2, *size)
    ClipMaps(network).maps(frames)
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    wanted = processor([Image.fromarray(f) for f in frames], return_tensors="pt")["pixel_values"]
    apart = (given[0] - wanted).abs()
    assert apart.max() < 1.01 / 255 / 0.26130258 and apart.mean() < 0.1 / 255 / 0.26130258
    shifted = (given[0][..., 1:] - wanted[..., :-1]).abs()
    assert shifted.mean() > 5 * apart.mean()  # a crop one pixel beside would be seen


@pytest.mark.parametrize("size", [(480, 832), (960, 1664)])
def test_yolo_s_input_is_ultralytics_own(size: tuple[int, int]) -> None:
    """Order of colours, scale and stride at HM-World's size, where neither side pads; twice as large, both halve.

    At other sizes ultralytics pads on both sides and hmbench below, which moves boxes by a constant.
    """
    from ultralytics.data.augment import LetterBox

    frames = video(1, *size)
    found, scale = network_input(frames, 832)
    boxed = LetterBox(new_shape=(832, 832), auto=True, stride=32)(image=frames[0][..., ::-1])  # predict reads BGR
    wanted = torch.from_numpy(np.ascontiguousarray(boxed[..., ::-1])).permute(2, 0, 1)[None].float() / 255
    assert found.shape == wanted.shape == (1, 3, 480, 832) and scale == 832 / size[1]
    tolerance = 0 if size == (480, 832) else 1.01 / 255  # halving by area and by neighbours may round apart
    assert (found - wanted).abs().max() <= tolerance
    assert (found.flip(1) - wanted).abs().mean() > 0.1  # colours swapped would be seen
