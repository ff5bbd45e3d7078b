"""Synthetic façades: the label map, the sketch and the photo of a scene must agree."""

import io
import os
import random
import subprocess
import sys
from functools import lru_cache

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F
from torch.utils.data import DataLoader

from course_lib.data.facades import CLASSES, Facades, class_map, draw_facade
from course_lib.data.facades.canvas import Painter, texture
from course_lib.data.facades.street import draw_street
from course_lib.data.facades.weather import Conditions

NAMES = [*CLASSES]
COLORS = torch.tensor([*CLASSES.values()]) / 255  # (9, 3)


@lru_cache(maxsize=256)
def scene(k, size=128):
    return draw_facade(k, size=size)


def where(k, *names, size=128):
    """(S, S) bool: pixels of these classes."""
    return torch.isin(class_map(scene(k, size).labels), torch.tensor([NAMES.index(name) for name in names]))


def grown(mask, by):
    """(S, S) bool: pixels at most `by` pixels away from the mask."""
    return F.max_pool2d(mask.float()[None], 2 * by + 1, 1, by)[0] > 0


def borders(classes):
    """(S, S) bool: pixels with a neighbor of another class to the right or below."""
    edge = torch.zeros_like(classes, dtype=torch.bool)
    edge[:, :-1] |= classes[:, :-1] != classes[:, 1:]
    edge[:-1] |= classes[:-1] != classes[1:]
    return edge


# --- identity of a scene ---


def test_a_scene_is_the_same_every_time():
    first = {k: draw_facade(k, size=64) for k in range(6)}
    texture.cache_clear()
    torch.manual_seed(5), np.random.seed(5), random.seed(5)  # noqa: NPY002
    for k in reversed(range(6)):
        draw_facade(k + 50, size=100, seed=3)
        again = draw_facade(k, size=64)
        assert torch.equal(again.labels, first[k].labels)
        assert torch.equal(again.photo, first[k].photo)
        assert torch.equal(again.sketch, first[k].sketch)


def test_drawing_leaves_all_global_random_states_alone():
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    Facades(size=32)[3], Facades("sketch", size=32)[3]
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    assert random.getstate() == before[2]


def test_a_scene_is_the_same_in_another_process():
    """Python salts `hash` differently in every process; no scene may depend on it."""
    code = (
        "from course_lib.data.facades import *; "
        "print(*(f[2].double().sum().item() for f in (Facades(), Facades('sketch'))))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert [*map(float, result.stdout.split())] == [f[2].double().sum().item() for f in (Facades(), Facades("sketch"))]


def test_scenes_and_seeds_differ():
    ours = torch.stack([scene(k).labels for k in range(40)])
    assert len(ours.flatten(1).unique(dim=0)) == 40
    theirs = [draw_facade(k, seed=1) for k in range(5)]
    assert not any(torch.equal(theirs[k].labels, scene(k).labels) for k in range(5))
    assert not any(torch.equal(theirs[k].photo, scene(k).photo) for k in range(5))
    # seed 1, scene 12 is not seed 11, scene 2
    assert not torch.equal(draw_facade(12, size=32, seed=1).photo, draw_facade(2, size=32, seed=11).photo)


@pytest.mark.parametrize(("large", "small"), [(256, 128), (256, 64), (192, 96)])
def test_another_size_shows_the_same_scene(large, small):
    for k in range(6):
        ours, theirs = scene(k, large), scene(k, small)
        step = large // small
        classes = class_map(ours.labels)[step // 2 :: step, step // 2 :: step]
        assert (classes == class_map(theirs.labels)).float().mean() > 0.9
        shrunk = F.avg_pool2d(ours.photo[None], step)[0]
        other = scene(k + 1, small).photo
        assert (shrunk - theirs.photo).abs().mean() < 0.4 * (shrunk - other).abs().mean()


def test_one_map_has_many_photos():
    """With the same layout and another look, labels and sketch stay the same, and the photo changes."""
    pictures = []
    for look in range(8):
        painter = Painter(64, random.Random("a layout"), random.Random(look), random.Random("a hand"), Conditions())
        draw_street(painter)
        pictures.append((painter.label_map(), painter.pencil(), torch.from_numpy(painter.picture())))
    labels, sketches, photos = zip(*pictures, strict=True)
    assert all((other == labels[0]).all() for other in labels)
    assert all((other == sketches[0]).all() for other in sketches)
    gaps = [(photos[a] - photos[b]).abs().mean() for a in range(8) for b in range(a)]
    assert min(gaps) > 0.02
    assert max(gaps) > 0.15


# --- contents of a scene ---


@pytest.mark.parametrize("size", [32, 33, 64, 100, 256])
def test_shapes_and_ranges(size):
    for picture in vars(scene(4, size)).values():
        assert picture.shape == (3, size, size)
        assert picture.dtype == torch.float32
        assert picture.is_contiguous()
        assert 0 <= picture.min() < picture.max() <= 1


@pytest.mark.parametrize("size", [32, 47])
def test_no_scene_is_too_small_to_draw(size):
    for k in range(100, 200):
        assert draw_facade(k, size=size).photo.isfinite().all()


def test_labels_have_only_the_colors_of_the_classes():
    palette = set(CLASSES.values())
    for k in range(20):
        levels = scene(k, 100).labels * 255
        assert torch.equal(levels, levels.round())
        assert {tuple(map(int, color)) for color in levels.flatten(1).T.unique(dim=0)} <= palette


def test_every_street_has_houses_with_windows_and_every_class_appears():
    largest = dict.fromkeys(NAMES, 0.0)
    for k in range(50):
        counts = class_map(scene(k).labels).flatten().bincount(minlength=9) / 128**2
        share = dict(zip(NAMES, counts.tolist(), strict=True))
        assert share["building"] > 0.15
        assert share["window"] > 0.01
        assert min(share["sky"], share["road"], share["pavement"]) > 0.01
        largest = {name: max(largest[name], share[name]) for name in NAMES}
    assert min(largest["car"], largest["vegetation"]) > 0.03
    assert min(largest["door"], largest["background"]) > 0.005


def test_the_sky_is_above_and_the_road_below():
    for k in range(20):
        rows = torch.arange(128.0)[:, None].expand(128, 128)
        heights = [rows[where(k, name)].mean() for name in ("sky", "building", "pavement", "road")]
        assert heights == sorted(heights)
        assert where(k, "road")[-1].float().mean() > 0.6


def test_edges_of_the_photo_are_edges_of_the_map():
    """Over all windows of 30 scenes, a map shifted by one pixel or more fits the photo worse."""
    fits = dict.fromkeys(((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (0, 3), (3, 0), (-3, 0), (0, -3)), 0.0)
    for k in range(30):
        classes, photo = where(k, "window").long(), scene(k).photo
        across, down = (photo.diff(dim=d).abs().sum(0) for d in (2, 1))
        for dy, dx in fits:
            moved = classes.roll((dy, dx), (0, 1))
            fits[dy, dx] += (across * (moved.diff(dim=1) != 0)).sum().item() + (
                down * (moved.diff(dim=0) != 0)
            ).sum().item()
    assert max(fits, key=fits.get) == (0, 0)
    assert fits[0, 0] > 1.15 * max(fits[0, 3], fits[3, 0], fits[0, -3], fits[-3, 0])


def test_skies_differ_more_between_scenes_than_within_one():
    means, spreads = [], []
    for k in range(40):
        pixels = scene(k).photo[:, where(k, "sky")]
        means.append(pixels.mean(1))
        spreads.append(pixels.std(1).mean())
    assert torch.stack(means).std(0).mean() > 1.3 * torch.stack(spreads).mean()


def test_a_photo_has_no_flat_colors():
    """Texture, light and grain vary the pixels of a wall, and walls differ from scene to scene."""
    walls = []
    for k in range(20):
        pixels = scene(k).photo[:, where(k, "building")].T  # (n, 3)
        assert len((255 * pixels).round().unique(dim=0)) > 0.25 * len(pixels)
        walls.append(pixels.median(0).values)
    assert torch.stack(walls).std(0).min() > 0.06


# --- the sketch ---


def test_a_sketch_is_gray_on_white():
    for k in range(12):
        sketch = scene(k).sketch
        assert torch.equal(sketch[0], sketch[1])
        assert torch.equal(sketch[0], sketch[2])
        assert (sketch > 0.97).float().mean() > 0.55  # paper
        assert 0.03 < (sketch[0] < 0.7).float().mean() < 0.35  # lines
        assert sketch.min() < 0.45


def test_the_sketch_follows_the_label_map():
    for k in range(20):
        ink = scene(k).sketch[0] < 0.8
        assert not (ink & ~grown(~where(k, "sky"), 4)).any()  # no lines in the open sky
        drawn = grown(borders(class_map(scene(k).labels)), 3) | where(k, "building", "car", "vegetation", "window")
        assert (ink & drawn).sum() > 0.93 * ink.sum()
        skyline = borders(where(k, "sky").long())
        assert (skyline & grown(ink, 3)).sum() > 0.93 * skyline.sum()
        wrong = grown(ink.flip(1), 1)  # the mirror image of the sketch
        panes = borders(where(k, "window").long())
        assert (panes & grown(ink, 1)).sum() > (panes & wrong).sum()


# --- the classes ---


def test_class_map_inverts_the_palette():
    labels = COLORS.T.reshape(3, 3, 3)  # nine pixels, one per class
    assert class_map(labels).tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert class_map(labels).dtype == torch.int64
    batch = class_map(labels.expand(4, 3, 3, 3))
    assert batch.shape == (4, 3, 3)
    assert torch.equal(batch[3], class_map(labels))
    assert torch.equal(class_map(labels.double()), class_map(labels))


def test_class_map_takes_the_nearest_color():
    """By the definition: the distances to all nine colors."""
    pixels = torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(0))
    far = (pixels[None] - COLORS[:, :, None, None]).square().sum(1)
    assert torch.equal(class_map(pixels), far.argmin(0))


def test_class_map_survives_compression():
    for k in range(4):
        labels, file = scene(k).labels, io.BytesIO()
        Image.fromarray((255 * labels).round().byte().permute(1, 2, 0).numpy()).save(
            file, "JPEG", quality=90, subsampling=0
        )
        read = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 255
        assert not torch.equal(read, labels)
        assert (class_map(read) == class_map(labels)).float().mean() > 0.97
    noise = torch.rand(labels.shape, generator=torch.Generator().manual_seed(0)) - 0.5
    assert torch.equal(class_map(labels + 40 / 255 * noise), class_map(labels))


@pytest.mark.parametrize("labels", [torch.rand(8, 8), torch.rand(1, 8, 8), torch.rand(2, 4, 8, 8)])
def test_class_map_refuses_other_shapes(labels):
    with pytest.raises(ValueError, match=r"expected label maps \(N, 3, H, W\) or \(3, H, W\)"):
        class_map(labels)
    with pytest.raises(ValueError, match=r"floating point, in .* torch\.uint8"):
        class_map(torch.zeros(3, 8, 8, dtype=torch.uint8))


# --- the data set ---


def test_an_item_is_a_source_and_its_photo():
    ours, drawn = Facades(size=64, seed=4), draw_facade(7, size=64, seed=4)
    source, photo = ours[7]
    assert torch.equal(source, drawn.labels)
    assert torch.equal(photo, drawn.photo)
    source, photo = Facades("sketch", size=64, seed=4)[7]
    assert torch.equal(source, drawn.sketch)
    assert torch.equal(photo, drawn.photo)
    assert len(ours) == 400


def test_it_works_with_a_data_loader():
    ours = Facades("sketch", size=32, length=6)
    batches = [*DataLoader(ours, batch_size=4, num_workers=1)]
    assert [tuple(batch.shape) for batch in batches] == [(4, 2, 3, 32, 32), (2, 2, 3, 32, 32)]
    assert torch.equal(torch.cat(batches), torch.stack([*ours]))


@pytest.mark.parametrize("k", [-1, 6])
def test_there_are_no_items_beyond_the_length(k):
    with pytest.raises(IndexError, match=f"there is no façade {k}; the set has 6"):
        Facades(length=6)[k]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "photo"}, 'source must be "labels" or "sketch", got \'photo\''),
        ({"size": 31}, "size must be at least 32 px.* got 31"),
        ({"length": 0}, "length must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got .* -1"),
    ],
)
def test_invalid_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Facades(**options)


def test_invalid_scenes_are_refused():
    with pytest.raises(ValueError, match="number of a scene and the seed must be at least 0, got -2 and 0"):
        draw_facade(-2)
    with pytest.raises(ValueError, match="at least 32 px"):
        draw_facade(0, size=16)


def test_another_look_is_the_same_street_in_other_colors():
    own, again, other = (draw_facade(3, size=64, look=look) for look in (None, None, 1))
    assert torch.equal(own.photo, again.photo)
    assert torch.equal(own.labels, other.labels)
    assert torch.equal(own.sketch, other.sketch)
    assert (own.photo - other.photo).abs().mean() > 0.03
