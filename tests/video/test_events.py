import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmbench.video.events import MIN_HIDDEN, find_events, visible_frames


def seen(text: str) -> np.ndarray:
    return np.array([c == "#" for c in text])


@pytest.mark.parametrize(
    ("clip", "num_context", "expected"),
    [
        ("#####.....#####", 10, [(5, 10)]),  # returns in the first target frame
        ("#####......####", 10, [(5, 11)]),
        ("#####.....#####", 11, []),  # back before the target begins: nothing to remember
        (".....######.....", 8, []),  # never comes back
        ("..........#####", 8, []),  # first seen in the target: an entry, no re-entry
        ("###....########", 7, []),  # four frames are too short a gap
        ("###.....#####.....##", 8, [(3, 8), (13, 18)]),  # twice
        (".....###.....###", 9, [(8, 13)]),  # absent at first
        (".....###.....###", 5, []),  # the context never shows it: nothing to remember
        ("#....###.....###", 5, [(8, 13)]),  # the context did
    ],
)
def test_gaps_that_count(clip: str, num_context: int, expected: list[tuple[int, int]]) -> None:
    events = find_events(seen(clip), num_context, 1)
    assert [(e.exit, e.reentry) for e in events] == expected
    assert all(e.hidden == e.reentry - e.exit for e in events)


def test_slivers_and_flicker_do_not_count_as_visible() -> None:
    area = np.array([0, 50, 50, 2, 50, 50, 50, 1, 1, 1, 1, 1, 1, 40, 1, 1], dtype=float)
    got = visible_frames(area, 1000, share=0.01, min_run=3)
    assert "".join(".#"[int(v)] for v in got) == ".######........."


def test_the_edges_of_the_rule() -> None:
    """A share that is just reached counts; a run of just `min_run` frames stays, one shorter is merged."""
    area = np.array([9, 10, 11, 10, 0, 0, 0, 10, 10, 0, 0, 10, 10, 10], dtype=float)
    got = visible_frames(area, 1000, share=0.01, min_run=3)
    assert (
        "".join(".#"[int(v)] for v in got) == ".###.......###"
    )  # the shortest first: two frames of it, not two without
    got = visible_frames(area, 1000, share=0.01, min_run=2)
    assert "".join(".#"[int(v)] for v in got) == ".###...##..###"


def test_visibility_of_a_constant_clip() -> None:
    assert visible_frames(np.zeros(5), 100).sum() == 0
    assert visible_frames(np.full(5, 100.0), 100).sum() == 5


@given(st.lists(st.booleans(), min_size=2, max_size=60), st.data())
def test_events_are_the_gaps_that_a_brute_force_finds(clip: list[bool], data: st.DataObject) -> None:
    """An event: hidden from `exit` to `reentry`, seen right before and after, back in the target, known from before."""
    num_context = data.draw(st.integers(1, len(clip)))
    seen_frames = np.array(clip)
    expected = [
        (first, after)
        for first in range(1, len(clip))
        for after in range(first + MIN_HIDDEN, len(clip))
        if clip[first - 1] and clip[after] and not any(clip[first:after])
        if after >= num_context and any(clip[:num_context])
    ]
    found = find_events(seen_frames, num_context, 7)
    assert [(event.exit, event.reentry) for event in found] == expected
    assert all(event.label == 7 and event.hidden == event.reentry - event.exit for event in found)
