"""AnimeGAN's losses, each by hand: YUV, Huber, L1 of features and of Gram matrices, and smoothness."""

import pytest
import torch

from course_lib.images import ImageError
from course_lib.losses.cartoon import color_loss, content_l1, gram_l1, gray, smoothness, to_yuv


def color(r, g, b, side=2):
    return torch.tensor([r, g, b], dtype=torch.float64).view(1, 3, 1, 1).expand(-1, -1, side, side)


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- colors
@pytest.mark.parametrize(
    ("rgb", "yuv"),  # ITU-R BT.601
    [
        ((1, 1, 1), (1, 0, 0)),
        ((1, 0, 0), (0.299, -0.14713, 0.615)),
        ((0, 1, 0), (0.587, -0.28886, -0.51499)),
        ((0, 0, 1), (0.114, 0.436, -0.10001)),
    ],
)
def test_yuv_of_the_primaries(rgb, yuv):
    expected = torch.tensor(yuv, dtype=torch.float64)
    torch.testing.assert_close(to_yuv(color(*rgb))[0, :, 0, 0], expected, atol=2e-5, rtol=0)


def test_gray_keeps_brightness_and_takes_color():
    pictures = rand(2, 3, 4, 5)
    y, u, v = to_yuv(gray(pictures)).unbind(1)
    torch.testing.assert_close(y, to_yuv(pictures)[:, 0])
    assert max(u.abs().max(), v.abs().max()) < 1e-12


def test_the_color_loss_by_hand():
    """Y counts as it is, U and V by half their squares."""
    y, u, v = (to_yuv(color(0.9, 0.2, 0.4)) - to_yuv(color(0.1, 0.6, 0.3)))[0, :, 0, 0].tolist()
    loss = color_loss(color(0.9, 0.2, 0.4), color(0.1, 0.6, 0.3)).item()
    assert loss == pytest.approx(abs(y) + u**2 / 2 + v**2 / 2)


def test_hubers_loss_is_linear_beyond_one():
    """The largest difference of V: from cyan (−0.615) to red."""
    loss = color_loss(color(1, 0, 0), color(0, 1, 1)).item()
    y, u, v = (to_yuv(color(1, 0, 0)) - to_yuv(color(0, 1, 1)))[0, :, 0, 0].abs().tolist()
    assert v == pytest.approx(1.23)
    assert loss == pytest.approx(y + u**2 / 2 + (v - 0.5))


def test_a_gray_drawing_pays_for_the_photos_colors():
    photo = rand(1, 3, 8, 8)
    assert color_loss(photo, photo) == 0
    assert color_loss(gray(photo), photo) > 0


# --- features
def test_the_content_loss_is_a_mean_of_absolute_values():
    a, b = rand(2, 3, 4, 5), rand(2, 3, 4, 5, seed=1)
    assert content_l1(a, b).item() == pytest.approx((a - b).abs().sum().item() / (2 * 3 * 4 * 5))


def test_the_gram_loss_by_hand_for_two_sizes():
    a, b = rand(2, 3, 4, 5), rand(2, 3, 2, 2, seed=1)
    expected = 0.0
    for n in range(2):
        for i in range(3):
            for j in range(3):
                ours = (a[n, i] * a[n, j]).sum().item() / (3 * 20)
                theirs = (b[n, i] * b[n, j]).sum().item() / (3 * 4)
                expected += abs(ours - theirs) / (2 * 9)
    assert gram_l1(a, b).item() == pytest.approx(expected)


def test_the_gram_loss_does_not_see_where_features_are():
    a = rand(1, 3, 4, 5)
    moved = a.flatten(2)[..., torch.randperm(20)].view_as(a)
    assert gram_l1(a, moved).item() == pytest.approx(0, abs=1e-12)
    assert content_l1(a, moved) > 0


def test_features_on_another_scale_need_other_weights():
    """A pitfall of ports: the content loss grows with the features, the style loss with their square."""
    a, b = rand(1, 3, 4, 5), rand(1, 3, 4, 5, seed=1)
    assert (content_l1(25 * a, 25 * b) / content_l1(a, b)).item() == pytest.approx(25)
    assert (gram_l1(25 * a, 25 * b) / gram_l1(a, b)).item() == pytest.approx(625)


def test_smoothness_is_that_of_pictures_in_plus_minus_one():
    drawn = rand(2, 3, 4, 5)
    wide = 2 * drawn - 1
    across, down = wide.diff(dim=-1), wide.diff(dim=-2)
    assert smoothness(drawn).item() == pytest.approx((across.square().mean() + down.square().mean()).item() / 2)


@pytest.mark.parametrize("loss", [content_l1, gram_l1, color_loss])
def test_gradients_are_those_of_finite_differences(loss):
    a, b = rand(1, 3, 3, 4).requires_grad_(), rand(1, 3, 3, 4, seed=1)
    assert torch.autograd.gradcheck(lambda x: loss(x, b), (a,))


def test_bad_input_gets_one_sentence():
    with pytest.raises(ImageError, match=r"expected \(N, 3, H, W\)"):
        color_loss(torch.rand(1, 1, 4, 4), torch.rand(1, 3, 4, 4))
    with pytest.raises(ValueError, match="the drawn pictures must have the shape of the photos"):
        color_loss(torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 5))
    with pytest.raises(ValueError, match="two feature maps of one shape"):
        content_l1(torch.rand(1, 3, 4, 4), torch.rand(1, 2, 4, 4))
    with pytest.raises(ValueError, match="as many pictures and channels in both"):
        gram_l1(torch.rand(1, 3, 4, 4), torch.rand(2, 3, 4, 4))
    for change in (gray, to_yuv):
        with pytest.raises(ImageError, match=r"Expected a torch\.Tensor"):
            change(None)
