"""The device that these tests compare with the CPU, and what is the same for all of them.

Without a CUDA device they are skipped with a sentence. ``COURSE_LIB_GPU_TESTS=cpu`` runs them on the CPU in the
device's place: a rehearsal, which shows that the tests themselves are in order.
"""

import os

import pytest
import torch

CHOSEN = os.environ.get("COURSE_LIB_GPU_TESTS", "cuda")


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/gpu" not in str(item.path).replace(os.sep, "/"):
            continue
        item.add_marker(pytest.mark.gpu)
        if CHOSEN == "cuda" and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device: run `pytest -m gpu` where there is one"))


@pytest.fixture
def device():
    """The device under test, as a word for ``Config(device=…)``."""
    return CHOSEN


@pytest.fixture
def cuda(device):
    """The CUDA device, for what only CUDA has."""
    if device != "cuda":
        pytest.skip("a rehearsal on the CPU has no CUDA streams, graphs or memory counters")
    return torch.device("cuda")


@pytest.fixture(autouse=True)
def true_float32():
    """TF32 off: it keeps 10 bits of 23, and float32 is what is compared here."""
    kept = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = kept


@pytest.fixture
def picture():
    """A function of (height, width, seed): a smooth random picture (1, 3, H, W) in [0, 1]."""

    def make(height, width, seed):
        coarse = torch.rand(1, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
        smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)
        return smooth.clamp(0, 1)

    return make
