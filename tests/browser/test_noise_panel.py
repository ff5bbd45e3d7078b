"""The panel of streets from noise: what it shows is what PyTorch makes of the same numbers, styles and sizes."""

from typing import Any

import test_try_it
import torch
from PIL import Image
from test_try_it import LEVELS, choose, pixels

from book.try_it import export, onnx_styles

page = test_try_it.page
NOISE = "#studio-noise"
PLACES = ("first", "second", "mixed")
NUMBERS = """async ([streets, count]) => {
  const {noise} = await import(new URL("../../_static/try_it/noise.js", location.href).href);
  return streets.map((number) => Array.from(noise(number, count)));
}"""


def numbers(page: Any, streets: list[int], count: int) -> torch.Tensor:
    return torch.tensor(page.evaluate(NUMBERS, [streets, count]))


@torch.inference_mode()
def expected(page: Any, psi: float, start: int) -> list[torch.Tensor]:
    """Streets A and B and the mix of both, from the numbers that the panel names; levels from 0 to 255."""
    network, mapping = (onnx_styles.rounded(export.network(name)) for name in ("streets", "streets_style"))
    streets = [int(number) for number in page.get_attribute(NOISE, "data-streets").split()]
    w = mapping(numbers(page, streets, mapping.z_size))
    first, second = (mapping.mean + psi * (w - mapping.mean))[:, None].repeat(1, network.num_styles, 1)
    sides = torch.tensor([*network.sides, network.sides[-1]])[:, None]
    mixed = torch.where(sides >= start, second, first)
    return [255 * network(styles[None]).clamp(0, 1) for styles in (first, second, mixed)]


def check(page: Any, psi: float, start: int) -> None:
    """Wait until the panel shows what belongs to its settings."""
    page.wait_for_function(
        "([panel, key]) => document.querySelector(panel).dataset.settings === key",
        arg=[NOISE, f"{psi:.2f} {start}"],
    )
    for which, picture in zip(PLACES, expected(page, psi, start), strict=True):
        assert (pixels(page, f"{NOISE} [data-is={which}] canvas") - picture).abs().max() <= LEVELS, which


def test_streets_their_mix_and_their_truncation(page: Any) -> None:
    models = (
        "() => performance.getEntriesByType('resource').map((one) => one.name).filter((one) => one.endsWith('onnx'))"
    )
    assert page.evaluate(models) == [], "a network is fetched before anybody asks for it"
    assert page.is_disabled(f"{NOISE} [data-is=save]")
    page.click(f"{NOISE} [data-do=go]")
    page.wait_for_selector(f"{NOISE} [role=status][data-kind=done]")
    page.wait_for_selector(f"{NOISE}:not(.busy)")
    check(page, 0.7, 16)
    assert sorted(name.rpartition("/")[2] for name in page.evaluate(models)) == ["streets.onnx", "streets_style.onnx"]
    before = page.get_attribute(NOISE, "data-streets").split()
    page.locator(f"{NOISE} input[name=psi]").fill("25")
    assert page.inner_text(f"{NOISE} [data-is=psi]") == "0.25"
    check(page, 0.25, 16)
    choose(page, NOISE, "from", "32")
    check(page, 0.25, 32)
    assert page.get_attribute(NOISE, "data-streets").split() == before, "the same two streets"
    page.locator(f"{NOISE} input[name=psi]").fill("0")
    check(page, 0, 32)
    first, *others = (pixels(page, f"{NOISE} [data-is={which}] canvas") for which in PLACES)
    assert all((first - other).abs().max() == 0 for other in others), "at 0 every street is the mean one"


def test_new_streets_and_what_is_saved(page: Any) -> None:
    streets = lambda: page.get_attribute(NOISE, "data-streets").split()  # noqa: E731
    page.click(f"{NOISE} [data-do=go]")
    page.wait_for_selector(f"{NOISE} [role=status][data-kind=done]")
    page.wait_for_selector(f"{NOISE}:not(.busy)")
    first, second = streets()
    for button, kept in (("[data-is=other]", 0), ("[data-do=go]", 1)):
        seen = streets()
        page.click(f"{NOISE} {button}")
        page.wait_for_function("([panel, old]) => document.querySelector(panel).dataset.streets !== old",
                               arg=[NOISE, " ".join(seen)])  # fmt: skip
        assert streets()[kept] == seen[kept]
        check(page, 0.7, 16)
    a, b = streets()
    assert (a, b) != (first, second)
    with page.expect_download() as download:
        page.click(f"{NOISE} [data-is=save]")
    assert download.value.suggested_filename == f"street_{a}_{b}.png"
    assert Image.open(download.value.path()).size == (256, 256)


def test_the_noise_is_normal_and_follows_from_the_number(page: Any) -> None:
    z = numbers(page, [1, 2, 9999, 1], 4096)
    assert torch.equal(z[0], z[3])
    assert z.isfinite().all()
    for row in z[:3]:
        # four standard errors of the mean and of the variance of 4,096 normal numbers, and the share within ±1
        assert abs(row.mean().item()) < 4 / 64
        assert abs(row.var().item() - 1) < 4 * (2 / 4096) ** 0.5
        assert abs((row.abs() < 1).float().mean().item() - 0.6827) < 4 * (0.6827 * 0.3173 / 4096) ** 0.5
    assert abs(torch.corrcoef(z[:3]).triu(1)).max().item() < 4 / 64
