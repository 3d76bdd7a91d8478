"""Weight files looked at before they are trusted: is it whole, is it weights at all, is it the version meant.

A truncated download, a Git LFS pointer, an error page saved as a checkpoint, a pickle that would run code, and honest
weights of another model are five different mistakes with five different remedies.
"""

from __future__ import annotations

import json
import pickle
import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from reference_model.released.checkpoint import FitReport

_HARMLESS = ("torch.", "torch._utils.", "collections.OrderedDict")


class WeightFileError(ValueError):
    """A file that cannot be used as weights, with what to do about it."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"{what} {hint}")
        self.what = what
        self.hint = hint


def open_weights(path: Path) -> dict[str, Tensor]:
    """A state dict, mapped from the file instead of read where its format allows it, so that 11 GB need no memory.

    Args:
        path: ``.safetensors`` file, or a torch file of a state dict, possibly inside ``state_dict``, ``model`` or
            ``module`` as trainers wrap it. Torch files are read with ``weights_only=True``: nothing in them is run.

    Raises:
        WeightFileError: If the file is missing, damaged, no weights, or would run code.
    """
    check_whole(path)
    if path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        names = foreign_names(path)
        if not names:
            raise WeightFileError(f"{path} is damaged, or no weights at all.", "Fetch it again.") from error
        raise WeightFileError(
            f"{path} holds more than tensors: reading it could run code (it asks for {', '.join(names)}).",
            "It was not read. Ask for a safetensors file, or convert it where you trust its author.",
        ) from error
    except (EOFError, RuntimeError, OSError, ValueError) as error:
        raise WeightFileError(f"{path} cannot be read ({_first_line(error)}).", "Fetch it again.") from error
    return _state_dict(path, content)


def shapes_of(path: Path) -> dict[str, list[int]]:
    """Names and shapes of a ``.safetensors`` file from its header alone.

    Raises:
        WeightFileError: If the file is missing, damaged or truncated.
    """
    check_whole(path)
    header = _safetensors_header(path)
    return {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}


def check_whole(path: Path) -> None:
    """Looks at a file's beginning and end.

    Raises:
        WeightFileError: If it is missing, empty, a Git LFS pointer, a text, or shorter than it says of itself.
    """
    if not path.is_file():
        raise WeightFileError(f"There is no file {path}.", "Check the path.")
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise WeightFileError(f"{path} is empty.", "Fetch it again.")
    if head.startswith(b"version https://git-lfs"):
        raise WeightFileError(
            f"{path} is a Git LFS pointer, not the weights.", "Run `git lfs pull`, or fetch it with `hf download`."
        )
    if head.lstrip()[:1] in (b"<", b"{") and path.suffix != ".json":
        start = head.decode("utf-8", "replace").strip()[:60]
        raise WeightFileError(
            f"{path} is a text ({start!r}...), not weights.", "A server's error page: fetch it again."
        )
    if path.suffix == ".safetensors":
        _check_safetensors(path)
    elif head.startswith(b"PK") and not zipfile.is_zipfile(path):
        raise WeightFileError(
            f"{path} is truncated: a torch file's directory, at its end, is missing.",
            "Fetch it again to its full size.",
        )


def foreign_names(path: Path, most: int = 5) -> list[str]:
    """What a torch file's pickle would import besides torch and plain containers, found without running it.

    Args:
        path: A torch file.
        most: How many names to return.
    """
    names: list[str] = []
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                inner = next(name for name in archive.namelist() if name.endswith("data.pkl"))
                names = _imports(archive.read(inner))
        else:
            names = _imports(path.read_bytes())
    except (StopIteration, OSError, zipfile.BadZipFile):
        return []
    return [name for name in dict.fromkeys(names) if not name.startswith(_HARMLESS)][:most]


def _imports(code: bytes) -> list[str]:
    names: list[str] = []
    texts: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(code):
            if opcode.name == "GLOBAL":
                names.append(str(argument).replace(" ", "."))
            elif opcode.name == "STACK_GLOBAL":
                names.append(".".join(texts[-2:]))
            elif isinstance(argument, str):
                texts.append(argument)
    except ValueError:
        pass  # a damaged end; what was found before it counts
    return names


def name_version(report: FitReport, shapes: Mapping[str, list[int]]) -> str:
    """What weights that do not fit HyDRA's released architecture seem to be, as a sentence; empty if nobody knows.

    Args:
        report: How they do not fit.
        shapes: Their names (as used here) and shapes.
    """
    width = next((shape[0] for name, shape in shapes.items() if name == "patch_embedding.weight"), None)
    tokenizer = next((shape for name, shape in shapes.items() if name.startswith("memory.tokenizers.0.conv.w")), None)
    image = any("img_emb" in name or "k_img" in name or "image_embedder" in name for name in shapes)
    if any(name.startswith(("encoder.", "decoder.", "quant_conv")) for name in shapes):
        return "They look like a codec or text encoder, not the transformer."
    if image:
        return "They look like an image-to-video Wan, which HyDRA is not built on."
    if width == 5120:
        return "They look like Wan 14B; HyDRA is built on the 1.3B model."
    if tokenizer is not None and any("memory.tokenizers" in line for line in report.misshaped):
        kernel = "x".join(str(n) for n in tokenizer[2:])
        return (
            f"Their memory tokenizer's kernel is {kernel}, as in another version of the released code "
            "(2x4x4 was released before 27 March 2026, 2x2x2 after)."
        )
    if width is not None and any(line.startswith("patch_embedding.weight") for line in report.misshaped):
        return f"They are {width} channels wide, as no released version is."
    if report.missing and not report.unexpected and not report.misshaped:
        if all("memory." in n or ".camera_" in n or ".projector." in n for n in report.missing):
            return "They look like plain Wan 2.1 1.3B: HyDRA's own parameters are not in them."
        return "Some parameters are absent: a shard is missing, or only the trained part was saved."
    return ""


def _check_safetensors(path: Path) -> None:
    header = _safetensors_header(path)
    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    needed, size = start + max(ends, default=0), path.stat().st_size
    if size < needed:
        raise WeightFileError(
            f"{path} is truncated: it has {size} bytes of the {needed} that its header lists.", "Fetch it again."
        )
    try:
        with safe_open(path, "pt"):
            pass
    except SafetensorError as error:
        raise WeightFileError(f"{path} is damaged ({_first_line(error)}).", "Fetch it again.") from error


def _safetensors_header(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= 100_000_000:
            raise WeightFileError(f"{path} is no safetensors file.", "Check what was fetched.")
        raw = file.read(length)
    if len(raw) < length:
        raise WeightFileError(f"{path} is truncated within its header.", "Fetch it again.")
    try:
        header = json.loads(raw)
        assert all("data_offsets" in entry for name, entry in header.items() if name != "__metadata__")
    except (ValueError, AssertionError, AttributeError) as error:
        raise WeightFileError(f"{path} is no safetensors file.", "Check what was fetched.") from error
    return dict(header)


def _state_dict(path: Path, content: Any) -> dict[str, Tensor]:
    for _ in range(3):
        inner = next((content[k] for k in ("state_dict", "model", "module") if _is_dict(content, k)), None)
        if inner is None:
            break
        content = inner
    if not (isinstance(content, dict) and content and all(isinstance(v, Tensor) for v in content.values())):
        kind = type(content).__name__
        raise WeightFileError(f"{path} holds no state dict of tensors but a {kind}.", "Give a file of weights.")
    return dict(content)


def _is_dict(content: Any, key: str) -> bool:
    return isinstance(content, dict) and isinstance(content.get(key), dict)


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip().rstrip(".")[:200] if lines else type(error).__name__
