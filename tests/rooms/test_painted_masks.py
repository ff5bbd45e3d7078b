"""The colors of painted masks: exact ones, soft ones, JPEG files, and pictures that are no masks."""

import pytest
import torch
import torch.nn.functional as F

from course_lib import resize, sample_image, sample_names, save_image
from course_lib.image_checks import ImageError
from course_lib.images import from_pil, to_pil
from course_lib.masks import Regions
from course_lib.painted_masks import MOST_COLORS, color_regions, painted_colors

RED, BLUE, GREEN, BLACK = (
    torch.tensor(c).view(1, 3, 1, 1) for c in ([1.0, 0, 0], [0, 0, 1.0], [0, 0.6, 0], [0.0, 0, 0])
)


def disk(size=96, inner=RED, outer=BLUE):
    """A disk on a ground, (1, 3, size, size)."""
    across = torch.linspace(-1, 1, size)
    inside = (across.square() + across[:, None].square() < 0.4).float()
    return inside * inner + (1 - inside) * outer


def hexes(colors):
    return ["#" + "".join(f"{round(255 * c):02x}" for c in color) for color in colors.tolist()]


def far_from_borders(mask, width):
    """Pixels whose neighbors up to `width` have the same color."""
    return (F.max_pool2d(mask, 2 * width + 1, 1, width) == -F.max_pool2d(-mask, 2 * width + 1, 1, width)).all(1)[0]


def test_exact_colors_by_hand():
    mask = torch.cat((RED, BLUE, RED, BLACK), 3)
    colors, classes = painted_colors(mask, "the mask", 0.2)
    assert hexes(colors) == ["#000000", "#0000ff", "#ff0000"]  # in the order of their codes
    assert classes.tolist() == [[2, 1, 2, 0]]


def test_one_exact_pixel_is_a_region():
    mask = BLUE.repeat(1, 1, 200, 200)
    mask[0, :, 100, 100] = RED.flatten()
    colors, classes = painted_colors(mask, "the mask", 0.2)
    assert hexes(colors) == ["#0000ff", "#ff0000"]
    assert (classes == 1).sum() == 1


@pytest.mark.parametrize("quality", [95, 75, 40])
def test_a_jpeg_file_shows_the_painted_colors(tmp_path, quality):
    mask = disk()
    mask[..., :20] = GREEN
    exact = painted_colors(mask, "the mask", 0.2)[1]
    to_pil(mask).save(tmp_path / "mask.jpg", quality=quality)
    colors, classes = painted_colors(tmp_path / "mask.jpg", "the mask", 0.2)
    assert len(colors) == 3
    assert (classes == exact)[far_from_borders(mask, 4)].all()
    assert (classes == exact).float().mean() > 0.97


def test_soft_borders_are_not_regions():
    soft = resize(disk(480), 96)
    assert len((soft[0] * 255).round().flatten(1).unique(dim=1).T) > MOST_COLORS
    colors, classes = painted_colors(soft, "the mask", 0.2)
    assert hexes(colors) == ["#0000ff", "#ff0000"]
    assert (classes == painted_colors(disk(), "the mask", 0.2)[1]).float().mean() > 0.98


def test_a_small_area_with_soft_borders_stays():
    """24 × 24 px of 480 × 480, 0.25 %, among soft borders that cover more."""
    mask = disk(960)
    mask[..., 20:68, 20:68] = GREEN
    colors, classes = painted_colors(resize(mask, 480), "the mask", 0.2)
    assert hexes(colors) == ["#0000ff", "#009900", "#ff0000"]
    assert (classes == 1).sum() == pytest.approx(24 * 24, rel=0.1)


def test_shades_of_one_color_are_one_region():
    shades = torch.linspace(0.9, 1.0, 5)[torch.arange(64) % 5] * RED.expand(1, 3, 64, 64)
    colors, _ = painted_colors(torch.cat((shades, BLUE.expand(1, 3, 64, 64)), 3), "the mask", 0.2)
    assert len(colors) == 2


def test_colors_pair_by_the_nearest():
    nearly = disk(
        inner=torch.tensor([0.95, 0.08, 0.05]).view(1, 3, 1, 1), outer=torch.tensor([0.0, 0.1, 0.9]).view(1, 3, 1, 1)
    )
    content, (style,), colors = color_regions(disk(), [nearly], 0.2)
    assert colors == ("#0000ff", "#ff0000")
    assert torch.equal(content, style)


def test_a_color_of_the_paintings_alone_is_not_used():
    painting = torch.cat((disk(), disk(outer=GREEN)), 3)
    content, (style,), colors = color_regions(disk(), [painting], 0.2)
    assert len(content) == len(style) == len(colors) == 2
    assert style.sum() < 2 * 96 * 96


def test_a_color_without_style_is_named():
    message = (
        r"no painting's mask has #009900 \(green\); the photo's mask has #0000ff \(blue\), #009900 \(green\), "
        r"those of the paintings have 1: #0000ff \(blue\), #ff0000 \(red\); 2: #0000ff \(blue\)\. Use the same colors"
    )
    with pytest.raises(ValueError, match=message):
        Regions.from_colors(disk(inner=GREEN), [disk(), BLUE.expand(1, 3, 8, 8)])
    with pytest.raises(ValueError, match="no painting's mask has"):
        Regions.from_colors(disk(inner=GREEN), [disk()], tolerance=0.5)  # 1.17 apart
    assert len(Regions.from_colors(disk(inner=GREEN), [disk(inner=0.8 * GREEN)], tolerance=0.3).names) == 2


def test_files_and_single_masks(tmp_path):
    for name, mask in (("photo.png", disk()), ("painting.png", disk(64))):
        save_image(mask, tmp_path / name)
    made = Regions.from_colors(str(tmp_path / "photo.png"), [tmp_path / "painting.png"])
    alone = Regions.from_colors(disk(), disk(64))
    torch.testing.assert_close(made.content, alone.content)
    torch.testing.assert_close(made.styles[0], alone.styles[0])


@pytest.mark.parametrize("name", [*sample_names("content"), *sample_names("style")])
def test_a_photo_is_no_painted_mask(name):
    with pytest.raises(ValueError, match=r"the photo's mask looks like a photo, not like a painted mask: only \d+%"):
        Regions.from_colors(sample_image(name, 200), [disk()])


def test_too_many_colors():
    steps = torch.tensor([0.0, 0.5, 1.0])
    colors = torch.cartesian_prod(steps, steps, steps).T.reshape(1, 3, 3, 9)
    mask = colors.repeat_interleave(8, 2).repeat_interleave(8, 3)
    with pytest.raises(ValueError, match="the mask has more than 16 colors that fill areas; paint at most 16 regions"):
        painted_colors(mask, "the mask", 0.2)


def test_what_is_no_picture_is_refused(tmp_path):
    with pytest.raises(ImageError, match="the mask of painting 2: values run from 0 to 255"):
        Regions.from_colors(disk(), [disk(), 255 * disk()])
    with pytest.raises(ImageError, match="does not exist"):
        Regions.from_colors(tmp_path / "no.png", [disk()])
    with pytest.raises(ValueError, match="tolerance must be a finite number greater than 0"):
        Regions.from_colors(disk(), [disk()], tolerance=0)


def test_a_palette_file_is_read(tmp_path):
    to_pil(disk()).quantize(4).save(tmp_path / "mask.png")
    assert len(painted_colors(tmp_path / "mask.png", "the mask", 0.2)[0]) == 2
    assert torch.equal(from_pil(to_pil(disk())), disk())
