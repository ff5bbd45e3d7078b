"""The Gram explorer: its matrices are the library's, shuffled positions keep them, and hands and keys work it."""

import json

import pytest
import torch

from course_lib import gram_matrix
from course_lib.runtime import seeded_generator
from course_lib.teaching import interactive
from course_lib.teaching.interactive import gram_matrices

SIDE, CHANNELS = 12, 5
EXPLORER = "document.querySelector('.play').gram"


def features(seed):
    """Rectified noise, (1, 9, SIDE, SIDE), with channels of very different strength."""
    noise = torch.randn(1, 9, SIDE, SIDE, generator=seeded_generator(seed))
    return (noise + 0.3).clamp(min=0) * torch.logspace(0, 1.5, 9)[None, :, None, None]


def explorer():
    pictures = [torch.rand(1, 3, 4 * SIDE, 4 * SIDE, generator=seeded_generator(seed)) for seed in (0, 1)]
    return interactive.gram_explorer(
        pictures, [features(2), features(3)], titles=["Street", "Wave"], layer="relu2_1", channels=CHANNELS,
        caption="What to notice.", alt="Squares",
    )  # fmt: skip


@pytest.fixture
def page(opened):
    return opened(explorer())


def settings(page):
    return json.loads(page.locator(".play").get_attribute("data-settings"))


def chosen(page):
    """The features of the channels that are shown, (2, CHANNELS, SIDE, SIDE), float64."""
    return torch.cat([features(2), features(3)])[:, settings(page)["names"]].double()


def matrices(page, which="now"):
    return torch.tensor(page.evaluate(f"{EXPLORER}.{which}"), dtype=torch.float64)


def entry(page):
    return page.locator(".entry").inner_text()


def test_the_matrices_are_those_of_the_library(page):
    """Of the rounded features to 1e-5 of each entry; of the features as they were to half a percent of the largest."""
    full = chosen(page)
    codes, steps = gram_matrices.rounded(full)
    baked = torch.tensor(page.evaluate(f"{EXPLORER}.given.map(rows => rows.map(row => [...row]))"))
    torch.testing.assert_close(baked.double(), codes.flatten(2))  # the packed bytes are unpacked
    found = matrices(page)
    torch.testing.assert_close(found, gram_matrix(codes * steps, mean=True), rtol=1e-5, atol=0)
    exact = gram_matrix(full, mean=True)
    torch.testing.assert_close(found, exact, rtol=0, atol=0.005 * exact.max().item())
    moved = (found - exact).flatten(1).norm(dim=1) / exact.flatten(1).norm(dim=1)
    assert moved.max().item() == pytest.approx(settings(page)["error"], rel=1e-3)
    assert f"up to {float(f'{100 * moved.max():.3g}'):g} %" in page.locator("p.note").inner_text()


def test_shuffling_all_maps_alike_changes_the_maps_and_not_one_digit_of_the_matrices(page):
    maps = f"{EXPLORER}.maps.map(rows => rows.map(row => [...row]))"
    before, columns = matrices(page), torch.tensor(page.evaluate(maps))
    page.get_by_role("button", name="Shuffle all maps alike").press("Enter")
    after = torch.tensor(page.evaluate(maps))
    assert (after != columns).any()
    for old, new in zip(columns, after, strict=True):  # the same columns of F, in another order
        assert sorted(old.T.tolist()) == sorted(new.T.tolist())
    assert torch.equal(matrices(page), before)
    assert "Largest change of an entry: 0." in page.locator("div[role=status]").inner_text()
    page.get_by_role("button", name="Put back").press("Enter")
    assert torch.equal(torch.tensor(page.evaluate(maps)), columns)
    assert page.locator("div[role=status]").inner_text() == ""


def test_shuffling_one_map_changes_its_row_and_column_except_where_they_cross(page):
    before = matrices(page)
    page.get_by_label("row i").press("Home")
    page.get_by_label("row i").press("ArrowRight")
    page.get_by_role("button", name=f"Shuffle map {settings(page)['names'][1]} alone").click()
    changed = matrices(page) != before
    expected = torch.zeros(CHANNELS, CHANNELS, dtype=torch.bool)
    expected[1, :] = expected[:, 1] = True
    expected[1, 1] = False
    assert torch.equal(changed[0], expected)
    assert torch.equal(changed[1], expected)
    assert "its entry on the diagonal changed by 0" in page.locator("div[role=status]").inner_text()


def test_an_entry_is_pointed_at_pressed_and_reached_by_keys(page):
    names, matrix = settings(page)["names"], page.get_by_role("application")
    box = matrix.bounding_box()

    def at(row, column):
        return box["x"] + (column + 0.5) * box["width"] / CHANNELS, box["y"] + (row + 0.5) * box["height"] / CHANNELS

    page.mouse.move(*at(1, 3))
    assert entry(page).startswith(f"Maps {names[1]} and {names[3]}: G/M = ")
    page.mouse.down()
    page.mouse.up()
    page.mouse.move(*at(2, 2))
    assert entry(page).startswith(f"Map {names[2]} with itself: ")
    page.mouse.move(box["x"] + box["width"] + 50, box["y"])  # away: back to the entry that was pressed
    assert entry(page).startswith(f"Maps {names[1]} and {names[3]}: ")
    assert page.get_by_label("row i").get_attribute("aria-valuetext") == f"map {names[1]}"
    matrix.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    assert entry(page).startswith(f"Map {names[2]} with itself: ")
    assert f"row {names[2]}, column {names[2]}" in matrix.get_attribute("aria-label")
    page.get_by_label("column j").press("End")
    assert [tile.inner_text() for tile in page.locator(".looks .tile:visible").all()] == [
        "Street", f"map {names[2]}", f"map {names[4]}", "their product",
    ]  # fmt: skip


def test_an_entry_is_reached_by_finger(opened):
    page = opened(explorer(), has_touch=True, viewport={"width": 390, "height": 844})
    box, names = page.get_by_role("application").bounding_box(), settings(page)["names"]
    page.touchscreen.tap(box["x"] + 0.9 * box["width"], box["y"] + 0.1 * box["height"])
    assert entry(page).startswith(f"Maps {names[0]} and {names[4]}: ")


def test_the_numbers_of_an_entry_and_half_of_its_sum_are_right(page):
    codes, steps = gram_matrices.rounded(chosen(page))
    gram = gram_matrix(codes * steps, mean=True)[0]
    page.get_by_label("row i").press("Home")
    page.get_by_label("column j").press("End")
    cosine = gram[0, -1] / (gram[0, 0] * gram[-1, -1]).sqrt()
    products = (codes[0, 0] * codes[0, -1]).flatten().sort(descending=True).values
    count = int((products.cumsum(0) < products.sum() / 2).sum()) + 1
    share = f"{100 * count / SIDE**2:.0f}\u00a0%"
    assert entry(page).startswith(
        f"Maps {settings(page)['names'][0]} and {settings(page)['names'][-1]}: "
        f"G/M = {float(f'{gram[0, -1]:.3g}'):g}, cosine {cosine:.2f}. Half of the sum comes from {share}"
    )


def test_the_fewest_positions_that_make_half_of_a_sum(page):
    half = f"([...products]) => {{ const f = {EXPLORER}.half(products); return [[...f.inside], f.count]; }}"
    assert page.evaluate(half, [1, 6, 0, 2, 1]) == [[0, 1, 0, 0, 0], 1]
    assert page.evaluate(half, [3, 3, 3, 3]) == [[1, 1, 0, 0], 2]
    assert page.evaluate(half, [0, 0, 0]) == [[0, 0, 0], 0]


def test_two_pictures_are_compared_entry_by_entry(page):
    """The list is in the order of (A − B)², twice off the diagonal, and its parts are those of ‖A − B‖²."""
    page.get_by_role("button", name="Difference").click()
    codes, steps = gram_matrices.rounded(chosen(page))
    a, b = gram_matrix(codes * steps, mean=True)
    names = settings(page)["names"]
    assert f"‖A − B‖ / ‖B‖ = {(a - b).norm() / b.norm():.2f}" in page.locator(".beside").inner_text()
    part = (a - b).square() / (a - b).square().sum()
    alone = part.diagonal().argsort(descending=True)[:3].tolist()
    pairs = [divmod(k, CHANNELS) for k in part.triu(1).flatten().argsort(descending=True)[:3].tolist()]
    words = [item.inner_text() for item in page.locator(".worst button").all()]
    assert [text.split(":")[0] for text in words] == [
        *(f"Map {names[k]}" for k in alone), *(f"Maps {names[i]} and {names[j]}" for i, j in pairs),
    ]  # fmt: skip
    i, j = pairs[0]
    more = "Street" if a[i, j] > b[i, j] else "Wave"
    assert f" in {more}" in words[3] or "nearly the same" in words[3]
    assert words[3].endswith(f"{200 * part[i, j]:.0f}\u00a0%")
    page.locator(".worst button").nth(3).press("Enter")
    assert entry(page).startswith(f"Maps {names[i]} and {names[j]}: {float(f'{a[i, j]:.3g}'):g} in Street, ")
    assert page.locator(".looks .tile:visible").count() == 8


def test_the_toy_is_the_chapters_and_follows_what_is_typed(page):
    """Chapter 2: G₁₁ = 6, G₁₂ = 3, G₂₂ = 11 and a cosine of 3 / √66; reordered, G₁₂ lies between 2 and 8."""
    toy = page.locator("fieldset.toy")
    cells = toy.locator(".cells").last
    assert cells.inner_text().split() == ["6", "3", "3", "11"]
    assert "1·0 + 0·3 + 2·1 + 1·1 = 3. " in toy.locator(".said").inner_text()
    assert "G₁₁/M = 1.5, G₁₂/M = 0.75, G₂₂/M = 2.75. " in toy.locator(".said").inner_text()
    assert "the maps: 0.37" in toy.locator(".said").inner_text()
    for numbers, product in (([0, 2, 1, 1], 8), ([2, 0, 1, 1], 2)):
        for k, number in enumerate(numbers):
            page.get_by_label(f"F1, position {k + 1}").fill(str(number))
        assert cells.inner_text().split() == ["6", str(product), str(product), "11"]
    found = set()
    for _ in range(60):
        toy.get_by_role("button", name="Shuffle F₁ alone").click()
        first, both, _, second = map(int, cells.inner_text().split())
        assert (first, second) == (6, 11)
        found.add(both)
        toy.get_by_role("button", name="Shuffle both alike").click()
        assert cells.inner_text().split() == ["6", str(both), str(both), "11"]
    assert min(found) >= 2
    assert max(found) <= 8
    assert len(found) > 2
    field = page.get_by_label("F2, position 2")
    field.fill("-4")
    field.press("Tab")
    assert field.input_value() == "0"
    for name in ("F1", "F2"):
        for k in range(4):
            page.get_by_label(f"{name}, position {k + 1}").fill("")
    assert "A map of zeros has no angle." in toy.locator(".said").inner_text()
    toy.get_by_role("button", name="Numbers of the chapter").click()
    assert cells.inner_text().split() == ["6", "3", "3", "11"]


def test_without_scripts_and_on_paper_it_is_a_sheet(opened):
    """Two pictures, the first one's positions shuffled, and below each its matrix: the first two are the same."""
    seen = ["Street", "its positions shuffled", "Wave", "its Gram matrix", "the same matrix", "another matrix"]
    page = opened(explorer(), java_script_enabled=False)
    assert [image.get_attribute("alt") for image in page.locator("img").all() if image.is_visible()] == seen
    sources = [image.get_attribute("src") for image in page.locator("img").all()]
    assert sources[3] == sources[4] != sources[5]
    assert page.locator("button").count() == 0
    page = opened(explorer())
    assert not page.locator("img").first.is_visible()
    page.emulate_media(media="print")
    assert page.locator("img").first.is_visible()
    assert not page.locator(".desk").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_has_names_and_contrast(opened, axe, scheme):
    page = opened(explorer(), color_scheme=scheme)
    page.add_style_tag(content=":root{color-scheme:light dark;background:Canvas}")
    page.get_by_role("button", name="Difference").click()
    page.evaluate(axe)
    found = page.evaluate(
        "axe.run('.play').then(({violations}) => violations.map(({id, nodes}) => [id, nodes[0].html]))"
    )
    assert found == []
