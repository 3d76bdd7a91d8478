"""What subjects of the mini world were called before; the one place where an old name becomes today's.

Up to names of version 1 a person in a black top was ``BlackMan``, which reads as a word for people. From version 2 on
names say what is worn: ``BlackTopMan``. Old folders, runs and entries still read: the same subject, by today's name.
"""

NAMES_VERSION = 2
"""Stands in ``truth.json`` as ``names``; raised whenever a subject is called otherwise. Files without it are of 1."""
FORMER = {
    "StripedBlackWoman": "StripedBlackTopWoman",
    "WhiteChild": "WhiteTopChild",
    "CheckedYellowMan": "CheckedYellowTopMan",
    "CheckedBlueChild": "CheckedBlueCoatChild",
    "CamouflageYellowWoman": "CamouflageYellowTopWoman",
    "SkyWoman": "SkyTopWoman",
    "DottedRedChild": "DottedRedCoatChild",
    "DottedTealWoman": "DottedTealTopWoman",
    "CheckedYellowChild": "CheckedYellowCoatChild",
    "BlackMan": "BlackTopMan",
    "CheckedRedMan": "CheckedRedCoatMan",
    "ZigzagGreenChild": "ZigzagGreenTopChild",
    "CheckedBlueMan": "CheckedBlueTopMan",
    "DottedWhiteMan": "DottedWhiteTopMan",
    "TealChild": "TealTopChild",
    "StripedPinkMan": "StripedPinkCoatMan",
    "DottedBlackChild": "DottedBlackTopChild",
    "DottedPurpleMan": "DottedPurpleTopMan",
    "RedChild": "RedTopChild",
    "StripedPurpleChild": "StripedPurpleTopChild",
    "StripedRedWoman": "StripedRedTopWoman",
    "YellowMan": "YellowTopMan",
    "StripedYellowChild": "StripedYellowTopChild",
    "ZigzagPurpleWoman": "ZigzagPurpleCoatWoman",
    "DottedGreenMan": "DottedGreenTopMan",
}
"""Names of version 1 to today's. Robots, animals and vehicles keep theirs."""
DUPLICATE = "Duplicate"
"""Ends the name of a second body that a fault adds."""


def current_name(name: str) -> str:
    """Today's name of a subject; any other name as it is.

    Args:
        name: A subject's name, of an old or a new file.
    """
    whole = name.removesuffix(DUPLICATE)
    return FORMER.get(whole, whole) + name[len(whole) :]
