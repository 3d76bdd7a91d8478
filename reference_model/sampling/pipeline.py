"""HydraPipeline: context video, cameras and caption in, target video out (flow matching, Euler steps).

Noise is on the straight line x_s = (1 - s) clean + s noise; the transformer predicts d x / d s = noise - clean, on
context and target together, and only the target is stepped. Context is encoded once and never decoded.

Letters: B batch, T frames, F latent frames, C latent channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, cast

import numpy as np
import torch
from diffusers import AutoencoderKLWan, DiffusionPipeline, FlowMatchEulerDiscreteScheduler
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor
from transformers import PreTrainedTokenizerBase, UMT5EncoderModel

from reference_model.carrying.carrier import Cameras, Carrier
from reference_model.carrying.latents import CarriedLatents, carried_latents
from reference_model.model.clip_state import ClipState
from reference_model.model.codec import MiniVideoCodec, VideoCodec, as_codec
from reference_model.model.config import HydraConfig
from reference_model.model.shown_frames import shown_frames
from reference_model.model.text import HashedTextEncoder, encode_captions
from reference_model.model.transformer import HydraTransformer3DModel
from reference_model.released.checkpoint import align_memory
from reference_model.sampling.split_guidance import GuidanceTwin, SideBySide

TRAIN_TIMESTEPS = 1000
"""The transformer is told its noise level on the scale 0..1000."""


class TextSource(Protocol):
    """Where text tokens come from if not from the pipeline's own encoder (`text_cache.TextCache`)."""

    def encode_missing(self, captions: Iterable[str], device: torch.device) -> int:
        """Encodes and keeps what is not known; returns how many."""
        ...

    def read(self, captions: list[str]) -> Tensor:
        """Text tokens ``[B, L, D]``."""
        ...


Denoiser = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Target latents ``[B, C, Ft, h, w]``, timestep (0..1000, one number) and text tokens to the target's velocity."""
Noise = torch.Generator | list[torch.Generator]
"""Source of noise for a batch, or one a clip: then each clip's noise is what it would be alone."""
StepListener = Callable[[int, int], None]
"""Called with the steps done and their total."""


@dataclass(frozen=True, eq=False, kw_only=True)
class GenerationRequest:
    """One batch of clips to continue."""

    context: Tensor
    """Past frames, ``[B, 3, Tc, H, W]`` in [-1, 1]."""
    cameras: tuple[Tensor, Tensor]
    """Of context and target, ``[B, F, 12]`` each (`reference_model.model.camera.camera_condition`)."""
    captions: list[str]
    """One a clip; may be empty strings."""
    steps: int | None = None
    """Euler steps; None: the pipeline's own."""
    guidance: float | None = None
    """Weight of the text; 1 is none; None: the pipeline's own."""
    lenses: list[Cameras] | None = None
    """Cameras of every frame at the model's size, one record a clip; without them nothing is carried."""


class HydraPipeline(DiffusionPipeline):
    """Transformer, codec, text encoder and scheduler, saved and loaded together.

    Args:
        transformer: Predicts velocities.
        vae: Pixels to latents and back.
        text_encoder: Captions to text tokens.
        scheduler: Noise levels and steps.
        tokenizer: UMT5's; None for hashed words.
        width: Pixels across that the model works at.
        height: Pixels down.
        context_frames: Frames it was made to remember.
        target_frames: Frames it was made to generate.
        steps: Euler steps, unless a request says otherwise.
        guidance: Weight of the text, unless a request says otherwise.
        negative_prompt: What guidance steers away from.
    """

    model_cpu_offload_seq = "text_encoder->transformer->vae"
    _optional_components: ClassVar[list[str]] = ["tokenizer"]
    text_cache: TextSource | None = None
    """Text tokens by caption; the pipeline's own encoder is then never called."""
    tiled: bool = False
    """Whether Wan's codec works in tiles."""
    carrier: Carrier | None = None
    """Carries remembered pictures into new frames (`reference_model.carrying`); None: the transformer paints it all."""
    twin: GuidanceTwin | None = None
    """Answers the negative prompt on a second device."""

    def __init__(
        self,
        transformer: HydraTransformer3DModel,
        vae: AutoencoderKLWan | MiniVideoCodec,
        text_encoder: HashedTextEncoder | UMT5EncoderModel,
        scheduler: FlowMatchEulerDiscreteScheduler,
        tokenizer: PreTrainedTokenizerBase | None = None,
        width: int = 832,
        height: int = 480,
        context_frames: int = 77,
        target_frames: int = 77,
        steps: int = 50,
        guidance: float = 1.0,
        negative_prompt: str = "",
    ) -> None:
        super().__init__()
        for module in (transformer, vae, text_encoder):
            align_memory(module)
        self.register_modules(
            transformer=transformer, vae=vae, text_encoder=text_encoder, scheduler=scheduler, tokenizer=tokenizer
        )
        self.register_to_config(
            width=width,
            height=height,
            context_frames=context_frames,
            target_frames=target_frames,
            steps=steps,
            guidance=guidance,
            negative_prompt=negative_prompt,
        )
        self.transformer: HydraTransformer3DModel
        self.vae: AutoencoderKLWan | MiniVideoCodec
        self.scheduler: FlowMatchEulerDiscreteScheduler

    @property
    def codec(self) -> VideoCodec:
        """The codec behind one small interface."""
        return as_codec(self.vae, tiled=self.tiled)

    @torch.no_grad()
    def __call__(self, request: GenerationRequest, generator: Noise, on_step: StepListener | None = None) -> Tensor:
        """The target frames, ``[B, 3, Tt, H, W]`` in [-1, 1], float32 on the CPU.

        Args:
            request: What to continue.
            generator: Source of all noise, or one a clip; a CPU generator gives the same noise on every device.
            on_step: Told of each finished step.
        """
        device = self._execution_device
        steps = request.steps or int(self.config["steps"])
        guidance = float(self.config["guidance"]) if request.guidance is None else request.guidance
        dtype = self.transformer.dtype
        context = self.encode_video(request.context).to(device)
        cameras = (request.cameras[0].to(device, dtype), request.cameras[1].to(device, dtype))
        texts = [self.encode_text(request.captions).to(device, dtype)]
        if guidance != 1:
            negative = [str(self.config["negative_prompt"])] * len(request.captions)
            texts.append(self.encode_text(negative).to(device, dtype))
        patch = self.transformer.patch[0]
        shape = (*context.shape[:2], cameras[1].shape[1] * patch, *context.shape[3:])
        latents = drawn(shape, generator).to(device)
        set_noise_levels(self.scheduler, steps, device)
        carried = self._carried(request, context, cameras, texts[0], latents)
        evaluate, close = self._evaluations(context, cameras, texts, generator)
        try:
            for done, timestep in enumerate(self.scheduler.timesteps, start=1):
                combined = guided(evaluate(latents, timestep), guidance)
                if carried is not None:
                    combined = carried.velocity(latents, combined, float(timestep) / TRAIN_TIMESTEPS)
                # the generator is for samplers that draw noise anew at every step
                latents = self.scheduler.step(combined, timestep, latents, generator=generator, return_dict=False)[0]
                if on_step:
                    on_step(done, steps)
        finally:
            close()
        video = self.codec.decode(latents.to(self.vae.dtype)).float().cpu()
        self.maybe_free_model_hooks()
        return video

    def _carried(
        self, request: GenerationRequest, context: Tensor, cameras: tuple[Tensor, Tensor], text: Tensor, noise: Tensor
    ) -> CarriedLatents | None:
        """What memory holds of the target, as latents; None without a carrier, or where the request has no lenses.

        Raises:
            ValueError: If the request has lenses of another number of clips.
        """
        if self.carrier is None or request.lenses is None:
            return None
        if len(request.lenses) != len(context):
            raise ValueError(f"{len(context)} clips have {len(request.lenses)} lenses")
        past, level = context.to(self.transformer.dtype), self.scheduler.timesteps[:1].to(context.device)
        shown = shown_frames(self.transformer, (past, noise.to(past.dtype)), level, text, cameras)
        clips = zip(request.context, request.lenses, shown.cpu(), strict=True)
        return carried_latents(self.carrier, self.codec, list(clips), context)

    def _evaluations(
        self, context: Tensor, cameras: tuple[Tensor, Tensor], texts: list[Tensor], generator: Noise
    ) -> tuple[Callable[[Tensor, Tensor], list[Tensor]], Callable[[], None]]:
        """How a step gets a velocity for each text, and what ends it: one after the other, or with the twin's help."""
        if self.twin is None or len(texts) == 1:
            denoise = self.denoiser(context, cameras, generator)
            return lambda latents, timestep: [denoise(latents, timestep, text) for text in texts], lambda: None
        assert isinstance(generator, torch.Generator), "two devices work on one clip at a time"
        second = self.twin.denoiser(context, cameras, generator)
        both = SideBySide(self.denoiser(context, cameras, generator), second, (texts[0], texts[1].to(self.twin.device)))
        return both, both.close

    def denoiser(self, context: Tensor, cameras: tuple[Tensor, Tensor], generator: Noise) -> Denoiser:
        """How this pipeline predicts velocities on one batch; rival samplers override it.

        Args:
            context: Clean context latents, ``[B, C, Fc, h, w]``.
            cameras: Of context and target, ``[B, F, 12]`` each.
            generator: Source of any further noise; the target's own has been drawn from it already.
        """
        dtype = self.transformer.dtype
        state, past = ClipState(), context.to(dtype)

        def denoise(latents: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
            given = (past, latents.to(dtype), timestep.view(1), text, cameras)
            found = self.transformer(*given, state=state, context_too=False).target
            return cast(Tensor, found.float())

        return denoise

    @torch.no_grad()
    def encode_video(self, video: Tensor) -> Tensor:
        """Normalised latents of ``[B, 3, T, H, W]`` in [-1, 1], float32 ``[B, C, F, h, w]``."""
        moved = video.to(self._execution_device, self.vae.dtype)
        return self.codec.encode(moved).float()

    @torch.no_grad()
    def encode_text(self, captions: list[str]) -> Tensor:
        """Text tokens of captions, ``[B, L, D]``; what a cache was not told of loads the encoder for once."""
        if self.text_cache is not None:
            self.text_cache.encode_missing(captions, self._execution_device)
            return self.text_cache.read(captions)
        return encode_captions(self.text_encoder, self.tokenizer, captions)


def drawn(shape: Sequence[int], noise: Noise) -> Tensor:
    """Normal noise of a shape whose first axis is the clips, on the generators' device.

    Raises:
        ValueError: If there is a generator a clip, and not for each.
    """
    if isinstance(noise, torch.Generator):
        return cast(Tensor, randn_tensor(tuple(shape), generator=noise, device=noise.device))
    if len(noise) != shape[0]:
        raise ValueError(f"{shape[0]} clips have {len(noise)} sources of noise")
    return cast(Tensor, randn_tensor(tuple(shape), generator=list(noise), device=noise[0].device))


def guided(velocity: list[Tensor], guidance: float) -> Tensor:
    """Classifier-free guidance: ``[conditional]`` or ``[conditional, unconditional]`` to one velocity."""
    if len(velocity) == 1:
        return velocity[0]
    return velocity[1] + guidance * (velocity[0] - velocity[1])


def build_scheduler(shift: float, stochastic: bool = False) -> FlowMatchEulerDiscreteScheduler:
    """Flow matching with shifted noise levels; `stochastic` as in `reference_model.model.config.SamplerConfig`."""
    return FlowMatchEulerDiscreteScheduler(
        num_train_timesteps=TRAIN_TIMESTEPS, shift=shift, stochastic_sampling=stochastic
    )


def set_noise_levels(
    scheduler: FlowMatchEulerDiscreteScheduler, steps: int, device: torch.device | str = "cpu"
) -> None:
    """Sets the released schedule: `steps` even levels from 1 towards 0 (0 itself is the end), then shifted.

    The scheduler's own default would end at 1 / 1000, shifted, and waste its last step there.
    """
    levels = np.linspace(1.0, 0.0, steps + 1)[:-1]
    scheduler.set_timesteps(sigmas=levels.tolist(), device=device)


def build_pipeline(config: HydraConfig, seed: int, kind: type[HydraPipeline] = HydraPipeline) -> HydraPipeline:
    """An untrained pipeline with seeded weights.

    Args:
        config: Its settings; codec and text encoder must be the small ones (the large ones exist only as weights).
        seed: Of the starting weights; the global generator is left alone.
        kind: Class of the pipeline, for rival samplers.
    """
    if config.codec.kind != "mini" or config.text.kind != "hashed":
        raise ValueError(
            f"{config.name} uses the codec {config.codec.kind!r} and the text encoder {config.text.kind!r}, which "
            "exist only as trained weights: load them with `assemble_pipeline`"
        )
    codec = config.codec
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = HydraTransformer3DModel(**config.transformer_arguments())
        vae = MiniVideoCodec(
            latent_channels=codec.latent_channels,
            hidden_channels=codec.hidden_channels,
            encoder_depth=codec.encoder_depth,
            decoder_depth=codec.decoder_depth,
            time_stride=codec.time_stride,
            space_stride=codec.space_stride,
        )
    text = HashedTextEncoder(dim=config.text.dim, max_words=config.text.max_words)
    sampler = config.sampler
    scheduler = build_scheduler(sampler.shift, sampler.stochastic)
    return kind(transformer.eval(), vae.eval(), text, scheduler, **_own(config))


def assemble_pipeline(
    config: HydraConfig,
    transformer: HydraTransformer3DModel,
    wan_folder: str,
    dtype: torch.dtype = torch.bfloat16,
    *,
    transformer_dtype: torch.dtype | None = None,
) -> HydraPipeline:
    """A paper-scale pipeline: this transformer with codec and text encoder of Wan 2.1.

    Args:
        config: Its settings.
        transformer: With its weights.
        wan_folder: Folder (or Hub name) of Wan 2.1 in diffusers' format: ``vae``, ``text_encoder``, ``tokenizer``.
        dtype: Of transformer and text encoder; the codec stays in float32.
        transformer_dtype: Of the transformer alone; None is `dtype`. Training needs its float32 weights unrounded.
    """
    from transformers import AutoTokenizer

    return HydraPipeline(
        transformer.to(transformer_dtype or dtype).eval(),
        AutoencoderKLWan.from_pretrained(wan_folder, subfolder="vae", torch_dtype=torch.float32),
        UMT5EncoderModel.from_pretrained(wan_folder, subfolder="text_encoder", torch_dtype=dtype),
        build_scheduler(config.sampler.shift, config.sampler.stochastic),
        cast(
            PreTrainedTokenizerBase,
            AutoTokenizer.from_pretrained(wan_folder, subfolder="tokenizer", trust_remote_code=False),
        ),
        **_own(config),
    )


def _own(config: HydraConfig) -> dict[str, Any]:
    """The pipeline's own settings."""
    sampler = config.sampler
    return {
        "width": config.width,
        "height": config.height,
        "context_frames": config.context_frames,
        "target_frames": config.target_frames,
        "steps": sampler.steps,
        "guidance": sampler.guidance,
        "negative_prompt": sampler.negative_prompt,
    }
