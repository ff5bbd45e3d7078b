"""The optimization of a picture on a GPU: the CPU's numbers, the same with and without graphs, and no waiting."""

from dataclasses import replace

import pytest
import torch

from course_lib import VGGFeatures, gram_matrix, runtime, sample_image
from course_lib.losses.perceptual import PerceptualLoss
from course_lib.methods import gatys
from course_lib.optimize.image import stepper
from course_lib.optimize.lbfgs import LBFGS
from course_lib.optimize.preconditioners import fourier_preconditioner

TOLERANCE = {"float32": 1e-3, "bfloat16": 3e-2}


def far(a, b):
    """‖a − b‖ / ‖b‖."""
    a, b = a.detach().double().cpu(), b.detach().double().cpu()
    return float((a - b).norm() / b.norm())


@pytest.fixture(params=["small random network", "vgg19_normalized"])
def weights(request):
    """Of the network: a random one, and the published one where its file is at hand."""
    if request.param == "small random network":
        return None
    from course_lib.pretrained.weights import at_hand

    if not at_hand("vgg19_normalized"):
        pytest.skip("vgg19_normalized is not in the cache")
    return "normalized"


def pair(weights, precision, device, **options):
    """The same network twice: on the device in `precision`, on the CPU in float64."""
    wanted = {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    layers = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1")
    ours = VGGFeatures(layers=layers, weights=weights, precision=wanted, **options).to(device)
    return ours, VGGFeatures(layers=layers, weights=weights, precision=torch.float64, **options)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("pooling", ["average", "max"])
def test_features_and_gram_matrices_are_those_of_the_cpu(device, picture, weights, precision, pooling):
    ours, exact = pair(weights, precision, device, pooling=pooling)
    image = picture(80, 96, 1)
    with torch.no_grad():
        found, expected = ours(image.to(device)), exact(image.double())
    for layer, features in expected.items():
        assert far(found[layer], features) < TOLERANCE[precision], layer
        gram = gram_matrix(found[layer], mean=True)
        assert gram.dtype == torch.float32
        assert far(gram, gram_matrix(features, mean=True)) < TOLERANCE[precision], layer
        direct = gram_matrix(found[layer].double(), mean=True)  # the same features, summed exactly
        assert far(gram, direct) < 1e-4, f"{layer}: the sums were not kept in float32"  # rounded: 2e-3


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_forward_pass_that_is_recorded_is_the_other_one(device, picture, weights, precision):
    """Fused kernels or not: the recorded layers are those that `forward` gives."""
    ours, _ = pair(weights, precision, device)
    image = picture(64, 72, 2).to(device)
    cache, plain = ours.forward_with_cache(image), ours(image)
    for layer, features in plain.items():
        assert far(cache[layer], features) < (1e-5 if precision == "float32" else 2e-2), layer  # one rounding for two


def starts(size):
    """The two pictures that a run begins with: the photograph, and quiet noise."""
    photo = sample_image("eilean_donan", (size, size))
    noise = 0.5 + 0.2 * (torch.rand(photo.shape, generator=runtime.seeded_generator(0)) - 0.5)
    return {"photograph": photo, "noise": noise}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("pooling", ["average", "max"])
def test_losses_and_their_closed_gradient_are_those_of_the_cpu(device, weights, precision, pooling):
    """For the whole objective, where a run begins. In bfloat16 a single deep layer's gradient is off by 4 to 8 %."""
    styles = dict.fromkeys(("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), 20.0)
    photo, painting = sample_image("eilean_donan", (96, 96)), sample_image("great_wave", (96, 96))
    losses_ = []
    for network, place, number in zip(pair(weights, precision, device, pooling=pooling), (device, "cpu"),
                                      (torch.float32, torch.float64), strict=True):  # fmt: skip
        loss = PerceptualLoss(network, content={"relu4_2": 1.0}, style=styles)
        loss.set_content(photo.to(place, number))
        loss.set_style([painting.to(place, number)])
        losses_.append((loss, place, number))
    for name, start in starts(96).items():
        (values, gradient), (exact_values, exact_gradient) = (
            loss.with_gradient(start.to(place, number)) for loss, place, number in losses_
        )
        assert far(values, exact_values) < TOLERANCE[precision], name
        if precision == "float32":
            assert far(gradient, exact_gradient) < 1e-3, name
        elif pooling == "average":  # rounding moves the winners of a maximum
            limit = 0.03 if weights else 0.1  # eight random channels average little of the rounding away
            assert far(gradient, exact_gradient) < limit, name


def test_lbfgs_walks_the_cpus_path_on_a_quadratic(device):
    generator = torch.Generator().manual_seed(3)
    q = torch.randn(60, 60, generator=generator, dtype=torch.float64)
    a, b = q @ q.T / 60 + 0.3 * torch.eye(60, dtype=torch.float64), torch.randn(60, dtype=torch.float64)
    paths = []
    for place in (device, "cpu"):
        x = torch.zeros(60, dtype=torch.float64, device=place)
        here_a, here_b = a.to(place), b.to(place)
        optimizer = LBFGS(x, history_size=8, first_step=0.1, max_step=10.0)
        path = []
        for _ in range(25):
            optimizer.step(here_a @ x - here_b)
            path.append(x.cpu().clone())
        paths.append(torch.stack(path))
    torch.testing.assert_close(*paths, rtol=1e-5, atol=1e-5)
    assert (a @ paths[1][-1] - b).norm() < 0.1 * b.norm()


def test_the_preconditioner_is_the_cpus(device):
    noise = torch.randn(1, 3, 31, 44, generator=torch.Generator().manual_seed(0))
    ours, exact = (
        fourier_preconditioner(31, 44, power=0.4, device=place)(noise.to(place)) for place in (device, "cpu")
    )
    assert far(ours, exact) < 1e-5


CONFIGS = {
    "as in the paper": {},
    "fast": {"precondition": 0.4, "start": "content"},
    "Adam": {"optimizer": "adam", "start": "mixed"},
    "smooth, max pooling": {"tv_weight": 1.0, "pooling": "max"},
    "unbounded": {"project": False},
}


@pytest.mark.parametrize("name", CONFIGS)
def test_with_graphs_and_without_the_picture_is_the_same(cuda, monkeypatch, picture, name):
    config = gatys.Config(num_steps=25, weights=None, device="cuda", precision="float32", **CONFIGS[name])
    content, style = picture(64, 80, 1), picture(64, 64, 2)
    captured = gatys.stylize(content, style, config)
    monkeypatch.setenv("COURSE_LIB_CUDA_GRAPHS", "0")
    plain = gatys.stylize(content, style, config)
    # sums have no fixed order there, and each step of L-BFGS doubles a difference
    assert captured.history["total"][:6] == pytest.approx(plain.history["total"][:6], rel=1e-2)
    assert captured.history["total"][-1] == pytest.approx(plain.history["total"][-1], rel=0.5)
    assert captured.history["total"][-1] < 0.7 * captured.history["total"][0]


@pytest.mark.filterwarnings("error:no CUDA graph")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_step_can_be_captured(cuda, picture, precision):
    config = gatys.Config.fast()
    config = replace(config, num_steps=12, weights=None, device="cuda", precision=precision)
    result = gatys.stylize(picture(64, 80, 1), picture(64, 64, 2), config)
    assert result.stopped is None
    assert len(set(result.history["total"])) == 12, "a replay that changes nothing"


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_nothing_inside_a_step_waits(cuda, picture, optimizer):
    config = gatys.Config(weights=None, device="cuda", precondition=0.4, tv_weight=0.5, optimizer=optimizer)
    content, style = picture(64, 80, 1), picture(64, 64, 2)
    objective, x = gatys.objective(content, style, config), gatys.first_image(content, style, config)
    step = stepper(gatys.optimizer(x, config), objective.with_gradient, torch.zeros_like(x))
    step.enabled = False
    for _ in range(3):
        step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            row = step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert row.isfinite().all()


def test_fused_kernels_answer_or_are_left_alone(cuda):
    from course_lib.losses.style import _sums_wide
    from course_lib.pretrained.passes import _fuses

    for precision in (torch.bfloat16, torch.float16, torch.float32):
        for shape in ((3, 64), (64, 64), (256, 512), (8, 8)):
            assert _fuses(torch.device("cuda", 0), precision, *shape) in (True, False)
    assert _sums_wide(torch.bfloat16) in (True, False)


def test_a_run_too_large_is_refused_with_the_size_that_fits(device, monkeypatch, picture):
    config = gatys.Config(num_steps=3, weights=None, device=device, precision="float32")
    small, large = gatys.memory_needed(64, 64, config), gatys.memory_needed(256, 256, config)
    monkeypatch.setattr(runtime, "available_memory", lambda device: (small + large) // 2)
    with pytest.raises(MemoryError, match="the largest that fits has a long side of (\\d+) px") as refused:
        gatys.stylize(picture(256, 256, 1), picture(64, 64, 2), config)
    side = int(str(refused.value).split("long side of ")[1].split(" px")[0])
    assert 64 <= side < 256
    assert gatys.stylize(picture(side, side, 1), picture(64, 64, 2), config).stopped is None


def test_no_more_memory_is_taken_than_predicted(cuda, picture):
    config = gatys.Config(num_steps=25, weights=None, device="cuda", precision="float32")
    content, style = picture(512, 512, 1), picture(256, 256, 2)
    gatys.stylize(content, style, replace(config, num_steps=5))  # loads the network and the libraries
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    gatys.stylize(content, style, config)
    taken = torch.cuda.max_memory_allocated() - before
    assert taken < 1.25 * gatys.memory_needed(512, 512, config) + 64e6
    assert torch.cuda.memory_allocated() - before < 64e6, "a finished run keeps memory"
