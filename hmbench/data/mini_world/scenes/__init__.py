"""The 17 scenes: a frozen table over seven families.

`build_scene(k)` bakes scene k; the last few stay in memory, because one takes about half a second.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from hmbench.data.mini_world.scenes import nature, town, works
from hmbench.data.mini_world.scenes.layout import Location, Scene, SceneBuilder

__all__ = ["SCENES", "Location", "Scene", "SceneRow", "build_scene"]


class SceneRow(NamedTuple):
    """One scene."""

    name: str
    family: str
    variant: int
    phrase: str
    """How captions call it."""


SCENES = (
    SceneRow("BrickStreet", "street", 0, "a street of brick houses"),
    SceneRow("GlassAvenue", "street", 1, "a modern avenue in evening light"),
    SceneRow("LanternStreet", "street", 2, "an old street at dusk"),
    SceneRow("CityPark", "park", 0, "a city park"),
    SceneRow("AutumnPark", "park", 1, "a park in autumn"),
    SceneRow("MarketPlaza", "plaza", 0, "a market square"),
    SceneRow("FountainPlaza", "plaza", 1, "a square with fountains"),
    SceneRow("TempleCourt", "plaza", 2, "a sunny temple court"),
    SceneRow("StationHall", "hall", 0, "a station hall"),
    SceneRow("MuseumHall", "hall", 1, "a museum hall"),
    SceneRow("Warehouse", "hall", 2, "a warehouse"),
    SceneRow("ContainerHarbour", "harbour", 0, "a container harbour"),
    SceneRow("FishingHarbour", "harbour", 1, "a fishing harbour at sunset"),
    SceneRow("GreenVillage", "village", 0, "a village lane"),
    SceneRow("SnowVillage", "village", 1, "a snowy village"),
    SceneRow("PineForest", "forest", 0, "a misty pine forest"),
    SceneRow("GoldenForest", "forest", 1, "a golden forest"),
)
"""Order is part of the format: indices appear in every clip's specification."""

_FAMILIES: dict[str, Callable[[SceneBuilder, int], None]] = {
    "street": town.street,
    "plaza": town.plaza,
    "park": nature.park,
    "village": nature.village,
    "forest": nature.forest,
    "hall": works.hall,
    "harbour": works.harbour,
}


@lru_cache(maxsize=4)
def build_scene(index: int) -> Scene:
    """Bake one scene of the table."""
    if not 0 <= index < len(SCENES):
        raise ValueError(f"there are {len(SCENES)} scenes, got {index=}")
    row = SCENES[index]
    builder = SceneBuilder(row.name, row.family, row.variant)
    _FAMILIES[row.family](builder, row.variant)
    return builder.build()
