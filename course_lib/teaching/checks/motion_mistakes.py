"""A warp along a flow and a mask of what was visible, and what common mistakes make of them (`course_lib.flow`).

A frame is (1, C, H, W). A flow is (1, 2, H, W) in pixels, x first, from a frame back to an earlier one. The equations
are written out here once more, by reading pixels one by one, so that the checks do not rest on what they teach.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.teaching.checks.transforms import Mistake

Outside = Literal["border", "zeros", "wrapped", "reflected"]

_HALF = (
    "with a flow of 0 the frame moves by up to half a pixel: are −1 and 1 the centers of the border pixels or their "
    "outer edges? The scale of your positions and the sampling must agree"
)


# --- the equations
def positions(flow: Tensor) -> tuple[Tensor, Tensor]:
    """x and y that a flow (1, 2, H, W) points to, (H, W)."""
    height, width = flow.shape[-2:]
    return torch.arange(width) + flow[0, 0], torch.arange(height)[:, None] + flow[0, 1]


def read(frame: Tensor, x: Tensor, y: Tensor, outside: Outside = "border") -> Tensor:
    """Bilinear values of (1, C, H, W) at the positions x and y, (H, W)."""
    left, top = x.floor(), y.floor()
    value = torch.zeros(1, frame.shape[1], *x.shape)
    for column in (left, left + 1):
        for row in (top, top + 1):
            value = value + (1 - (x - column).abs()) * (1 - (y - row).abs()) * _pixel(frame, column, row, outside)
    return value


def _pixel(frame: Tensor, x: Tensor, y: Tensor, outside: Outside) -> Tensor:
    height, width = frame.shape[-2:]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    if outside == "wrapped":
        x, y = x.remainder(width), y.remainder(height)
    elif outside == "reflected":
        x, y = (side - 1 - (side - 1 - position.abs()).abs() for position, side in ((x, width), (y, height)))
    value = frame[..., y.clamp(0, height - 1).long(), x.clamp(0, width - 1).long()]
    return value * inside if outside == "zeros" else value


def moved(earlier: Tensor, flow: Tensor, outside: Outside = "border") -> Tensor:
    """The earlier frame, brought into the position of the later one."""
    return read(earlier, *positions(flow), outside)


def points_inside(flow: Tensor) -> Tensor:
    x, y = positions(flow)
    height, width = flow.shape[-2:]
    return ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1))[None, None].float()


def agrees(flow: Tensor, returned: Tensor) -> Tensor:
    """The test of Ruder et al. 2016 (Section 4.3), where w̃ = `returned` was read."""
    lengths = flow.square().sum(1, keepdim=True) + returned.square().sum(1, keepdim=True)
    return ((flow + returned).square().sum(1, keepdim=True) <= 0.01 * lengths + 0.5).float()


def mask(flow: Tensor, back: Tensor) -> Tensor:
    return agrees(flow, moved(back, flow)) * points_inside(flow)


# --- common mistakes: a warp
def still_mistakes(frame: Tensor) -> list[Mistake]:
    """What a flow of 0 makes of a frame whose sides differ."""
    height, width = frame.shape[-2:]
    x, y = torch.arange(width).expand(height, -1), torch.arange(height)[:, None].expand(-1, width)
    turned = "x and y of the positions are exchanged: with a flow of 0, the frame is mirrored at its diagonal"
    sides = "width and height are exchanged in the scale of the positions: with a flow of 0, the frame is stretched"
    pixels = "positions in pixels were taken for positions between −1 and 1; with a flow of 0, nearly all lie outside"
    wrong: list[tuple[str, Tensor, Tensor]] = [
        *((_HALF, *at) for at in (
            (x * width / (width - 1) - 0.5, y * height / (height - 1) - 0.5),
            ((x + 0.5) * (width - 1) / width, (y + 0.5) * (height - 1) / height),
            (x - 0.5, y - 0.5), (x + 0.5, y + 0.5), (x * (width - 1) / width, y * (height - 1) / height),
            (x * width / (width - 1), y * height / (height - 1)),
        )),
        (turned, (y + 0.5) * width / height - 0.5, (x + 0.5) * height / width - 0.5),
        (turned, y * (width - 1) / (height - 1), x * (height - 1) / (width - 1)),
        (turned, y * width / (height - 1) - 0.5, x * height / (width - 1) - 0.5),
        (turned, 1.0 * y, 1.0 * x),
        (sides, (x + 0.5) * width / height - 0.5, (y + 0.5) * height / width - 0.5),
        (sides, x * (width - 1) / (height - 1), y * (height - 1) / (width - 1)),
        (sides, x * width / (height - 1) - 0.5, y * height / (width - 1) - 0.5),
        (pixels, ((x + 1) * width - 1) / 2, ((y + 1) * height - 1) / 2),
        (pixels, (x + 1) * (width - 1) / 2, (y + 1) * (height - 1) / 2),
    ]  # fmt: skip
    outside: tuple[Outside, ...] = ("border", "zeros")
    return [(message, read(frame, across, down, kind)) for message, across, down in wrong for kind in outside]


def shift_mistakes(frame: Tensor, flow: Tensor) -> list[Mistake]:
    """For one flow of whole pixels everywhere, x and y different; true inside the frame, whatever the border does."""
    height, width = frame.shape[-2:]
    direction = (
        "the flow is followed in the wrong direction: it leads from a pixel of the later frame to the position where "
        "the earlier frame showed the same thing"
    )
    exchanged = "the two channels of the flow are exchanged: channel 0 points to the right, channel 1 down"
    scale = "the flow is in pixels, but it was taken for a fraction of the frame"
    half = "everything moves {} as far as the flow says; how many pixels lie between −1 and 1?"
    signs = torch.tensor([1.0, -1.0]).view(1, 2, 1, 1)
    sides = torch.tensor([float(width), float(height)]).view(1, 2, 1, 1)
    wrong = [
        ("the frame is as it was; where is the flow used?", 0 * flow),
        (direction, -flow), (exchanged, flow.flip(1)), (f"{exchanged}. And the direction is wrong", -flow.flip(1)),
        ("only one of the two channels goes in the right direction; y grows downward", signs * flow),
        ("only one of the two channels goes in the right direction; y grows downward", -signs * flow),
        ("only the first channel of the flow counts; what about up and down?", flow * (1 + signs) / 2),
        ("only the second channel of the flow counts; what about left and right?", flow * (1 - signs) / 2),
        *((scale, factor * flow) for factor in (sides, sides / 2, (sides - 1) / 2, sides - 1)),
        (half.format("half"), flow / 2), (half.format("twice"), 2 * flow),
        (half.format("less than half"), flow / sides), (half.format("hardly"), flow / sides / 2),
    ]  # fmt: skip
    return [(message, moved(frame, other)) for message, other in wrong]


def fraction_mistakes(frame: Tensor, flow: Tensor) -> list[Mistake]:
    """For one flow everywhere that is not whole, inside the frame."""
    rounded = "a flow of a part of a pixel is rounded to whole pixels; between pixels, values are interpolated"
    x, y = positions(flow)
    height, width = frame.shape[-2:]
    grid = torch.stack(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1), -1)[None]
    cubic = F.grid_sample(frame, grid, mode="bicubic", padding_mode="border", align_corners=False)
    kinds: list[Callable[[Tensor], Tensor]] = [torch.round, torch.floor, torch.ceil, torch.trunc]
    return [
        *((rounded, moved(frame, kind(flow))) for kind in kinds),
        ("only one direction is interpolated, the other one is rounded", read(frame, x, y.round())),
        ("only one direction is interpolated, the other one is rounded", read(frame, x.round(), y)),
        ("values between pixels are those of a curve through more than four pixels; the task asks for bilinear ones",
         cubic),
    ]  # fmt: skip


def border_mistakes(frame: Tensor, flow: Tensor) -> list[Mistake]:
    """For one flow everywhere that points out of the frame at two of its sides."""
    inside = points_inside(flow)
    right = moved(frame, flow)
    return [
        ("outside of the frame you read zeros; a position outside takes the nearest border pixel",
         moved(frame, flow, "zeros")),
        ("outside of the frame you read zeros; a position outside takes the nearest border pixel", inside * right),
        ("the frame is wrapped around: what leaves it on one side comes back on the other",
         moved(frame, flow, "wrapped")),
        ("outside of the frame you read its mirror image; a position outside takes the nearest border pixel",
         moved(frame, flow, "reflected")),
        ("where the flow leaves the frame, the frame is as it was; a position outside takes the nearest border pixel",
         inside * right + (1 - inside) * frame),
    ]  # fmt: skip


def varied_mistakes(frame: Tensor, flow: Tensor) -> list[Mistake]:
    """For a flow that differs from pixel to pixel."""
    one = "all pixels get the same flow; each has its own"
    return [
        (one, moved(frame, flow.mean((2, 3), keepdim=True).expand_as(flow))),
        (one, moved(frame, flow[..., :1, :1].expand_as(flow))),
        ("each row has one flow; every pixel has its own", moved(frame, flow[..., :1].expand_as(flow))),
        ("each column has one flow; every pixel has its own", moved(frame, flow[..., :1, :].expand_as(flow))),
    ]


# --- common mistakes: a mask
@dataclass(frozen=True)
class Sprite:
    """A rectangle that has moved over a still ground, between an earlier frame and a later one."""

    height: int
    width: int
    top: int  # in the earlier frame
    left: int
    size: tuple[int, int]
    by: tuple[int, int]  # down, to the right

    def earlier(self) -> Tensor:
        """1 on the sprite in the earlier frame, (1, 1, H, W)."""
        return self._at(self.top, self.left)

    def later(self) -> Tensor:
        return self._at(self.top + self.by[0], self.left + self.by[1])

    def flows(self) -> tuple[Tensor, Tensor]:
        """From the later frame to the earlier one, and from the earlier one to the later one."""
        way = torch.tensor([self.by[1], self.by[0]], dtype=torch.float32).view(1, 2, 1, 1)
        return -way * self.later(), way * self.earlier()

    def _at(self, top: int, left: int) -> Tensor:
        covered = torch.zeros(1, 1, self.height, self.width)
        covered[..., top : top + self.size[0], left : left + self.size[1]] = 1
        return covered


def wrong_masks(sprite: Sprite) -> list[Mistake]:
    """For a sprite that overlaps with its former position."""
    flow, back = sprite.flows()
    right = mask(flow, back)
    return [
        ("the mask is inverted: 1 says that the earlier frame showed the same thing", 1 - right),
        ("this is the mask of the earlier frame: it marks what gets covered. The task asks for the later frame, and "
         "for what was just uncovered", mask(back, flow)),
        ("the flow back is read at the same pixel; where does the way back begin?", agrees(flow, back)),
        ("the flow back is read on the wrong side of the pixel: the way there ends at p + w(p)",
         agrees(flow, moved(back, -flow))),
        ("the two flows are subtracted; what is their sum if the way back leads to where it began?",
         agrees(flow, -moved(back, flow))),
        ("everything that moves counts as hidden; a thing that moves can be seen in both frames",
         1 - sprite.later()),
        ("what moves counts as visible, and the still ground as hidden", sprite.later()),
        ("nothing is hidden. A mask from one direction alone cannot find what was uncovered: there, the flow is that "
         "of the ground. Which flow tells that something else stood there?", torch.ones_like(right)),
        ("everything is hidden", torch.zeros_like(right)),
    ]  # fmt: skip
