"""Components in a browser, from a file: mouse, finger and keyboard move them, and what they say is right."""

import json

import pytest
import torch

from course_lib import losses
from course_lib.evaluation import votes
from course_lib.networks import layers
from course_lib.networks.patchgan import PatchGAN
from course_lib.runtime import seeded_generator
from course_lib.teaching import interactive

WORDS = {"caption": "What to notice.", "alt": "Squares"}


def plain(value=0.5, height=72, width=96):
    return torch.full((1, 3, height, width), value)


def ramp():
    """Brightness 0 to 1 from left to right: a pixel tells where it is from."""
    return torch.linspace(0, 1, 96).expand(1, 3, 72, 96)


@pytest.fixture
def opened(browser, tmp_path):
    """A function that opens figures as one file and returns the page; nothing may be said or asked for."""
    said, contexts = [], []

    def open_page(*figures, **options):
        path = tmp_path / "page.html"
        body = "".join(figure._repr_html_() for figure in figures)
        path.write_text(
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>t</title>{body}', encoding="utf-8"
        )
        contexts.append(browser.new_context(viewport={"width": 700, "height": 900}, **options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
        page.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


def visible(page):
    """Alternative texts of the pictures that can be seen."""
    return page.evaluate("[...document.images].filter(i => i.checkVisibility()).map(i => i.alt)")


def test_frames_follow_the_keyboard(opened):
    page = opened(
        interactive.frames([plain(k / 4) for k in range(3)], labels=["1", "10", "100"], axis="steps", at=0, **WORDS)
    )
    handle = page.get_by_label("steps")
    assert visible(page) == ["steps 1"]
    handle.focus()
    page.keyboard.press("ArrowRight")
    assert visible(page) == ["steps 10"]
    assert handle.get_attribute("aria-valuetext") == "10"
    assert page.locator("output").inner_text() == "10"
    page.keyboard.press("End")
    assert visible(page) == ["steps 100"]
    page.keyboard.press("ArrowRight")  # there is no further place
    assert visible(page) == ["steps 100"]


def test_the_tour_plays_to_the_end_and_stops(opened):
    labels = [str(k) for k in range(7)]
    page = opened(interactive.frames([plain(k / 9) for k in range(7)], labels=labels, axis="steps", at=4, **WORDS))
    page.clock.install()
    page.get_by_role("button", name="Play").click()
    page.clock.run_for(750)
    assert visible(page) == ["steps 5"]
    page.clock.run_for(5000)
    assert visible(page) == ["steps 6"]
    assert page.get_by_role("button", name="Play").count() == 1


def test_a_grid_has_two_handles_and_a_map(opened):
    pictures = [[plain((r * 3 + c) / 9) for c in range(3)] for r in range(2)]
    axes = {"rows": ("depth", ["1", "2"]), "columns": ("weight", ["a", "b", "c"])}
    page = opened(interactive.grid(pictures, **axes, **WORDS))
    page.get_by_label("weight").press("ArrowRight")
    page.get_by_label("depth").press("ArrowRight")
    assert visible(page) == ["depth 2, weight b"]
    page.locator(".map span").nth(2).click()  # first row, third column
    assert visible(page) == ["depth 1, weight c"]
    assert page.get_by_label("depth").get_attribute("aria-valuetext") == "1"
    assert page.locator(".map .here").count() == 1


def test_the_edge_follows_the_pointer_and_uncovers(opened):
    page = opened(interactive.compare([plain(0), plain(1)], titles=["black", "white"], **WORDS))
    box = page.locator(".over").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.click(box["x"] + 0.25 * box["width"], y)
    assert page.get_by_label("edge").input_value() == "25"
    page.get_by_label("edge").press("ArrowLeft")
    assert page.get_by_label("edge").input_value() == "24"
    clip = "getComputedStyle(document.querySelector('.after')).clipPath"
    assert page.evaluate(clip).replace("0px ", "").startswith("inset(")
    assert "24%" in page.evaluate(clip)


def test_of_many_pictures_two_are_chosen(opened):
    page = opened(interactive.compare([plain(k / 3) for k in range(3)], titles=["a", "b", "c"], **WORDS))
    assert sorted(visible(page)) == ["a", "c"]
    page.get_by_label("picture at the right").select_option("b")
    assert sorted(visible(page)) == ["a", "b"]
    page.get_by_label("picture at the left").select_option("c")
    assert sorted(visible(page)) == ["b", "c"]
    assert page.locator(".before .name").inner_text() == "c"


FILMS = {name: [plain(k / 12 + n / 4) for k in range(4)] for n, name in enumerate(("rough", "calm", "blended"))}


def test_a_film_moves_on_demand_and_both_sides_show_one_time(opened):
    page = opened(interactive.film(FILMS, frame=1, **WORDS), reduced_motion="no-preference")
    assert visible(page) == ["rough, frame 1", "blended, frame 1"]
    page.get_by_label("frame").press("ArrowRight")
    assert visible(page) == ["rough, frame 2", "blended, frame 2"]
    assert page.get_by_label("frame").get_attribute("aria-valuetext") == "3 of 4"
    page.get_by_label("film at the right").select_option(label="calm")
    assert visible(page) == ["rough, frame 2", "calm, frame 2"]
    page.clock.install(time=0)
    page.clock.pause_at(60)
    page.clock.run_for(5000)  # nothing moves by itself
    assert visible(page) == ["rough, frame 2", "calm, frame 2"]
    page.get_by_role("button", name="Play").click()
    page.clock.run_for(260)  # two frames of an eighth of a second: it starts over
    assert visible(page) == ["rough, frame 0", "calm, frame 0"]
    page.get_by_role("button", name="Pause").click()
    page.clock.run_for(5000)
    assert visible(page) == ["rough, frame 0", "calm, frame 0"]
    page.get_by_label("edge").press("ArrowLeft")
    assert page.get_by_label("edge").input_value() == "49"


def test_a_film_does_not_play_where_less_motion_is_asked_for(opened):
    page = opened(interactive.film(FILMS, **WORDS), reduced_motion="reduce")
    assert page.get_by_role("button").count() == 0
    page.get_by_label("frame").press("End")
    assert visible(page) == ["rough, frame 3", "blended, frame 3"]


@pytest.mark.parametrize("patch", [16, 70])
def test_the_receptive_field_is_where_the_gradient_is(opened, patch):
    """The square that the page draws for a verdict of a PatchGAN is the square its gradient reaches."""
    judge = PatchGAN(patch, pictures=1, width=1 / 16, norm="none").double()
    photo = torch.rand(1, 3, 128, 128, dtype=torch.float64, generator=seeded_generator(0)).requires_grad_()
    verdict = judge(photo)
    row, column = 5, 8
    verdict[0, 0, row, column].backward()
    rows, columns = (photo.grad.abs().sum((0, 1)) > 0).nonzero().unbind(1)
    side, stride = layers.receptive_field(judge)
    fields = {"verdict": (side, stride, (3 * stride - 1) / 2), "another": (3, 1)}
    page = opened(interactive.receptive_field(plain(0.5, 128, 128), fields, at=0, **WORDS))
    count = verdict.shape[-1]
    for name, place in (("across", column), ("down", row)):
        page.get_by_label(name).evaluate(
            "(input, at) => { input.value = at; input.dispatchEvent(new Event('input')); }",
            round(100 * (place + 0.5) / count),
        )
    said = page.locator(".said").inner_text()
    assert f"position ({column}, {row}) of {count} × {count} sees {side} × {side} pixels of 128 × 128" in said
    style = page.evaluate(
        "Object.fromEntries(['left', 'top', 'width'].map(k => [k, parseFloat("
        "document.querySelector('.field').style[k]) * 1.28]))"
    )
    assert style["width"] == pytest.approx(side)
    assert max(0, style["left"]) == pytest.approx(columns.min().item(), abs=0.01)
    assert max(0, style["top"]) == pytest.approx(rows.min().item(), abs=0.01)


def test_the_lens_shows_the_part_it_points_at(opened):
    page = opened(interactive.lens([ramp(), 1 - ramp()], titles=["up", "down"], zoom=4, size=96, **WORDS))
    page.wait_for_function("[...document.images].every(i => i.complete && i.naturalWidth)")
    middle = (
        "[...document.querySelectorAll('canvas')].map(c => c.getContext('2d').getImageData(150, 150, 1, 1).data[0])"
    )
    box = page.locator(".seen").first.bounding_box()
    for x in (0.25, 0.75):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + 0.5 * box["height"])  # a mouse need not press
        up, down = page.evaluate(middle)
        assert up == pytest.approx(255 * x, abs=6)
        assert down == pytest.approx(255 * (1 - x), abs=6)
    page.get_by_label("across").press("Home")
    assert page.evaluate(middle)[0] == pytest.approx(255 * 9 / 96, abs=6)  # the leftmost 18 of 96 pixels


def origin(**options):
    """Of 12 × 8 patches, each comes from the mirrored column of a picture that has one row less."""
    nearest = torch.stack(torch.meshgrid(torch.arange(8).clamp_max(6), torch.arange(11, -1, -1), indexing="ij"), -1)
    figure = interactive.origin(
        [ramp(), 1 - ramp()[..., :60, :]], nearest, titles=["painted", "painting"], side=8, stride=8, **options, **WORDS
    )
    return figure


def test_a_patch_shows_where_it_comes_from(opened):
    page = opened(origin(at=(2, 3)))
    box = "[...document.querySelectorAll('.field')].map(f => [parseFloat(f.style.left), parseFloat(f.style.top)])"
    assert page.evaluate(box) == [pytest.approx([25, 22.22], abs=0.01), pytest.approx([66.67, 26.67], abs=0.01)]
    page.get_by_label("column").press("ArrowRight")
    page.get_by_label("row").press("End")
    assert page.get_by_label("column").get_attribute("aria-valuetext") == "5 of 12"
    assert page.evaluate(box) == [pytest.approx([33.33, 77.78], abs=0.01), pytest.approx([58.33, 80], abs=0.01)]
    said = page.locator(".said").inner_text()
    assert said == (
        "The patch at column 5 of 12, row 8 of 8 is nearest to the one 62 % from the left and 86 % from the top."
    )
    middle = (
        "[...document.querySelectorAll('canvas')].map(c => c.getContext('2d').getImageData(100, 100, 1, 1).data[0])"
    )
    bright, mirrored = page.evaluate(middle)  # columns 32 to 39 of 96, and 56 to 63 of the reversed ramp
    assert bright == pytest.approx(255 * 36 / 96, abs=5)
    assert mirrored == pytest.approx(255 * (1 - 60 / 96), abs=5)
    area = page.locator(".seen").first.bounding_box()
    page.mouse.move(area["x"] + 0.99 * area["width"], area["y"] + 0.01 * area["height"])
    assert page.get_by_label("column").input_value() == "11"
    assert page.get_by_label("row").input_value() == "0"


def study(methods=("rough", "fine", "flat"), scenes=3, height=72, width=96, **options):
    """Method m of scene s is a plain picture whose brightness, (10 s + m) / 255, tells which one it is."""
    pictures = {
        name: [plain((10 * s + m) / 255, height, width) for s in range(scenes)] for m, name in enumerate(methods)
    }
    return interactive.study(pictures, **{"question": "Which?", "name": "trial", "seed": 1, **WORDS, **options})


def exported(page):
    return votes.read_votes(page.get_by_label("Votes as text").input_value())


def test_a_study_shows_each_pair_on_each_scene_and_balances_sides(opened):
    for methods, scenes in (("abc", 4), ("abcd", 4)):
        page = opened(study(methods, scenes, name=f"trial {methods}"))
        page.get_by_role("button", name="Same").focus()
        total = scenes * len(methods) * (len(methods) - 1) // 2
        for _ in range(total):
            page.keyboard.press("ArrowLeft")
        cast = exported(page)
        assert len(cast) == total
        assert len({(vote.scene, *sorted((vote.left, vote.right))) for vote in cast}) == total
        lefts = [vote.left for vote in cast]
        assert [lefts.count(m) for m in methods] == [total / len(methods)] * len(methods)
        for start in range(0, total, total // scenes):  # a round: every pair once
            assert len({frozenset(vote[1:3]) for vote in cast[start : start + total // scenes]}) == total // scenes


def test_votes_by_key_and_button_name_what_was_seen(opened):
    page = opened(study())
    assert page.locator(".tile .name").locator("visible=true").count() == 0
    page.wait_for_function("[...document.querySelectorAll('.panel img')].every(i => i.complete)")
    page.locator(".panel img").first.click()  # puts the keys here
    seen = []
    for act in ("ArrowLeft", "ArrowDown", "ArrowRight", "← Left", "Same ↓"):
        pixel = (
            "(image) => { const c = document.createElement('canvas').getContext('2d');"
            "c.drawImage(image, 0, 0, 1, 1); return c.getImageData(0, 0, 1, 1).data[0]; }"
        )
        page.wait_for_function("[...document.querySelectorAll('.panel img')].every(i => i.complete)")
        shown = [page.locator(".panel .tile img").nth(k).evaluate(pixel) for k in (0, 1)]
        alts = [image.get_attribute("alt") for image in page.locator(".panel .tile img").all()]
        scene = int(alts[0].split()[1].strip(",")) - 1
        assert alts == [f"scene {scene + 1}, left picture", f"scene {scene + 1}, right picture"]
        seen.append((scene, [value - 10 * scene for value in shown]))
        if act.startswith("Arrow"):
            page.keyboard.press(act)
        else:
            page.get_by_role("button", name=act).click()
    assert "5 of 9 comparisons made" in page.locator(".said").inner_text()
    page.keyboard.press("Alt+ArrowLeft")  # the browser's own key
    page.get_by_role("button", name="Results").click()
    cast = exported(page)
    assert [vote.choice for vote in cast] == ["left", "tie", "right", "left", "tie"]
    for vote, (scene, shades) in zip(cast, seen, strict=True):
        assert int(vote.scene) == scene
        names = ["rough", "fine", "flat"]
        assert [vote.left, vote.right] == [min(names, key=lambda n, s=s: abs(names.index(n) - s)) for s in shades]


def test_a_vote_can_be_undone_and_a_study_paused_kept_and_started_over(opened):
    page = opened(study())
    pair = "[...document.querySelectorAll('.panel img')].map(i => i.src)"
    first = page.evaluate(pair)
    page.get_by_role("button", name="Right").click()
    page.get_by_role("button", name="Undo").click()
    assert page.evaluate(pair) == first
    page.get_by_role("button", name="Right").click()
    second = page.evaluate(pair)
    page.get_by_role("button", name="Pause").click()
    assert not page.locator(".panel").is_visible()
    assert page.locator(".said").inner_text() == "Paused. 1 of 9 comparisons made. The votes stay in this browser."
    page.reload()
    assert page.evaluate(pair) == second
    page.get_by_role("button", name="Start over").click()
    assert "1 of 9" in page.locator(".said").inner_text()
    page.get_by_role("button", name="Delete 1 vote").click()
    assert "0 of 9" in page.locator(".said").inner_text()
    assert page.evaluate(pair) == first  # the seed is given


def test_a_study_works_where_nothing_may_be_stored(opened):
    page = opened(study())
    page.add_init_script("Object.defineProperty(window, 'localStorage', {get() { throw new Error('denied'); }})")
    page.reload()
    page.get_by_role("button", name="Left").click()
    assert "copy your votes before you leave" in page.locator(".said").inner_text()
    page.get_by_role("button", name="Results").click()
    assert len(exported(page)) == 1


@pytest.mark.parametrize("case", ["clear", "undefeated", "apart"])
def test_a_study_computes_the_scores_of_the_library(opened, case):
    strengths = {"rough": 0.0, "fine": 0.8, "flat": -0.5, "dark": 0.2}
    cast = votes.simulate_votes(strengths, [str(k) for k in range(8)], each=2, left_bias=0.5, ties=0.1, seed=3)
    if case == "undefeated":
        cast = [v._replace(choice="left" if v.left == "fine" else "right") if "fine" in v[1:3] else v for v in cast]
    if case == "apart":
        cast = [v for v in cast if {v.left, v.right} in ({"rough", "fine"}, {"flat", "dark"})]
    page = opened(study(tuple(strengths), 8))
    page.get_by_role("button", name="Results").click()
    page.get_by_label("Votes as text").fill(votes.write_votes(cast, "trial"))
    page.get_by_role("button", name="Use this text").click()
    assert exported(page) == cast  # twice on every scene
    if case != "apart":
        assert "48 of 48 comparisons made" in page.locator(".said").inner_text()
    warning = page.locator(".warning")
    if case == "apart":
        assert "Some methods have not been compared" in warning.inner_text()
        return
    assert warning.is_visible() == (case == "undefeated")
    expected = votes.bradley_terry(cast, prior=0.1 if case == "undefeated" else 0.0)
    rows = page.locator(".results tr").filter(has=page.locator("td")).all()
    cells = [[c.inner_text().replace("−", "-") for c in row.locator("td").all()[:4]] for row in rows]
    assert [row[0] for row in cells] == list(expected.names)
    for (_, *numbers), score, low, high in zip(cells, expected.scores, expected.low, expected.high, strict=True):
        best, least, most = map(float, numbers)
        assert best == pytest.approx(score, abs=0.0051)  # two decimals
        assert (least, most) == pytest.approx((low, high), abs=0.35 * (high - low))  # of two bootstraps
    share = round(100 * expected.left_share)
    assert f"left picture in {share} % of {len(cast)} votes" in page.locator(".results").inner_text()
    assert [alt.split(",")[0] for alt in visible(page)] == list(expected.names)  # sorted pictures


def test_votes_of_another_study_are_refused_by_line(opened):
    page = opened(study())
    page.get_by_role("button", name="Left").click()
    page.get_by_role("button", name="Results").click()
    area, use = page.get_by_label("Votes as text"), page.get_by_role("button", name="Use this text")
    for text, words in {
        "# votes: other, version 1\n": "The first line must be “# votes: trial, version 1”",
        "# votes: trial, version 1\n0\trough\tfine\tleft\n\n3\trough\tfine\tleft": "Line 4 is not a vote",
        "# votes: trial, version 1\n0\trough\trough\tleft": "Line 2 is not a vote",
        "# votes: trial, version 1\n0\trough\tfine\tboth": "Line 2 is not a vote",
        "": "The first line must be",
    }.items():
        area.fill(text)
        use.click()
        assert words in page.locator(".said").inner_text()
    page.get_by_role("button", name="Continue voting").click()
    page.get_by_role("button", name="Results").click()
    assert len(exported(page)) == 1  # nothing was lost


def test_a_finished_study_shows_its_results_and_comes_back_to_them(opened):
    page = opened(study(("a", "b"), 1, references=[plain(0.9)]))
    assert visible(page) == ["scene 1, reference", "scene 1, left picture", "scene 1, right picture"]
    page.get_by_role("button", name="Left").click()
    assert page.locator(".results").is_visible()
    assert page.get_by_role("button", name="Continue voting").is_disabled()
    page.reload()
    assert page.locator(".results").is_visible()
    assert page.locator(".results table").inner_text().count("\n") >= 2


def test_the_converter_gives_what_the_library_gives(opened):
    page = opened(interactive.converter(caption="Weights."))
    for source in range(4):
        for target in range(4):
            page.get_by_label("Convention").nth(0).select_option(str(source))
            page.get_by_label("Convention").nth(1).select_option(str(target))
            page.get_by_label("Content weight").first.fill("3")
            page.get_by_label("Style weight").first.fill("2e3")
            found = page.evaluate("[...document.querySelectorAll('output')].map(o => o.innerText)")
            given = losses.CONVENTIONS[source], losses.CONVENTIONS[target]
            expected = losses.convert_weights(3.0, 2e3, *given, channels=512, positions=64 * 64, style_layers=5)
            numbers = [float(text.replace(" × 10", "e").replace("−", "-").replace("\n", "")) for text in found[:2]]
            assert numbers == pytest.approx(list(expected), rel=1e-3), given
    page.get_by_role("button", name="the ratio printed").click()
    assert page.get_by_label("Style weight").first.input_value() == "1000"
    page.get_by_label("Width").fill("0")
    assert "must be positive whole numbers" in page.locator("[data-note]").inner_text()


def test_two_of_a_kind_do_not_disturb_each_other(opened):
    one = interactive.frames([plain(0), plain(1)], labels=["1", "2"], axis="left", at=0, **WORDS)
    two = interactive.frames([plain(0), plain(1)], labels=["1", "2"], axis="right", at=0, **WORDS)
    page = opened(one, two)
    page.get_by_label("right").press("ArrowRight")
    assert visible(page) == ["left 1", "right 2"]
    assert page.locator("input[type=range]").count() == 2


def test_without_scripts_and_on_paper_a_still_picture_remains(opened):
    figures = (
        interactive.compare([plain(0), plain(1)], titles=["before", "after"], **WORDS),
        interactive.frames([plain(0), plain(1)], labels=["1", "2"], axis="steps", at=1, **WORDS),
        study(("a", "b"), 1),
    )
    still = ["before", "after", "steps 2", "a, scene 1", "b, scene 1"]
    page = opened(*figures, java_script_enabled=False)
    assert page.locator("input").count() == 0
    assert [image.get_attribute("alt") for image in page.locator("img").all() if image.is_visible()] == still
    page = opened(*figures)
    page.emulate_media(media="print")
    assert visible(page) == still
    assert not page.get_by_label("steps").is_visible()
    assert "none" in page.evaluate("getComputedStyle(document.querySelector('.after')).clipPath")


def test_a_finger_moves_the_edge(opened):
    page = opened(interactive.compare([plain(0), plain(1)], titles=["a", "b"], **WORDS), has_touch=True, is_mobile=True)
    box = page.locator(".over").bounding_box()
    page.touchscreen.tap(box["x"] + 0.8 * box["width"], box["y"] + 5)
    assert page.get_by_label("edge").input_value() == "80"
    assert page.evaluate("getComputedStyle(document.querySelector('.over')).touchAction") == "pan-y"  # the page scrolls


def test_a_small_picture_is_not_blown_up(opened):
    """At most two by two for a pixel; a handle stays long enough to be held."""
    wide = {"height": 120, "width": 160}
    one = interactive.frames([plain(0, **wide), plain(1, **wide)], labels=["1", "2"], axis="one", at=0, **WORDS)
    pairs = [[plain(k, **wide)] * 2 for k in (0, 1)]
    two = interactive.frames(pairs, labels=["1", "2"], axis="two", titles=["a", "b"], at=0, **WORDS)
    edge = interactive.compare([plain(0, **wide), plain(1, **wide)], titles=["a", "b"], **WORDS)
    page = opened(one, two, edge)
    shown = "[...document.querySelectorAll('img')].filter(i => i.checkVisibility()).map(i => Math.round(i.width))"
    single, left, right, *over = page.evaluate(shown)
    assert single == 320
    assert left == right <= 320
    assert over == [320, 320]
    tiny = opened(interactive.frames([plain(0), plain(1)], labels=["1", "2"], axis="s", at=0, **WORDS))
    assert tiny.evaluate(shown) == [192]
    assert tiny.get_by_role("slider").bounding_box()["width"] > 100


@pytest.mark.parametrize("screen", [(1280, 720), (1300, 900), (390, 844)], ids=str)
def test_picture_slider_and_caption_fit_one_screen(opened, screen):
    """Tall pictures, several handles, a long caption; above stand a program's own bars."""
    words = {"caption": "What to notice, in a few lines. " * 6, "alt": "Squares"}
    tall, square = {"height": 400, "width": 300}, {"height": 512, "width": 512}
    figures = (
        interactive.frames([plain(k / 7, **tall) for k in range(7)], labels=list("abcdefg"), axis="way", **words),
        interactive.compare([plain(k / 3, **square) for k in range(3)], titles=["a", "b", "c"], **words),
        interactive.lens([plain(0, **square), plain(1, **square)], titles=["a", "b"], **words),
        interactive.receptive_field(plain(0.5, **square), {"one": (3, 1), "two": (70, 8)}, **words),
        interactive.origin(
            [plain(0, **square)] * 2, torch.zeros(4, 4, 2, dtype=int), titles=["a", "b"], side=24, stride=8, **words
        ),
        study(size=512, height=512, width=512, **words),
        study(size=512, height=512, width=512, references=[plain(0.5, **square)] * 3, **words),
        interactive.grid(
            [[plain((3 * r + c) / 9, **square) for c in range(3)] for r in range(2)],
            rows=("depth", ["1", "2"]),
            columns=("weight", ["a", "b", "c"]),
            **words,
        ),
    )
    page = opened(*figures)
    page.set_viewport_size({"width": screen[0], "height": screen[1]})
    for figure in page.locator("figure").all():
        box = figure.bounding_box()
        kind = figure.get_attribute("class")
        assert box["height"] < screen[1] - 60, kind
        images = [image for image in figure.locator("img").all() if image.is_visible()]
        assert images[0].bounding_box()["height"] > 0.12 * screen[1], f"{kind}: nothing is left of the picture"


def test_every_control_keeps_its_keys_in_jupyterlab(opened):
    """Its shortcuts look at the focused element alone: an attribute on the container does not count."""
    page = opened(
        interactive.frames([plain(k / 7) for k in range(7)], labels=list("abcdefg"), axis="way", **WORDS),
        interactive.compare([plain(k / 3) for k in range(3)], titles=["a", "b", "c"], **WORDS),
        interactive.lens([plain(0), plain(1)], titles=["a", "b"], **WORDS),
        interactive.receptive_field(plain(0.5), {"one": (3, 1), "two": (7, 2)}, **WORDS),
        origin(),
        interactive.converter(caption="Weights."),
        study(),
    )
    controls = page.locator(".play").locator("input, select, button, textarea")
    marks = [control.get_attribute("data-lm-suppress-shortcuts") for control in controls.all()]
    assert len(marks) > 18
    assert set(marks) == {"true"}


def test_settings_survive_quotes_and_tags(opened):
    label = 'a "quoted" <i>label</i> & more'
    page = opened(interactive.frames([plain(0), plain(1)], labels=[label, "b"], axis="way", at=0, **WORDS))
    assert page.locator("output").inner_text() == label
    assert json.loads(page.locator(".play").get_attribute("data-settings"))["axes"][0]["values"][0] == label
