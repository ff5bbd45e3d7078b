"""The plain training steps of StarGAN, U-GAT-IT and AnimeGAN compute what ours do; their comparison runs."""

import argparse
import math
from dataclasses import replace

import pytest
import torch

from benchmarks import method_steps, tutorial_steps
from course_lib.methods import animegan, stargan, ugatit
from course_lib.networks.adalin import adalin
from course_lib.networks.class_attention import ClassAttention
from course_lib.teaching import records, registry

CPU = torch.device("cpu")


def compared(theirs, ours, names, rel=2e-3):
    """The losses of three steps, each from the same random numbers."""
    for k in range(3):
        found = []
        for step in (theirs, ours):
            torch.manual_seed(k)
            found.append(step(k))
        expected, losses = found[0], dict(zip(names, found[1][0].tolist(), strict=True))
        for name, value in expected.items():
            assert losses[name] == pytest.approx(value, rel=rel, abs=1e-4), f"{name} at step {k}"


def test_the_plain_step_of_stargan_has_the_losses_of_ours():
    config = replace(stargan.Config.quick(), num_domains=3, width=0.1, num_blocks=1, batch_size=3, steps_D=2)
    generator = torch.Generator().manual_seed(0)
    pictures, labels = torch.rand(3, 3, 32, 32, generator=generator), torch.tensor([0, 1, 2])
    theirs = tutorial_steps.StarGAN(config, CPU)
    ours = stargan.Players(config, stargan.build(config), stargan.build_discriminator(config))
    with torch.random.fork_rng():
        compared(
            lambda k: theirs.step(pictures, labels, k), lambda k: ours.step((pictures, labels), k), ours.names
        )  # fmt: skip
    assert set(theirs.step(pictures, labels, 1)) == set(ours.names)
    assert not set(theirs.step(pictures, labels, 0)) & {"G", "G_class", "reconstruction"}, "G learns every second step"


def test_the_plain_step_of_ugatit_has_the_losses_of_ours():
    config = replace(ugatit.Config.quick(), width=0.1, gan_weight=0.7, cam_weight=3.0)
    batch = torch.rand(2, 2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    theirs = tutorial_steps.UGATIT(config, CPU)
    ours = ugatit.Players(config, ugatit.build(config), ugatit.build_discriminators(config))
    compared(lambda k: theirs.step(batch), lambda k: ours.step(batch, k), ours.names, rel=1e-2)


def test_the_plain_step_of_animegan_has_the_losses_of_ours():
    """The plain D normalizes its filters anew for each of four sets, ours once for all."""
    config = replace(animegan.Config.quick(), init_epochs=0, width=0.1, weights=None, learning_rate=1e-4)
    batch = torch.rand(2, 3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    theirs = tutorial_steps.AnimeGAN(config, CPU)
    ours = animegan.Players(config, animegan.build(config), animegan.build_discriminator(config))
    compared(lambda k: theirs.step(batch), lambda k: ours.step(batch, k), ours.names, rel=2e-2)


def test_both_normalizations_mixed_are_adalin():
    x, rho = torch.randn(2, 3, 5, 5), torch.tensor([0.0, 0.3, 1.0])
    for shape in ((3,), (2, 3)):
        gamma, beta = torch.randn(shape), torch.randn(shape)
        torch.testing.assert_close(
            tutorial_steps.both_normalized(x, rho, gamma, beta), adalin(x, rho, gamma, beta), rtol=1e-4, atol=1e-5
        )


def test_two_sets_of_maps_merged_are_our_attention():
    attention, x = ClassAttention(6, torch.nn.ReLU()), torch.randn(2, 6, 5, 4)
    for ours, theirs in zip(attention(x), tutorial_steps.two_sets_of_maps(attention, x), strict=True):
        torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-5)


@pytest.fixture
def options():
    return argparse.Namespace(
        methods=["stargan"], size=[32, 64], batch=3, width=0.05, rounds=1, seed=0, device="cpu", weights=None
    )


@pytest.mark.parametrize("name", [*method_steps.METHODS])
def test_a_comparison_runs_and_its_memory_is_measured(name, options, monkeypatch):
    monkeypatch.setattr(method_steps, "STRETCH", 1)
    seconds, rows = method_steps.compare(options, name, 32, {"float32": _Fast()})
    assert min(seconds.values()) > 0
    assert (method_steps.BESIDE in seconds) == (name == "stargan")
    assert [row.row.split(", training")[0] for row in rows] == [method_steps.METHODS[name].title]
    for which in ("plain", "float32"):
        memory = method_steps.peak(options, name, 32, which)
        assert math.isnan(memory) or memory > 0.1


class _Fast:
    def share(self, seconds, operations):
        assert operations > 0
        return 0.5


def test_the_claim_of_the_cost_has_a_number_for_each_size(options):
    run = records.Record("18_step", "laptop", 0, {})
    way = {"seconds": {"plain": 3.0, "float32": 2.0, method_steps.BESIDE: 5.0}}
    run.values["StarGAN"] = {"32": way, "64": way}
    method_steps.claim(run, options.size)
    claim = registry.find(method_steps.CLAIM)
    values = run.claims[claim.id]["values"]
    assert values == {"StarGAN": [2.0, 2.0], method_steps.BESIDE: [5.0, 5.0]}
    assert len(values["StarGAN"]) == claim.count


def test_the_networks_that_are_compared_are_the_papers_but_for_width_and_size(options):
    options.width, options.batch = 1.0, 16
    star = method_steps.star_config(options, 128, 200_000)
    paper = replace(stargan.Config(), load_size=None, mirror=False, num_domains=3, device="cpu")
    assert star == paper
    assert method_steps.cycle_config(options, 64, 1).num_blocks == paper.num_blocks
    assert method_steps.attention_config(options, 64, 1).num_blocks == ugatit.Config().num_blocks
    assert method_steps.cartoon_config(options, 64, 1).version == "v2"
