"""Ruder et al. 2016: the configuration, the temporal term at work, memory after an occlusion, streams."""

import gc
import weakref
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from course_lib import sample_image
from course_lib.data.camera import Path, clip
from course_lib.evaluation.temporal import masked_error, temporal_error
from course_lib.flow import Motion, warp
from course_lib.image_checks import ImageError
from course_lib.methods import gatys, video_optimization
from course_lib.methods.video_optimization import Config, Earlier, stream, stylize

STYLE = sample_image("great_wave", (32, 40))
SMALL = Config(
    num_steps=6, first_steps=8, weights=None, style_layers=("relu1_1", "relu2_1"), content_layers=("relu2_2",),
    style_layer_weights="equal", start="content", precision="float32", device="cpu",
)  # fmt: skip


def made(length: int = 3):
    return clip(path=Path(pan=(2, 1)), length=length, size=(32, 40), noise=0.02)


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_the_papers_configuration() -> None:
    config = Config()
    assert (config.first_steps, config.num_steps, config.start, config.past) == (2000, 1000, "noise", (1,))
    assert (config.optimizer, config.scales) == ("lbfgs", None)
    assert config.content_layers == ("relu4_2",)
    assert config.style_layers == ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def test_the_first_frame_is_that_of_gatys() -> None:
    shared = {name: getattr(SMALL, name) for name in gatys.Config.__dataclass_fields__}
    alone = gatys.stylize(made().frame(0), STYLE, gatys.Config(**{**shared, "num_steps": 8}))
    result = stylize(made(1).frames, STYLE, replace(SMALL))
    again = stylize(made().frames[:1], STYLE, replace(SMALL))
    torch.testing.assert_close(again.image, alone.image)
    assert result.image.shape == alone.image.shape
    assert set(result.history["temporal"]) == {0}


def test_frames_and_their_histories() -> None:
    shot, seen = made(), []
    result = stylize(shot, STYLE, SMALL, motion=shot.motion, callback=lambda p: seen.append((p.step, p.num_steps)))
    assert seen == [(step, 20) for step in range(1, 21)]
    assert {len(values) for values in result.history.values()} == {20}
    assert result.history["frame"] == [0] * 8 + [1] * 6 + [2] * 6
    assert result.history["seconds"] == sorted(result.history["seconds"])
    assert not any(result.history["temporal"][:8])
    assert all(result.history["temporal"][9:14])
    for first, last in ((0, 7), (8, 13), (14, 19)):
        assert result.history["total"][last] < result.history["total"][first]
    assert result.image.shape == (3, 3, 32, 40)
    assert result.stopped is None


def test_the_temporal_term_lowers_the_error() -> None:
    """Both start from the warped painting, so the term alone makes the difference."""
    shot = made()
    with_term, without = (
        stylize(shot, STYLE, replace(SMALL, temporal_weight=weight), motion=shot.motion) for weight in (3000.0, 0.0)
    )
    errors = [temporal_error(result.image, shot.motion) for result in (with_term, without)]
    assert errors[0] < 0.5 * errors[1]


def test_a_frame_starts_from_the_one_before_and_hidden_pixels_in_its_colors() -> None:
    """The painting is the frame with red and blue exchanged and darker: so are the pixels that it does not have."""
    frame = rand(1, 3, 8, 8)
    painting = 0.1 + 0.5 * frame.flip(1)
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1
    mask[..., 4] = 0.25
    begun = Earlier(1.0, [torch.where(mask > 0, painting, 0.9)], [mask]).start(frame)
    torch.testing.assert_close(begun, painting, rtol=0, atol=0.01)
    assert torch.equal(begun[..., :4], painting[..., :4])
    flat = torch.full((1, 3, 8, 8), 0.5)  # many maps would do
    fill = Earlier(1.0, [painting], [mask]).start(flat)[..., 5:]
    assert (fill.amax((-2, -1)) - fill.amin((-2, -1))).max() < 1e-6


def test_what_is_uncovered_gets_the_colors_of_the_painting_also_in_few_steps() -> None:
    """The photo is white where something was hidden, and its painting dark."""
    frames = torch.full((2, 3, 32, 40), 0.5)
    frames[..., ::2, :] = 0.9
    frames[0, ..., 20:] = 0.1  # something else, in front
    seen = torch.ones(1, 1, 32, 40)
    seen[..., 20:] = 0
    config = replace(SMALL, num_steps=1, temporal_weight=0.0)
    result = stylize(frames, STYLE, config, motion=lambda t, s: Motion(torch.zeros(1, 2, 32, 40), seen)).image
    left, right = result[1, ..., 2:18].mean(), result[1, ..., 22:38].mean()
    assert (left - right).abs() < 0.1 * (left - 0.7).abs() + 0.02


def test_after_a_cut_a_frame_is_painted_as_the_first_one() -> None:
    frames = torch.cat((made(2).frames, 1 - made(1).frames))

    def motion(t: int, s: int) -> Motion:
        return Motion(torch.zeros(1, 2, 32, 40), torch.full((1, 1, 32, 40), float(t != 2)))

    result = stylize(frames, STYLE, SMALL, motion=motion)
    assert result.history["frame"] == [0] * 8 + [1] * 6 + [2] * 8
    torch.testing.assert_close(result.image[2:], stylize(frames[2:], STYLE, SMALL).image)


def test_the_objective_has_the_term_of_the_paper() -> None:
    """The first loss of a frame is that of its start: content, style, and no temporal term where it was visible."""
    frames = made(2).frames
    still = Motion(torch.zeros(1, 2, 32, 40), torch.ones(1, 1, 32, 40))
    result = stylize(frames, STYLE, replace(SMALL, num_steps=2), motion=lambda t, s: still)
    assert result.history["temporal"][8] < 1e-9  # it starts there
    moved = (result.image[1] - result.image[0]).square().mean()
    again = stylize(frames, STYLE, replace(SMALL, num_steps=3), motion=lambda t, s: still)
    assert again.history["temporal"][10] == pytest.approx(float(SMALL.temporal_weight * moved), rel=1e-3)


def hiding(t: int, s: int) -> Motion:
    """Nothing moves; in frame 1, the right half is hidden by something."""
    visible = torch.ones(1, 1, 32, 40)
    if t != s and 1 in (t, s):
        visible[..., 20:] = 0
    return Motion(torch.zeros(1, 2, 32, 40), visible)


def test_what_was_hidden_returns_as_it_was() -> None:
    """Long-term consistency: the right half of frame 2 is that of frame 0, not a new invention."""
    frames = made(3).frames[:1].repeat(3, 1, 1, 1)
    frames[1, ..., 20:] = 0.9
    config = replace(SMALL, start="noise", temporal_weight=3000.0)
    short, long = (stylize(frames, STYLE, replace(config, past=past), motion=hiding) for past in ((1,), (1, 2)))
    half = torch.zeros(1, 1, 32, 40)
    half[..., 20:] = 1
    errors = [masked_error(result.image[2:], result.image[:1], half) for result in (long, short)]
    assert errors[0] < 0.1 * errors[1]


def test_only_the_frames_that_are_needed_are_kept() -> None:
    shot, seen = clip(length=7, size=(32, 40)), []

    def read():
        for t in range(len(shot)):
            frame = shot.frame(t)
            seen.append(weakref.ref(frame))
            yield frame

    config = replace(SMALL, num_steps=1, first_steps=1, past=(1, 2))
    whole, most = stylize(shot, STYLE, config, motion=shot.motion).image, 0
    for t, picture in enumerate(stream(read(), STYLE, config, motion=shot.motion)):
        assert torch.equal(picture, whole[t : t + 1])
        gc.collect()
        most = max(most, sum(one() is not None for one in seen))
    assert t == 6
    assert most <= 4


def test_the_flow_is_estimated_where_it_is_not_given() -> None:
    pytest.importorskip("cv2")
    shot = made(2)
    result = stylize(shot.frames, STYLE, replace(SMALL, past=(1, 2), flow_preset="fast"))
    assert result.history["temporal"][-1] > 0
    known = shot.motion(1, 0)
    moved = warp(result.image[:1], known.flow)
    assert masked_error(result.image[1:], moved, known.visible) < masked_error(
        result.image[1:], result.image[:1], known.visible
    )


def test_the_first_frame_may_go_from_coarse_to_fine() -> None:
    shot = made(2)
    result = stylize(shot, STYLE, replace(SMALL, scales=(20,), first_steps=3), motion=shot.motion)
    assert result.history["frame"] == [0] * 9 + [1] * 6  # 6 at 20 px, 3 at its own size
    assert "scale" not in result.history


def test_a_run_that_diverges_says_in_which_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    shot, real = made(2), video_optimization.paint
    calls: list[int] = []

    def broken(*args, **options):
        calls.append(1)
        return replace(real(*args, **options), stopped="style was not finite" if len(calls) == 2 else None)

    monkeypatch.setattr(video_optimization, "paint", broken)
    assert stylize(shot, STYLE, SMALL, motion=shot.motion).stopped == "frame 1: style was not finite"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"past": (2, 4)}, r"past must begin with 1, the frame before, .* got \(2, 4\)"),
        ({"past": (1, 1)}, "past must be a tuple of how many frames back"),
        ({"past": ()}, "past must be a tuple of how many frames back"),
        ({"temporal_weight": -1.0}, "temporal_weight must be a finite number"),
        ({"first_steps": 0}, "first_steps must be a whole number of at least 1"),
        ({"flow_preset": "best"}, "flow_preset must be one of"),
    ],
)
def test_impossible_configurations_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **options)


def test_other_bad_input_is_refused() -> None:
    with pytest.raises(ImageError, match="there are no frames to paint"):
        stylize([], STYLE, SMALL)
    with pytest.raises(ImageError, match=r"the frames: got shape \(3, 8, 8\)"):
        stylize(torch.zeros(3, 8, 8), STYLE, SMALL)
    with pytest.raises(ImageError, match="the style image"):
        stylize(made().frames, STYLE[0], SMALL)
    with pytest.raises(TypeError, match="config must be a video_optimization.Config"):
        stylize(made().frames, STYLE, gatys.Config())  # type: ignore[arg-type]
