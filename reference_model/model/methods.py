"""Memory methods by name: what `train-reference --memory NAME` trains and what rivals are made from.

A method is a memory's description and the pipeline that samples with it. Methods come from the entry-point group
``hmbench.memories``, whose values name a `Method`, so that this package knows none but its own::

    [project.entry-points."hmbench.memories"]
    frame-pack = "baselines.rivals:FRAME_PACK"
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from reference_model.model.config import RECIPES, HydraConfig
from reference_model.model.memory_kinds import memory_class, memory_settings
from reference_model.model.transformer import Conditioning
from reference_model.sampling.pipeline import HydraPipeline

GROUP = "hmbench.memories"


@dataclass(frozen=True, kw_only=True)
class Method:
    """One way to remember, on the one backbone."""

    name: str
    """As in tables, folders and ``--memory``."""
    description: str
    """One line: what a target frame sees of the past."""
    memory: Mapping[str, Any]
    """``{"kind": ..., **settings}``; settings left out are the recipe's if it is of its kind, else the defaults."""
    small: Mapping[str, Any] = field(default_factory=dict)
    """Settings that differ at ``nano`` and ``mini``."""
    conditioning: Conditioning = "shared"
    """Noise level that context tokens are told."""
    pipeline: type[HydraPipeline] = HydraPipeline
    """What samples with it."""

    @property
    def per_frame_noise(self) -> bool:
        """True if training draws a noise level for every latent frame."""
        return memory_class(str(self.memory["kind"])).per_frame_noise

    def describe(self, recipe: HydraConfig, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The memory's complete description on a recipe's backbone.

        Args:
            recipe: Whose own settings stand where the method says nothing.
            changes: Settings to change.

        Raises:
            ValueError: For an unknown setting or an impossible value.
        """
        kind = str(self.memory["kind"])
        own = dict(recipe.transformer.memory)
        inherited = own if issubclass(memory_class(kind), memory_class(str(own["kind"]))) else {}
        own_size = {} if recipe.codec.kind == "wan" else self.small
        described = _cut_to_picture({**inherited, **self.memory, **own_size}, recipe) | dict(changes or {})
        return {"kind": kind, **asdict(memory_settings(described))}

    def apply(self, preset: str, changes: Mapping[str, Any] | None = None) -> HydraConfig:
        """The preset's recipe with this memory, named ``<preset>-<method>``, as are folders of its weights.

        Args:
            preset: ``mini``, ``nano`` or ``paper``.
            changes: Settings to change.

        Raises:
            ValueError: For an unknown preset or setting, or if the memory cannot work at this size.
        """
        if preset not in RECIPES:
            raise ValueError(f"there is no preset {preset!r}: use {', '.join(RECIPES)}")
        recipe = RECIPES[preset]()
        transformer = replace(recipe.transformer, memory=self.describe(recipe, changes), conditioning=self.conditioning)
        return replace(recipe, name=f"{preset}-{self.name}", transformer=transformer)


def _cut_to_picture(described: dict[str, Any], recipe: HydraConfig) -> dict[str, Any]:
    """A tokenizer no higher and no wider than the picture: nano's bands are one token high."""
    _, picture = recipe.grids(recipe.context_frames, recipe.target_frames)
    for name in {"kernel", "stride"} & described.keys():
        frames, rows, columns = described[name]
        described[name] = (frames, min(rows, picture.height), min(columns, picture.width))
    return described


HYDRA = Method(
    name="hydra",
    description="HyDRA: compressed tokens retrieved by affinity, beside a local window",
    memory={"kind": "hydra"},
)


def method_names() -> dict[str, EntryPoint]:
    """Installed methods by name."""
    return {point.name: point for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)}


def find_method(name: str) -> Method:
    """The method of that name.

    Raises:
        ValueError: If no installed package offers it, or what it offers is no method.
    """
    known = method_names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        guess = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"there is no memory {name!r}: {guess}available: {', '.join(known) or 'none'}")
    found = known[name].load()
    if not isinstance(found, Method):
        raise ValueError(f"{known[name].value}, offered as memory {name!r}, is no Method but {type(found).__name__}")
    return found
