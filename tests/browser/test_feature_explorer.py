"""The feature explorer: its numbers are the library's, and it is worked by hands and keys, from a file fetched late."""

import json
import math
import re
from functools import lru_cache

import pytest
import torch

from course_lib.pretrained.vgg import VGGFeatures
from course_lib.teaching import feature_atlas, interactive, records
from course_lib.teaching.interactive import features

LAYERS = ("relu1_1", "relu2_1", "relu3_1")
EXPLORER = "document.querySelector('.play').features"
WORDS = {"caption": "What to notice.", "alt": "A cat with a square"}


@lru_cache
def network():
    return VGGFeatures("vgg19", LAYERS, weights=None, seed=1)


@lru_cache
def atlas():
    """Of a random network with 8, 16 and 32 channels, which takes colors as PyTorch's networks do."""
    config = feature_atlas.Config(("dahlia", "cat"), size=96, layers=LAYERS, channels=6, patches=2)
    return feature_atlas.make(config, ["cat", "dahlia", "owl", "pig"], network())


def explorer(**options):
    return interactive.feature_explorer(atlas(), **{"layer": "relu2_1", **WORDS, **options})


@pytest.fixture
def page(opened):
    return shown(opened(explorer()))


def shown(page):
    page.locator(".spread").wait_for(timeout=60_000)
    return page


def channels(page):
    return [int(text.split()[1]) for text in page.locator(".channel b").all_inner_texts()]


def said(page):
    return page.locator(".said[aria-live]").inner_text()


def place(page):
    return [int(k) for k in re.search(r"position \((\d+), (\d+)\)", said(page)).groups()]


def go(page, steps):
    page.get_by_role("application").focus()
    for key in steps:
        page.keyboard.press(f"Arrow{key}")


def test_the_pixels_are_those_that_the_network_was_given(page):
    for k, photo in enumerate(atlas()["photos"]):
        rows = torch.tensor(page.evaluate(f"[...{EXPLORER}.bytes({k})]")).view(photo["height"], photo["width"], 4)
        assert (rows[..., 3] == 255).all()
        assert torch.equal(rows[..., :3].permute(2, 0, 1)[None] / 255, feature_atlas.unpack(photo))


def test_the_first_layer_is_the_library_s(page):
    """Every channel at every 7th place, at the corners and along a border: to 1e-5."""
    layer, photo = atlas()["layers"][0], atlas()["photos"][0]
    expected = network()(feature_atlas.unpack(photo))["relu1_1"][0, layer["channels"]]
    height, width = expected.shape[1:]
    places = [(x, y) for y in range(0, height, 7) for x in range(0, width, 7)] + [(width - 1, height - 1), (0, 13)]
    found = page.evaluate(
        f"(places) => places.map(([x, y]) => [0, 1, 2, 3, 4, 5].map(c => {EXPLORER}.products(0, c, x, y).answer))",
        places,
    )
    theirs = torch.stack([expected[:, y, x] for x, y in places])
    torch.testing.assert_close(torch.tensor(found), theirs, atol=1e-5, rtol=1e-5)


def test_the_products_add_up_to_the_number_that_is_shown(page):
    page.get_by_label("layer").press("Home")
    go(page, ["Right", "Right", "Down"])
    x, y = place(page)
    channel = channels(page)[0]
    conv = network().convs["conv1_1"]
    image = (feature_atlas.unpack(atlas()["photos"][0]) - network().mean) / network().std
    window = image[0, :, y - 1 : y + 2, x - 1 : x + 2]
    products = window * conv.weight[channel]
    cells = [[float(v.replace("−", "-")) for v in grid.locator("span").all_inner_texts()]
             for grid in page.locator(".nine").all()]  # fmt: skip
    for color in range(3):
        for values, expected in zip(
            cells[3 * color : 3 * color + 3], (window, conv.weight[channel], products), strict=True
        ):
            most = expected.abs().max().item()
            unit = 10 ** -(1 if most >= 10 else 2 if most >= 0.1 else 1 - math.floor(math.log10(most)))
            torch.testing.assert_close(torch.tensor(values), expected[color].flatten(), atol=0.51 * unit, rtol=0)
    sums = [float(text.split()[1].replace("−", "-")) for text in page.locator(".sum").all_inner_texts()]
    torch.testing.assert_close(torch.tensor(sums), products.sum((1, 2)), atol=6e-5, rtol=0)
    total = (products.sum() + conv.bias[channel]).item()
    end = page.locator(".follow p").nth(1).inner_text()
    assert f"max(0, {total:.4f}) = {max(0, total):.4f}." in end
    stored = feature_atlas.values(atlas(), 0, 0)[atlas()["layers"][0]["channels"].index(channel), y, x].item()
    assert max(0, total) == pytest.approx(stored, abs=1e-5)
    assert f"at ({x}, {y})" in page.locator(".follow p").first.inner_text()
    red = round(feature_atlas.unpack(atlas()["photos"][0])[0, 0, y, x].item() * 255)
    assert f"({red}/255 − 0.485)/0.229 = " in page.locator(".follow p").last.inner_text()


def test_fields_and_places_are_the_library_s(page):
    """Places of every layer: the nearest stored position, and the square around its center."""
    for n, layer in enumerate(atlas()["layers"]):
        side, stride = feature_atlas.field_of(network(), layer["name"])
        for x, y in ((0, 0), (95, 71), (40.2, 30.7), (13, 50)):
            where = {"photo": 0, "layer": n, "x": x, "y": y}
            found = page.evaluate(f"(where) => {EXPLORER}.here(where)", where)
            for axis, wanted, length in ((0, x, 96), (1, y, atlas()["photos"][0]["height"])):
                stored = [k * stride + (stride - 1) / 2
                          for k in range(layer["step"] // 2, length // stride, layer["step"])]  # fmt: skip
                center = found["center"][axis]
                assert center in stored
                assert abs(center - wanted) == min(abs(one - wanted) for one in stored)
                assert found["corner"][axis] == center - (side - 1) / 2
                assert found["at"][axis] == (center - (stride - 1) / 2) / stride


@pytest.mark.parametrize("layer", [1, 2])
def test_the_strongest_channels_are_the_network_s(page, layer):
    """At each stored position of both photographs, the order of the channels agrees within the stored precision."""
    one = atlas()["layers"][layer]
    scales = torch.tensor(one["scales"])
    for p, photo in enumerate(atlas()["photos"]):
        full = network()(feature_atlas.unpack(photo))[one["name"]][0, one["channels"]]
        full = full[:, one["step"] // 2 :: one["step"], one["step"] // 2 :: one["step"]]
        rows, columns = full.shape[1:]
        found = torch.tensor(page.evaluate(
            f"""([p, n, rows, columns]) => Array.from({{length: rows * columns}}, (_, k) => {{
              const values = {EXPLORER}.answers(p, n, {{column: k % columns, row: Math.floor(k / columns)}});
              return [values, {EXPLORER}.strongest(values)];
            }}).flat()""", [p, layer, rows, columns],
        ))  # fmt: skip
        values, order = found[::2].T.reshape(6, rows, columns), found[1::2].long()
        assert ((values - full).abs() <= 0.005 * scales[:, None, None]).all()
        theirs = full.flatten(1).T.gather(1, order)  # the network's values in the page's order
        assert (theirs[:, :-1] - theirs[:, 1:] >= -0.01 * scales.max()).all()


def test_hands_and_keys_move_the_place_and_choose_a_channel(page):
    go(page, ["Right", "Right", "Up"])
    start = place(page)
    go(page, ["Left", "Down"])
    assert place(page) == [start[0] - 4, start[1] + 4]  # a stored position further: 4 positions of 2 pixels
    area = page.get_by_role("application")
    box = area.bounding_box()
    page.mouse.click(box["x"] + 2, box["y"] + 2)
    page.wait_for_function("document.querySelector('.said[aria-live]').textContent.includes('position (2, 2)')")
    assert "cat" not in area.get_attribute("aria-label")
    page.get_by_role("button", name="cat", exact=True).click()
    assert area.get_attribute("aria-label").startswith("cat; arrow keys move the place. relu2_1")
    second = page.locator(".channel").nth(1)
    name = channels(page)[1]
    second.press("Enter")
    assert second.get_attribute("aria-pressed") == "true"
    assert page.locator(".whole .name").inner_text().startswith(f"channel {name} on the whole photograph")
    for _ in range(6):
        go(page, ["Right", "Down"])
        assert name in channels(page)  # it stays in the list wherever the place is
    page.locator(".channel[aria-pressed=true]").press("Enter")
    assert page.locator(".channel[aria-pressed=true]").count() == 0
    page.get_by_label("layer").press("End")
    assert "relu3_1" in said(page)
    assert page.locator(".follow").is_hidden()
    page.get_by_role("button", name="Follow one in relu1_1").press("Enter")
    assert page.locator(".follow").is_visible()


def test_a_finger_moves_the_place(opened):
    page = shown(opened(explorer(), has_touch=True, viewport={"width": 390, "height": 844}))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    box = page.get_by_role("application").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] - 2, box["y"] + 2)
    page.wait_for_function("document.querySelector('.said[aria-live]').textContent.includes('position (46, 2)')")
    page.get_by_label("layer").press("Home")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    narrow = (
        "[...document.querySelectorAll('.nine span')].filter(cell => cell.scrollWidth > cell.clientWidth + 1).length"
    )
    assert page.evaluate(narrow) == 0  # no number runs into its neighbor
    for control in page.locator(".play").locator("input, button, [role=application]").all():
        assert control.get_attribute("data-lm-suppress-shortcuts") == "true"


def test_without_scripts_and_on_paper_it_is_a_sheet(opened):
    page = opened(explorer(), java_script_enabled=False)
    seen = [image.get_attribute("alt") for image in page.locator("img").all() if image.is_visible()]
    assert seen[0] == "dahlia with a square"
    assert [re.fullmatch(r"patches of channel \d+: \d+\.\d", alt) is not None for alt in seen[1:]] == 3 * [True]
    assert page.locator("button").count() == 0
    page = shown(opened(explorer()))
    strongest = [f"patches of channel {k}" for k in channels(page)[:3]]
    assert [alt.split(":")[0] for alt in seen[1:]] == strongest  # the picture shows what the page shows
    assert not page.locator("img").first.is_visible()
    page.emulate_media(media="print")
    assert page.locator("img").first.is_visible()
    assert not page.locator(".spread").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_has_names_and_contrast(opened, axe, scheme):
    page = shown(opened(explorer(), color_scheme=scheme))
    page.add_style_tag(content=":root{color-scheme:light dark;background:Canvas}")
    page.get_by_label("layer").press("Home")
    page.locator(".channel").nth(1).click()
    page.evaluate(axe)
    found = page.evaluate(
        "axe.run('.play').then(({violations}) => violations.map(({id, nodes}) => [id, nodes[0].html]))"
    )
    assert found == []


def test_the_stored_atlas_is_small_and_opens(opened):
    stored = records.load("atlas_vgg19").values
    figure = interactive.feature_explorer(stored, photo="neuschwanstein", layer="relu5_1", **WORDS)
    (later,) = re.findall(r'<template class="later">(.*?)</template>', figure._repr_html_(), re.DOTALL)
    assert len(later) < 400_000
    page = shown(opened(figure))
    assert page.locator(".channel").count() == 5
    settings = json.loads(page.locator(".play").get_attribute("data-settings"))
    assert [len(layer["channels"]) for layer in settings["layers"]] == [24] * 5
    page.get_by_label("layer").press("Home")
    assert "− 123.68 = " in page.locator(".follow p").last.inner_text()  # Caffe's network: pixels from 0 to 255


def test_what_cannot_be_explored_is_refused():
    with pytest.raises(ValueError, match=r"photo must be .*dahlia.*cat.* got .?owl"):
        explorer(photo="owl")
    with pytest.raises(ValueError, match=r"layer must be .*relu1_1.* got .?relu5_1"):
        explorer(layer="relu5_1")
    with pytest.raises(ValueError, match="place"):
        explorer(place=(0.5, 1.5))
    assert features.TILE >= features.LARGEST


def test_the_book_fetches_the_atlas_on_a_click(visitor):
    """Also from a file; before the click, nothing of it is fetched."""
    for as_file in (False, True):
        opened = visitor("notebooks/01_what_a_network_sees.html", as_file=as_file)
        page, asked = opened.page, []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        explorer = page.locator(".play[data-kind=feature-explorer]")
        assert explorer.locator("img").count() == 4
        assert page.evaluate("performance.getEntries().some((one) => one.name.includes('/later/'))") is False
        explorer.get_by_role("button", name="Open the explorer").click()
        explorer.locator(".spread").wait_for(timeout=60_000)
        assert [url.split("/")[-2] for url in asked if url.endswith(".js")] == ["later"]
        assert explorer.locator(".channel").count() == 5
        assert opened.said == []
