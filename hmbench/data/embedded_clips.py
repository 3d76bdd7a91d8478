"""Ids of the sets that are rendered when first used: known before anything is drawn, so that only what is asked for is.

They follow from the generator (`hmbench.data.mini_world.default`): a test makes them again.
"""

from __future__ import annotations

OF = (3, 3)
"""Generator and choice (`GENERATOR`, `CHOICE`) whose clips these are. With others, all are drawn first."""
EMBEDDED_CLIPS: dict[str, tuple[str, ...]] = {
    "mini": (
        "00001_MarketPlaza_loc2_TightLeft_StaticLeftLate_489397",
        "00002_Warehouse_loc2_UTurn_HandheldLeftLate_158917",
        "00003_FishingHarbour_loc3_SCurve_DollyInRightLate_290789",
        "00004_FountainPlaza_loc2_ArcLeft_StaticLeftEarly_671867",
        "00005_MuseumHall_loc1_StopGo_TruckLeftEarly_954433",
        "00006_FountainPlaza_loc1_ZigZag_DollyBackRightLate_396637",
        "00007_GlassAvenue_loc2_UTurn_FollowRightEarly_738899",
        "00008_Warehouse_loc1_Straight_OrbitLeftLate_900852",
        "00009_GoldenForest_loc1_TightLeft_FollowRightLate_677097",
        "00010_SnowVillage_loc2_ArcLeft_StaticLeftEarly_670508",
        "00011_StationHall_loc0_TightLeft_StaticLeftLate_347973",
        "00012_SnowVillage_loc3_ArcRight_DollyBackRightLate_134692",
        "00014_FountainPlaza_loc3_StopGo_TruckLeftEarly_1733",
        "00016_SnowVillage_loc1_TightLeft_StaticLeftLate_187152",
        "00017_AutumnPark_loc3_TightRight_TruckRightLate_714192",
        "00023_GreenVillage_loc1_ZigZag_DollyInRightLate_613318",
    ),
    "mini-easy": (
        "00001_TempleCourt_loc1_ArcRight_StaticLeftLate_579458",
        "00002_GlassAvenue_loc2_ArcRight_StaticLeftLate_247029",
        "00003_StationHall_loc2_ArcLeft_StaticRightEarly_463070",
        "00004_AutumnPark_loc2_ArcLeft_StaticRightEarly_293839",
        "00005_GoldenForest_loc1_ArcRight_StaticLeftLate_572817",
        "00006_GreenVillage_loc1_Straight_StaticLeftEarly_929313",
        "00007_ContainerHarbour_loc0_Straight_StaticLeftEarly_791546",
        "00008_BrickStreet_loc2_Straight_StaticLeftEarly_276455",
        "00009_MarketPlaza_loc3_Weave_StaticRightLate_125271",
        "00010_CityPark_loc0_ArcLeft_StaticRightEarly_840261",
        "00011_MarketPlaza_loc2_Straight_StaticLeftEarly_586892",
        "00012_ContainerHarbour_loc3_Straight_StaticLeftEarly_381999",
        "00013_CityPark_loc2_ArcRight_StaticLeftLate_71440",
        "00014_TempleCourt_loc1_ArcLeft_StaticRightEarly_540008",
        "00015_StationHall_loc2_Straight_StaticLeftEarly_407830",
        "00016_AutumnPark_loc1_ArcRight_StaticLeftLate_457741",
    ),
}


def slot_of(sample_id: str) -> int:
    """Slot of its split that a clip of the mini world fills: ids count from one.

    >>> slot_of("00004_FountainPlaza_loc2_ArcLeft_StaticLeftEarly_671867")
    3
    """
    return int(sample_id.partition("_")[0]) - 1
