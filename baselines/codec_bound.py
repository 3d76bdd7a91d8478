"""``codec``: the real continuation, seen through the small models' codec, at the size that they work at.

What it loses no memory on this codec can win back: it is the bound of every model on the reference backbone as the
oracle is the bound of every model. In each metric the distance between the two is the codec's, and the distance from
here to a model is what the model forgot.
"""

from __future__ import annotations

from pathlib import Path

import torch

from hmbench.errors import UserError
from hmbench.protocols import ModelInfo
from hmbench.types import Prompt, Truth, Video
from hmbench.video.files import resize_video
from reference_model.model.codec import MiniVideoCodec
from reference_model.model.methods import HYDRA
from reference_model.sampling.world_model import load_pipeline, recipe, to_tensor, to_video, usable_device


class CodecBound:
    """Encodes and decodes the truth.

    Args:
        codec: The codec.
        size: Width and height in pixels at which it works.
        weights: Digest of its weights by file.
    """

    def __init__(self, codec: MiniVideoCodec, size: tuple[int, int], weights: dict[str, str]) -> None:
        self.codec, self.size = codec, size
        self.info = ModelInfo(
            name="codec",
            description=f"the real continuation through the reference model's codec at {size[0]}x{size[1]}",
            notice="codec is shown the truth: it marks the bound of models on this codec and is no competitor.",
            standing="bound",
            weights=weights,
            settings={"works_at": f"{size[0]}x{size[1]}; other sizes are scaled to it and the result back"},
        )

    @torch.no_grad()
    def generate_from_truth(self, prompt: Prompt, truth: Truth, *, seed: int) -> Video:
        """The target's frames, encoded and decoded, uint8 ``[Tt, H, W, 3]``; the seed changes nothing.

        Raises:
            UserError: If the target has not 4k + 1 frames.
        """
        width, height = self.size
        small = to_tensor(resize_video(truth.target, height, width)).to(self.codec.device)
        try:
            found = self.codec.decode(self.codec.encode(small))
        except ValueError as error:
            raise UserError(
                f"The codec cannot hold {len(truth.target)} frames: {error}.", "Use clips of 4k + 1 target frames."
            ) from error
        return resize_video(to_video(found.cpu()), *prompt.size)


def codec(*, profile: str = "mini", device: str = "cpu", checkpoint: Path | None = None) -> CodecBound:
    """The real continuation through the reference model's codec: what is lost there no memory can win back.

    Args:
        profile: ``mini`` or ``nano``: whose codec, as shipped (nano's where mini has none).
        device: Torch device.
        checkpoint: Folder of a saved pipeline whose codec is taken instead.

    Raises:
        UserError: If there is no such codec, or none but an untrained one.
    """
    recipe(profile)
    pipeline, weights, trained = load_pipeline(HYDRA.apply(profile), checkpoint, 0)
    vae = pipeline.vae
    if not (trained and isinstance(vae, MiniVideoCodec)):
        raise UserError(
            f"There is no trained small codec for profile {profile}.", "Give --option checkpoint=FOLDER of a saved one."
        )
    own = {name: digest for name, digest in weights.items() if name.startswith("vae/")}
    size = (int(pipeline.config["width"]), int(pipeline.config["height"]))
    return CodecBound(vae.to(usable_device(device)).eval(), size, own)
