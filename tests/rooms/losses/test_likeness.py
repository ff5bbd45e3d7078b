"""Likeness: zero for the picture itself, its gradient leads to it, and each term is a mean of squares."""

import pytest
import torch

from course_lib.losses import likeness


def test_it_is_zero_for_the_picture_itself_and_the_gradient_leads_back():
    image = torch.rand(1, 3, 16, 16)
    objective = likeness.likeness(image, weights=None)
    assert objective(image).sum().item() == pytest.approx(0, abs=1e-6)
    other = (image + 0.05 * torch.randn(image.shape)).clamp(0, 1)
    terms, gradient = objective.with_gradient(other)
    assert terms.min() > 0
    nearer, _ = objective.with_gradient(other - 0.01 * gradient / gradient.abs().max())
    assert nearer.sum() < terms.sum()


def test_the_term_of_colors_is_ten_times_the_mean_square():
    image = torch.rand(1, 3, 8, 8) / 2
    objective = likeness.likeness(image, weights=None)
    value = dict(zip(objective.names, objective(image + 0.25).tolist(), strict=True))["colors"]
    assert value == pytest.approx(10 * 0.25**2, rel=1e-5)
    assert set(objective.names) == {*(f"content/{layer}" for layer in likeness.LAYERS), "colors"}
