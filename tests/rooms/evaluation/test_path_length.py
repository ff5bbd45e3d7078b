"""Perceptual path length: a squared speed, in a direction and at places that are known here."""

import pytest
import torch

from course_lib.evaluation import metrics
from course_lib.evaluation.path_length import perceptual_path_length


def squared(x, y):
    return (x - y).square().flatten(1).sum(1)


def line(w):
    """Gray pictures of brightness w."""
    return w.view(-1, 1, 1, 1).expand(-1, 3, 4, 4)


def test_the_length_of_an_even_road_is_its_squared_speed_whatever_the_step():
    a, b = torch.zeros(5, 1), torch.full((5, 1), 0.5)
    expected = 3 * 16 * 0.5**2  # 48 numbers, each at a speed of 0.5
    for step in (1e-1, 1e-3, 1e-4):
        lengths = perceptual_path_length(line, a, b, step=step, distance=squared)
        torch.testing.assert_close(lengths, torch.full((5,), expected), rtol=5e-3, atol=0)


def test_a_jump_makes_the_mean_grow_as_the_step_shrinks():
    """A step over the jump has a distance of 1 however short it is: 1/ε² in a part ε of all places, 1/ε on average."""

    def jump(w):
        return line((w > 0.5).float()) / 48**0.5

    a, b = torch.zeros(20_000, 1), torch.ones(20_000, 1)
    for step in (0.1, 0.05):
        mean = perceptual_path_length(jump, a, b, step=step, distance=squared).mean().item()
        assert mean == pytest.approx(1 / step, rel=0.1)


def test_places_come_from_the_seed_and_lie_between_the_ends():
    seen = []

    def watched(w):
        seen.append(w)
        return line(w)

    a, b = torch.zeros(200, 1), torch.ones(200, 1)
    for seed in (3, 3, 4):
        perceptual_path_length(watched, a, b, seed=seed, distance=squared)
    first, same, other = seen[0], seen[2], seen[4]
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert first.min() >= 0
    assert first.max() <= 1
    assert 0.4 < first.mean() < 0.6
    torch.testing.assert_close(seen[1] - first, torch.full((200, 1), 1e-4), rtol=1e-2, atol=0)


def test_a_road_that_stands_still_has_length_zero():
    a = torch.rand(3, 2)
    assert perceptual_path_length(lambda w: line(w.sum(1)), a, a, distance=squared).tolist() == [0, 0, 0]


def test_unequal_batches_and_steps_are_refused():
    with pytest.raises(ValueError, match=r"two equal batches of styles, got \(2, 1\) and \(3, 1\)"):
        perceptual_path_length(line, torch.zeros(2, 1), torch.zeros(3, 1), distance=squared)
    with pytest.raises(ValueError, match="step"):
        perceptual_path_length(line, torch.zeros(2, 1), torch.zeros(2, 1), step=0.0, distance=squared)


def test_lpips_of_each_pair_has_lpips_as_its_mean(monkeypatch):
    """On a network of random weights; the published one is tested with the metrics."""
    network = metrics.VGGFeatures("vgg16", metrics._LPIPS_LAYERS, pooling="max", weights=None)
    widths = [network(torch.rand(1, 3, 16, 16))[layer].shape[1] for layer in network.layers]
    heads = [torch.rand(1, width, 1, 1) for width in widths]
    monkeypatch.setattr(metrics, "_lpips_network", lambda name: (network, heads))
    a, b = torch.rand(3, 3, 16, 16), torch.rand(3, 3, 16, 16)
    each = metrics.lpips_each(a, b)
    assert each.shape == (3,)
    assert metrics.lpips(a, b) == pytest.approx(each.mean().item())
    assert metrics.lpips(a[1:2], b[1:2]) == pytest.approx(each[1].item(), rel=1e-4)
