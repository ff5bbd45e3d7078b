"""The measures of color, place and scale, on pictures whose numbers are known beforehand."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from course_lib import sample_image
from course_lib.methods import control
from course_lib.teaching.measures import control as measured


@dataclass(frozen=True)
class Painted:
    image: Tensor


def test_the_distance_of_colors_is_that_of_means_and_covariances(monkeypatch):
    """The photograph is black and white in equal parts; a gray one lacks its covariance, a shifted one its mean."""
    photo = torch.tensor([0.25, 0.75]).view(1, 1, 1, 2).expand(1, 3, 4, 2).contiguous()
    results = {
        "painting": torch.full_like(photo, 0.5),  # every entry of the covariance falls from 1/16 to 0
        "match": photo + 0.125,  # each of three channels moves by 1/8
        "luminance": photo.flip(3),  # the same colors elsewhere
    }
    monkeypatch.setattr(control, "stylize", lambda content, style, config: Painted(results[config.colors]))
    found = measured.colors_kept(photo, photo, steps=1, seed=0).numbers
    assert found["painting"] == pytest.approx(3 / 16)
    assert found["match"] == pytest.approx(0.125 * 3**0.5)
    assert found["luminance"] == pytest.approx(0, abs=1e-7)


@pytest.mark.real_weights
def test_the_leak_is_small_for_two_halves_of_their_own_and_large_for_exchanged_ones(real_network, monkeypatch):
    first, second = sample_image("brick", 64), sample_image(measured.OTHER, 64)
    left, right = (picture[..., :40, :32] for picture in (first, second))
    seen = []

    def stylize(content, style, config, regions=None):
        seen.append(regions)
        halves = (left, right) if regions is not None else (right, left)
        return Painted(torch.cat(halves, 3))

    monkeypatch.setattr(control, "stylize", stylize)
    photo = torch.zeros(1, 3, 40, 64)
    found = measured.place(photo, first, steps=1, seed=0, size=64).numbers
    assert found["guided"] < 1 < found["both everywhere"]
    plain, guided = seen
    assert plain is None
    assert guided.content[0].mean() == guided.content[1].mean() == 0.5
    assert guided.content[0][..., :32].all()


@pytest.mark.real_weights
def test_a_painting_that_did_not_change_is_nearer_to_itself(real_network, monkeypatch):
    monkeypatch.setattr(control, "with_fine_style", lambda coarse, fine, config: coarse + 1e-3)
    found = measured.fine_style(blend=("great_wave", "poppies"), steps=1, size=64).numbers
    assert all(quotient > 1 for quotient in found.values())


@pytest.mark.parametrize("painting", [torch.rand(1, 3, 8, 8), torch.full((1, 3, 8, 8), 0.5)])
def test_a_degenerate_painting_gets_the_photograph_s_mean(painting):
    photo = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    assert measured.color_match(photo, painting).numbers["mean, degenerate"] < 1e-10


def test_the_seed_matters(monkeypatch):
    """A rule that asks for three seeds must get three pictures."""
    original = control.stylize
    monkeypatch.setattr(
        control, "stylize", lambda content, style, config: original(content, style, replace(config, weights=None))
    )
    photo, painting = (sample_image(name, 32) for name in ("cat", "great_wave"))
    images = [measured.colors_kept(photo, painting, steps=2, seed=seed).images["painting"] for seed in (0, 1)]
    assert not torch.equal(*images)
