"""Files that the tests of several commands work on: pictures and small untrained networks."""

import pytest
import torch

from course_lib import save_image
from course_lib.methods import adain, johnson, multi_style, super_resolution

SMALL = {"width": 0.1, "num_blocks": 1, "weights": None, "device": "cpu", "precision": "float32"}


@pytest.fixture
def files(tmp_path, picture):
    """A photo, a painting, and where the result goes, as texts."""
    save_image(picture(60, 80, 1), tmp_path / "photo.png")
    save_image(1 - picture(50, 40, 2), tmp_path / "painting.jpg")
    return [str(tmp_path / name) for name in ("photo.png", "painting.jpg", "out.png")]


@pytest.fixture
def wave(tmp_path):
    """An untrained network for one painting, as a file."""
    config = johnson.Config(**SMALL, norm="instance", upsampling="resize")
    path = tmp_path / "wave.safetensors"
    johnson.save(johnson.Model(johnson.build(config), config, {"style": "great_wave", "steps": 3}), path)
    return path


@pytest.fixture
def larger(tmp_path):
    """A super-resolution network as a file."""
    config = super_resolution.Config(**SMALL, factor=2)
    path = tmp_path / "larger.safetensors"
    super_resolution.save(super_resolution.Model(super_resolution.build(config), config, {"steps": 5}), path)
    return path


@pytest.fixture
def paintings(tmp_path):
    """An untrained network for three paintings, as a file; each has other colors."""
    config = multi_style.Config(**SMALL, num_styles=3)
    network = multi_style.build(config)
    network.up[-1].bias.data = torch.tensor([[2.0, -2, -2], [-2, 2, -2], [-2, -2, 2]])  # red, green, blue
    path = tmp_path / "three.safetensors"
    multi_style.save(multi_style.Model(network, config, {"styles": ["red", "green", "blue"], "steps": 7}), path)
    return path


@pytest.fixture
def decoder(tmp_path):
    """An untrained decoder for any painting, as a file; its encoder is a small network with random weights."""
    config = adain.Config(width=0.1, weights=None, device="cpu", precision="float32")
    path = tmp_path / "decoder.safetensors"
    adain.save(adain.Model(adain.build(config), config, {"steps": 2}), path)
    return path
