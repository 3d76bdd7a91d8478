"""Names as a paper prints them: ``psnr_subject`` is "PSNR, subject", and ``nano-hydra`` is "Nano HyDRA".

Whoever wants others writes them himself: ``hmbench compare ... --columns psnr,my_score="My score"``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

WORDS = {
    "psnr": "PSNR", "ssim": "SSIM", "lpips": "LPIPS", "dsc": "DSC", "hota": "HOTA", "deta": "DetA", "assa": "AssA",
    "idf1": "IDF1", "fvd": "FVD", "fid": "FID", "kvd": "KVD", "clip": "CLIP", "dino": "DINO", "gt": "GT",
    "musiq": "MUSIQ", "niqe": "NIQE", "mae": "MAE", "mse": "MSE", "vbench": "VBench",
    "iou": "IoU", "rank1": "rank-1", "reentry": "re-entry",
    "hydra": "HyDRA", "dfot": "DFoT", "worldmem": "WorldMem", "framepack": "FramePack", "fov": "FOV", "wan": "Wan",
}  # fmt: skip
"""How the field writes what names have in lower case."""
WHOLE = {
    "dsc_gt": "DSC (GT)", "dsc_ctx": "DSC (context)", "dsc_reentry": "DSC (re-entry)",
    "dsc_ref_gt": "DSC as released (GT)", "dsc_ref_ctx": "DSC as released (context)",
}  # fmt: skip
"""Metrics whose names are not the sum of their words."""
REGIONS = ("subject", "background")
"""Last words that say where a number was measured."""
PRESETS = ("nano", "mini", "paper")
"""First words that say how large a reference model is."""


def metric_title(name: str) -> str:
    """A metric's name for a heading.

    >>> metric_title("psnr_subject"), metric_title("memory_score"), metric_title("dsc_reentry")
    ('PSNR, subject', 'Memory score', 'DSC (re-entry)')
    """
    if name in WHOLE:
        return WHOLE[name]
    words = name.split("_")
    if len(words) > 1 and words[-1] in REGIONS and words[0] in WORDS:
        return f"{_joined(words[:-1])}, {words[-1]}"
    return _joined(words)


def model_title(label: str, known: Collection[str] = ()) -> str:
    """A model's name for a row; what its author wrote otherwise stays as it was written.

    Args:
        label: Its label in tables.
        known: Names of models, which are lower case with hyphens: of these every word is written out.

    >>> model_title("nano-hydra"), model_title("frame-pack"), model_title("my-Model_2"), model_title("hydra (3 seeds)")
    ('Nano HyDRA', 'FramePack', 'my-Model_2', 'HyDRA (3 seeds)')
    """
    name, _, rest = label.partition(" ")
    words = name.replace("frame-pack", "framepack").split("-")
    base = name.removeprefix(f"{words[0]}-") if words[0] in PRESETS else name
    if base not in known and not any(word in WORDS for word in words):
        return label
    return f"{_joined(words)} {rest}".strip()


def _joined(words: Sequence[str]) -> str:
    text = " ".join(WORDS.get(word, word) for word in words)
    return text[:1].upper() + text[1:]
