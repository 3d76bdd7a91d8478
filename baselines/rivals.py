"""Every rival by name, as a `Method`: what is trained, and what implies the model of that name.

All of them stand on the reference model's backbone and differ in memory alone. HyDRA's own ablations (its paper's
Tables 4 and 5) are named variants of ``hydra``. Strides equal kernels, so slices do not share frames; the paper does
not say, and the released code has only 2x2x2.
"""

from __future__ import annotations

from typing import Any

from baselines.dfot import Dfot, DfotPipeline
from baselines.fov_retrieval import FovRetrieval
from baselines.frame_pack import FramePack
from baselines.hydra_fov import HydraFov
from baselines.recent_window import RecentWindow
from baselines.worldmem import WorldMem
from reference_model.model.methods import Method

FULL_CONTEXT = Method(
    name="full-context",
    description="the paper's Baseline: all context frames in full, full attention",
    memory={"kind": "full"},
)
NO_MEMORY = Method(
    name="no-memory",
    description="the last latent frame alone, where every continuation starts",
    memory={"kind": RecentWindow, "frames": 1},
)
RECENT_WINDOW = Method(
    name="recent-window",
    description="the last five latent frames in full",
    memory={"kind": RecentWindow, "frames": 5},
)
FOV_RETRIEVAL = Method(
    name="fov-retrieval",
    description="Context-as-Memory: ten latent frames whose view overlaps the target's, the last one among them",
    memory={"kind": FovRetrieval},
)
WORLDMEM = Method(
    name="worldmem",
    description="WorldMem's selector: eight latent frames that greedily cover the target's views, and the last one",
    memory={"kind": WorldMem},
)
FRAME_PACK = Method(
    name="frame-pack",
    description="FramePack: the first and last latent frame in full, those between packed 2x and 4x",
    memory={"kind": FramePack},
    small={"projection": "depthwise"},
)
DFOT = Method(
    name="dfot",
    description="DFoT: a noise level for each frame, history guidance, a window of five latent frames",
    memory={"kind": Dfot},
    conditioning="clean_context",
    pipeline=DfotPipeline,
)
HYDRA_FOV = Method(
    name="hydra-fov",
    description="HyDRA's compressed tokens, retrieved by overlapping view (its Table 6)",
    memory={"kind": HydraFov},
)


def _hydra(name: str, description: str, **settings: object) -> Method:
    return Method(name=name, description=description, memory={"kind": "hydra", **settings})


HYDRA_PAPER = _hydra("hydra-paper", "HyDRA as its paper says: aligned affinity, memory of the context", variant="paper")
HYDRA_244 = _hydra("hydra-2x4x4", "HyDRA, tokenizer 2x4x4 (Tables 2 and 4)", kernel=(2, 4, 4), stride=(2, 4, 4))
HYDRA_288 = _hydra("hydra-2x8x8", "HyDRA, tokenizer 2x8x8 (Table 4)", kernel=(2, 8, 8), stride=(2, 8, 8))
HYDRA_144 = _hydra("hydra-1x4x4", "HyDRA, tokenizer 1x4x4 (Table 4)", kernel=(1, 4, 4), stride=(1, 4, 4))
HYDRA_5 = _hydra("hydra-5-tokens", "HyDRA, 5 retrieved tokens (Table 5)", top_k=5)
HYDRA_15 = _hydra("hydra-15-tokens", "HyDRA, 15 retrieved tokens (Table 5)", top_k=15)


def __getattr__(name: str) -> Any:
    """The factories that stood here in 0.1, for ``--model baselines.methods:full_context``."""
    method = globals().get({"hydra_5_tokens": "HYDRA_5", "hydra_15_tokens": "HYDRA_15"}.get(name, name.upper()))
    if not name.islower() or not isinstance(method, Method):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return method.factory()
