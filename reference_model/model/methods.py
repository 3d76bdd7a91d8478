"""Memory methods by name: what `train-reference --memory NAME` trains and what rivals are made from.

A method is a memory's description and the pipeline that samples with it. Methods come from the entry-point group
``hmbench.memories``, whose values name a `Method`, so that this package knows none but its own. A memory implies the
model of the same name: nothing else has to be declared::

    [project.entry-points."hmbench.memories"]
    frame-pack = "baselines.rivals:FRAME_PACK"
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, cast

from reference_model.model.config import RECIPES, HydraConfig
from reference_model.model.memory import Memory
from reference_model.model.memory_kinds import GROUP, memory_class, memory_settings
from reference_model.model.sequence import Grid
from reference_model.model.transformer import Conditioning
from reference_model.sampling.pipeline import HydraPipeline

if TYPE_CHECKING:
    from reference_model.sampling.method_factory import MethodFactory


@dataclass(frozen=True, kw_only=True)
class Method:
    """One way to remember, on the one backbone."""

    name: str
    """As in tables, folders and ``--memory``."""
    description: str
    """One line: what a target frame sees of the past."""
    memory: Mapping[str, Any]
    """``{"kind": ..., **settings}``: a `Memory` class or its name, and what makes the method what its name says.
    Settings left out are the recipe's if it is of its kind, else the defaults."""
    small: Mapping[str, Any] = field(default_factory=dict)
    """Settings that differ at ``nano`` and ``mini``."""
    conditioning: Conditioning = "shared"
    """Noise level that context tokens are told."""
    pipeline: type[HydraPipeline] = HydraPipeline
    """What samples with it."""

    def __post_init__(self) -> None:
        kind = self.memory["kind"]
        if isinstance(kind, type) and issubclass(kind, Memory):
            named = {**self.memory, "kind": f"{kind.__module__}:{kind.__qualname__}"}
            object.__setattr__(self, "memory", named)

    def factory(self) -> MethodFactory:
        """The factory of its world model: a memory implies the model that remembers with it.

        Imported by name, since world models know methods.
        """
        maker = importlib.import_module("reference_model.sampling.method_factory").MethodFactory
        return cast("MethodFactory", maker(self))

    @property
    def per_frame_noise(self) -> bool:
        """True if training draws a noise level for every latent frame."""
        return memory_class(str(self.memory["kind"])).per_frame_noise

    def stated(self, *, small: bool, picture: Grid) -> dict[str, Any]:
        """The settings that make the method what its name says.

        Args:
            small: Whether it runs at ``nano`` or ``mini``.
            picture: Tokens of the context, of one band: a tokenizer is cut to their rows and columns.
        """
        stated = {**self.memory, **(self.small if small else {})}
        stated.pop("kind")
        return _cut_to_picture(stated, picture)

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
        _, picture = recipe.grids(recipe.context_frames, recipe.target_frames)
        described = _cut_to_picture({**inherited, **self.memory, **own_size}, picture) | dict(changes or {})
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


def _cut_to_picture(described: dict[str, Any], picture: Grid) -> dict[str, Any]:
    """A tokenizer no higher and no wider than the picture: nano's bands are one token high."""
    for name in {"kernel", "stride"} & described.keys():
        frames, rows, columns = described[name]
        described[name] = (frames, min(rows, picture.height), min(columns, picture.width))
    return described


HYDRA = Method(
    name="hydra",
    description="HyDRA: retrieves compressed memory tokens by affinity, beside a local window",
    memory={"kind": "hydra"},
)


def find_method(name: str) -> Method:
    """The installed method of that name; `reference_model.sampling.method_factory.memory_method` takes ``module:NAME``.

    Raises:
        ValueError: If no installed package offers it, or what it offers is no method.
    """
    for point in entry_points(group=GROUP, name=name):
        found = point.load()
        if isinstance(found, Method):
            return found
        raise ValueError(f"{point.value}, offered as memory {name!r}, is no Method but {type(found).__name__}")
    raise ValueError(f"no installed package offers a memory {name!r}")
