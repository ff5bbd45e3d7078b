"""Fixtures that several rooms share: small pictures, and the real networks where a test asks for them."""

from contextlib import contextmanager

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from course_lib import VGGFeatures, sample_image, sample_names
from course_lib.pretrained.weights import WeightsError


def _picture(height, width, seed):
    """A smooth random picture (1, 3, H, W) in [0, 1] with large shapes, unlike noise."""
    coarse = torch.rand(1, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)
    return smooth.clamp(0, 1)


@pytest.fixture
def picture():
    """A function of (height, width, seed) that makes such a picture."""
    return _picture


@pytest.fixture(scope="session")
def real_network():
    """A function that builds `VGGFeatures` with real weights; a test without them fails and says why."""

    def build(arch="vgg19", layers=("relu4_2",), **options):
        try:
            return VGGFeatures(arch, layers, **options)
        except WeightsError as error:
            pytest.fail(f"this test needs the real {arch} (`make weights` fetches it): {error}", pytrace=False)

    return build


@pytest.fixture(scope="session")
def photos():
    """All twelve content photographs by name, (1, 3, 192, 192) each."""
    return {name: sample_image(name, (192, 192)) for name in sample_names("content")}


class _HostReads(TorchDispatchMode):
    """Notes every operation for which the host has to wait for a device."""

    waiting = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero")

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in self.waiting:
            self.found.append(name)
        return function(*args, **(kwargs or {}))


@pytest.fixture
def host_reads():
    """A context that gives the list of reads, as they come: ``with host_reads() as reads: …``."""

    @contextmanager
    def watching():
        with _HostReads() as mode:
            yield mode.found

    return watching
