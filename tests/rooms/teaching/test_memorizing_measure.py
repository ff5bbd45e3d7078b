"""Training crops and held-out paintings: what is kept apart, and what the gap between them is."""

from types import SimpleNamespace
from zlib import crc32

import pytest
import torch
from torch import Tensor

from course_lib.data.unpaired import UnpairedImages
from course_lib.teaching.measures import memorizing


def shade(name: str) -> float:
    return crc32(name.encode()) % 256 / 255


@pytest.fixture
def plain_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every painting and photograph is one shade of gray, which tells its name."""

    def plain(name: str, size: int, side: str) -> Tensor:
        return torch.full((1, 3, size, 60), shade(name))

    monkeypatch.setattr(memorizing, "sample_image", plain)


# Networks whose outputs are known: the mean of a picture, and a black picture.
KNOWN = SimpleNamespace(
    config=SimpleNamespace(image_size=24),
    D={"B": lambda pictures: pictures.mean((1, 2, 3))},
    G={"AB": torch.zeros_like},
)


def test_the_gap_is_between_six_paintings_and_the_two_that_are_held_out(
    plain_pictures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memorizing, "trained", lambda data, steps, seed: [(steps, KNOWN)])
    numbers = memorizing.memorizing(size=24, steps=6, seed=3).numbers  # 24 fresh crops: four of each painting
    held = [shade(name) for name in ("langlois_bridge", "night_cafe")]  # the fourth and fifth of eight
    others = [shade(name) for name in memorizing.VAN_GOGH if name not in ("langlois_bridge", "night_cafe")]
    gap = sum(others) / 6 - sum(held) / 2
    for name in ("12 crops", "12 crops, varied", "fresh crops"):
        assert numbers[f"gap, {name}"] == pytest.approx(gap, abs=0.003)  # pictures are kept as bytes
        assert numbers[f"held out, {name}, step 6"] == pytest.approx(sum(held) / 2, abs=0.003)
        assert numbers[f"translated, {name}, step 6"] == 0


def test_only_fresh_crops_are_new_and_only_varied_ones_move(monkeypatch: pytest.MonkeyPatch) -> None:
    data: list[UnpairedImages] = []
    monkeypatch.setattr(memorizing, "trained", lambda given, steps, seed: data.append(given) or [(steps, KNOWN)])
    memorizing.memorizing(size=24, steps=9, seed=0)

    def different(items: list[Tensor]) -> int:
        return len({item.numpy().tobytes() for item in items})

    few, varied, fresh = data
    shown = [[some.item(0, k) for k in range(36)] for some in data]  # nine steps of four
    assert [different([item[1] for item in items]) for items in shown] == [12, 36, 36]
    assert [len(some.b) for some in (few, varied, fresh)] == [12, 12, 36]
    assert torch.equal(torch.cat([*few.b.pictures]), torch.cat([*fresh.b.pictures[:12]]))
    for photo_of_few, photo_of_fresh in zip(shown[0], shown[2], strict=True):
        assert torch.equal(photo_of_few[0], photo_of_fresh[0])


def test_a_training_pauses_eight_times_and_discriminators_are_wider() -> None:
    pictures = torch.rand(8, 3, 36, 36, generator=torch.Generator().manual_seed(0))
    data = UnpairedImages(pictures, pictures[:2], size=24)
    paused = memorizing.trained(data, 8, seed=1)
    step, players = next(paused)
    assert step == 1
    width = {
        name: next(iter(net.parameters())).shape[0] for name, net in (("G", players.G["AB"]), ("D", players.D["B"]))
    }
    assert width == {"G": 13, "D": 32}  # 64 channels, times 0.2 and 0.5
    before = [value.clone() for value in players.D["B"].parameters()]
    assert [step for step, _ in paused] == [2, 3, 4, 5, 6, 7, 8]
    assert any(not torch.equal(old, new) for old, new in zip(before, players.D["B"].parameters(), strict=True))
