"""Captions from tables: a full one, a short one, and one of the context alone that does not give the target away."""

from typing import NamedTuple

from hmbench.data.mini_world.look import Look
from hmbench.data.mini_world.looks import LOOKS
from hmbench.data.mini_world.motion import CAMERA_MOTIONS, CAMERA_SWEEPS, SUBJECT_PATHS
from hmbench.data.mini_world.rng import Stream
from hmbench.data.mini_world.scenes import SCENES
from hmbench.data.mini_world.spec import ClipSpec

_CAMERA = {
    "DollyBack": "moves backwards in front of {them}",
    "Follow": "follows {them} from behind",
    "Static": "stands still",
    "Truck": "glides sideways",
    "DollyIn": "moves slowly forward",
    "Orbit": "backs away in a curve",
    "Handheld": "follows {them} with a handheld sway",
}
_WALK = {
    "Straight": "straight ahead", "ArcLeft": "in a wide arc to the left", "ArcRight": "in a wide arc to the right",
    "TightLeft": "in a circle to the left", "TightRight": "in a circle to the right", "Weave": "in gentle waves",
    "StopGo": "stopping and going", "ZigZag": "in a zigzag", "UTurn": "out and back", "SCurve": "in an S-curve",
}  # fmt: skip
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
    """What the context shows: nothing of the return."""


def describe(look: Look) -> str:
    """Return a noun phrase for a subject."""
    pattern = "" if look.pattern == "plain" else f"{look.pattern} "
    extra = next((f" with {_EXTRAS[e]}" for e in look.extras if e in _EXTRAS), "")
    if look.body == "person":
        garment = "coat" if "coat" in look.extras else "top"
        below = "skirt" if "skirt" in look.extras else "trousers"
        return f"a {look.kind} in a {pattern}{look.top} {garment} and {look.bottom} {below}{extra}"
    if look.body == "quadruped":
        return f"{_article(pattern + look.top)} {look.kind} with {look.bottom} legs"
    if look.body == "bird":
        return f"{_article(pattern + look.top)} {look.kind}"
    noun = {"robot": "robot", "drone": "hovering drone", "buggy": "buggy", "cart": "delivery cart"}[look.kind]
    return f"{_article(pattern + look.top)} {noun} with {look.bottom} parts"


def _article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def captions(spec: ClipSpec) -> Captions:
    """Return the clip's captions; the wording varies with its seed."""
    s = Stream("caption", spec.seed)
    looks = [LOOKS[k] for k in spec.subjects]
    phrases = [describe(look) for look in looks]
    who = phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"
    who = who[0].upper() + who[1:]
    many = len(looks) > 1
    own = {"man": "his", "woman": "her"}.get(looks[0].kind, "its")
    verb = s.choice(("walk", "move", "make their way") if many else ("walks", "moves", f"makes {own} way"))
    place, style = SCENES[spec.scene].phrase, _WALK[SUBJECT_PATHS[spec.subject_path]]
    them = "them" if many else "it" if looks[0].body != "person" else "the " + looks[0].kind
    they = "they" if many else them
    motion = _CAMERA[CAMERA_MOTIONS[spec.camera_path % len(CAMERA_MOTIONS)]].format(them=them)
    side = "left" if CAMERA_SWEEPS[spec.camera_path // len(CAMERA_MOTIONS)].startswith("Left") else "right"
    opening = s.choice(
        (f"{who} {verb} {style} through {place}.", f"In {place}, {who[0].lower() + who[1:]} {verb} {style}.")
    )
    away = s.choice((f"turns {side} away from {them}", f"pans {side} until {they} can no longer be seen"))
    return Captions(
        full=f"{opening} The camera {motion}, {away}, and then turns back to where it looked before.",
        short=f"{who} {verb} through {place}.",
        context=f"{opening} The camera {motion} and then pans {side}.",
    )
