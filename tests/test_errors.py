from hmbench.errors import UserError, did_you_mean


def test_the_nearest_names_come_first() -> None:
    assert did_you_mean("hydrra", ["oracle", "hydra"]) == "Did you mean 'hydra'? Available: hydra, oracle."
    assert did_you_mean("zzz", ["oracle", "hydra"]) == "Available: hydra, oracle."
    assert did_you_mean("x", []) == "Available: none."


def test_thousands_of_names_do_not_flood_the_screen() -> None:
    text = did_you_mean("clip-00017x", [f"clip-{i:05d}" for i in range(2000)])
    assert "'clip-00017'" in text and text.endswith("and 1960 more.") and len(text) < 800


def test_what_and_hint_are_one_text() -> None:
    error = UserError("It broke.", "Mend it.")
    assert (str(error), error.what, error.hint) == ("It broke. Mend it.", "It broke.", "Mend it.")
