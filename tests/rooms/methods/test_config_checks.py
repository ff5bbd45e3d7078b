"""Invalid configurations are refused; the message names the field, the value and what is expected."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from course_lib.methods.config_checks import check, check_same


@dataclass
class Config:
    steps: object = 10
    rate: object = 0.1
    weight: object = 0.0
    word: object = "a"


def refuse(**fields):
    check(
        Config(**fields),
        whole={"steps": 1},
        positive=("rate",),
        nonnegative=("weight",),
        choices={"word": ("a", "b", 3)},
    )


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"steps": 1},
        {"rate": 1},
        {"rate": 5e-324},
        {"rate": np.float32(0.5)},
        {"weight": 0},
        {"weight": 1e300},
        {"word": "b"},
        {"word": 3},
    ],
)
def test_valid_values_pass(fields):
    refuse(**fields)


@pytest.mark.parametrize("value", [0, -3, 2.5, True, "10", None, math.nan, math.inf])
def test_a_count_must_be_a_whole_number(value):
    with pytest.raises(ValueError, match="^steps must be a whole number of at least 1, got ") as caught:
        refuse(steps=value)
    assert str(caught.value).endswith(f"got {value!r}")


@pytest.mark.parametrize("value", [0, 0.0, -1e-9, math.inf, -math.inf, math.nan, "0.1", None, True, [1.0]])
def test_a_rate_must_be_finite_and_greater_than_0(value):
    with pytest.raises(ValueError, match="^rate must be a finite number greater than 0, got ") as caught:
        refuse(rate=value)
    assert str(caught.value).endswith(f"got {value!r}")


@pytest.mark.parametrize("value", [-1e-9, math.inf, -math.inf, math.nan, "0", None, False])
def test_a_weight_must_be_finite_and_at_least_0(value):
    with pytest.raises(ValueError, match="^weight must be a finite number of at least 0, got ") as caught:
        refuse(weight=value)
    assert str(caught.value).endswith(f"got {value!r}")


@pytest.mark.parametrize("value", ["c", "", None, 4, ["a"]])
def test_a_word_must_be_one_of_a_list(value):
    with pytest.raises(ValueError, match="^word must be one of 'a', 'b', 3, got ") as caught:
        refuse(word=value)
    assert str(caught.value).endswith(f"got {value!r}")


def test_fields_that_are_not_named_are_not_checked():
    check(Config(steps=-1, rate=math.nan, weight="x", word=None))


def test_two_configurations_must_agree_in_the_named_fields():
    check_same(Config(rate=1.0), Config(rate=2.0), ("steps", "word"))
    with pytest.raises(ValueError, match="^the model to start from has word='b', not 'a'$"):
        check_same(Config(word="b", steps=3), Config(), ("rate", "word", "steps"))
