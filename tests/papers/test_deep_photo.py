"""Luan et al. 2017: the configuration, the two stages, and a photograph that stays one."""

from dataclasses import replace

import pytest
import torch

from course_lib import sample_image
from course_lib.losses.matting import matting_bands, matting_energy
from course_lib.masks import Regions
from course_lib.methods import deep_photo
from course_lib.methods.deep_photo import Config, stylize

PHOTO, STYLE = sample_image("cat", (40, 48)), sample_image("dahlia", (36, 48))
SMALL = Config(
    num_steps=12, weights=None, style_layers=("relu1_1", "relu2_1"), content_layers=("relu2_2",), style_weight=3000.0,
    style_layer_weights="equal", precision="float32", device="cpu",
)  # fmt: skip


def energy(image):
    return matting_energy(image, matting_bands(PHOTO).float(), mean=True).item()


def test_the_papers_configuration():
    config = Config()
    assert (config.num_steps, config.matting_eps, config.matting_radius) == (1000, 1e-7, 1)
    assert config.content_layers == ("relu4_2",)
    assert config.style_layers == ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def test_two_stages_the_second_with_the_laplacian():
    seen = []
    result = stylize(PHOTO, STYLE, SMALL, callback=lambda p: seen.append((p.step, p.num_steps)))
    assert seen == [(step, 24) for step in range(1, 25)]
    assert {len(values) for values in result.history.values()} == {24}
    energies = result.history["photorealism"]
    assert not any(energies[:12])
    assert all(energies[12:])
    assert energies[-1] < energies[12]
    assert result.history["seconds"] == sorted(result.history["seconds"])
    assert "scale" not in result.history


def test_the_picture_stays_nearer_to_a_recoloring_of_the_photo():
    with_term, without = (stylize(PHOTO, STYLE, replace(SMALL, photo_weight=weight)).image for weight in (2e4, 0.0))
    assert energy(with_term) < energy(without) / 4
    assert (with_term - PHOTO).abs().mean() > 0.02  # and yet it changes


def test_regions_and_sizes():
    top = torch.zeros(1, 1, 40, 48)
    top[..., :20, :] = 1
    regions = Regions(torch.cat([top, 1 - top]), (torch.cat([torch.ones(1, 1, 36, 48)] * 2),), ("sky", "rest"))
    seen = []
    config = replace(SMALL, scales=(24,), num_steps=2)
    result = stylize(PHOTO, STYLE, config, regions=regions, callback=lambda p: seen.append((p.step, p.num_steps)))
    assert "style/relu2_1/rest" in result.history
    assert result.history["scale"] == [24.0] * 4 + [48.0] * 4
    assert seen == [(step, 8) for step in range(1, 9)]


def test_the_settings_of_the_terms_reach_them(monkeypatch):
    made = []
    for name in ("Photorealism", "RegionStyles"):
        kind = getattr(deep_photo, name)
        monkeypatch.setattr(deep_photo, name, lambda *given, kind=kind: made.append(given[1:]) or kind(*given))
    config = replace(
        SMALL, num_steps=1, matting_eps=1e-4, matting_radius=2, propagation="all", region_weights=(1.0, 3.0)
    )
    top = torch.zeros(1, 1, 40, 48)
    top[..., :20, :] = 1
    stylize(PHOTO, [STYLE] * 2, config, regions=Regions.split([top, 1 - top]))
    assert made == [(config, "all", (1.0, 3.0)), (1e-4, 2), (1e-4, 2)]


def test_bad_fields_and_images_are_named():
    for change, words in (
        ({"photo_weight": -1.0}, "photo_weight"),
        ({"matting_eps": 0.0}, "matting_eps"),
        ({"matting_radius": 0}, "matting_radius"),
        ({"region_weights": ()}, "region_weights"),
    ):
        with pytest.raises(ValueError, match=words):
            replace(SMALL, **change)
    with pytest.raises(ValueError, match="another picture whose light"):
        stylize(PHOTO, None, SMALL)
    assert deep_photo.Config.quick().num_steps == 60
