"""YAML from strangers is parsed in bounded time and memory."""

import pytest

from srtod.support.errors import InputError
from srtod.support.yaml_text import parse_yaml

ALIASES = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ALIASES + "names: *a9\n", "a: its aliases .* more than a million values"),
        ("names: &a [*a]\n", "a: its aliases"),
        ("names: " + "[" * 20_000, "a: not usable YAML: nested too deeply"),
        ("names: [", "a: not valid YAML"),
    ],
)
def test_what_would_cost_minutes_or_gigabytes_is_refused(text, message, plain):
    with pytest.raises(InputError, match=message):
        parse_yaml(text, "a:", plain=plain)


@pytest.mark.parametrize("value", ["2001-99-99", "1" * 6000])
def test_impossible_values_are_one_line(value):
    with pytest.raises(InputError, match="a: not usable YAML: "):
        parse_yaml(f"day: {value}", "a:")


def test_a_few_aliases_are_taken():
    assert parse_yaml("a: &a [1, 1e-4]\nb: *a\n", "a:") == {"a": [1, 1e-4], "b": [1, 1e-4]}
    assert parse_yaml("a: &a [1, no]\nb: *a\n", "a:", plain=True)["b"] == ["1", "no"]
    assert parse_yaml("", "a:") is None


def test_characters_that_yaml_does_not_know_are_one_line():
    with pytest.raises(InputError, match="not valid YAML: unacceptable character") as raised:
        parse_yaml("names: [\x00]", "data.yaml:")
    assert "\n" not in str(raised.value)
