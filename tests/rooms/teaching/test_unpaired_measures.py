"""What stands between two passes: measured on generators whose answers are known."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from course_lib.methods import cyclegan
from course_lib.teaching.measures import disturbances, unpaired

IMAGE = 0.5 + 0.2 * torch.linspace(-1, 1, 16).expand(1, 3, 16, 16)  # smooth: a JPEG file keeps it well


class Shrunk(nn.Module):
    """Hide a picture as a faint change of gray, a share of its contrast, or take it out again."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.tensor(share))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (0.5 + (x - 0.5) * self.share).clamp(0, 1)


def model(hidden: float) -> cyclegan.Model:
    networks = nn.ModuleDict({"AB": Shrunk(hidden), "BA": Shrunk(1 / hidden)})
    return cyclegan.Model(networks, cyclegan.Config(), {})


def test_generators_that_hide_a_picture_lose_it_in_noise_and_those_that_keep_it_do_not() -> None:
    plain = unpaired.disturbed_cycle(IMAGE, model(1.0), seed=3).numbers
    hiding = unpaired.disturbed_cycle(IMAGE, model(0.125), seed=3).numbers
    assert hiding["there and back"] == pytest.approx(0, abs=1e-6) == plain["there and back"]
    # E |n| = σ √(2/π); the way back multiplies it by eight
    expected = 2 / 255 * (2 / torch.pi) ** 0.5
    assert plain["there and back, noise 2/255"] == pytest.approx(expected, rel=0.06)
    assert hiding["there and back, noise 2/255"] == pytest.approx(8 * expected, rel=0.06)
    assert plain["answer, noise 2/255"] == pytest.approx(1, abs=1e-4)
    assert hiding["answer, noise 2/255"] == pytest.approx(8, rel=1e-3)
    assert hiding["there and back, JPEG"] > 3 * plain["there and back, JPEG"]


def test_the_pictures_are_those_that_were_sent_and_got_back() -> None:
    found = unpaired.disturbed_cycle(IMAGE, model(0.5), seed=3)
    sent = disturbances.compress(0.5 + 0.5 * (IMAGE - 0.5), 75)
    torch.testing.assert_close(found.images["there, JPEG"], sent)
    torch.testing.assert_close(found.images["back, JPEG"], (0.5 + 2 * (sent - 0.5)).clamp(0, 1))
    assert found.numbers["there and back, JPEG"] == pytest.approx(
        (found.images["back, JPEG"] - found.images["street"]).abs().mean().item()
    )
    with pytest.raises(ValueError, match="0, 1"):
        unpaired.disturbed_cycle(2 * IMAGE, model(0.5), seed=0)


def test_the_measure_of_a_street_has_the_numbers_that_its_rule_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(unpaired, "cyclegan", SimpleNamespace(
        load=lambda name: asked.append(name) or model(0.5), translate=cyclegan.translate,
    ))  # fmt: skip
    numbers = unpaired.hiding(street=2, size=32).numbers
    assert asked == [unpaired.MODEL]
    assert {"there and back", "there and back, noise 2/255", "there and back, JPEG"} <= set(numbers)
