"""HyDRA at paper scale from the released files: pulls them, checks them, writes one folder that the pipeline loads.

    python -m reference_model.released.paper_weights pull hydra-paper
    python -m reference_model.released.paper_weights convert hydra.ckpt Wan2.1-T2V-1.3B hydra-paper

Wan 2.1 is taken in diffusers' layout or in the original one. Components are converted one at a time and large tensors
are mapped, not read, so that the 11 GB text encoder passes through little memory. Every name and shape must fit, in
both directions, before anything stands under the final name; ``conversion.json`` says what came from where.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKLWan
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase, UMT5Config, UMT5EncoderModel

from hmbench.durable import replacing_folder
from hmbench.errors import UserError
from hmbench.files import write_json
from reference_model.model.config import HydraConfig, hydra_wan_1_3b
from reference_model.model.transformer import HydraTransformer3DModel
from reference_model.released.checkpoint import FitReport, compare, file_digest, from_released
from reference_model.released.wan_names import umt5_from_original, vae_from_original
from reference_model.released.weight_files import WeightFileError, name_version, open_weights, shapes_of
from reference_model.sampling.pipeline import HydraPipeline, build_scheduler

UMT5_XXL: dict[str, Any] = {
    "vocab_size": 256384,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "relative_attention_num_buckets": 32,
    "feed_forward_proj": "gated-gelu",
}
"""The encoder's sizes (``google/umt5-xxl``; Wan's ``umt5_xxl``)."""
ORIGINAL = {"vae": "Wan2.1_VAE.pth", "text": "models_t5_umt5-xxl-enc-bf16.pth", "tokenizer": "google/umt5-xxl"}
"""Files of Wan's original layout."""
SHARD = "5GB"
HYDRA_REPO = "H-EmbodVis/HyDRA"
WAN_REPO = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"
_WANTED = ["vae/*", "text_encoder/*", "tokenizer/*", *(f"{name}*" for name in ORIGINAL.values())]
_CHECKPOINTS = (".safetensors", ".ckpt", ".pth", ".pt")


@dataclass(frozen=True, kw_only=True)
class PaperSizes:
    """Sizes that the files must have; smaller ones in tests."""

    hydra: HydraConfig = field(default_factory=hydra_wan_1_3b)
    """Transformer and sampler."""
    vae: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of `AutoencoderKLWan` for the original layout; its defaults are Wan 2.1's."""
    umt5: Mapping[str, Any] = field(default_factory=lambda: dict(UMT5_XXL))
    """Arguments of `UMT5Config` for the original layout."""


def convert(
    checkpoint: Path,
    wan: Path,
    out: Path,
    *,
    sizes: PaperSizes | None = None,
    dtype: torch.dtype = torch.bfloat16,
) -> dict[str, Any]:
    """Writes a folder that `HydraPipeline.from_pretrained` loads, and needs no network afterwards.

    Args:
        checkpoint: HyDRA's weights, ``.ckpt``, ``.pth`` or ``.safetensors``.
        wan: Folder of Wan 2.1 T2V 1.3B, in diffusers' or the original layout.
        out: Folder to write; must not exist.
        sizes: Sizes that everything must have.
        dtype: Of transformer and text encoder; the codec stays in float32.

    Returns:
        What was converted, as in ``conversion.json``.

    Raises:
        UserError: If a file is missing, damaged, or of another version; nothing is left behind.
    """
    sizes = sizes or PaperSizes()
    if out.exists():
        raise UserError(f"{out} exists already.", "Give another folder, or delete it.")
    try:
        with replacing_folder(out) as scratch:
            report = {
                "transformer": _convert_transformer(checkpoint, scratch / "transformer", sizes.hydra, dtype),
                "vae": _convert_vae(wan, scratch / "vae", sizes.vae),
                "text_encoder": _convert_text(wan, scratch / "text_encoder", sizes.umt5, dtype),
                "tokenizer": _copy_tokenizer(wan, scratch / "tokenizer"),
                "dtype": str(dtype).removeprefix("torch."),
            }
            _write_index(scratch, sizes.hydra)
            write_json(scratch / "conversion.json", report)
    except WeightFileError as error:
        raise UserError(error.what, error.hint) from error
    return report


def pull(
    out: Path,
    *,
    hydra_repo: str = HYDRA_REPO,
    wan_repo: str = WAN_REPO,
    endpoint: str | None = None,
    sizes: PaperSizes | None = None,
) -> dict[str, Any]:
    """Fetches the released files into huggingface-hub's cache and converts them; works offline once they are cached.

    Args:
        out: Folder to write; must not exist.
        hydra_repo: Repository with HyDRA's checkpoint.
        wan_repo: Repository of Wan 2.1 T2V 1.3B, either layout.
        endpoint: Hub address; None follows ``HF_ENDPOINT``.
        sizes: Sizes that everything must have.

    Raises:
        UserError: If something cannot be fetched, is damaged, or does not fit.
    """
    if out.exists():
        raise UserError(f"{out} exists already.", "Give another folder, or delete it.")
    checkpoint = _only_checkpoint(fetch(hydra_repo, [f"*{suffix}" for suffix in _CHECKPOINTS], endpoint), hydra_repo)
    return convert(checkpoint, fetch(wan_repo, _WANTED, endpoint), out, sizes=sizes)


def fetch(repo: str, patterns: list[str], endpoint: str | None = None) -> Path:
    """Files of a model repository, in huggingface-hub's cache, their sha256 held against the Hub's when online.

    Raises:
        UserError: If they cannot be fetched or a digest differs.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.constants import is_offline_mode

    from hmbench.data.hub.errors import explain

    with explain(f"fetch {repo}"):
        folder = Path(snapshot_download(repo, allow_patterns=patterns, endpoint=endpoint))
        if is_offline_mode():
            return folder
        info = HfApi(endpoint=endpoint).model_info(repo, revision=folder.name, files_metadata=True)
    for sibling in info.siblings or ():
        path = folder / sibling.rfilename
        if sibling.lfs and path.is_file() and file_digest(path) != sibling.lfs.sha256:
            raise UserError(
                f"{sibling.rfilename} of {repo} is not what the Hub lists (its sha256 differs).",
                f"Delete {path.resolve()} and pull again.",
            )
    return folder


def _only_checkpoint(folder: Path, repo: str) -> Path:
    found = sorted(path for path in folder.rglob("*") if path.suffix in _CHECKPOINTS)
    if len(found) != 1:
        names = ", ".join(str(path.relative_to(folder)) for path in found) or "none"
        raise UserError(
            f"{repo} has {len(found)} files that may be the checkpoint: {names}.",
            "Fetch the right one and run `python -m reference_model.released.paper_weights convert FILE WAN OUT`.",
        )
    return found[0]


def _convert_transformer(path: Path, out: Path, config: HydraConfig, dtype: torch.dtype) -> dict[str, Any]:
    weights = from_released(open_weights(path))
    with init_empty_weights():
        model = HydraTransformer3DModel(**config.transformer_arguments())
    fit = compare(model, weights)
    if not fit.fits:
        seems = name_version(fit, {name: list(tensor.shape) for name, tensor in weights.items()})
        raise UserError(
            f"{path} is whole, but not HyDRA on {config.name}: {fit}.",
            f"{seems} Take the checkpoint that the released code loads with strict=True.".strip(),
        )
    model.save_config(out)
    save_file(_cast(weights, dtype), out / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
    return {"source": str(path), "sha256": file_digest(path), "tensors": len(weights), "parameters": _count(weights)}


def _convert_vae(wan: Path, out: Path, arguments: Mapping[str, Any]) -> dict[str, Any]:
    if (wan / "vae" / "config.json").is_file():
        config = AutoencoderKLWan.load_config(wan / "vae")
        with init_empty_weights():
            model = AutoencoderKLWan.from_config(config)
        return _link_component(wan / "vae", out, model, "codec of Wan 2.1")
    path = _original(wan, "vae")
    with init_empty_weights():
        model = AutoencoderKLWan(**arguments)
    weights = vae_from_original(open_weights(path))
    _require_fit(path, model, {name: list(t.shape) for name, t in weights.items()}, "codec of Wan 2.1")
    model.save_config(out)
    save_file(_cast(weights, torch.float32), out / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
    return {"source": str(path), "sha256": file_digest(path), "tensors": len(weights), "parameters": _count(weights)}


def _convert_text(wan: Path, out: Path, arguments: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    from huggingface_hub import save_torch_state_dict

    if (wan / "text_encoder" / "config.json").is_file():
        with init_empty_weights():
            model = UMT5EncoderModel(UMT5Config.from_pretrained(wan / "text_encoder"))
        return _link_component(wan / "text_encoder", out, model, "text encoder UMT5-XXL")
    path = _original(wan, "text")
    config = UMT5Config(**arguments, architectures=["UMT5EncoderModel"])
    with init_empty_weights():
        model = UMT5EncoderModel(config)
    weights = umt5_from_original(open_weights(path))
    _require_fit(path, model, {name: list(t.shape) for name, t in weights.items()}, "text encoder UMT5-XXL")
    out.mkdir(parents=True)
    config.save_pretrained(out)
    save_torch_state_dict(
        _cast(weights, dtype), out, filename_pattern="model{suffix}.safetensors", max_shard_size=SHARD
    )
    return {"source": str(path), "sha256": file_digest(path), "tensors": len(weights), "parameters": _count(weights)}


def _link_component(source: Path, out: Path, model: nn.Module, what: str) -> dict[str, Any]:
    """A component that is in the right format already: checked by its headers, then linked, or copied elsewhere."""
    files = sorted(source.glob("*.safetensors"))
    if not files:
        raise UserError(f"{source} has no .safetensors file.", "Fetch the component again; .bin files are not read.")
    shapes: dict[str, list[int]] = {}
    for file in files:
        shapes |= shapes_of(file)
    _require_fit(source, model, shapes, what)
    out.mkdir(parents=True)
    for path in [*files, *source.glob("*.json")]:
        _link(path.resolve(), out / path.name)
    return {
        "source": str(source),
        "sha256": {file.name: file_digest(file) for file in files},
        "tensors": len(shapes),
        "parameters": sum(torch.Size(shape).numel() for shape in shapes.values()),
    }


def _require_fit(source: Path, model: nn.Module, shapes: Mapping[str, list[int]], what: str) -> None:
    """Names and shapes must be the model's; a tensor that is stored once and used under two names may have either."""
    own = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    tied = {"shared.weight", "encoder.embed_tokens.weight"} if "shared.weight" in own else set()
    missing = {name for name in own.keys() - shapes.keys() if not (name in tied and tied & shapes.keys())}
    report = FitReport(
        missing=tuple(sorted(missing)),
        unexpected=tuple(sorted(shapes.keys() - own.keys() - tied)),
        misshaped=tuple(
            f"{name}: {shapes[name]} in the file, {own[name]} in the model"
            for name in sorted(own.keys() & shapes.keys())
            if list(shapes[name]) != own[name]
        ),
    )
    if not report.fits:
        raise UserError(f"{source} is whole, but not the {what}: {report}.", "Take it from Wan2.1-T2V-1.3B.")


def _copy_tokenizer(wan: Path, out: Path) -> dict[str, Any]:
    source = wan / "tokenizer" if (wan / "tokenizer").is_dir() else wan / ORIGINAL["tokenizer"]
    if not source.is_dir():
        raise UserError(
            f"{wan} has no tokenizer: neither tokenizer/ nor {ORIGINAL['tokenizer']}/.",
            "Fetch the whole repository; the text encoder is of no use without it.",
        )
    out.mkdir(parents=True)
    names = sorted(path.name for path in source.iterdir() if path.is_file())
    for name in names:
        shutil.copyfile((source / name).resolve(), out / name)
    return {"source": str(source), "files": names}


def _write_index(folder: Path, config: HydraConfig) -> None:
    """``model_index.json`` and the scheduler, by the pipeline itself around empty modules."""
    with init_empty_weights():
        transformer = HydraTransformer3DModel(**config.transformer_arguments())
        vae = AutoencoderKLWan.from_config(AutoencoderKLWan.load_config(folder / "vae"))
        text = UMT5EncoderModel(UMT5Config.from_pretrained(folder / "text_encoder"))
    scheduler = build_scheduler(config.sampler.shift, config.sampler.stochastic)
    try:
        tokenizer = cast(
            PreTrainedTokenizerBase, AutoTokenizer.from_pretrained(folder / "tokenizer", trust_remote_code=False)
        )
    except (OSError, ValueError) as error:
        raise UserError(f"The tokenizer cannot be loaded: {error}", "Fetch its folder again.") from error
    pipeline = HydraPipeline(
        transformer,
        vae,
        text,
        scheduler,
        tokenizer,
        width=config.width,
        height=config.height,
        context_frames=config.context_frames,
        target_frames=config.target_frames,
        steps=config.sampler.steps,
        guidance=config.sampler.guidance,
        negative_prompt=config.sampler.negative_prompt,
    )
    pipeline.save_config(folder)
    scheduler.save_pretrained(folder / "scheduler")


def _original(wan: Path, key: str) -> Path:
    path = wan / ORIGINAL[key]
    if not path.is_file():
        found = ", ".join(sorted(p.name for p in wan.iterdir())[:10]) if wan.is_dir() else "no such folder"
        raise UserError(
            f"{wan} is neither in diffusers' layout nor in Wan's original one: {ORIGINAL[key]} is missing "
            f"(found: {found}).",
            "Give the folder of Wan-AI/Wan2.1-T2V-1.3B-Diffusers or Wan-AI/Wan2.1-T2V-1.3B.",
        )
    return path


def _cast(weights: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    return {name: tensor.to(dtype).contiguous() for name, tensor in weights.items()}


def _count(weights: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() for tensor in weights.values())


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another file system
        shutil.copyfile(source, target)


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description="HyDRA at paper scale from the released files.")
    commands = parser.add_subparsers(dest="command", required=True)
    pulling = commands.add_parser("pull", help="fetch everything from the Hub and convert it")
    pulling.add_argument("out", type=Path)
    pulling.add_argument("--hydra-repo", default=HYDRA_REPO)
    pulling.add_argument("--wan-repo", default=WAN_REPO)
    converting = commands.add_parser("convert", help="convert files that are here")
    for name in ("checkpoint", "wan", "out"):
        converting.add_argument(name, type=Path)
    given = parser.parse_args()
    try:
        if given.command == "pull":
            report = pull(given.out, hydra_repo=given.hydra_repo, wan_repo=given.wan_repo)
        else:
            report = convert(given.checkpoint, given.wan, given.out)
    except UserError as error:
        parser.exit(2, f"{error}\n")
    parser.exit(0, json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
