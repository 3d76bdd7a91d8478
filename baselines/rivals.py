"""Every rival by name: as a `Method` to train, and as a factory for ``--model``.

All of them stand on the reference model's backbone and differ in memory alone. HyDRA's own ablations (its paper's
Tables 4 and 5) are named variants of ``hydra``. Strides equal kernels, so slices do not share frames; the paper does
not say, and the released code has only 2x2x2.
"""

from __future__ import annotations

from baselines.dfot import DfotPipeline
from baselines.factory import method_factory
from reference_model.model.methods import Method

FULL_CONTEXT = Method(
    name="full-context",
    description="the paper's Baseline: all context frames in full, full attention",
    memory={"kind": "full"},
)
NO_MEMORY = Method(
    name="no-memory",
    description="the last latent frame alone, where every continuation starts",
    memory={"kind": "baselines.recent_window:RecentWindow", "frames": 1},
)
RECENT_WINDOW = Method(
    name="recent-window",
    description="the last five latent frames in full",
    memory={"kind": "baselines.recent_window:RecentWindow"},
)
FOV_RETRIEVAL = Method(
    name="fov-retrieval",
    description="Context-as-Memory: ten latent frames whose view overlaps the target's, the last one among them",
    memory={"kind": "baselines.fov_retrieval:FovRetrieval"},
)
WORLDMEM = Method(
    name="worldmem",
    description="WorldMem's selector: eight latent frames that greedily cover the target's views, and the last one",
    memory={"kind": "baselines.worldmem:WorldMem"},
)
FRAME_PACK = Method(
    name="frame-pack",
    description="FramePack: the first and last latent frame in full, those between packed 2x and 4x",
    memory={"kind": "baselines.frame_pack:FramePack"},
    small={"projection": "depthwise"},
)
DFOT = Method(
    name="dfot",
    description="DFoT: a noise level for each frame, history guidance, a window of five latent frames",
    memory={"kind": "baselines.dfot:Dfot"},
    conditioning="clean_context",
    pipeline=DfotPipeline,
)
HYDRA_FOV = Method(
    name="hydra-fov",
    description="HyDRA's compressed tokens, retrieved by overlapping view (its Table 6)",
    memory={"kind": "baselines.hydra_fov:HydraFov"},
)


def _hydra(name: str, description: str, **settings: object) -> Method:
    return Method(name=name, description=description, memory={"kind": "hydra", **settings})


HYDRA_PAPER = _hydra("hydra-paper", "HyDRA as its paper says: aligned affinity, memory of the context", variant="paper")
HYDRA_244 = _hydra("hydra-2x4x4", "HyDRA, tokenizer 2x4x4 (Tables 2 and 4)", kernel=(2, 4, 4), stride=(2, 4, 4))
HYDRA_288 = _hydra("hydra-2x8x8", "HyDRA, tokenizer 2x8x8 (Table 4)", kernel=(2, 8, 8), stride=(2, 8, 8))
HYDRA_144 = _hydra("hydra-1x4x4", "HyDRA, tokenizer 1x4x4 (Table 4)", kernel=(1, 4, 4), stride=(1, 4, 4))
HYDRA_5 = _hydra("hydra-5-tokens", "HyDRA, 5 retrieved tokens (Table 5)", top_k=5)
HYDRA_15 = _hydra("hydra-15-tokens", "HyDRA, 15 retrieved tokens (Table 5)", top_k=15)

full_context = method_factory(FULL_CONTEXT)
no_memory = method_factory(NO_MEMORY)
recent_window = method_factory(RECENT_WINDOW)
fov_retrieval = method_factory(FOV_RETRIEVAL)
worldmem = method_factory(WORLDMEM)
frame_pack = method_factory(FRAME_PACK)
dfot = method_factory(DFOT)
hydra_fov = method_factory(HYDRA_FOV)
hydra_paper = method_factory(HYDRA_PAPER)
hydra_244 = method_factory(HYDRA_244)
hydra_288 = method_factory(HYDRA_288)
hydra_144 = method_factory(HYDRA_144)
hydra_5_tokens = method_factory(HYDRA_5)
hydra_15_tokens = method_factory(HYDRA_15)
