"""Captions from tables: a full one, a short one, and one of the context alone that does not give the target away.

How a subject walks is told of the first alone (companions may take another path), in the full caption alone (bends may
begin after it has left the view), and by the metres it really walks: a slow one never comes to its path's second bend.
"""

from typing import NamedTuple

from hmbench.data.mini_world.look import Look, garment
from hmbench.data.mini_world.looks import LOOKS
from hmbench.data.mini_world.motion import CAMERA_MOTIONS, CAMERA_SWEEPS, FRAMES, Walk
from hmbench.data.mini_world.rng import Stream
from hmbench.data.mini_world.scenes import SCENES, build_scene
from hmbench.data.mini_world.spec import ClipSpec, make_plan

_CAMERA = {
    "DollyBack": "moves backwards in front of {them}",
    "Follow": "follows {them} from behind",
    "Static": "stands still",
    "Truck": "glides sideways",
    "DollyIn": "moves slowly forward",
    "Orbit": "backs away at an angle",
    "Handheld": "follows {them} with a handheld sway",
}
_WALK = {
    "Straight": "straight ahead", "ArcLeft": "in a wide arc to the left", "ArcRight": "in a wide arc to the right",
    "TightLeft": "in a tight curve to the left", "TightRight": "in a tight curve to the right",
    "StopGo": "stopping and going",
}  # fmt: skip
_BENDS: dict[str, tuple[tuple[float, str, str], ...]] = {
    "Weave": ((6.75, "in gentle waves", ""), (0.0, "in a gentle bend", "")),
    "ZigZag": (
        (6.4, "in a zigzag", ""), (3.0, "straight ahead", ", then turns to the right"), (0.0, "straight ahead", ""),
    ),
    "UTurn": (
        (7.0, "straight ahead", ", then turns back"), (5.4, "straight ahead", ", then turns to the left"),
        (0.0, "straight ahead", ""),
    ),
    "SCurve": ((9.0, "in an S-curve", ""), (0.0, "in a curve to the left", "")),
}  # fmt: skip
"""Paths that bend on the way: from how many metres on, how it goes, and what comes last."""
_EXTRAS = {
    "hat": "a hat",
    "cap": "a cap",
    "helmet": "a helmet",
    "pack": "a backpack",
    "horns": "horns",
    "beard": "a beard",
}


class Captions(NamedTuple):
    """Three ways to tell a clip."""

    full: str
    """Subjects, scene, camera with its way back."""
    short: str
    """Subjects and scene."""
    context: str
    """What the context shows: no path, which mostly bends later, and nothing of the return."""


def describe(look: Look) -> str:
    """Return a noun phrase for a subject."""
    pattern = "" if look.pattern == "plain" else f"{look.pattern} "
    extra = next((f" with {_EXTRAS[e]}" for e in look.extras if e in _EXTRAS), "")
    if look.body == "person":
        below = "skirt" if "skirt" in look.extras else "trousers"
        return f"a {look.kind} in a {pattern}{look.top} {garment(look)} and {look.bottom} {below}{extra}"
    if look.body == "quadruped":
        return f"{_article(pattern + look.top)} {look.kind} with {look.bottom} legs"
    if look.body == "bird":
        return f"{_article(pattern + look.top)} {look.kind}"
    noun = {"robot": "robot", "drone": "hovering drone", "buggy": "buggy", "cart": "delivery cart"}[look.kind]
    return f"{_article(pattern + look.top)} {noun} with {look.bottom} parts"


def _article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def style(walk: Walk) -> tuple[str, str]:
    """Return how a walk goes during the clip, and what comes last (often nothing)."""
    if walk.kind in _WALK:
        return _WALK[walk.kind], ""
    metres = walk.at(FRAMES - 1).walked
    return next((how, last) for least, how, last in _BENDS[walk.kind] if metres >= least)


def captions(spec: ClipSpec) -> Captions:
    """Return the clip's captions; the wording varies with its seed."""
    s = Stream("caption", spec.seed)
    looks = [LOOKS[k] for k in spec.subjects]
    first, *others = [describe(look) for look in looks]
    many, wheels = bool(others), any(look.body in ("cart", "drone") for look in looks)
    own = {"man": "his", "woman": "her"}.get(looks[0].kind, "its")
    verbs = (("walk", "walks"), ("move", "moves"), ("make their way", f"makes {own} way"))
    plural, singular = s.choice(verbs[1:] if wheels else verbs)
    place = SCENES[spec.scene].phrase
    how, last = style(make_plan(spec, build_scene(spec.scene)).walks[0])
    path = s.choice(
        (f"{_capital(first)} {singular} {how} through {place}{last}.", f"In {place}, {first} {singular} {how}{last}.")
    )
    if many:
        verb = ("move" if wheels else "walk") + ("s" if len(others) == 1 else "")
        path += f" {_capital(_joined(others))} {verb} there too."
    short = f"{_capital(_joined([first, *others]))} {plural if many else singular} through {place}."
    it = "it" if looks[0].body != "person" else "the " + looks[0].kind
    motion = CAMERA_MOTIONS[spec.camera_path % len(CAMERA_MOTIONS)]
    moves = _CAMERA[motion].format(them="them" if many else it)
    side = "left" if CAMERA_SWEEPS[spec.camera_path // len(CAMERA_MOTIONS)].startswith("Left") else "right"
    lost = "the first of them" if many else it
    away = s.choice((f"turns {side} away from {'them' if many else it}", f"pans {side} until {lost} is out of view"))
    return Captions(
        full=f"{path} The camera {moves}, {away}, and then turns back to where it looked before.",
        short=short,
        context=f"{short} The camera {moves} and then pans {side}.",
    )


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _joined(phrases: list[str]) -> str:
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"
