"""Huang et al. 2017: the temporal term is the masked mean square of the change, and it makes a painter stable."""

from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from course_lib.data.crops import Crops
from course_lib.data.moving import MovingPairs
from course_lib.flow import warp
from course_lib.methods import johnson, stable_painter
from course_lib.methods.stable_painter import Config

TINY = {
    "num_steps": 2, "batch_size": 2, "image_size": 32, "style_size": 32, "width": 0.25, "num_blocks": 1, "shift": 3.0,
    "weights": None, "precision": "float32", "device": "cpu",
}  # fmt: skip


def tiny(**settings: Any) -> Config:
    return Config(**{**TINY, **settings})


@pytest.fixture
def style(picture: Any) -> Tensor:
    return (picture(40, 50, 9) > 0.5).float()


@pytest.fixture
def photos(picture: Any) -> list[Tensor]:
    return [picture(64, 80, seed) for seed in range(3)]


def test_the_change_of_three_pixels_by_hand() -> None:
    before = torch.tensor([0.1, 0.4, 0.8]).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    painted = torch.tensor([0.5, 0.7, 0.2]).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    flow = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 1, 3)  # each pixel came from the right
    visible = torch.tensor([1.0, 1.0, 0.0]).view(1, 1, 1, 3)
    # warped: 0.4, 0.8, (0.8): squares 0.01, 0.01, hidden; the mean over the two visible ones
    found = stable_painter._change(painted, before, flow, visible)
    torch.testing.assert_close(found, torch.tensor(0.01), rtol=0, atol=1e-6)
    assert stable_painter._change(painted, before, flow, 0 * visible) == 0  # nothing is visible, and not NaN


def change(model: Any, photos: list[Tensor], style: str = "") -> float:
    """The mean temporal error of a painter on pairs that it has not seen."""
    pairs = MovingPairs(Crops(photos, size=40, seed=77), margin=4, shift=3.0, seed=77)
    total = 0.0
    for k in range(8):
        earlier, later, flow, visible = pairs[k]
        a, b = stable_painter.stylize(torch.stack((earlier, later)), model, device="cpu").image.split(1)
        total += stable_painter._change(b, a, flow[None], visible[None]).item()
    return total / 8


def test_the_term_makes_a_painter_stable(style: Tensor, photos: list[Tensor]) -> None:
    settings = {"num_steps": 40, "learning_rate": 1e-2}
    without = stable_painter.train(style, photos, tiny(**settings, temporal_weight=0.0))
    with_it = stable_painter.train(style, photos, tiny(**settings, temporal_weight=2000.0))
    assert change(with_it, photos) < 0.5 * change(without, photos)


def test_its_weight_multiplies_the_term(style: Tensor, photos: list[Tensor]) -> None:
    histories = [
        stable_painter.train(style, photos, tiny(num_steps=1, temporal_weight=weight)).facts["history"]
        for weight in (0.0, 100.0, 300.0)
    ]
    first = [history["temporal"][0] for history in histories]
    assert first[0] == 0
    assert first[2] == pytest.approx(3 * first[1])
    assert histories[1]["content/relu2_2"] == histories[0]["content/relu2_2"]


class One(Dataset[Tensor]):
    """A single crop, so that the first batch is known."""

    def __init__(self, crop: Tensor) -> None:
        self.crop = crop

    def __len__(self) -> int:
        return 1

    def __getitem__(self, k: int) -> Tensor:
        return self.crop


def test_the_first_step_reports_the_change_between_both_frames(style: Tensor, picture: Any) -> None:
    config = tiny(num_steps=1, batch_size=1, temporal_weight=100.0, noise=0.1)
    crops = One(picture(40, 40, 4)[0])  # 32 px and a margin of 4 on each side
    reported = stable_painter.train(style, crops, config).facts["history"]["temporal"][0]
    pair = MovingPairs(crops, margin=4, shift=3.0, noise=0.1)[0]
    earlier, later, flow, visible = (part[None] for part in pair)
    network = stable_painter.build(config)
    with torch.no_grad():
        squares = (network(later) - warp(network(earlier), flow)).square().mean(1, keepdim=True)
    assert reported == pytest.approx(100 * ((squares * visible).sum() / visible.sum()).item(), rel=1e-4)


def test_a_painter_of_johnson_can_be_the_start(style: Tensor, photos: list[Tensor]) -> None:
    shared = {name: value for name, value in asdict(tiny()).items() if name in asdict(johnson.Config())}
    painter = johnson.train(style, photos, johnson.Config(**shared))
    model = stable_painter.train(style, photos, tiny(learning_rate=1e-12), start=painter)
    torch.testing.assert_close(dict(model.network.named_parameters()), dict(painter.network.named_parameters()))
    frames = torch.rand(2, 3, 24, 28)
    torch.testing.assert_close(
        stable_painter.stylize(frames, model, precision="float32").image,
        johnson.stylize(frames, painter, precision="float32").image,
        rtol=0,
        atol=1e-4,
    )
    with pytest.raises(ValueError, match="the model to start from has width"):
        stable_painter.train(style, photos, tiny(width=0.5), start=painter)
    with pytest.raises(TypeError, match="or a model of johnson"):
        stable_painter.train(style, photos, tiny(), start=painter.config)


def test_a_stream_paints_frame_by_frame_and_equals_the_batch(style: Tensor, photos: list[Tensor]) -> None:
    model = stable_painter.train(style, photos, tiny())
    frames, taken = torch.rand(4, 3, 24, 28), []

    def source() -> Any:
        for k, frame in enumerate(frames.split(1)):
            taken.append(k)
            yield frame

    stream = stable_painter.stream(source(), model, device="cpu", precision="float32")
    first = next(stream)
    assert taken == [0]  # nothing is read ahead
    whole = stable_painter.stylize(frames, model, device="cpu", precision="float32")
    torch.testing.assert_close(torch.cat([first, *stream]), whole.image, rtol=0, atol=0)
    assert len(whole.history["seconds"]) == 4
    assert whole.history["seconds"] == sorted(whole.history["seconds"])
