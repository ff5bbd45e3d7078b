"""Every field of every `Config` with any value: taken without loss, or refused with the name of the field."""

import dataclasses
import importlib
import math
import pkgutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib import methods

METHODS = [one.name for one in pkgutil.iter_modules(methods.__path__)]
NUMBERS = st.one_of(st.integers(-3, 600), st.integers(), st.floats(), st.sampled_from((0.5, 1.0, 2**45, 1e300)))
SCALARS = st.one_of(
    NUMBERS, st.booleans(), st.none(), st.text(max_size=6), st.binary(max_size=3), st.complex_numbers(),
    NUMBERS.map(float).map(np.float64), st.integers(0, 99).map(np.int32), st.integers(0, 99).map(torch.tensor),
    st.floats(width=32).map(torch.tensor), st.sampled_from((object(), type, len, np.zeros(3), torch.zeros(2, 2))),
)  # fmt: skip
VALUES = st.one_of(
    SCALARS, st.lists(SCALARS, max_size=3), st.lists(SCALARS, max_size=3).map(tuple),
    st.dictionaries(st.text(), SCALARS),
    st.sampled_from((("relu1_1",), ["relu2_1"], "relu1_1", {"relu1_1"})),
    st.sampled_from((torch.device("cpu"), torch.bfloat16, torch.float16)),
)  # fmt: skip
SIMPLE = (int, float, str, bool, tuple, type(None))


def plainly(value):
    """A value with NumPy's and PyTorch's scalars as Python's, and lists as tuples."""
    if isinstance(value, list | tuple):
        return tuple(map(plainly, value))
    if isinstance(value, torch.device | torch.dtype):
        return str(value).removeprefix("torch.")
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value


@pytest.mark.parametrize("method", METHODS)
@given(st.data())
def test_a_field_takes_a_value_or_names_it(method, data):
    kind = importlib.import_module(f"course_lib.methods.{method}").Config
    name = data.draw(st.sampled_from([field.name for field in dataclasses.fields(kind)]))
    value = data.draw(VALUES)
    try:
        config = kind(**{name: value})
    except ValueError as error:
        message = str(error)
        assert name in message, message
        assert len(message) < 400 + len(repr(value)), message
        return
    kept = getattr(config, name)
    assert isinstance(kept, SIMPLE), kept
    number = name == "device" and isinstance(plainly(value), int)  # PyTorch's number of an accelerator
    assert kept == plainly(value) or (number and kept.endswith(f":{plainly(value)}")), (kept, value)
    assert not isinstance(kept, float) or math.isfinite(kept)
    assert kind(**{name: kept}) == config
    assert isinstance(hash(config), int)
