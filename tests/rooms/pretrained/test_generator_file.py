"""Reading a generator of CycleGAN from a file that `torch.save` wrote (`formats.resnet_generator`)."""

import io
import pickle
from pathlib import Path

import pytest
import torch

from course_lib.pretrained import formats
from course_lib.pretrained.formats import FormatError


def saved(tensors):
    """What `torch.save` writes."""
    file = io.BytesIO()
    torch.save(tensors, file)
    return file.getvalue()


def test_a_generator_keeps_its_numbers_and_loses_the_running_statistics():
    """A file of the authors' code from 2017, and one of a port, which calls the block otherwise."""
    kernel, bias = torch.randn(2, 2, 3, 3), torch.randn(2)
    running = {f"model.2.{name}": torch.ones(2) for name in ("running_mean", "running_var")}
    running["model.10.conv_block.2.num_batches_tracked"] = torch.tensor(7)
    first = {"model.1.weight": kernel, "model.1.bias": bias}
    for block in ("conv_block", "block"):
        inner = {f"model.10.{block}.5.weight": kernel, f"model.10.{block}.6.bias": bias}
        state = formats.resnet_generator(saved(first | running | inner))
        assert [*state] == ["1.weight", "1.bias", "10.conv_block.5.weight", "10.conv_block.6.bias"]
        assert torch.equal(state["10.conv_block.5.weight"], kernel)
        assert torch.equal(state["1.bias"], bias)


@pytest.mark.parametrize("key", ["1.weight", "model", "features.0.weight"])
def test_another_network_is_not_taken_for_a_generator(key):
    with pytest.raises(FormatError, match=f"its entry '{key}' is not one of a ResNet generator"):
        formats.resnet_generator(saved({key: torch.zeros(1)}))


def test_a_generator_in_a_pickle_that_runs_code_is_refused():
    with pytest.raises(FormatError, match="a pickle that could run any code"):
        formats.resnet_generator(pickle.dumps({"model.1.weight": Path("x")}))
