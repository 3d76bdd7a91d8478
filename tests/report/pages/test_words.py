"""Strangers' text is made harmless, and names become fit for files."""

from __future__ import annotations

import pytest

from hmbench.report.pages.words import file_names, number, shown, web_link


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("plain", "plain"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),  # escaped by templates, not here
        ("a\x1b[31mred\x1b[0m", "a␛[31mred␛[0m"),
        ("\x00\x07\x7f\x9b", "␀␇␡[U+009B]"),
        ("abc\u202egpj.exe", "abc[U+202E]gpj.exe"),
        ("\u2066x\u2069\u200f", "[U+2066]x[U+2069][U+200F]"),
        ("zero\u200bwidth\ufeff", "zero[U+200B]width[U+FEFF]"),
        ("half \ud800 pair", "half � pair"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # words need this one
        ("two\nlines\tand", "two\nlines\tand"),
        ("ab" * 3000, "ab" * 2000 + " …"),
    ],
)
def test_invisible_characters_are_shown(given: str, expected: str) -> None:
    assert shown(given) == expected


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://example.org/a?b=c", True),
        ("http://example.org", True),
        ("javascript:alert(1)", False),
        ("JaVaScRiPt:alert(1)", False),
        ("java\nscript:alert(1)", False),
        ("data:text/html,<script>", False),
        ("https:alert(1)", False),
        ("//example.org", False),
        ("https://exa\u202emple.org", False),
        ("https://[broken", False),
        ("file:///etc/passwd", False),
        ("", False),
    ],
)
def test_only_addresses_of_the_web_become_links(address: str, kept: bool) -> None:
    assert web_link(address) == (address if kept else "")


def test_file_names_are_fit_and_never_alike() -> None:
    names = [
        "ok-1.5",
        "Ok-1.5",
        "../../etc/passwd",
        "a/b",
        "a?b",
        "con.txt",
        "index",
        "",
        "x" * 200,
        "..",
        "ünï",
        "ok-1.5",
    ]
    found = file_names(names)
    assert found["ok-1.5"] == "ok-1.5"
    assert len({name.casefold() for name in found.values()}) == len(set(names))
    for name in found.values():
        assert name == name.strip("./")
        assert all(c.isalnum() or c in "._-" for c in name), name
        assert 0 < len(name) <= 100
    assert found["con.txt"] != "con.txt"
    assert found == file_names(names)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (17.284, "dB", "17.28"),
        (0.07249, "", "0.072"),
        (-0.0123, "", "−0.012"),
        (-0.0001, "", "0.000"),
        (1383296.0, "", "1,383,296"),
        (None, "", "–"),
        (float("nan"), "", "–"),
    ],
)
def test_numbers(value: float | None, unit: str, expected: str) -> None:
    assert number(value, unit) == expected
