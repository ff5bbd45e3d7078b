"""Pairs whose pixels encode their position: red is the column, green the row, blue the picture; B is 1 − A."""

from itertools import pairwise

import pytest
import torch
from torch.utils.data import DataLoader

from course_lib import load_image, save_image
from course_lib.data import pairs
from course_lib.data.pairs import Jitter, PairedImages, nearest
from course_lib.images import ImageError, resize

PALETTE = torch.tensor([[0, 0, 0], [128, 0, 0], [0, 128, 128], [128, 64, 0]]) / 255
LAYOUTS = ("folders", "names", "halves")


def map_of(height, width, number=0):
    """(1, 3, H, W): column, row and number, each over 255, so that all are exact in 8 bits."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack((columns, rows, torch.full_like(rows, number)))[None] / 255


def pair_of(height, width, number=0):
    a = map_of(height, width, number)
    return torch.cat((a, 1 - a))


def label_map(height, width, seed=0):
    """(1, 3, H, W), in colors of the palette only."""
    classes = torch.randint(len(PALETTE), (height, width), generator=torch.Generator().manual_seed(seed))
    return PALETTE[classes].permute(2, 0, 1)[None]


def write(folder, layout, images, split=None, suffix=".png"):
    """Write pairs, given by name, in one of the three layouts."""
    inside = folder / split if split else folder
    for name, (a, b) in images.items():
        if layout == "folders":
            sides = [folder / side / split if split else folder / side for side in "AB"]
            files = {sides[0] / f"{name}.png": a, sides[1] / name: b}
        elif layout == "names":
            files = {inside / f"{name}_labels.png": a, inside / f"{name}_photo": b}
        else:
            files = {inside / name: torch.cat((a, b), -1)}
        for file, image in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            save_image(image, file if file.suffix else file.with_suffix(suffix))
    return folder


def numbered(*names, size=(16, 16)):
    """Pairs by name; the blue channel counts them in the given order."""
    return {name: pair_of(*size, 10 * k).split(1) for k, name in enumerate(names)}


def colors(image):
    """The different colors of a picture (3, H, W), as a set."""
    return {tuple(color) for color in image.flatten(1).T.tolist()}


# --- three ways to lay out a set ---


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_pairs_in_order_of_names(tmp_path, layout):
    width = 16 if layout == "halves" else 20
    images = numbered("c", "a_b", "b", size=(16, width))
    ours = PairedImages(write(tmp_path, layout, images), size=None)
    assert len(ours) == 3
    for pair, name in zip([*ours], ("a_b", "b", "c"), strict=True):
        assert pair.shape == (2, 3, 16, width)
        assert pair.dtype == torch.float32
        assert torch.equal(pair, torch.cat(images[name]))  # PNG and 8 bits: exact


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_split_is_a_folder_inside(tmp_path, layout):
    for split, names in (("train", ("a", "b")), ("test", ("c",))):
        write(tmp_path, layout, numbered(*names), split)
    assert [len(PairedImages(tmp_path, split)) for split in ("train", "test")] == [2, 1]
    with pytest.raises(
        ValueError, match="there is no folder .*val; give a folder with pairs, and one of its splits, or None"
    ):
        PairedImages(tmp_path, "val")


def test_a_split_may_hold_the_two_folders_itself(tmp_path):
    write(tmp_path / "train", "folders", numbered("a", "b"))
    assert len(PairedImages(tmp_path, "train")) == 2
    assert torch.equal(PairedImages(tmp_path / "train", size=None)[1], PairedImages(tmp_path, "train", size=None)[1])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".webp"])
def test_photos_may_be_of_another_format(tmp_path, layout, suffix):
    """A JPEG is not exact, but close enough to tell the photos apart."""
    images = {name: (map_of(16, 16), torch.full((1, 3, 16, 16), value)) for name, value in (("a", 0.25), ("b", 0.75))}
    (tmp_path / "notes.txt").write_text("not a picture")
    ours = PairedImages(write(tmp_path, layout, images, suffix=suffix), size=None)
    assert [pair[1].mean().item() for pair in ours] == pytest.approx([0.25, 0.75], abs=0.02)


def test_a_sketch_may_be_the_source(tmp_path):
    a, b = pair_of(16, 16).split(1)
    save_image(a, tmp_path / "x_sketch.png")
    save_image(b, tmp_path / "x_photo.png")
    assert torch.equal(PairedImages(tmp_path, size=None)[0], torch.cat((a, b)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_reverse_swaps_the_domains(tmp_path, layout):
    write(tmp_path, layout, numbered("a"))
    for size in (None, 12):
        forward, backward = (PairedImages(tmp_path, size=size, reverse=reverse)[0] for reverse in (False, True))
        assert torch.equal(backward, forward.flip(0))
        assert not torch.equal(backward, forward)


# --- the size ---


def test_both_pictures_are_resized_to_a_square(tmp_path):
    images = numbered("a", size=(16, 40))
    pair = PairedImages(write(tmp_path, "folders", images), size=12)[0]
    assert pair.shape == (2, 3, 12, 12)
    expected = torch.cat([resize(image, (12, 12)) for image in images["a"]])
    torch.testing.assert_close(pair, expected, rtol=0, atol=0.5 / 255 + 1e-6)  # kept in 8 bits


def test_the_default_size_is_the_papers(tmp_path):
    assert PairedImages(write(tmp_path, "halves", numbered("a")))[0].shape == (2, 3, 256, 256)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_label_map_keeps_its_colors(tmp_path, reverse):
    """Mixed colors would stand for other classes, or for none."""
    write(tmp_path, "names", {"a": (label_map(30, 44), label_map(30, 44, seed=1))})
    palette = {tuple(color) for color in PALETTE.tolist()}
    k = int(reverse)
    kept, mixed = (PairedImages(tmp_path, size=16, reverse=reverse, label_maps=maps)[0] for maps in (True, False))
    assert colors(kept[k]) == palette
    assert len(colors(mixed[k])) > 50
    assert torch.equal(kept[1 - k], mixed[1 - k])  # the photo is interpolated either way
    assert len(colors(kept[1 - k])) > 50


def test_nearest_takes_the_pixel_at_the_center():
    """Six pixels to two: pixels 1 and 4, at the centers of the halves. Two pixels to four: each one twice."""
    row = torch.arange(6.0).expand(1, 3, 1, 6) / 10
    assert (10 * nearest(row, (1, 2))[0, 0, 0]).tolist() == pytest.approx([1, 4])
    assert (10 * nearest(row[..., :2], (1, 4))[0, 0, 0]).tolist() == pytest.approx([0, 0, 1, 1])
    assert torch.equal(nearest(row.mT, (2, 1)), nearest(row, (1, 2)).mT)
    assert torch.equal(nearest(row, (1, 6)), row)


# --- read once ---


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_cached_pair_equals_the_one_that_was_read(tmp_path, layout):
    write(tmp_path, layout, numbered("a", "b"))
    ours, again = PairedImages(tmp_path, size=12), PairedImages(tmp_path, size=12)
    first = [pair.clone() for pair in ours]
    ours[0].zero_()  # a caller's changes must not reach the cache
    assert all(torch.equal(ours[k], first[k]) and torch.equal(again[k], first[k]) for k in (1, 0))


def test_a_pair_is_read_once_if_the_cache_has_room(tmp_path, monkeypatch):
    write(tmp_path, "halves", numbered("a", "b"))
    fresh, reads = [*PairedImages(tmp_path, size=12)], []
    monkeypatch.setattr(pairs, "load_image", lambda file: reads.append(file.stem) or load_image(file))
    monkeypatch.setattr(pairs, "_CACHE", 2 * 3 * 12 * 12)  # one pair in 8 bits
    ours = PairedImages(tmp_path, size=12)
    for _ in range(3):
        assert all(torch.equal(ours[k], fresh[k]) for k in (0, 1))
    assert reads == ["a", "b", "b", "b"]


def test_a_fingerprint_tells_files_and_settings_apart(tmp_path):
    write(tmp_path, "folders", numbered("a", "b"))
    sets = [
        PairedImages(tmp_path, **options)
        for options in ({}, {"size": 64}, {"size": None}, {"reverse": True}, {"label_maps": True})
    ]
    fingerprints = [str(each.fingerprint) for each in sets]
    assert len(set(fingerprints)) == len(sets)
    assert str(PairedImages(tmp_path).fingerprint) == fingerprints[0]
    write(tmp_path, "folders", {"b": (map_of(16, 20), label_map(16, 20))})  # another photo of the same name
    assert str(PairedImages(tmp_path).fingerprint) != fingerprints[0]
    write(tmp_path, "folders", numbered("a", "b"))
    assert str(PairedImages(tmp_path).fingerprint) == fingerprints[0]
    write(tmp_path, "folders", numbered("c"))
    assert str(PairedImages(tmp_path).fingerprint) != fingerprints[0]


# --- invalid sets ---


def test_a_picture_without_its_partner_is_named(tmp_path):
    a, b = pair_of(16, 16).split(1)
    for layout, alone in (("folders", "A/lone.png"), ("folders", "B/lone.jpg"), ("names", "lone_labels.png"),
                          ("names", "lone_photo.png")):  # fmt: skip
        folder = tmp_path / alone.replace("/", "_")
        write(folder, layout, {"x": (a, b), "y": (a, b)})
        save_image(a, folder / alone)
        with pytest.raises(ValueError, match=rf"{alone} has no partner \(1 of 3 have none\)"):
            PairedImages(folder)


def test_two_sizes_in_one_pair_are_named(tmp_path):
    write(tmp_path, "names", {"ok": (map_of(16, 20), map_of(16, 20)), "x": (map_of(16, 20), map_of(18, 20))})
    ours = PairedImages(tmp_path)
    assert ours[0].shape == (2, 3, 256, 256)
    message = "x_labels.png and x_photo.png are one pair but differ in size: 20×16 and 20×18 px"
    with pytest.raises(ValueError, match=message):
        ours[1]


@pytest.mark.parametrize(("height", "width"), [(16, 41), (40, 60), (16, 16), (32, 16), (16, 30)])
def test_a_photograph_is_not_cut_into_halves(tmp_path, height, width):
    """Any photograph of even width would pass for a pair and train."""
    save_image(map_of(height, width), tmp_path / "x.png")
    expected = rf"x\.png is {width}×{height} px; .* twice as wide as high.*folders A/ and B/"
    with pytest.raises(ValueError, match=expected):
        PairedImages(tmp_path)[0]


def test_a_folder_without_pairs_is_refused_with_the_layouts(tmp_path):
    with pytest.raises(ValueError, match="there is no folder .*nowhere; give a folder with pairs"):
        PairedImages(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no pairs in .*neither A/ and B/, nor NAME_labels.png .* side by side"):
        PairedImages(tmp_path)
    for side in "AB":
        (tmp_path / side).mkdir()
    with pytest.raises(ValueError, match="no pictures in .*A and .*B"):
        PairedImages(tmp_path)


def test_a_broken_file_is_named_when_it_is_read(tmp_path):
    write(tmp_path, "folders", numbered("a", "b"))
    (tmp_path / "B" / "b.png").write_bytes(b"not a picture")
    ours = PairedImages(tmp_path)
    assert ours[0].shape[0] == 2
    with pytest.raises(ImageError, match=r"b\.png is not a picture"):
        ours[1]


@pytest.mark.parametrize("k", [-1, 2])
def test_there_are_no_pairs_beyond_the_length(tmp_path, k):
    with pytest.raises(IndexError, match=f"pair {k} of 2"):
        PairedImages(write(tmp_path, "halves", numbered("a", "b")))[k]
    with pytest.raises(IndexError, match=f"pair {k} of 2"):
        Jitter([pair_of(20, 20)] * 2, load_size=20, size=16)[k]


# --- jitter ---


def jitter(images=None, **options):
    images = [pair_of(20, 20)] if images is None else images
    return Jitter(images, **{"load_size": 20, "size": 16, **options})


def items(jittered, epochs):
    """Every item of the first epochs, one epoch after the other."""
    return [jittered.item(epoch, k) for epoch in range(epochs) for k in range(len(jittered))]


def place_of(pair):
    """Left, top and whether mirrored, read from the pixels of A."""
    left, top = (int((255 * pair[0, c]).round().min()) for c in (0, 1))
    return left, top, bool(pair[0, 0, 0, 0] > pair[0, 0, 0, -1])


def test_both_pictures_are_cropped_and_mirrored_alike():
    whole, places = pair_of(20, 20), []
    for pair in items(jitter(), 400):
        left, top, mirrored = place_of(pair)
        part = whole[..., top : top + 16, left : left + 16]
        assert torch.equal(pair, part.flip(-1) if mirrored else part)
        places.append((left, top, mirrored))
    lefts, tops, mirrors = zip(*places, strict=True)
    assert set(lefts) == set(tops) == {0, 1, 2, 3, 4}  # up to the last: 20 − 16
    for drawn in (lefts, tops):
        counts = [drawn.count(place) for place in range(5)]
        assert all(abs(count - 80) < 32 for count in counts)  # four standard deviations of √(400 · 0.2 · 0.8)
    assert abs(sum(mirrors) - 200) < 40  # four standard deviations of 400 coin flips
    for first, second in ((lefts, tops), (lefts, mirrors), (tops, mirrors)):
        table = torch.corrcoef(torch.tensor([first, second], dtype=torch.float32))
        assert abs(table[0, 1]) < 0.2  # independent: four standard deviations of 1 / √400
    alike = sum(a == b for a, b in pairwise(mirrors))
    assert abs(alike - 200) < 40  # independent of the previous item


def test_pairs_are_resized_to_the_load_size_first():
    """Interpolation is linear, so B stays 1 − A in every crop; ramps over 12 and 24 pixels are now 20 pixels long."""
    whole = 0.3 + pair_of(12, 24)
    whole[1] = 1 - whole[0]
    for pair in items(jitter([whole]), 20):
        assert pair.shape == (2, 3, 16, 16)
        torch.testing.assert_close(pair[1], 1 - pair[0], rtol=0, atol=1e-5)
        across, down = (255 * (pair[0, 0, 8, 10] - pair[0, 0, 8, 5]), 255 * (pair[0, 1, 10, 8] - pair[0, 1, 5, 8]))
        assert abs(across) / 5 == pytest.approx(24 / 20, rel=0.1)
        assert down / 5 == pytest.approx(12 / 20, rel=0.1)


def test_without_margin_and_mirroring_the_item_is_the_pair():
    whole = pair_of(12, 24, 7)
    for pair in items(jitter([whole], load_size=16, mirror=False), 5):
        assert torch.equal(pair, resize(whole, (16, 16)))
    exact = pair_of(16, 16)
    pairs = items(jitter([exact], load_size=16), 40)
    assert {torch.equal(pair, exact) for pair in pairs} == {True, False}
    assert all(torch.equal(pair, exact) or torch.equal(pair, exact.flip(-1)) for pair in pairs)
    assert not any(place_of(pair)[2] for pair in items(jitter(mirror=False), 40))


def test_the_paper_jitters_by_thirty_pixels():
    jittered = Jitter([torch.rand(2, 3, 30, 30)])
    assert (jittered.load_size, jittered.size, jittered.mirror, len(jittered)) == (286, 256, True, 1)
    assert jittered[0].shape == (2, 3, 256, 256)


def test_an_item_depends_on_seed_epoch_and_number_alone():
    ours, again = jitter([pair_of(20, 20)] * 3), jitter([pair_of(20, 20)] * 3)
    kept = items(ours, 10)
    before = torch.get_rng_state()
    places = [(epoch, k) for epoch in range(10) for k in range(3)]
    for place, pair in reversed([*zip(places, kept, strict=True)]):
        assert torch.equal(again.item(*place), pair)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(again[k], kept[k]) for k in range(3))  # indexing gives epoch 0
    assert [place_of(pair) for pair in items(jitter([pair_of(20, 20)] * 3, seed=1), 10)] != [*map(place_of, kept)]


def test_every_epoch_crops_every_pair_at_another_position():
    jittered = jitter([pair_of(20, 20, number) for number in (0, 100, 200)])
    assert len(jittered) == 3
    pairs = items(jittered, 20)
    assert [round(255 * pair[0, 2, 0, 0].item()) for pair in pairs] == [0, 100, 200] * 20
    assert len({place_of(pair) for pair in pairs[::3]}) > 10  # of 50 positions and flips


def test_a_fingerprint_tells_pairs_and_settings_of_a_jitter_apart(tmp_path):
    images = PairedImages(write(tmp_path, "halves", numbered("a")), size=20)
    variants = [
        jitter(images), jitter(), jitter(images, load_size=24), jitter(images, size=8), jitter(images, mirror=False),
        jitter(images, seed=1), jitter(PairedImages(tmp_path, size=20, reverse=True)),
    ]  # fmt: skip
    assert len({str(each.fingerprint) for each in variants}) == len(variants)
    assert str(jitter(images).fingerprint) == str(variants[0].fingerprint)


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        ([], {}, r"expected pairs \(2, 3, H, W\) in \[0, 1\], got none"),
        ("facades", {}, "expected a data set of pairs .*, got str"),
        (None, {"size": 0}, "size must be a whole number from 1 to 20, got 0"),
        (None, {"size": 21}, "size must be a whole number from 1 to 20, got 21"),
        (None, {"seed": 1.5}, "seed must be a whole number"),
    ],
)
def test_invalid_jitter_is_refused(images, options, message):
    with pytest.raises(ValueError, match=message):
        jitter(images, **options)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_data_loader_returns_batches_of_pairs(tmp_path, workers):
    images = PairedImages(write(tmp_path, "names", numbered("a", "b", "c")), size=20)
    jittered = jitter(images)
    batches = [*DataLoader(jittered, batch_size=2, num_workers=workers)]
    assert [batch.shape for batch in batches] == [(2, 2, 3, 16, 16), (1, 2, 3, 16, 16)]
    assert torch.equal(torch.cat(batches), torch.stack([jittered[k] for k in range(3)]))
    real_a, real_b = batches[0].unbind(1)
    assert torch.equal(real_a[1], jittered[1][0])
    assert torch.equal(real_b[1], jittered[1][1])


# --- files that are not a pair ---


@pytest.mark.parametrize("names", [("x_labels.png", "x_sketch.png", "x_photo.png"), ("A/x.png", "A/x.jpg", "B/x.png")])
def test_two_sources_for_one_target_are_refused(tmp_path, names):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        save_image(torch.rand(1, 3, 8, 8), tmp_path / name)
    with pytest.raises(ValueError, match=r"belong to the same pair; keep one"):
        PairedImages(tmp_path)


def test_labels_without_a_photograph_are_not_read_as_side_by_side_files(tmp_path):
    for name in ("x_labels.png", "x_real.png"):
        save_image(torch.rand(1, 3, 8, 8), tmp_path / name)
    with pytest.raises(ValueError, match=r"x_labels\.png has no partner; its photograph should be called NAME_photo"):
        PairedImages(tmp_path)
