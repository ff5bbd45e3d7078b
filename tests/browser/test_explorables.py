"""Components that compute in the page: what they compute is what the library computes, and hands and keys work them."""

import json
import re

import pytest
import torch

from course_lib.methods import gan
from course_lib.runtime import seeded_generator
from course_lib.teaching import interactive
from course_lib.teaching.interactive import feature_maps, games

WORDS = {"caption": "What to notice.", "alt": "Squares"}


def plain(value=0.5, side=96):
    return torch.full((1, 3, side, side), value)


def laboratory():
    return interactive.gan_laboratory([plain(k / 3) for k in range(3)], titles=["1", "100", "1600"], **WORDS)


def some_map(side=16):
    return torch.randn(1, 3, side, side, generator=seeded_generator(0)).clamp(-3, 3)


def four():
    return interactive.normalizations(some_map(), **WORDS)


def copies():
    return interactive.overlaps(**WORDS)


def explorer():
    halves = [torch.rand(1, 8, 8, 8, generator=seeded_generator(seed)) for seed in (0, 1)]
    words = {"titles": ["a", "b"], "layer": "relu2_1", "channels": 6, **WORDS}
    return interactive.gram_explorer([plain(), plain()], halves, **words)


def ready(page, steps=games.WARM):
    """Wait for the steps that are taken before a game is shown."""
    page.wait_for_function(f"document.querySelector('.play').laboratory.game.G.steps >= {steps}", timeout=120_000)
    return page


RULES = [
    {"objective": "non-saturating", "penalty": 0.1},
    {"objective": "minimax", "penalty": 0},
    {"objective": "least-squares", "penalty": 1},
]


@pytest.mark.parametrize("rules", RULES, ids=lambda rules: rules["objective"])
def test_a_step_of_the_laboratory_is_the_step_of_the_library(opened, rules):
    """Three steps of both players from one start, on the same points and noise: every weight and loss to 1e-5."""
    steps, size = 3, 16
    draw = torch.Generator().manual_seed(0)
    real, z_D, z_G = (torch.randn(steps, size, 2, generator=draw, dtype=torch.float64) for _ in range(3))
    page = opened(laboratory())
    found = page.evaluate(
        """([rules, real, z_D, z_G]) => {
          const {begin, stepD, stepG} = document.querySelector(".play").laboratory;
          const flat = (rows) => Float64Array.from(rows.flat());
          const game = begin({target: "ring", rateG: 1e-3, rateD: 3e-3, stepsD: 1, seed: 5, ...rules});
          const weights = (network) => network.parameters.map((one) => [...one]);
          const before = [weights(game.G), weights(game.D)];
          const losses = real.map((rows, k) => {
            const found = stepD(game, flat(rows), flat(z_D[k]));
            return {...found, G: stepG(game, flat(z_G[k]))};
          });
          return {before, after: [weights(game.G), weights(game.D)], losses};
        }""",
        [rules, real.tolist(), z_D.tolist(), z_G.tolist()],
    )
    config = gan.Config(
        image_size=0, noise_size=2, width=games.WIDTH, batch_size=size, learning_rate=1e-3, learning_rate_D=3e-3,
        device="cpu", **rules,
    )  # fmt: skip
    networks = [gan.build(config).double(), gan.build_discriminator(config).double()]
    for network, weights in zip(networks, found["before"], strict=True):
        for parameter, numbers in zip(network.parameters(), weights, strict=True):
            bound = (parameter.shape[1] if parameter.ndim == 2 else 0) ** -0.5 if parameter.ndim == 2 else 1
            assert max(map(abs, numbers)) <= bound  # drawn as PyTorch draws them
            parameter.data = torch.tensor(numbers, dtype=torch.float64).view_as(parameter)
    players = gan.Players(config, *networks)
    rows = iter([z for pair in zip(z_D, z_G, strict=True) for z in pair])
    players.noise = lambda count: next(rows)
    for x, page_losses in zip(real, found["losses"], strict=True):
        losses, _ = gan.train_step(players, x[None].clone())
        ours = {name.removeprefix("D_"): loss.item() for name, loss in losses.items()}
        assert page_losses == pytest.approx(ours, abs=1e-5)
    for network, weights in zip(networks, found["after"], strict=True):
        for parameter, numbers in zip(network.parameters(), weights, strict=True):
            torch.testing.assert_close(
                torch.tensor(numbers, dtype=torch.float64).view_as(parameter), parameter.data, atol=1e-5, rtol=0
            )


def test_the_laboratory_learns_the_ring(opened):
    """The even game, 2500 steps: real points are on average within 0.12 of a made one, and made ones of a real one."""
    page = ready(opened(laboratory()))
    advance = """(steps) => {
      const {game, gaps} = document.querySelector(".play").laboratory;
      for (let k = 0; k < steps; k++) game.play();
      return gaps(game);
    }"""
    before = page.evaluate(advance, 0)
    assert before["missed"] > 0.3
    for _ in range(10):
        after = page.evaluate(advance, 240)
    assert after["missed"] < 0.12
    assert after["strayed"] < 0.12


def test_saturation_takes_the_arrows_away_and_the_cure_gives_them_back(opened):
    page = ready(opened(laboratory()))
    pulls = {}
    for name in ("Saturation", "Cure: another objective"):
        page.get_by_role("button", name=name).click()
        page.wait_for_function("document.querySelector('.said').textContent.includes('D 300, G 0')", timeout=60_000)
        pulls[name] = page.evaluate("document.querySelector('.play').laboratory.game.pulled")
    assert pulls["Saturation"] < 0.1
    assert pulls["Cure: another objective"] > 100 * pulls["Saturation"]


def test_one_player_moves_at_a_time_and_play_moves_both(opened):
    page = ready(opened(laboratory()))
    weights = (
        "[...'GD'].map(one => document.querySelector('.play').laboratory.game[one].parameters.map(p => [...p]).flat())"
    )
    G, D = page.evaluate(weights)
    page.get_by_role("button", name="D: one step").press("Enter")
    assert "Steps: D 101, G 100." in page.locator(".said").inner_text()
    same_G, other_D = page.evaluate(weights)
    assert (same_G == G, other_D == D) == (True, False)
    page.get_by_role("button", name="G: one step").press("Enter")
    other_G, same_D = page.evaluate(weights)
    assert (other_G == G, same_D == other_D) == (False, True)
    page.get_by_role("button", name="Play").press("Enter")
    ready(page, 105)
    page.get_by_role("button", name="Pause").press("Enter")
    steps = page.locator(".said").inner_text()
    page.wait_for_timeout(200)
    assert page.locator(".said").inner_text() == steps  # nothing moves by itself
    assert "Steps: D" in page.locator(".plane canvas").get_attribute("aria-label")


def test_a_game_is_a_text_that_can_be_handed_on(opened):
    page = ready(opened(laboratory()))
    page.get_by_label("seed").press("ArrowRight")
    page.get_by_label("steps of D for one of G").press("End")
    text = page.locator("code").inner_text()
    assert text.endswith("k=10 penalty=0.1 head=0 seed=1")
    page.get_by_role("button", name="Restart").click()
    losses = "(() => { const {game} = document.querySelector('.play').laboratory; game.play(); return game.last; })()"
    first = page.evaluate(losses)
    other = opened(laboratory(), f"#game={text.replace(' ', '&')}")
    other.wait_for_function("document.querySelector('code').textContent.endsWith('seed=1')")
    assert other.evaluate(losses) == first
    field, use = other.get_by_label("a game as text"), other.get_by_role("button", name="Use it")
    for wrong, words in {
        "target=moon": "target=moon: use ring",
        "G=2": "G=2: use 0.0001",
        "seed=-1": "seed=-1: use a whole number up to 99",
        "objective=hinge": "objective=hinge: use non-saturating",
        "target=" + 64 * "0": "or the 64 digits of a drawn one",
    }.items():
        field.fill(wrong)
        use.click()
        assert words in other.locator("span[role=status]").inner_text()
    field.fill("target=pair seed=7")
    use.click()
    assert "target=pair" in other.locator("code").inner_text()
    assert other.get_by_label("seed").input_value() == "7"


def test_a_target_is_drawn_by_keys_and_by_finger(opened):
    page = ready(opened(laboratory(), has_touch=True))
    page.get_by_role("button", name="Draw a target").press("Enter")
    assert page.get_by_role("button", name="Use this target").is_disabled()
    page.keyboard.press("Space")  # column 8, row 8: the square above and left of the middle
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    box = page.locator(".plane canvas").bounding_box()
    page.touchscreen.tap(box["x"] + 2, box["y"] + 2)
    assert "3 squares; column 1, row 1 is full" in page.locator(".said").inner_text()
    page.get_by_role("button", name="Use this target").click()
    assert page.get_by_label("target").input_value() == "drawn by hand"
    rows = page.locator("code").inner_text().split("target=")[1][:64]
    assert [rows[4 * k : 4 * k + 4] for k in range(16) if rows[4 * k : 4 * k + 4] != "0000"] == ["8000", "0180"]
    points = page.evaluate("[...document.querySelector('.play').laboratory.game.real]")
    cells = {(round((x + 1.6) // 0.2), round((1.6 - y) // 0.2)) for x, y in zip(points[::2], points[1::2], strict=True)}
    assert cells == {(0, 0), (7, 7), (8, 7)}


def test_the_laboratory_without_scripts_and_on_paper_is_a_sheet(opened):
    page = opened(laboratory(), java_script_enabled=False)
    seen = [image.get_attribute("alt") for image in page.locator("img").all() if image.is_visible()]
    assert seen == ["1", "100", "1600"]
    assert page.locator("button").count() == 0
    page = ready(opened(laboratory()))
    assert not page.locator("img").first.is_visible()
    page.emulate_media(media="print")
    assert page.locator("img").first.is_visible()
    assert not page.locator(".stage").is_visible()


def test_with_less_motion_the_picture_changes_twice_a_second(opened):
    page = ready(opened(laboratory(), reduced_motion="reduce"))
    drawn = "document.querySelector('.plane canvas').toDataURL()"
    page.evaluate(
        "window.changes = 0; const paper = CanvasRenderingContext2D.prototype, old = paper.drawImage;"
        "paper.drawImage = function (...all) { window.changes++; return old.apply(this, all); }; 0"
    )
    before = page.evaluate(drawn)
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("window.changes >= 2", timeout=60_000)
    began = page.evaluate("performance.now()")
    page.wait_for_function("window.changes >= 4", timeout=60_000)
    assert page.evaluate("performance.now()") - began > 500
    page.get_by_role("button", name="Pause").click()
    assert page.evaluate(drawn) != before


@pytest.mark.parametrize("make", [laboratory, four, copies, explorer])
def test_it_fits_a_phone_and_keeps_its_keys(opened, make):
    page = opened(make(), viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    controls = page.locator(".play").locator("input, select, button")
    assert {control.get_attribute("data-lm-suppress-shortcuts") for control in controls.all()} == {"true"}
    names = [control.evaluate("one => one.labels?.[0]?.textContent || one.ariaLabel || one.textContent") for control
             in controls.all()]  # fmt: skip
    assert all(names)
    assert json.loads(page.locator(".play").get_attribute("data-settings"))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"mean": -3, "deviation": 4, "channel": 2},
        {"spike": 200, "rho": 0.3},
        {"deviation": 0, "style": 7, "rho": 0},
    ],
    ids=str,
)
def test_the_normalizations_are_those_of_the_library(opened, change):
    """All 4 × 3 × 16 × 16 values, to 1e-5 of the largest."""
    at = {**feature_maps.AT, **change}
    rounded = (some_map().double() / feature_maps.STEP).round().clamp(-128, 127) * feature_maps.STEP
    expected = torch.cat(feature_maps.normalized(rounded, at)).flatten(2)
    page = opened(four())
    script = "(at) => document.querySelector('.play').normalizations.compute(at).map(y => y.map(map => [...map]))"
    found = torch.tensor(page.evaluate(script, at), dtype=torch.float64)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_spike_fades_what_it_should(opened):
    """With handles: instance normalization fades channel 1 alone, layer normalization all three."""
    page = opened(four())

    def deviations():
        said = page.locator(".tile .said").all()
        return [[float(v) for v in one.inner_text().split("deviation ")[1].split(";")[0].split(", ")] for one in said]

    before = deviations()
    page.get_by_label("spike in it").press("End")
    after = deviations()
    ratios = [[b / a for a, b in zip(old, new, strict=True)] for old, new in zip(before, after, strict=True)]
    given, instance, layer, _, demodulated = ratios
    assert given == demodulated == pytest.approx([1, 1, 1], abs=0.05)
    assert instance[0] < 0.4
    assert instance[1:] == pytest.approx([1, 1])
    assert max(layer) < 0.5
    page.get_by_label("scale s of the weights").press("End")
    assert "weight 3.50, divided by its length: 1" in page.locator(".tile .said").last.inner_text()


def test_the_overlaps_are_those_of_a_transposed_convolution(opened):
    page = opened(copies())
    script = "([k, s]) => Object.values(document.querySelector('.play').overlaps).map(count => count(k, s))"
    for kernel in feature_maps.KERNELS:
        for stride in feature_maps.STRIDES:
            counted = page.evaluate(script, [kernel, stride])
            for along, plane in zip(counted, feature_maps.products(kernel, stride), strict=True):
                side = torch.tensor(along, dtype=torch.float32)
                torch.testing.assert_close(torch.outer(side, side), plane[0, 0])
    assert (
        "adds 1 or 2 products along a side, 1, 2, 4 in the plane: a checkerboard" in page.locator(".said").inner_text()
    )
    page.get_by_label("side of the kernel").press("ArrowRight")
    assert "Kernel 4, stride 2" in page.locator(".said").inner_text()
    assert "adds 2 products along a side, 4 in the plane: no pattern" in page.locator(".said").inner_text()
    assert page.locator(".tile canvas").first.get_attribute("aria-label") == "transposed convolution: even"


def test_maps_without_scripts_are_still_pictures(opened):
    for make, count in ((four, 5), (copies, 2)):
        page = opened(make(), java_script_enabled=False)
        assert [image.is_visible() for image in page.locator("img").all()] == count * [True]
        assert page.locator("input").count() == 0


@pytest.mark.parametrize(
    "kind", ["feature-explorer", "gan-laboratory", "gram-explorer", "normalizations", "optimizers-road", "overlaps"]
)
def test_an_explorable_has_a_page_of_its_own_that_needs_nothing(browser, book, kind):
    """Opened as a file: it asks for nothing else."""
    listed = (book / "book" / "play.html").read_text(encoding="utf-8")
    assert f"../_static/play/{kind}.html" in listed
    assert f"/_static/play/{kind}.html&quot;" in re.sub("<[^>]+>", "", listed).replace('"', "&quot;")
    page = browser.new_page(viewport={"width": 1000, "height": 1100})
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    path = (book / "_static" / "play" / f"{kind}.html").as_uri()
    page.goto(path)
    assert page.locator("h1").count() == 1
    page.locator("canvas").first.wait_for()
    assert page.locator("figcaption").is_visible()
    assert [url for url in asked if not url.startswith(("data:", path))] == []
    page.close()
