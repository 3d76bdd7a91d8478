"""Names of the options of every model here and of the reference model, told without importing torch.

``python -m baselines.options`` writes them anew after a setting was added; a test holds them to the models.
"""

from __future__ import annotations

from pathlib import Path

from hmbench.files import read_json, write_json
from hmbench.registry import factory_options, find_factory, model_names

FILE = Path(__file__).with_name("options.json")
OURS = ("baselines", "reference_model")


def options() -> dict[str, list[str]]:
    """Model name to the names of its options."""
    return dict(read_json(FILE, kind=dict))


def current_options() -> dict[str, list[str]]:
    """As the models themselves say; imports all of them."""
    ours = [name for name, point in model_names().items() if point.value.partition(".")[0] in OURS]
    return {name: sorted(factory_options(find_factory(name)[0])) for name in ours}


if __name__ == "__main__":
    write_json(FILE, current_options())
