"""Made-up clips: flows and occlusions derived by hand, and frames that they bring into one another."""

import math

import pytest
import torch
from torch import Tensor

from course_lib import flow as flows
from course_lib.data import camera
from course_lib.data.camera import PATHS, Clip, Path, Sprite, clip, ellipse
from course_lib.image_checks import ImageError

SMOOTH = torch.nn.functional.interpolate(
    torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0)), (64, 64), mode="bicubic", align_corners=False
).clamp(0, 1)


def error(warped: Tensor, frame: Tensor, visible: Tensor) -> float:
    return float(((warped - frame).square().mean(1, keepdim=True) * visible).sum() / visible.sum())


def square(color: float = 1.0) -> dict[str, Tensor]:
    return {"picture": torch.full((1, 3, 4, 4), color), "mask": torch.ones(1, 1, 4, 4)}


def on_gray(*sprites: Sprite, length: int = 3) -> Clip:
    """Frames of 8×16 pixels over a gray photo, one pixel of it for one of the frame."""
    return clip(torch.full((1, 3, 8, 16), 0.5), Path(), sprites, length=length, size=(8, 16), view=1.0)


# --- flows
def test_a_pan_has_one_flow() -> None:
    made = clip(SMOOTH, Path(pan=(3, -2)), length=4, size=(16, 20), view=0.5)
    motion = made.motion(3, 1)  # the camera moved by (6, -4): what it sees was to the right, and above
    assert torch.equal(motion.flow, torch.tensor([6.0, -4.0]).view(1, 2, 1, 1).expand(1, 2, 16, 20))
    visible = torch.zeros(1, 1, 16, 20)
    visible[..., 4:, :14] = 1
    assert torch.equal(motion.visible, visible)
    torch.testing.assert_close(made.frame(3)[..., 4:, :14], made.frame(1)[..., :12, 6:], rtol=0, atol=1e-5)


def test_a_camera_that_comes_closer() -> None:
    made = clip(SMOOTH, Path(zoom=2.0), length=2, size=(9, 9), view=0.3)
    flow = made.motion(1, 0).flow[0]  # twice as far from the middle, pixel (4, 4), as before
    assert flow[:, 4, 4].abs().max() < 1e-6
    torch.testing.assert_close(flow[0, 4], torch.tensor([2, 1.5, 1, 0.5, 0, -0.5, -1, -1.5, -2]))
    torch.testing.assert_close(flow[1, :, 0], flow[0, 0])
    torch.testing.assert_close(made.motion(0, 1).flow[0, 0, 4], torch.arange(9.0) - 4)


def test_what_is_seen_turns_clockwise() -> None:
    made = clip(SMOOTH, Path(turn=90.0), length=2, size=(9, 9), view=0.5)
    first, second = made.frames.unbind()
    torch.testing.assert_close(second, torch.rot90(first, -1, (-2, -1)), rtol=0, atol=1e-4)
    flow = made.motion(1, 0).flow[0, :, 0, 0]  # the left upper corner was the left lower one
    torch.testing.assert_close(flow, torch.tensor([0.0, 8.0]), rtol=0, atol=1e-5)


def test_the_way_there_and_back_ends_where_it_began() -> None:
    made = clip(SMOOTH, Path(pan=(1, 0.5), zoom=1.02, turn=2.0), length=6, size=(20, 24), view=0.5)
    there, back = made.motion(5, 1), made.motion(1, 5)
    returned = there.flow + flows.warp(back.flow, there.flow)
    assert returned[there.visible.expand_as(returned) > 0].abs().max() < 1e-4
    assert flows.consistent(there.flow, back.flow)[there.visible > 0].mean() > 0.99


def test_every_frame_is_itself() -> None:
    motion = clip(SMOOTH, Path(turn=3.0), length=3, size=(8, 8), view=0.5).motion(2, 2)
    assert motion.flow.abs().max() < 1e-6
    assert motion.visible.mean() > 0.5  # rounding may leave the border


# --- sprites
def test_what_a_sprite_uncovers_was_not_visible() -> None:
    made = on_gray(Sprite(**square(), size=0.5, path=Path(pan=(4, 0))))  # columns 2–5, 6–9, 10–13; rows 2–5
    expected = torch.full((8, 16), 0.5)
    expected[2:6, 6:10] = 1
    torch.testing.assert_close(made.frame(1)[0, 0], expected)
    motion = made.motion(2, 1)
    flow = torch.zeros(8, 16)
    flow[2:6, 10:14] = -4
    torch.testing.assert_close(motion.flow[0, 0], flow)
    hidden = torch.ones(8, 16)
    hidden[2:6, 6:10] = 0  # there was the sprite
    assert torch.equal(motion.visible[0, 0], hidden)


def test_the_last_sprite_is_the_nearest() -> None:
    still, moving = Sprite(**square(1.0), size=0.5), Sprite(**square(0.0), size=0.5, path=Path(pan=(4, 0)))
    over, under = on_gray(still, moving), on_gray(moving, still)
    assert over.frame(1)[0, 0, 4, 8] == 0
    assert under.frame(1)[0, 0, 4, 8] == 1
    assert over.motion(2, 1).visible[0, 0, 4].tolist() == [1] * 6 + [0] * 4 + [1] * 6
    assert under.motion(2, 1).visible[0, 0, 4].tolist() == [1] * 10 + [0] * 4 + [1] * 2  # it was behind the other


def test_a_pixel_on_an_edge_belongs_to_nobody() -> None:
    made = on_gray(Sprite(**square(), size=0.5, path=Path(at=(0.5 + 0.5 / 16, 0.5))), length=1)  # columns 6.5 to 10.5
    row = made.frame(0)[0, 0, 4]
    assert row[7:10].tolist() == [1, 1, 1]
    assert 0.5 < row[[6, 10]].min() <= row[[6, 10]].max() < 1
    assert made.motion(0, 0).visible[0, 0, 4].tolist() == [1] * 6 + [0, 1, 1, 1, 0] + [1] * 5


def test_a_sprite_that_stands_still_moves_with_the_photo() -> None:
    sprite = Sprite(**square(), size=0.2)
    motion = clip(SMOOTH, Path(pan=(2, 1)), [sprite], length=3, size=(20, 20), view=0.5).motion(2, 0)
    assert torch.equal(motion.flow.flatten(2).amax(-1), torch.tensor([[4.0, 2.0]]))
    assert (motion.flow[0].flatten(1).amin(-1) - torch.tensor([4.0, 2.0])).abs().max() < 1e-5


def test_a_sprite_keeps_its_size_whatever_its_resolution() -> None:
    small, large = (Sprite(torch.ones(1, 3, n, n), torch.ones(1, 1, n, n), size=0.5) for n in (4, 40))
    torch.testing.assert_close(on_gray(small).frame(0), on_gray(large).frame(0), rtol=0, atol=1e-5)


def test_the_ellipse_fills_its_picture() -> None:
    assert ellipse(torch.zeros(1, 3, 80, 40)).mean() == pytest.approx(math.pi / 4, abs=0.01)


# --- photographs
@pytest.mark.parametrize("path", PATHS)
def test_the_flow_brings_one_frame_into_another(path: str) -> None:
    """The error of resampling alone is far below that of doing nothing; any number of frames fits into the photo."""
    made = clip(path=path, sprites=2, length=24)
    frame, earlier, motion = made.frame(20), made.frame(14), made.motion(20, 14)
    assert error(flows.warp(earlier, motion.flow), frame, motion.visible) < 0.001
    assert error(earlier, frame, motion.visible) > 0.004
    assert 0.4 < motion.visible.mean() < 1
    for length in (1, 2, 300):
        assert len(clip(path=path, length=length)) == length


def test_hidden_pixels_are_those_that_the_warp_gets_wrong() -> None:
    made = clip(path="handheld", sprites=2, length=24)
    motion, frame = made.motion(20, 12), made.frame(20)
    warped = flows.warp(made.frame(12), motion.flow)
    assert error(warped, frame, 1 - motion.visible) > 30 * error(warped, frame, motion.visible)


def test_a_larger_frame_shows_the_same() -> None:
    small, large = (clip(path="zoom", sprites=1, length=5, size=(24 * k, 32 * k)).frame(4) for k in (1, 3))
    reduced = torch.nn.functional.avg_pool2d(large, 3)
    assert (reduced - small).square().mean() < 0.005


# --- light and noise
def test_light_and_noise_change_the_frames_and_not_the_motion() -> None:
    options = {"length": 40, "size": (16, 16), "path": Path(), "view": 0.5}
    plain = clip(torch.full((1, 3, 64, 64), 0.5), **options)
    lit = clip(torch.full((1, 3, 64, 64), 0.5), flicker=0.1, **options)
    noisy = clip(torch.full((1, 3, 64, 64), 0.5), noise=0.05, **options)
    assert torch.equal(lit.motion(3, 1).visible, plain.motion(3, 1).visible)
    means = lit.frames.mean((1, 2, 3))
    assert lit.frames.var((1, 2, 3)).max() < 1e-9
    assert 0.02 < means.std() < 0.08  # 0.05, drawn 40 times
    assert (noisy.frames - plain.frames).std() == pytest.approx(0.05, rel=0.05)


def test_the_seed_decides_and_the_order_does_not() -> None:
    options = {"sprites": 1, "length": 4, "size": (24, 32), "noise": 0.1, "flicker": 0.1}
    made, again = clip(**options), clip(**options)
    assert torch.equal(torch.cat([again.frame(t) for t in (3, 1, 0, 2)])[[2, 1, 3, 0]], made.frames)
    assert torch.equal(torch.cat([*again]), made.frames)
    assert not torch.equal(clip(**options, seed=1).frames, made.frames)
    assert (len(made), made.frames.shape) == (4, (4, 3, 24, 32))
    assert 0 <= made.frames.min() <= made.frames.max() <= 1


# --- bad input
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"path": Path(pan=(9, 0)), "length": 40}, "leaves the photo at frame 0 of 40; take fewer frames"),
        ({"path": "fly"}, "path must be one of 'still', 'pan'"),
        ({"length": 0}, "length must be a whole number"),
        ({"size": 96}, r"size must be \(H, W\)"),
        ({"view": 0.0}, "view must be above 0"),
        ({"view": 1.5}, "view must be in"),
        ({"noise": -1}, r"noise must be in \[0, 1\]"),
        ({"flicker": -1}, r"flicker must be in \[0, 1\]"),
        ({"sprites": 9}, "sprites must be a whole number"),
        ({"sprites": ["cat"]}, r"a list of camera.Sprite\(…\), got 'cat' in it"),
    ],
)
def test_impossible_clips_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        clip(**options)  # type: ignore[arg-type]


def test_other_bad_input_is_refused() -> None:
    with pytest.raises(ImageError, match="the photo"):
        clip(torch.zeros(3, 8, 8))
    with pytest.raises(ValueError, match=r"mask must be a tensor \(1, 1, 4, 4\)"):
        Sprite(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4))
    with pytest.raises(ValueError, match="pan must be two numbers"):
        Path(pan=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="t must be a whole number from 0 to 2"):
        on_gray().motion(3, 1)


def test_large_frames_are_read_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = clip(sprites=2, length=3, size=(25, 32))
    frame, motion = whole.frame(2), whole.motion(2, 0)
    monkeypatch.setattr(camera, "_AT_ONCE", 32 * 9 * 4)  # four rows of pixels
    torch.testing.assert_close(whole.frame(2), frame, rtol=0, atol=1e-6)
    assert torch.equal(whole.motion(2, 0).visible, motion.visible)
