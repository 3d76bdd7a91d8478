"""Fetches the paper profile's weights once into a folder that works without a network afterwards.

    pull(Path("weights"))

Revisions and digests: the first pull resolves each repository's branch to a commit and writes commit, sizes and sha256
digests into ``hmbench-weights.lock.json``; every later pull, on any machine that has the lock file, fetches exactly
those commits and refuses other bytes. This project was written without access to the Hub, so it ships no digest that
nobody has checked; the one exception is AlexNet, whose file name carries the start of its sha256.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hmbench.errors import UserError, did_you_mean
from hmbench.files import read_json, write_json
from hmbench.networks.files import digest, digest_once

LOCK = "hmbench-weights.lock.json"
TORCH_URL = "https://download.pytorch.org/models"


@dataclass(frozen=True, kw_only=True)
class WeightSource:
    """One network and where it comes from."""

    name: str
    """Backbone name, as in `hmbench.networks.backbones.FILES`."""
    used_for: str
    """Metrics that need it."""
    repo: str | None
    """Hub repository; None for a file of download.pytorch.org, or of `url`."""
    folder: str
    """Folder inside the weights folder."""
    files: tuple[tuple[str, ...], ...]
    """Files to fetch; of each group the first that the repository has."""
    licence: str
    """Licence of the weights, as their authors state it."""
    optional: bool = False
    """Fetched only when it is asked for by name."""
    url: str | None = None
    """Folder of the web that has the file, if neither the Hub nor download.pytorch.org does."""


SOURCES = (
    WeightSource(
        name="clip_b16",
        used_for="dsc_ref_*, dsc_*_clip",
        repo="openai/clip-vit-base-patch16",
        folder="clip-vit-base-patch16",
        files=(("config.json",), ("preprocessor_config.json",), ("model.safetensors", "pytorch_model.bin")),
        licence="MIT",
    ),
    WeightSource(
        name="clip_b32",
        used_for="background_consistency*",
        repo="openai/clip-vit-base-patch32",
        folder="clip-vit-base-patch32",
        files=(("config.json",), ("preprocessor_config.json",), ("model.safetensors", "pytorch_model.bin")),
        licence="MIT",
    ),
    WeightSource(
        name="dino",
        used_for="subject_consistency, dsc_*, identity_*, linking of tracks",
        repo="timm/vit_base_patch16_224.dino",
        folder="dino-vitb16",
        files=(("model.safetensors",),),
        licence="Apache-2.0",
    ),
    WeightSource(
        name="yolo11",
        used_for="tracking: everything about subjects",
        repo="Ultralytics/YOLO11",
        folder="yolo11",
        files=(("yolo11x.pt",),),
        licence="AGPL-3.0",
    ),
    WeightSource(
        name="alexnet",
        used_for="lpips*",
        repo=None,
        folder="alexnet",
        files=(("alexnet-owt-7be5be79.pth",),),
        licence="BSD-3-Clause",
    ),
    WeightSource(
        name="musiq",
        used_for="quality_musiq (--quality)",
        repo="chaofengc/IQA-PyTorch-Weights",
        folder="pyiqa",
        files=(("musiq_koniq_ckpt-e95806b9.pth",),),
        licence="CC-BY-NC-SA-4.0",
        optional=True,
    ),
    WeightSource(
        name="niqe",
        used_for="quality_niqe (--quality)",
        repo="chaofengc/IQA-PyTorch-Weights",
        folder="pyiqa",
        files=(("niqe_modelparameters.mat",),),
        licence="CC-BY-NC-SA-4.0",
        optional=True,
    ),
    WeightSource(
        name="raft",
        used_for="dynamic_degree (--vbench)",
        repo=None,
        folder="raft",
        files=(("raft_large_C_T_V1-22a6c225.pth",),),
        licence="BSD-3-Clause",
        optional=True,
    ),
    WeightSource(
        name="inception",
        used_for="fid, kid (hmbench distribution)",
        repo=None,
        folder="inception",
        files=(("weights-inception-2015-12-05-6726825d.pth",),),
        licence="Apache-2.0",
        optional=True,
        url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0",
    ),
    WeightSource(
        name="r3d18",
        used_for="fvd_r3d18 (hmbench distribution)",
        repo=None,
        folder="r3d18",
        files=(("r3d_18-b3b3357e.pth",),),
        licence="BSD-3-Clause",
        optional=True,
    ),
)
OPTIONAL = frozenset(source.name for source in SOURCES if source.optional)
"""Names that `pull` fetches only when asked: what optional rows need, some of it not for commercial use."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """One network of a weights folder."""

    source: WeightSource
    """Which."""
    state: str
    """``missing``, ``present`` (not in the lock file), ``locked`` (in it, of the locked size) or ``damaged``."""


def pull(
    folder: Path,
    *,
    only: tuple[str, ...] = (),
    on_file: Callable[[str], None] | None = None,
    endpoint: str | None = None,
    torch_url: str = TORCH_URL,
) -> list[str]:
    """Fetches what is missing, checks what is there, and records revisions and digests in the lock file.

    Args:
        folder: Weights folder; made if it does not exist.
        only: Names of `SOURCES`; empty for all but the optional ones.
        on_file: Called with each file before it is fetched.
        endpoint: Hub address; huggingface-hub's own setting (HF_ENDPOINT) by default.
        torch_url: Where torchvision's files are.

    Returns:
        Paths of the fetched files, relative to the folder; empty if all were there.

    Raises:
        UserError: For an unknown name, an unreachable or changed source, a file that is not what the lock records, or
            a folder that cannot be written.
    """
    known = {source.name: source for source in SOURCES}
    for name in only:
        if name not in known:
            raise UserError(f"There are no weights named {name!r}.", did_you_mean(name, known))
    wanted = [source for source in SOURCES if (source.name in only if only else not source.optional)]
    _refuse_file(folder)
    fetched: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source in wanted:
            lock = read_lock(folder)
            entries = lock.get(source.name, {}).get("files", {})
            if entries and all((folder / path).is_file() for path in entries):
                verify(folder, source.name)
                continue
            record = (
                _pull_torch(folder, source, source.url or torch_url, on_file)
                if source.repo is None
                else _pull_hub(folder, source, lock.get(source.name), endpoint, on_file)
            )
            fetched += record["files"]
            write_json(folder / LOCK, {**lock, source.name: record})
    except OSError as error:
        raise UserError(
            f"The weights cannot be written to {folder}: {error.strerror or error}.",
            "Choose another folder, or make room and pull again: what is complete is kept.",
        ) from error
    return fetched


def read_lock(folder: Path) -> dict[str, Any]:
    """The lock file's records by name; empty if there is none.

    Raises:
        UserError: If it is damaged, or names a file outside the folder.
    """
    path = folder / LOCK
    if not path.is_file():
        return {}
    content: dict[str, Any] = read_json(path, kind=dict)
    for name, record in content.items():
        files = record.get("files") if isinstance(record, dict) else None
        if not isinstance(files, dict) or not all(_is_recorded(*one) for one in files.items()):
            raise UserError(
                f"{path} is damaged: its record of {name[:60]!r} is none.",
                f"Delete it and run: hmbench weights pull {folder}",
            )
    return content


def _is_recorded(path: str, entry: Any) -> bool:
    """Whether this is a file inside the weights folder with its digest and size."""
    parts = Path(path).parts
    inside = bool(parts) and not Path(path).is_absolute() and ".." not in parts and "\0" not in path
    return (
        inside
        and isinstance(entry, dict)
        and isinstance(entry.get("sha256"), str)
        and isinstance(entry.get("bytes"), int)
    )


def verify(folder: Path, name: str) -> None:
    """Checks a network's files against the lock file; one that the lock does not know is let pass.

    Raises:
        UserError: If a file is missing or not the recorded one.
    """
    for path, entry in read_lock(folder).get(name, {}).get("files", {}).items():
        full = folder / path
        if not full.is_file():
            raise UserError(f"The weights {full} are missing.", f"Run: hmbench weights pull {folder}")
        found = digest_once(full)
        if found != entry["sha256"]:
            raise UserError(
                f"{full} is not the file that {LOCK} records (sha256 {found[:12]}, recorded {entry['sha256'][:12]}).",
                f"Delete it and run: hmbench weights pull {folder}",
            )


def statuses(folder: Path | None) -> list[Status]:
    """What a folder has of everything there is; sizes are compared, digests are not (see `verify`).

    Raises:
        UserError: If there is no such folder.
    """
    if folder is not None:
        _refuse_file(folder)
        if not folder.exists():
            raise UserError(
                f"The weights folder {folder} does not exist.", f"To fill it: hmbench weights pull {folder}"
            )
    return [Status(source=source, state=_state(folder, source)) for source in SOURCES]


def _refuse_file(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file, not a folder.", "Give a folder for the weights; it is made if need be.")


def _state(folder: Path | None, source: WeightSource) -> str:
    if folder is None:
        return "missing"
    entries = read_lock(folder).get(source.name, {}).get("files", {})
    if entries:
        sizes = [(folder / p).stat().st_size if (folder / p).is_file() else -1 for p in entries]
        if -1 in sizes:
            return "missing"
        return "locked" if sizes == [e["bytes"] for e in entries.values()] else "damaged"
    there = all(any((folder / source.folder / name).is_file() for name in group) for group in source.files)
    return "present" if there else "missing"


def _pull_hub(
    folder: Path,
    source: WeightSource,
    locked: dict[str, Any] | None,
    endpoint: str | None,
    on_file: Callable[[str], None] | None,
) -> dict[str, Any]:
    from huggingface_hub import HfApi, hf_hub_download

    from hmbench.data.hub.errors import explain

    assert source.repo is not None, f"{source.name} is no Hub repository"
    revision = str((locked or {}).get("revision", "main"))
    with explain(f"fetch {source.repo}"):
        info = HfApi(endpoint=endpoint).model_info(source.repo, revision=revision, files_metadata=True)
        listed = {s.rfilename: s for s in info.siblings or []}
        files: dict[str, Any] = {}
        for name in _chosen(source, set(listed), locked):
            if on_file:
                on_file(f"{source.repo}/{name}")
            target = folder / source.folder
            hf_hub_download(source.repo, name, revision=info.sha, local_dir=target, endpoint=endpoint)
            large = listed[name].lfs
            wanted = large.sha256 if large else None
            files[f"{source.folder}/{name}"] = _recorded(target / name, wanted, locked, f"{source.folder}/{name}")
        shutil.rmtree(folder / source.folder / ".cache", ignore_errors=True)
    return {"repo": source.repo, "revision": info.sha, "licence": source.licence, "files": files}


def _pull_torch(folder: Path, source: WeightSource, url: str, on_file: Callable[[str], None] | None) -> dict[str, Any]:
    from torch.hub import download_url_to_file

    name = source.files[0][0]
    path = folder / source.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if on_file:
        on_file(f"{url}/{name}")
    prefix = path.stem.rsplit("-", 1)[-1]
    try:
        download_url_to_file(f"{url}/{name}", str(path), hash_prefix=prefix, progress=False)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"{url}/{name} cannot be fetched: {_first_line(error)}",
            f"Check the network, or copy the file to {path} from another machine.",
        ) from error
    entry = {"sha256": digest(path), "bytes": path.stat().st_size}
    return {"url": f"{url}/{name}", "licence": source.licence, "files": {f"{source.folder}/{name}": entry}}


def _chosen(source: WeightSource, listed: set[str], locked: dict[str, Any] | None) -> list[str]:
    if locked:
        return [path.removeprefix(f"{source.folder}/") for path in locked["files"]]
    chosen = []
    for group in source.files:
        found = next((name for name in group if name in listed), None)
        if found is None:
            raise UserError(
                f"{source.repo} has none of {', '.join(group)}.",
                f"It has changed: put the file into {source.folder}/ by hand, and tell hmbench's authors.",
            )
        chosen.append(found)
    return chosen


def _recorded(path: Path, listed: str | None, locked: dict[str, Any] | None, key: str) -> dict[str, Any]:
    """Digest and size of a fetched file, after checking it against the Hub's listing and the lock."""
    found = digest(path)
    for wanted, who in ((listed, "the Hub lists"), (locked and locked["files"][key]["sha256"], f"{LOCK} records")):
        if wanted and wanted != found:
            path.unlink()
            raise UserError(
                f"{path} arrived with sha256 {found[:12]}, but {who} {wanted[:12]}.", "Nothing was kept: pull again."
            )
    return {"sha256": found, "bytes": path.stat().st_size}


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
