"""What a run records of the machine and software that made it."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hmbench.video.decode import decoder_versions

PACKAGES = (
    "hmbench", "torch", "torchvision", "diffusers", "transformers", "torchmetrics", "lpips", "pyiqa", "ultralytics",
    "av", "numpy", "opencv-python",
)  # fmt: skip
"""Libraries whose version can change a number."""


def environment() -> dict[str, str]:
    """Versions of Python and of the libraries that carry numbers, and hmbench's git revision where there is one."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    found["ffmpeg"] = decoder_versions()
    if revision := _git_revision():
        found["git"] = revision
    return found


def _git_revision() -> str | None:
    """Commit of the source tree that hmbench runs from, with ``+changes`` if it is not clean; None outside git."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
        status = subprocess.run(
            ["git", "-C", str(root), "status", "--porcelain", "-uno"],
            capture_output=True, text=True, check=True, timeout=10,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+changes" if status else "")
