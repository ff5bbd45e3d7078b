"""How many examples the property tests draw, and the small networks that they use.

Without a setting, each test draws a few, the same ones every time. With ``COURSE_LIB_EXAMPLES=500`` in the environment
it draws that many, other ones every time, and shows the smallest one that fails; so does ``make test ARGS=--all``.
"""

import os

import pytest
from drawn_files import TINY
from hypothesis import HealthCheck, Phase, settings

from course_lib.methods import adain, johnson, multi_style, pix2pix, super_resolution

CONFIGS = {
    "stylize": (johnson, johnson.Config(**TINY, norm="instance", upsampling="resize")),
    "upscale": (super_resolution, super_resolution.Config(**TINY, factor=2)),
    "any style": (adain, adain.Config(width=0.1, weights=None, device="cpu", precision="float32")),
    "several styles": (multi_style, multi_style.Config(**TINY, num_styles=2)),
    "translate": (pix2pix, pix2pix.Config(image_size=8, load_size=None, width=0.05, norm="instance")),
}

COUNT = int(os.environ.get("COURSE_LIB_EXAMPLES") or 0)
settings.register_profile(
    "course_lib",
    settings.get_profile("default"),
    max_examples=COUNT or 16,
    derandomize=not COUNT,
    database=None,
    phases=[Phase.explicit, Phase.generate, *[Phase.shrink] * bool(COUNT)],  # to shrink a failure takes minutes
    report_multiple_bugs=False,
    deadline=None,  # a busy machine is no fault
    print_blob=bool(COUNT),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
settings.load_profile("course_lib")


@pytest.fixture(scope="session")
def networks():
    """Verb, or what else tells networks of one verb apart → (method, untrained model)."""
    return {
        verb: (method, method.Model(method.build(config), config, {})) for verb, (method, config) in CONFIGS.items()
    }


@pytest.fixture(scope="session")
def model_files(networks, tmp_path_factory):
    """The same → model file."""
    folder = tmp_path_factory.mktemp("models")
    for verb, (method, model) in networks.items():
        method.save(model, folder / f"{verb}.safetensors")
    return {verb: folder / f"{verb}.safetensors" for verb in networks}
