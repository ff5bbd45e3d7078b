"""Optical flow: hand-derived warps, the two tests of consistency, and estimates of known motion."""

import pytest
import torch
from torch import Tensor

from course_lib import flow as flows
from course_lib import sample_image
from course_lib.image_checks import ImageError


def constant(x: float, y: float, height: int, width: int) -> Tensor:
    return torch.tensor([float(x), float(y)]).view(1, 2, 1, 1).repeat(1, 1, height, width)


def test_a_flow_points_to_where_a_pixel_comes_from() -> None:
    picture = torch.arange(6.0).view(1, 1, 2, 3)  # 0 1 2 / 3 4 5
    moved = flows.warp(picture, constant(1, 0, 2, 3))
    torch.testing.assert_close(moved[0, 0], torch.tensor([[1.0, 2, 2], [4, 5, 5]]))  # the border is repeated
    down = flows.warp(picture, constant(0, 1, 2, 3))[0, 0]
    torch.testing.assert_close(down, torch.tensor([[3.0, 4, 5], [3, 4, 5]]))


def test_half_a_pixel_is_the_mean_of_two() -> None:
    picture = torch.arange(6.0).view(1, 1, 2, 3)
    torch.testing.assert_close(flows.warp(picture, constant(0.5, 0, 2, 3))[0, 0, 0], torch.tensor([0.5, 1.5, 2.0]))


def test_a_cubic_warp_keeps_more_of_the_fine_structure() -> None:
    """Whole pixels are moved unchanged; a picture that goes forth and back by half a pixel loses less."""
    picture = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    whole, half = constant(1, -2, 24, 24), constant(0.5, 0, 24, 24)
    torch.testing.assert_close(flows.warp(picture, whole, cubic=True), flows.warp(picture, whole), rtol=0, atol=1e-4)
    errors = []
    for cubic in (True, False):
        returned = flows.warp(flows.warp(picture, half, cubic=cubic), -half, cubic=cubic)
        errors.append((returned - picture)[..., 2:-2].square().mean())
    assert errors[0] < 0.7 * errors[1]


def test_no_flow_changes_nothing() -> None:
    picture = torch.rand(2, 3, 7, 5)
    torch.testing.assert_close(flows.warp(picture, torch.zeros(1, 2, 7, 5)), picture)


def test_gradients_reach_picture_and_flow() -> None:
    picture = torch.rand(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    flow = (torch.rand(1, 2, 5, 6, dtype=torch.float64) * 0.4 + 0.2).requires_grad_()  # away from whole pixels
    assert torch.autograd.gradcheck(flows.warp, (picture, flow))


def test_inside_the_frame() -> None:
    assert flows.inside(constant(1, 0, 2, 3)).view(2, 3).tolist() == [[1, 1, 0], [1, 1, 0]]
    assert flows.inside(constant(0, -1, 2, 3)).view(2, 3).tolist() == [[0, 0, 0], [1, 1, 1]]


def test_a_way_back_that_ends_elsewhere_is_hidden() -> None:
    flow = constant(2, 0, 4, 8)
    assert flows.consistent(flow, -flow)[0, 0, :, :6].all()
    assert not flows.consistent(flow, -flow)[0, 0, :, 6:].any()  # points out of the frame
    # ‖w + w̃‖² = d²; the limit is .01 (4 + (2 - d)²) + .5 = .5541 at d = .74 and .5559 at d = .75
    assert flows.consistent(flow, constant(-1.26, 0, 4, 8))[0, 0, 0, 0] == 1
    assert flows.consistent(flow, constant(-1.25, 0, 4, 8))[0, 0, 0, 0] == 0


def test_edges_of_motion_are_not_trusted() -> None:
    flow = torch.zeros(1, 2, 3, 8)
    flow[:, 0, :, 4:] = 0.1  # central differences .05 beside the step: .0025 > .01 · .01 + .002
    back = torch.zeros_like(flow)
    assert flows.consistent(flow, back)[0, 0, 1].tolist() == [1, 1, 1, 0, 0, 1, 1, 0]
    flow[:, 0, :, 4:] = 0.08  # .0016 < .002
    assert flows.consistent(flow, back)[0, 0, 1].tolist() == [1, 1, 1, 1, 1, 1, 1, 0]


@pytest.mark.parametrize("preset", flows.PRESETS)
def test_the_estimate_finds_a_pan(preset: str) -> None:
    pytest.importorskip("cv2")
    photo = sample_image("eilean_donan", 192)
    earlier, frame = photo[..., 4:100, 8:136], photo[..., 7:103, 3:131]  # the frame shows (y + 3, x - 5)
    found = flows.estimate(frame, earlier, preset)[..., 10:-10, 10:-10]
    assert (found.flatten(2).median(-1).values[0] - torch.tensor([-5.0, 3.0])).abs().max() < 0.2
    motion = flows.between(frame, earlier, preset)
    assert motion.visible[..., 10:-10, 10:-10].mean() > 0.7
    warped = flows.warp(earlier, motion.flow)
    error = ((warped - frame).square().mean(1, keepdim=True) * motion.visible).sum() / motion.visible.sum()
    assert error < 0.2 * (earlier - frame).square().mean()


def test_what_is_not_a_flow_is_refused() -> None:
    with pytest.raises(ValueError, match=r"movedim"):
        flows.warp(torch.rand(1, 3, 4, 5), torch.zeros(1, 4, 5, 2))
    with pytest.raises(ValueError, match=r"\(1, 3, 4, 5\) and the flow \(1, 2, 4, 6\)"):
        flows.warp(torch.rand(1, 3, 4, 5), torch.zeros(1, 2, 4, 6))
    with pytest.raises(ImageError, match=r"16"):
        flows.estimate(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8))
    with pytest.raises(ValueError, match=r"32×32 and 16×32"):
        flows.estimate(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 16))
    with pytest.raises(ValueError, match="ultrafast, fast, medium"):
        flows.estimate(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32), "slow")


def test_without_opencv_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(flows.FlowError, match=r"course_lib\[video\]"):
        flows.estimate(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32))


def test_a_motion_is_checked_when_it_is_asked() -> None:
    frame, good = (
        torch.rand(1, 3, 4, 5, dtype=torch.float64),
        flows.Motion(constant(1, 0, 4, 5), torch.ones(1, 1, 4, 5)),
    )
    known = flows.motion_of(lambda t, s: good, 1, 0, frame)
    assert (known.flow.dtype, known.visible.dtype) == (torch.float64, torch.float64)
    with pytest.raises(TypeError, match=r"motion must be a function \(t, s\) that returns a flow.Motion"):
        flows.motion_of(good, 1, 0, frame)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"motion\(1, 0\) must return a flow.Motion\(flow, visible\), got Tensor"):
        flows.motion_of(lambda t, s: good.flow, 1, 0, frame)  # type: ignore[arg-type, return-value]
    with pytest.raises(ValueError, match=r"motion\(1, 0\) has a flow \(1, 2, 4, 5\) .* expected \(1, 2, 4, 6\)"):
        flows.motion_of(lambda t, s: good, 1, 0, torch.rand(1, 3, 4, 6))
