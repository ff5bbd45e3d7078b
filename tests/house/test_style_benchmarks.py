"""The benchmarks of style in the generator compare equal computations, and their records hold what the rules need."""

import argparse
from dataclasses import replace

import pytest
import torch

from benchmarks import style_scores
from benchmarks import stylegan as step_benchmark
from course_lib.methods import stylegan
from course_lib.networks.modulated import modulated_conv
from course_lib.teaching import records, registry


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
def test_the_plain_layer_equals_ours(up, demodulate):
    x, weight, style = torch.randn(3, 4, 8, 8), torch.randn(5, 4, 3, 3), torch.randn(3, 4)
    plain = step_benchmark.per_picture(x, weight, style, demodulate=demodulate, up=up)
    torch.testing.assert_close(
        plain, modulated_conv(x, weight, style, demodulate=demodulate, up=up), rtol=1e-4, atol=1e-4
    )


def test_the_plain_step_moves_both_networks_as_ours_does():
    """Same weights, same random numbers, one step with both penalties: the discriminator's losses are the same."""
    options = argparse.Namespace(batch=4, seed=0, device="cpu")
    config = step_benchmark.settings_of(options, 8, most=8, beta1=0.0, beta2=0.99)
    images = step_benchmark.pictures_of(options, 8)
    plain = step_benchmark.Plain(config, torch.device("cpu"))
    with torch.random.fork_rng():
        torch.manual_seed(7)
        theirs = plain.step(images, 0)
    players = stylegan.Players(config, stylegan.build(config), stylegan.build_discriminator(config))
    with torch.random.fork_rng():
        torch.manual_seed(7)
        styles, noise = players.styles(4), players.G.random_noise(4)
        fake = players.G(styles, noise)
    assert set(theirs) == {"D", "R1", "G", "path"}
    before = stylegan.build_discriminator(config)
    expected = torch.nn.functional.softplus(-before(images)).mean() + torch.nn.functional.softplus(before(fake)).mean()
    assert theirs["D"] == pytest.approx(expected.item(), rel=1e-4)
    moved = zip(plain.average.parameters(), plain.G.parameters(), strict=True)
    assert any(not torch.equal(kept, new) for kept, new in moved)


def test_the_scores_of_styles_are_made_read_and_have_the_numbers_of_their_rules(tmp_path, monkeypatch):
    """All runs at a toy scale: each trains, is scored and stored, and the record holds what the rules need."""
    monkeypatch.setattr(style_scores, "pooled_features", lambda images: images.flatten(1)[:, ::97])
    monkeypatch.setattr(style_scores, "perceptual_path_length", lambda paint, a, b: paint(a).flatten(1).mean(1))
    scale = style_scores.Scale(steps=2, trained=16, tested=16, pairs=4, folder=tmp_path, device="cpu")
    style_scores.truth.cache_clear()
    for name in style_scores.RUNS:
        for seed in range(3):
            if seed == 0:
                style_scores.make(name, seed, scale)
            else:  # the others would tell no more
                first = style_scores.file_of(name, 0, scale)
                style_scores.file_of(name, seed, scale).write_bytes(first.read_bytes())
    run = records.Record("17_scores", "laptop", 0, {})
    style_scores.store(run, range(3), scale)
    style_scores.truth.cache_clear()
    assert set(run.values["distance"]) == set(style_scores.RUNS)
    decided = {claim.id: claim for claim in registry.load().values() if claim.record == "17_scores"}
    assert set(run.claims) == set(decided) == set(style_scores.CLAIMS)
    for name, claim in decided.items():
        values = run.claims[name]["values"]
        needed = registry.Expression(claim.holds).names + registry.Expression(claim.effect).names
        assert set(needed) <= set(values), name
        assert {len(series) for series in values.values()} == {claim.count}


def test_peak_is_three_deviations_for_noise_and_more_for_a_spike():
    config = replace(style_scores.config_of(style_scores.FULL, 0), num_steps=1)
    model = stylegan.Model(stylegan.build(config), config, {})
    usual = style_scores.peak(model, 4)
    assert 2 < usual < 5

    def spike(module, inputs, maps):
        spiked = maps.clone()
        spiked[:, :, 3, 3] = 100 * maps.std()
        return spiked

    for layer in model.network.convs:
        layer.register_forward_hook(spike)
    assert style_scores.peak(model, 4) > 3 * usual
