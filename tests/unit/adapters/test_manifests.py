"""What is no manifest, said in the one way that every door knows."""

import pytest
import yaml

from strategyrun.adapters.manifests import documents


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "!!int abc",
        "!!int ''",
        "!!bool maybe",
        "!!timestamp abc",
        "!!float [1]",
        "{" * 5000,
        "[" * 5000 + "]" * 5000,
    ],
    ids=["open", "no integer", "nothing", "no truth", "no time", "no number", "deep and open", "deep"],
)
def test_whatever_cannot_be_read_is_one_error(text: str) -> None:
    """Tags that do not fit their values and nesting beyond reason too."""
    with pytest.raises(yaml.YAMLError):
        documents(text)
