"""The optimizer's road in Chromium: its numbers are those of the library and of torch; hands and keys work it."""

import json
from functools import lru_cache
from itertools import pairwise

import pytest
import torch

from course_lib.teaching import interactive, records
from course_lib.teaching.interactive import roads

START = {name: tuple(one["start"]) for name, one in roads.LANDSCAPES.items()}
COMPUTE = """([change, steps]) => {
  const {ground, walk, rules} = document.querySelector(".play").road, wanted = {...rules, ...change};
  const floor = ground(wanted), {loss, ...numbers} = floor;
  return {...numbers, roads: walk(floor, wanted, steps).map(({points, losses}) => ({points, losses}))};
}"""


@lru_cache
def stored():
    """Nodes and mask of the loss of two gray levels."""
    values = records.load("05_two_grays").values
    return torch.tensor(values["nodes"]), torch.tensor(values["mask"]).bool()


def figure():
    return interactive.optimizers_road(*stored(), caption="What to notice.", alt="Three roads")


def loss_of(name, **options):
    return roads.Surface(roads.rounded(stored()[0])) if name == "grays" else roads.landscape(name, **options)


def symmetric(numbers):
    a, b, d = numbers
    return torch.tensor([[a, b], [b, d]], dtype=torch.float64)


CASES = [
    *({"landscape": name, "bounds": bounds} for name in roads.LANDSCAPES for bounds in (True, False)),
    *({"landscape": "outside", "power": power, "conditioning": 100, "angle": 60} for power in (0.5, 1)),
    {"landscape": "curved", "power": 0.25, "bounds": False, "history": 2},
    {"landscape": "grays", "power": 1, "start": [0.9, 0.7]},
    {"landscape": "valley", "conditioning": 1000, "history": 1, "beta1": 0, "beta2": 0, "rate": 0.1},
    {"landscape": "curved", "beta1": 0.5, "beta2": 0.9, "step": 0.3, "rate": 0.3, "history": 20},
]


@pytest.mark.parametrize("change", CASES, ids=lambda change: " ".join(str(value) for value in change.values()))
def test_ten_steps_are_those_of_torch_and_of_the_library(opened, change):
    """Every point of the three roads, and the loss at each, to 1e-5."""
    rules = {**roads.AT, "bounds": True, "start": START[change["landscape"]], **change}
    found = opened(figure()).evaluate(COMPUTE, [rules, 10])
    loss = loss_of(rules["landscape"], **{key: rules[key] for key in ("conditioning", "angle")}
                   if rules["landscape"] != "grays" else {})  # fmt: skip
    for name, road in zip(roads.OPTIMIZERS, found["roads"], strict=True):
        expected = roads.walk(
            loss, name, tuple(rules["start"]), steps=10, bounds=rules["bounds"],
            precondition=symmetric(found["B"]) if rules["power"] else None,
            step_length=rules["step"] / found["steep"], learning_rate=rules["rate"],
            betas=(rules["beta1"], rules["beta2"]), history_size=int(rules["history"]),
        )  # fmt: skip
        points = torch.tensor(road["points"], dtype=torch.float64)
        torch.testing.assert_close(points, expected, atol=1e-5, rtol=1e-5)
        losses = torch.tensor(road["losses"], dtype=torch.float64)
        torch.testing.assert_close(losses, torch.stack([loss(x) for x in expected]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("power", [0.25, 1])
def test_the_preconditioner_is_a_power_of_the_curvature_at_the_lowest_point(opened, power):
    page = opened(figure())
    for name, lowest in (("valley", (0.75, 0.4)), ("curved", (0.819807621, 0.546076952))):
        found = page.evaluate(COMPUTE, [{"landscape": name, "power": power, "conditioning": 30}, 1])
        at = torch.tensor(lowest, dtype=torch.float64)
        curvature = torch.autograd.functional.hessian(roads.landscape(name, conditioning=30), at)
        values, vectors = torch.linalg.eigh(curvature)
        expected = vectors @ torch.diag((values / values.max()) ** -power) @ vectors.T
        torch.testing.assert_close(symmetric(found["B"]), expected, rtol=0.02, atol=0.02 * expected.abs().max().item())
        root, back = symmetric(found["root"]), symmetric(found["back"])
        torch.testing.assert_close(root @ root, symmetric(found["B"]))
        torch.testing.assert_close(root @ back, torch.eye(2, dtype=torch.float64))


def test_the_lowest_point_is_found_inside_and_on_the_bounds(opened):
    page = opened(figure())
    for change, lowest in (
        ({"landscape": "valley", "conditioning": 1000}, (0.75, 0.4)),
        ({"landscape": "outside", "bounds": False}, (0.2, -0.15)),
        ({"landscape": "outside", "angle": 0}, (0.2, 0)),
        ({"landscape": "curved", "conditioning": 1000}, (0.819807621, 0.546076952)),
    ):
        assert page.evaluate(COMPUTE, [change, 1])["bottom"] == pytest.approx(lowest, abs=1e-5)
    grays = page.evaluate(COMPUTE, [{"landscape": "grays"}, 1])
    line = torch.linspace(0, 1, 101, dtype=torch.float64)
    surface = loss_of("grays")
    tried = min(surface(torch.stack((a, b))).item() for a in line for b in line)
    assert 0 <= tried - grays["floor"] < 0.01 * tried


def reached(page, **change):
    """After how many evaluations each optimizer's height is a millionth of the first, or None."""
    found = page.evaluate(COMPUTE, [{"landscape": "valley", "start": START["valley"], **change}, roads.LAST])
    counts = []
    for road in found["roads"]:
        heights = [loss - found["floor"] for loss in road["losses"]]
        counts.append(next((k for k, height in enumerate(heights) if height <= 1e-6 * heights[0]), None))
    return counts


def test_what_the_questions_say_is_so(opened):
    page = opened(figure())
    easy, hard = (reached(page, conditioning=kappa) for kappa in (10, 1000))
    assert hard[:2] == [None, None]  # more than 200
    assert max(easy[:2]) < roads.LAST
    assert easy[2] == hard[2]
    straight = [reached(page, conditioning=kappa, angle=0) for kappa in (10, 100, 1000)]
    assert len({counts[1] for counts in straight}) == 1  # Adam
    assert straight[0][1] < easy[1]
    assert straight[0][0] < roads.LAST
    assert straight[2][0] is None
    assert reached(page, power=1, step=1)[0] == 1
    in_the_metric = """() => {
      const {ground, walk, rules} = document.querySelector(".play").road;
      const wanted = {...rules, power: 1}, floor = ground(wanted);
      const of = ([a, b, d], [x, y]) => [a * x + b * y, b * x + d * y];
      return walk(floor, wanted, 4)[2].moves.at(-1).used.map(({s, y}) =>
        [of(floor.back, s), of(floor.root, y).map((one) => one / floor.steep)]);
    }"""
    pairs = torch.tensor(page.evaluate(in_the_metric), dtype=torch.float64)
    assert len(pairs) == 3
    torch.testing.assert_close(pairs[:, 0], pairs[:, 1], atol=1e-8, rtol=1e-6)


def test_clamping_in_another_metric_stops_beside_the_lowest_point(opened):
    page, outside = opened(figure()), {"landscape": "outside", "start": START["outside"]}
    plain, turned = (reached(page, power=power, **outside) for power in (0, 1))
    assert None not in plain
    assert turned[:2] == [None, None]
    assert turned[2] < 20


def said(page):
    return [one.inner_text() for one in page.locator(".lane .said").all()]


def test_the_start_is_moved_by_mouse_by_finger_and_by_keys(opened):
    page = opened(figure(), has_touch=True)
    before, start = said(page), page.get_by_label("start, x")
    box = page.locator(".handle").nth(1).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 60, box["y"] + box["height"] / 2 + 20, steps=4)
    page.mouse.up()
    assert float(start.input_value()) > 30  # hundredths: it was 10
    dragged = said(page)
    assert all(one != other for one, other in zip(before, dragged, strict=True))
    board = page.locator(".plane").first.bounding_box()
    page.touchscreen.tap(board["x"] + board["width"] / 2, board["y"] + board["height"] / 2)
    assert [page.get_by_label(f"start, {axis}").input_value() for axis in "xy"] == ["50", "50"]
    start.press("End")
    assert start.input_value() == "100"
    assert page.evaluate("document.querySelector('.play').road.rules.start") == [1, 0.5]
    assert len({*before, *dragged, *said(page)}) == 9
    centers = page.locator(".handle").evaluate_all("all => all.map((one) => [one.style.left, one.style.top])")
    assert centers[0] == centers[2] == ["85.7143%", "50%"]  # ½ (1 + 0.5/0.7)


def test_steps_go_forward_and_back_and_run_stops_at_the_end(opened):
    page = opened(figure())
    time = page.get_by_label("evaluations", exact=True)
    assert time.input_value() == str(roads.LANDSCAPES["valley"]["shown"])
    page.get_by_role("button", name="One step").press("Enter")
    assert time.input_value() == "7"
    page.get_by_role("button", name="Back to the start").click()
    assert all(one.startswith("at 0.1, 0.85, loss") for one in said(page))
    page.get_by_role("button", name="Run").click()
    page.wait_for_function("document.querySelector('.time input').value > 2")
    page.get_by_role("button", name="Pause").click()
    kept = time.input_value()
    page.wait_for_timeout(200)
    assert time.input_value() == kept
    time.fill("199")
    page.get_by_role("button", name="Run").click()
    page.wait_for_function("document.querySelector('.time input').value === '200'")
    page.get_by_role("button", name="Run").wait_for()
    words = page.locator(".told").inner_text()
    assert "after 200 evaluations" in words
    assert page.locator(".chart").get_attribute("aria-label") == words


def test_with_less_motion_it_changes_twice_a_second(opened):
    page = opened(figure(), reduced_motion="reduce")
    page.get_by_role("button", name="Run").click()
    page.evaluate(
        "() => { window.changes = []; document.querySelector('.time output').textContent; new MutationObserver(() =>"
        "window.changes.push(performance.now())).observe(document.querySelector('.time output'), {childList: true}); }"
    )
    page.wait_for_function("window.changes.length >= 3", timeout=60_000)
    moments = page.evaluate("window.changes")
    assert min(b - a for a, b in pairwise(moments)) > 400


def test_bounds_and_metric_are_shown_in_words_and_pictures(opened):
    page = opened(figure())
    drawn = "[...document.querySelectorAll('.plane canvas')].map((one) => one.toDataURL())"
    page.get_by_role("button", name="A valley that ends outside").click()
    page.get_by_label("evaluations", exact=True).fill("40")
    before = page.evaluate(drawn)
    assert said(page)[2].startswith("at 0.428, 0, loss 0.00136")
    page.get_by_label("bounds 0 to 1").uncheck()
    assert said(page)[2].startswith("at 0.2, −0.15, loss 0")
    assert all(one != other for one, other in zip(before, page.evaluate(drawn), strict=True))
    page.get_by_label("bounds 0 to 1").check()
    assert page.evaluate(drawn) == before
    page.get_by_label("preconditioner: power p").press("End")
    plain = page.evaluate(drawn)
    page.get_by_label("show the metric of the preconditioner").check()
    assert all(one != other for one, other in zip(plain, page.evaluate(drawn), strict=True))


def test_the_picture_has_the_gray_levels_of_the_road(opened):
    page = opened(figure())
    assert page.locator(".grays:visible").count() == 0
    page.get_by_role("button", name="Two gray levels, real loss").click()
    assert page.locator(".grays:visible").count() == 3
    assert page.get_by_label("conditioning κ").count() == 0 or not page.get_by_label("conditioning κ").is_visible()
    seen = page.evaluate(
        "[...document.querySelectorAll('.grays')].map((one) => [...one.getContext('2d')"
        ".getImageData(0, 0, one.width, one.height).data].filter((_, k) => k % 4 === 0))"
    )
    found = page.evaluate(COMPUTE, [{}, 9])
    mask = stored()[1]
    for pixels, road in zip(seen, found["roads"], strict=True):
        a, b = (255 * level for level in road["points"][9])
        picture = torch.tensor(pixels).view(mask.shape)
        assert (picture[~mask].float() - a).abs().max() <= 1
        assert (picture[mask].float() - b).abs().max() <= 1


def test_without_scripts_and_on_paper_three_roads_are_pictures(opened):
    page = opened(figure(), java_script_enabled=False)
    seen = [image.get_attribute("alt") for image in page.locator("img").all() if image.is_visible()]
    assert seen == [f"{name}: 16 steps in a stretched valley" for name in roads.OPTIMIZERS]
    assert page.locator("button").count() == 0
    page = opened(figure())
    assert not page.locator("img").first.is_visible()
    page.emulate_media(media="print")
    assert page.locator("img").first.is_visible()
    assert not page.locator(".stage").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_has_names_and_passes_axe(opened, axe, scheme):
    page = opened(figure(), viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page.add_style_tag(content=":root{color-scheme:light dark}")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    controls = page.locator(".play").locator("input, select, button")
    assert {control.get_attribute("data-lm-suppress-shortcuts") for control in controls.all()} == {"true"}
    names = controls.evaluate_all("all => all.map((one) => one.labels?.[0]?.textContent || one.textContent)")
    assert all(names)
    assert json.loads(page.locator(".play").get_attribute("data-settings"))
    page.evaluate(axe)
    for name in ("A stretched valley", "Two gray levels, real loss"):
        page.get_by_role("button", name=name).click()
        wrong = page.evaluate("axe.run('.play', {runOnly: ['wcag2a', 'wcag2aa']}).then((found) => found.violations)")
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in wrong] == []
