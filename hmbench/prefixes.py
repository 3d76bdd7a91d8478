"""Ids by their beginning: ``00001`` is enough where one sample alone begins so."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hmbench.errors import UserError, did_you_mean

SHOWN = 5


def whole_id(beginning: str, known: Collection[str], whose: str, what: str = "sample") -> str:
    """The id that is meant.

    >>> whole_id("00001", ["00001_City", "00002_City"], "The data")
    '00001_City'

    Args:
        beginning: An id, or a part from the beginning that no other id has.
        known: All ids.
        whose: What the sentence begins with: "The data set mini".
        what: What the ids are of.

    Raises:
        UserError: If none or several begin so.
    """
    if beginning in known:
        return beginning
    found = sorted(one for one in known if beginning and one.startswith(beginning))
    if len(found) == 1:
        return found[0]
    if found:
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        shown = ", ".join(short_id(one, known) for one in found[:SHOWN])
        raise UserError(f"{len(found)} ids begin with {beginning!r}: {shown}{more}.", "Write one of them further.")
    heads = {one.partition("_")[0] for one in known}  # shorter to read, where they are as good as the whole
    enough = len(heads) == len(known) and "_" not in beginning
    raise UserError(f"{whose} has no {what} {beginning!r}.", did_you_mean(beginning, heads if enough else known))


def short_id(one: str, known: Collection[str]) -> str:
    """The shortest beginning of an id, in whole words, that no other id has: tables show it, every option takes it.

    >>> short_id("00001_City_loc1", ["00001_City_loc1", "00002_City_loc1"])
    '00001'
    """
    words = one.split("_")
    for count in range(1, len(words)):
        beginning = "_".join(words[:count])
        if beginning and sum(other.startswith(beginning) for other in known) == 1:
            return beginning
    return one


def whole_ids(beginnings: Sequence[str], known: Collection[str], whose: str) -> tuple[str, ...]:
    """`whole_id` of each, without repetitions."""
    return tuple(dict.fromkeys(whole_id(one, known, whose) for one in beginnings))
