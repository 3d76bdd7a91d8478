"""Wan 2.1 or 2.2 image-to-video through diffusers: text and the context's last frame; it remembers nothing else.

    pip install diffusers transformers accelerate ftfy
    python adapters/wan_diffusers.py --model Wan-AI/Wan2.1-I2V-14B-480P-Diffusers --port 8080
    hmbench eval --model http://127.0.0.1:8080 --data data/hm-world --split test --out runs/wan-i2v

**Not run where it was written**: the weights could not be fetched there. Its handling of prompts and answers is tested
with a stand-in for the pipeline. Wan makes 4k + 1 frames: more are made than asked for, and cut.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from serve import serve


class Wan:
    """A diffusers pipeline behind `serve`.

    Args:
        pipeline: ``WanImageToVideoPipeline``.
        width: Pixels across that it works at, a multiple of 16.
        height: Pixels down, likewise.
        steps: Sampling steps.
        guidance: Weight of the text.
    """

    def __init__(self, pipeline: Any, width: int, height: int, steps: int, guidance: float) -> None:
        self.pipeline, self.size, self.steps, self.guidance = pipeline, (width, height), steps, guidance

    def generate(self, prompt: Path, seed: int) -> Path:
        """The frames after the context, as a video in the prompt folder."""
        import torch
        from diffusers.utils import export_to_video
        from PIL import Image

        asked = json.loads((prompt / "prompt.json").read_text(encoding="utf-8"))
        first = Image.open(prompt / "first.png").convert("RGB").resize(self.size, Image.Resampling.LANCZOS)
        wanted = asked["target_frames"] + 1  # its first frame is the image itself
        frames = self.pipeline(
            image=first,
            prompt=asked["caption"],
            width=self.size[0],
            height=self.size[1],
            num_frames=4 * -(-(wanted - 1) // 4) + 1,
            num_inference_steps=self.steps,
            guidance_scale=self.guidance,
            generator=torch.Generator("cpu").manual_seed(seed),
        ).frames[0]
        answer = prompt / "answer.mp4"
        export_to_video(list(frames[1:wanted]), str(answer), fps=asked["fps"], quality=9)
        return answer


def main() -> None:
    """Loads the pipeline and serves it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="Wan-AI/Wan2.1-I2V-14B-480P-Diffusers")
    parser.add_argument("--width", type=int, default=832)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--guidance", type=float, default=5.0)
    parser.add_argument("--offload", action="store_true", help="keep in the GPU only what works")
    parser.add_argument("--port", type=int, default=8080)
    given = parser.parse_args()
    import torch
    from diffusers import AutoencoderKLWan, WanImageToVideoPipeline

    vae = AutoencoderKLWan.from_pretrained(given.model, subfolder="vae", torch_dtype=torch.float32)
    pipeline = WanImageToVideoPipeline.from_pretrained(given.model, vae=vae, torch_dtype=torch.bfloat16)
    if given.offload:
        pipeline.enable_model_cpu_offload()
    else:
        pipeline.to("cuda")
    wan = Wan(pipeline, given.width, given.height, given.steps, given.guidance)
    settings = {k: v for k, v in vars(given).items() if k not in ("port", "offload")}
    about = {"name": "wan-i2v", "description": "Wan image-to-video: text and the last frame", "trained": True}
    serve(wan.generate, {**about, "settings": settings}, given.port)


if __name__ == "__main__":
    main()
