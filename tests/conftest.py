"""Fixtures that several rooms share: small pictures, and the real networks where a test asks for them."""

from contextlib import contextmanager

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from course_lib import VGGFeatures, sample_image, sample_names
from course_lib.pretrained.weights import WeightsError
from course_lib.teaching import claims, records, registry


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


class Ledger:
    """A list of claims and stored runs of its own. `rows` is the list; a test may change it."""

    def __init__(self, folder):
        self.folder = folder
        self.rows = {
            "a.holds": self.claim(),
            "a.fails": self.claim("a.fails", claim="It rises.", quick=False, cases="1 seeds"),
        }

    @staticmethod
    def claim(name="a.holds", **changed):
        """A row: one loss is lower than the other, in three seeds."""
        about = {
            "paper": "gatys2016style", "claim": "It falls.", "where": "Fig. 1", "certainty": "D", "chapter": "04",
            "record": "04_x", "measure": "two losses", "holds": "`low` < `high`", "effect": "`high` - `low`",
            "cases": "3 seeds", "refuted": "one seed",
        }  # fmt: skip
        return registry.Claim(name, **{**about, **changed})

    @staticmethod
    def reason(name, kind="not_attempted", text="no time"):
        """A row that nobody measures."""
        return registry.Claim(name, "gatys2016style", "It is so.", "Fig. 2", "T", **{kind: text})

    def store(self, low, high, *, name="a.holds", profile="laptop", reduced="", images=None):
        """Makes the stored run of a claim."""
        with records.run(self.rows[name].record, profile=profile, seed=0) as run:
            run.claim(name, {"low": low, "high": high})
            run.reduced, run.images = reduced, images or {}
        return records.load(self.rows[name].record, profile=profile)


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    """A ledger to play with: two claims, no stored runs."""
    monkeypatch.setattr(records, "_asked", {})
    for name in ("RECORDS", "RESULTS", "DIGEST", "DIRTY"):
        monkeypatch.delenv(f"COURSE_LIB_{name}", raising=False)
    monkeypatch.setenv("COURSE_LIB_COMMIT", "1234567")
    found = Ledger(tmp_path / "results")
    found.folder.mkdir()
    monkeypatch.setattr(records, "results_folder", lambda: found.folder)
    for module in (claims, registry):
        monkeypatch.setattr(module, "load", lambda: found.rows)
    return found


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
