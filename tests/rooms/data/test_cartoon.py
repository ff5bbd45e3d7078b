"""The computed cartoons: colors, lines, edges and their blur, by hand on small pictures; the data set of three."""

import pytest
import torch

from course_lib.data.cartoon import PhotosAndCartoons, canny, cartoon, edges_blurred, flat_colors, xdog
from course_lib.images import ImageError


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def step(low=0.0, high=1.0, side=16):
    picture = torch.full((1, 3, side, side), low)
    picture[..., side // 2 :] = high
    return picture


def colors_of(picture):
    return picture.flatten(2)[0].T.unique(dim=0)


# --- colors
def test_flat_colors_are_few_and_are_means_of_their_pixels():
    photo = rand(1, 3, 24, 24)
    flat = flat_colors(photo, colors=5, smooth=0)
    colors = colors_of(flat)
    assert len(colors) == 5
    pixels, drawn = photo.flatten(2)[0].T, flat.flatten(2)[0].T
    for color in colors:
        mean = pixels[(drawn == color).all(1)].mean(0)
        assert (mean - color).abs().max() < 0.02  # after twelve rounds, close to a fixed point
    distances = torch.cdist(pixels, colors)
    torch.testing.assert_close((pixels - drawn).norm(dim=1), distances.amin(1), atol=1e-4, rtol=0)  # the nearest


def test_more_colors_come_closer_and_a_picture_of_few_stays_as_it_is():
    photo = rand(1, 3, 24, 24)
    errors = [(flat_colors(photo, colors=k, smooth=0) - photo).square().mean().item() for k in (1, 2, 4, 16)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] == pytest.approx(photo.var((2, 3), correction=0).mean().item(), rel=1e-4)  # one color: the mean
    two = step(0.2, 0.7)
    torch.testing.assert_close(flat_colors(two, colors=6, smooth=0), two)


def test_each_photo_has_its_own_colors_and_nothing_is_random():
    photos = rand(2, 3, 20, 20)
    both = cartoon(photos)
    torch.testing.assert_close(cartoon(photos[1:]), both[1:])
    torch.manual_seed(5)
    assert torch.equal(cartoon(photos), both)


# --- lines
@pytest.mark.parametrize(("low", "high"), [(0.0, 0.3), (0.2, 0.9), (0.5, 1.0)])
def test_a_line_lies_on_the_dark_side_of_an_edge(low, high):
    lines = xdog(step(low, high))
    assert lines[..., 7].max() < 0.05
    assert lines[..., 8:].min() == 1
    assert lines[..., :5].min() == 1


def test_flat_areas_have_no_lines_however_dark():
    for level in (0.0, 0.05, 0.5, 1.0):
        assert xdog(torch.full((1, 3, 9, 9), level)).min() == 1


def test_a_smaller_level_or_sharpness_draws_fewer_lines():
    photo = rand(1, 3, 24, 24)
    inked = [1 - xdog(photo, **s).mean().item() for s in ({}, {"level": 0.1}, {"sharpness": 4.0}, {"sharpness": 0.0})]
    assert inked[0] > max(inked[1:3])
    assert inked[3] == 0


def test_ink_blends_between_colors_and_lines():
    photo = rand(1, 3, 20, 20)
    flat, black = cartoon(photo, ink=0), cartoon(photo)
    torch.testing.assert_close(flat, flat_colors(photo))
    torch.testing.assert_close(cartoon(photo, ink=0.5), (flat + black) / 2)
    torch.testing.assert_close(black, flat * xdog(photo, sigma=0.7))


# --- edges
def test_an_edge_is_one_pixel_wide():
    picture = step()
    for turned in (picture, picture.transpose(2, 3)):
        found = canny(turned)[0, 0]
        found = found if turned is picture else found.T
        assert found[:, 7].all()
        assert found.sum() == 16
    y, x = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    found = canny((x > y).float().expand(1, 3, -1, -1))[0, 0]  # a staircase: the pixels of both sides that touch
    assert found.sum() >= 28
    assert set((x - y)[found].tolist()) == {0, 1}


def test_weak_edges_count_only_where_they_touch_strong_ones():
    """A step of h has a Sobel slope of 4h: 100/255 at 0.098, 200/255 at 0.196."""
    assert not canny(step(0.0, 0.19)).any()  # weak everywhere: no strong pixel to begin from
    assert canny(step(0.0, 0.2))[..., 7].all()
    mixed = step(0.0, 0.15)
    mixed[..., :3, 8:] = 0.6
    assert canny(mixed)[..., 5:, 7].all()  # the weak part is connected to the strong one
    mixed[..., 6:9, 8:] = 0.09  # a gap
    assert not canny(mixed)[..., 10:, :].any()


def test_only_edges_are_blurred():
    sharp = step()
    blurred = edges_blurred(sharp)
    assert blurred[0, 0, 8].tolist() == pytest.approx([0.0] * 6 + [1 / 16, 5 / 16, 11 / 16, 15 / 16] + [1.0] * 6)
    assert torch.equal(edges_blurred(torch.full((1, 3, 9, 9), 0.3)), torch.full((1, 3, 9, 9), 0.3))
    soft = torch.linspace(0, 1, 32).expand(1, 3, 8, 32)  # slopes below the threshold
    assert torch.equal(edges_blurred(soft), soft)


# --- the data set
def test_an_item_is_a_photo_a_cartoon_of_another_and_its_blurred_edges():
    photos, cartoons = rand(3, 3, 20, 20), rand(2, 3, 20, 20, seed=1)
    data = PhotosAndCartoons(photos, cartoons, size=20)
    assert len(data) == 3
    for k in range(3):
        photo, drawn, blurred = data[k]
        torch.testing.assert_close(photo, photos[k])
        assert any(torch.allclose(drawn, each) for each in cartoons)
        torch.testing.assert_close(blurred, edges_blurred(drawn[None])[0])
    torch.testing.assert_close(data.item(3, 1), data.item(3, 1))
    other = PhotosAndCartoons(photos, rand(2, 3, 20, 20, seed=2), size=20)
    assert data.fingerprint != other.fingerprint


def test_bad_input_gets_one_sentence():
    photo = rand(1, 3, 16, 16)
    for function in (cartoon, flat_colors, xdog):
        with pytest.raises(ImageError, match=r"the photos: values run from"):
            function(photo * 255)
    with pytest.raises(ImageError, match="the cartoons: "):
        edges_blurred(photo * 255)
    with pytest.raises(ValueError, match="colors must be"):
        cartoon(photo, colors=0)
    with pytest.raises(ValueError, match="ink must be"):
        cartoon(photo, ink=2)
    with pytest.raises(ValueError, match=r"ratio must be a number above 1, got 1\.0"):
        xdog(photo, ratio=1.0)
    with pytest.raises(ValueError, match="there are no pictures"):
        PhotosAndCartoons([], photo)
