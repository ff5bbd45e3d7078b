"""Optical flow: where each pixel of a frame was in an earlier frame, and whether it could be seen there.

A flow w has the shape (N, 2, H, W), in pixels: channel 0 points to the right, channel 1 down. It goes **from a frame
back to an earlier one**: the pixel (y, x) of the frame shows what the earlier frame showed at (y + w₁, x + w₀). With
this direction, `warp(earlier, flow)` needs no splatting: every pixel of the result is read at one place.

Flows of clips that `data.camera` makes are exact. Those of other videos are estimated by `between`, with OpenCV's DIS
(Kroeger et al. 2016; ``pip install 'course_lib[video]'``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from course_lib.image_checks import check_pictures

PRESETS = ("ultrafast", "fast", "medium")
SMALLEST = 16  # px, the shortest side for which DIS finds a flow


class FlowError(ImportError):
    """The library that estimates optical flow is missing; the message says how to install it."""


@dataclass(frozen=True)
class Motion:
    """From a frame back to an earlier one."""

    flow: Tensor  # (N, 2, H, W), pixels
    visible: Tensor  # (N, 1, H, W) in [0, 1]: 1 where the earlier frame showed the same thing


def warp(earlier: Tensor, flow: Tensor, *, cubic: bool = False) -> Tensor:
    """Bring an earlier frame into the position of a later one, with bilinear or bicubic interpolation.

    result(y, x) = earlier(y + w₁(y, x), x + w₀(y, x)); places outside of the frame take the nearest border pixel.

    Args:
        earlier: (N, C, H, W), any values.
        flow: (N, 2, H, W) in pixels, or (1, 2, H, W) for all.
        cubic: bicubic interpolation, which blurs less where a picture is warped again and again. It may leave the
            range of the values: clamp what must stay in [0, 1].

    Returns:
        (N, C, H, W); it can be differentiated with respect to both.

    Raises:
        ValueError: shapes that do not fit together.

    >>> row = torch.tensor([[[[0.0, 1.0, 2.0]]]])
    >>> left = torch.tensor([[-1.0], [0.0]]).view(1, 2, 1, 1).expand(1, 2, 1, 3)  # everything came from the left
    >>> [round(value, 4) for value in warp(row, left).flatten().tolist()]
    [0.0, 0.0, 1.0]
    """
    _check(flow, "the flow")
    if earlier.dim() != 4 or earlier.shape[-2:] != flow.shape[-2:] or len(flow) not in (1, len(earlier)):
        raise ValueError(
            f"the frame has shape {tuple(earlier.shape)} and the flow {tuple(flow.shape)}; "
            "expected (N, C, H, W) and (N, 2, H, W) with the same N, H and W"
        )
    height, width = flow.shape[-2:]
    x, y = _positions(flow)
    # with align_corners=False, -1 and 1 are the outer edges of the border pixels
    grid = torch.stack(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1), -1)
    return functional.grid_sample(
        earlier, grid.to(earlier.dtype).expand(len(earlier), -1, -1, -1), mode="bicubic" if cubic else "bilinear",
        padding_mode="border", align_corners=False,
    )  # fmt: skip


def inside(flow: Tensor) -> Tensor:
    """Where the flow points into the frame, (N, 1, H, W): 1, or 0 outside.

    Args:
        flow: (N, 2, H, W) in pixels.
    """
    _check(flow, "the flow")
    height, width = flow.shape[-2:]
    x, y = _positions(flow)
    return ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1))[:, None].to(flow.dtype)


def consistent(flow: Tensor, back: Tensor) -> Tensor:
    """Where a flow can be trusted: the way there and back ends where it began (Ruder et al. 2016, Section 4.3).

    With w̃(p) = back(p + w(p)), a pixel is taken as hidden in the earlier frame if

        ‖w + w̃‖² > 0.01 (‖w‖² + ‖w̃‖²) + 0.5,

    and as the edge of something that moves if

        ‖∇w₀‖² + ‖∇w₁‖² > 0.01 ‖w‖² + 0.002.

    Args:
        flow: (N, 2, H, W) in pixels, w, from the frame back to the earlier one.
        back: (N, 2, H, W) in pixels, from the earlier frame to this one.

    Returns:
        (N, 1, H, W): 1 where both tests are passed and the flow points into the frame, else 0.

    *Differs from the paper:* the authors' program smooths the flow before it takes the gradient; this does not.
    """
    _check(back, "the flow back")
    returned = warp(back, flow)  # w̃
    length = flow.square().sum(1, keepdim=True)
    hidden = (flow + returned).square().sum(1, keepdim=True) > (
        0.01 * (length + returned.square().sum(1, keepdim=True)) + 0.5
    )
    edge = _gradient(flow) > 0.01 * length + 0.002
    return inside(flow) * (~(hidden | edge)).to(flow.dtype)


def estimate(frame: Tensor, earlier: Tensor, preset: str = "medium") -> Tensor:
    """The flow from a frame back to an earlier one, by OpenCV's DIS.

    Args:
        frame: (1, 3, H, W) in [0, 1], at least 16 px on the shorter side.
        earlier: (1, 3, H, W) in [0, 1].
        preset: "ultrafast", "fast" or "medium"; medium is the most exact.

    Returns:
        (1, 2, H, W) float32 in pixels, on the CPU.

    Raises:
        FlowError: OpenCV is not installed.
        ImageError: no pictures, or smaller than 16 px.
        ValueError: two sizes, or an unknown preset.
    """
    for picture, name in ((frame, "the frame"), (earlier, "the earlier frame")):
        check_pictures(picture, name, single=True, least=SMALLEST, why="the optical flow")
    if frame.shape != earlier.shape:
        raise ValueError(f"the frames have sizes {_size(frame)} and {_size(earlier)} px; a clip has one size")
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    try:
        cv2: Any = import_module("cv2")
    except ImportError as error:
        raise FlowError(
            "optical flow is estimated with OpenCV, which is not installed: pip install 'course_lib[video]'"
        ) from error
    finder = cv2.DISOpticalFlow.create(getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{preset.upper()}"))
    found = finder.calc(_gray(frame), _gray(earlier), None)  # (H, W, 2)
    return torch.from_numpy(found).movedim(-1, 0)[None].float().contiguous()


def between(frame: Tensor, earlier: Tensor, preset: str = "medium") -> Motion:
    """The estimated motion from a frame back to an earlier one, with what can be trusted.

    Args:
        frame, earlier: (1, 3, H, W) in [0, 1].
        preset: as for `estimate`.

    Raises:
        FlowError, ImageError, ValueError: as for `estimate`.
    """
    flow = estimate(frame, earlier, preset)
    return Motion(flow, consistent(flow, estimate(earlier, frame, preset)))


def motion_of(motion: Callable[[int, int], Motion], t: int, s: int, frame: Tensor) -> Motion:
    """What a caller's function says about the motion from frame t back to frame s, checked.

    Args:
        motion: such as ``data.camera.Clip.motion``.
        t, s: numbers of frames, from 0.
        frame: (1, 3, H, W), whose size, device and precision the motion gets.

    Raises:
        TypeError: not a function, or one that returns something else than a `Motion`.
        ValueError: a flow or a mask of another size than the frame.
    """
    if not callable(motion):
        raise TypeError(f"motion must be a function (t, s) that returns a flow.Motion, or None, got {motion!r:.60}")
    known = motion(t, s)
    if not isinstance(known, Motion):
        raise TypeError(f"motion({t}, {s}) must return a flow.Motion(flow, visible), got {type(known).__name__}")
    _check(known.flow, "the flow")
    height, width = frame.shape[-2:]
    shapes = tuple(known.flow.shape), tuple(known.visible.shape)
    if shapes != ((1, 2, height, width), (1, 1, height, width)):
        raise ValueError(
            f"motion({t}, {s}) has a flow {shapes[0]} and a mask {shapes[1]}; for this frame, expected "
            f"(1, 2, {height}, {width}) and (1, 1, {height}, {width})"
        )
    return Motion(known.flow.to(frame), known.visible.to(frame))


def _positions(flow: Tensor) -> tuple[Tensor, Tensor]:
    """x and y of the places that a flow points to, each (N, H, W)."""
    height, width = flow.shape[-2:]
    y = torch.arange(height, device=flow.device, dtype=flow.dtype)[:, None]
    x = torch.arange(width, device=flow.device, dtype=flow.dtype)
    return flow[:, 0] + x, flow[:, 1] + y


def _gradient(flow: Tensor) -> Tensor:
    """‖∇w₀‖² + ‖∇w₁‖² by central differences, (N, 1, H, W)."""
    padded = functional.pad(flow, (1, 1, 1, 1), mode="replicate")
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    return (across.square() + down.square()).sum(1, keepdim=True)


def _gray(picture: Tensor) -> Any:  # an array of NumPy, (H, W) in 0–255
    weights = picture.new_tensor((0.299, 0.587, 0.114)).view(3, 1, 1)  # Rec. 601
    gray = (picture[0].detach().float() * weights).sum(0).clamp(0, 1)
    return (gray * 255).round().to(torch.uint8).cpu().contiguous().numpy()


def _check(flow: Tensor, name: str) -> None:
    if not isinstance(flow, Tensor) or flow.dim() != 4 or flow.shape[1] != 2 or not flow.is_floating_point():
        got = f"shape {tuple(flow.shape)}, {flow.dtype}" if isinstance(flow, Tensor) else type(flow).__name__
        raise ValueError(
            f"{name}: expected (N, 2, H, W) in pixels, x first, got {got}. "
            "A flow of OpenCV is (H, W, 2): use torch.from_numpy(found).movedim(-1, 0)[None]."
        )


def _size(picture: Tensor) -> str:
    return f"{picture.shape[-1]}×{picture.shape[-2]}"
