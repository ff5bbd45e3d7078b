"""Training on a GPU: crops cut there, captured steps, resumed runs, and every method's quick configuration."""

from dataclasses import replace

import pytest
import torch

from course_lib import runtime
from course_lib.data.content_and_style import ContentAndStyle
from course_lib.data.crops import Crops
from course_lib.data.facades import Facades
from course_lib.data.pairs import Jitter
from course_lib.methods import adain, gan, gatys, johnson, pix2pix, super_resolution
from course_lib.networks import layers
from course_lib.samples import sample_image, sample_names

STEPS = 12


def small_johnson(device, **changes):
    config = johnson.Config(
        num_steps=STEPS, image_size=48, style_size=48, width=0.25, num_blocks=1, weights=None, norm="instance",
        batch_size=2, device=device, precision="float32", cooldown=0.5,
    )  # fmt: skip
    return replace(config, **changes)


def small_pix2pix(device, **changes):
    config = pix2pix.Config(
        num_epochs=4, image_size=32, load_size=36, width=0.125, patch=16, device=device, precision="float32"
    )
    return replace(config, **changes)


def streets(count=3, size=36):
    scenes = Facades(size=size, length=count)
    return [scenes[k] for k in range(count)]


def small_adain(device):
    return adain.Config(
        num_steps=STEPS, batch_size=2, image_size=32, load_size=48, layer="relu3_1", width=0.25, weights=None,
        style_layers=("relu1_1", "relu2_1", "relu3_1"), device=device, precision="float32",
    )  # fmt: skip


def learn(method, device, picture, **more):
    if method is johnson:
        photos = [picture(60, 70, seed) for seed in range(3)]
        return johnson.train(picture(48, 48, 9), photos, small_johnson(device), **more)
    if method is adain:
        styles = [picture(52, 48, seed) for seed in (8, 9)]
        return adain.train(styles, [picture(60, 70, seed) for seed in range(3)], small_adain(device), **more)
    return pix2pix.train(streets(), small_pix2pix(device), **more)


def near(ours, expected, tolerance):
    """Filters within `tolerance` of each other, relative to their size.

    Vectors are left out: the true gradient of an offset before a normalization is zero, and Adam makes whole steps of
    the rounding that is there in its place.
    """
    for (name, a), b in zip(ours.state_dict().items(), expected.state_dict().values(), strict=True):
        if a.ndim > 1:
            assert float((a.double() - b.double()).norm() / b.double().norm()) < tolerance, name


def test_crops_that_lie_on_the_device_are_the_same(device):
    photos = [sample_image(name) for name in sample_names("photos")[:2]]
    here, there = Crops(photos, size=64, length=20), Crops(photos, size=64, length=20).near(torch.device(device))
    batch = there.batch([(k % 2, k) for k in range(6)])
    assert batch.device.type == device
    torch.testing.assert_close(batch.cpu(), torch.stack([here[k] for k in range(6)]), rtol=0, atol=2e-3)


def test_photos_and_paintings_that_lie_on_the_device_are_the_same(device):
    photos, styles = ([sample_image(name) for name in sample_names(folder)[:2]] for folder in ("photos", "style"))
    here = ContentAndStyle(photos, styles, size=64, load_size=128)
    there = ContentAndStyle(photos, styles, size=64, load_size=128).near(torch.device(device))
    places = [(0, 0), (1, 1), (2, 5)]
    for k, batch in enumerate(there.batch(places)):
        assert batch.device.type == device
        expected = torch.stack([here.item(*place)[k] for place in places])
        torch.testing.assert_close(batch.cpu(), expected, rtol=0, atol=2e-3)


def test_pairs_that_lie_on_the_device_are_the_same(device):
    here = Jitter(streets(), load_size=40, size=32)
    there = Jitter(streets(), load_size=40, size=32).near(torch.device(device))
    places = [(0, 0), (1, 1), (2, 2)]
    batch = there.batch(places)
    assert batch.device.type == device
    torch.testing.assert_close(batch.cpu(), torch.stack([here.item(*place) for place in places]), rtol=0, atol=3e-3)


@pytest.mark.filterwarnings("error:no CUDA graph")
@pytest.mark.parametrize("method", [adain, johnson, pix2pix], ids=["adain", "johnson", "pix2pix"])
def test_with_graphs_and_without_the_same_is_learned(cuda, monkeypatch, picture, method):
    """Sums of gradients have no fixed order on a GPU, so the weights agree to a few digits."""
    captured = learn(method, "cuda", picture)
    monkeypatch.setenv("COURSE_LIB_CUDA_GRAPHS", "0")
    plain = learn(method, "cuda", picture)
    first = next(iter(set(plain.facts["history"]) - {"seconds", "total"}))
    assert captured.facts["history"][first][:6] == pytest.approx(plain.facts["history"][first][:6], rel=2e-2)
    assert len(set(captured.facts["history"]["total"])) > STEPS - 2, "a replay that changes nothing"
    if method is johnson:
        near(captured.network, plain.network, 0.05)


@pytest.mark.parametrize("method", [adain, johnson], ids=["adain", "johnson"])
def test_the_first_steps_are_the_cpus(device, picture, method):
    ours, cpu = learn(method, device, picture), learn(method, "cpu", picture)
    assert ours.facts["history"]["total"][:5] == pytest.approx(cpu.facts["history"]["total"][:5], rel=1e-2)


def test_photo_and_painting_may_lie_on_different_devices(device, picture):
    """Their colors are matched where there is float64."""
    config = small_adain(device)
    model = adain.Model(adain.build(config), config, {})
    photo, painting = picture(24, 32, 0), picture(30, 20, 1)
    images = [
        adain.stylize(*pair, model, keep_colors=True, device=device, precision="float32").image
        for pair in ((photo, painting), (photo.to(device), painting), (photo.to(device), painting.to(device)))
    ]
    torch.testing.assert_close(images[1:], images[:1] * 2, rtol=0, atol=1e-4)


@pytest.mark.parametrize("method", [adain, johnson, pix2pix], ids=["adain", "johnson", "pix2pix"])
def test_a_resumed_training_is_one_that_was_never_stopped(device, monkeypatch, picture, tmp_path, method):
    """Within 5 % of the weights after 12 steps: on a GPU the order of sums differs from run to run."""
    from course_lib.training import loop, run

    monkeypatch.setattr(run, "fit", lambda *a, **k: loop.fit(*a, **{**k, "checkpoint_every": 5}))

    def stop(progress):
        if progress.step == 7:
            raise KeyboardInterrupt

    whole = learn(method, device, picture)
    file = tmp_path / "run.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        learn(method, device, picture, checkpoint=file, callback=stop)
    again = learn(method, device, picture, checkpoint=file)
    assert again.facts["steps"] == whole.facts["steps"] == STEPS
    if method is johnson:
        near(again.network, whole.network, 0.05)
    for name in set(whole.facts["history"]) - {"seconds"}:
        assert again.facts["history"][name][5] == pytest.approx(whole.facts["history"][name][5], rel=5e-2), name


@pytest.mark.filterwarnings("error:no CUDA graph")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_frames_that_replay_a_graph_are_the_cpus(cuda, picture, norm, precision):
    network = johnson.build(small_johnson("cuda", norm=norm, upsampling="resize"))
    frames = [picture(64, 80, seed) for seed in range(8)]
    with runtime.inference(network, device="cuda", precision=precision, repeats=True) as run:
        painted = [run(frame) for frame in frames]
    assert len({float(image.sum()) for image in painted}) == 8, "a replay that changes nothing"
    with runtime.inference(network, device="cpu") as run:
        for frame, image in zip(frames, painted, strict=True):
            assert (run(frame) - image).abs().max() < (0.01 if precision == "float32" else 0.1)


def test_instance_norm_of_one_picture_and_its_gradient_are_the_cpus(device):
    generator = runtime.seeded_generator(0)
    x, upstream = (torch.randn(1, 5, 12, 9, generator=generator) for _ in range(2))
    found = []
    for place in (device, "cpu"):
        norm = layers.InstanceNorm(5).to(place)
        here = x.to(place).contiguous(memory_format=torch.channels_last).requires_grad_()
        y = norm(here)
        gradients = torch.autograd.grad(y, (here, norm.weight, norm.bias), upstream.to(place))
        found.append([z.cpu() for z in (y, *gradients)])
    for ours, exact in zip(*found, strict=True):
        torch.testing.assert_close(ours, exact, rtol=1e-3, atol=1e-4)


def test_no_training_step_waits(cuda, picture):
    pairs = torch.stack(streets(1, 32)).cuda()
    config = small_pix2pix("cuda", load_size=None)
    players = pix2pix.Players(
        config, pix2pix.build(config).cuda(), pix2pix.build_discriminator(config).cuda(), torch.bfloat16
    )
    crops = Crops([picture(60, 70, 1)], size=48).near(torch.device("cuda"))
    for step in (lambda: players.step(pairs), lambda: crops.batch([(0, 1), (0, 2), (0, 3)])):
        for _ in range(3):
            step()
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            step()
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_what_stops_being_finite_ends_a_training_with_good_weights(device, picture):
    config = small_johnson(device, learning_rate=1e30)
    model = johnson.train(picture(48, 48, 9), [picture(60, 60, 1)], config)
    assert model.stopped
    assert all(value.isfinite().all() for value in model.network.state_dict().values())


# --- every method's quick configuration trains and runs


def test_gatys_quick(device, picture):
    config = replace(gatys.Config.quick(), num_steps=20, weights=None, device=device)
    result = gatys.stylize(picture(96, 96, 1), picture(96, 96, 2), config)
    assert result.history["total"][-1] < result.history["total"][0]
    assert result.image.device.type == "cpu"


def test_johnson_quick(device, picture, tmp_path):
    config = replace(johnson.Config.quick(), num_steps=20, weights=None, device=device)
    photos = [picture(140, 150, seed) for seed in range(2)]
    model = johnson.train(picture(128, 128, 9), photos, config)
    assert sum(model.facts["history"]["total"][-5:]) < sum(model.facts["history"]["total"][:5])
    johnson.save(model, tmp_path / "half.safetensors", half=True)
    half = johnson.load(tmp_path / "half.safetensors")
    ours = johnson.stylize(photos[0], half, device=device, precision="float32").image
    exact = johnson.stylize(photos[0], model, device="cpu", precision="float32").image
    assert (ours - exact).abs().max() < 0.02, "half-precision filters change less than a picture of 8 bits shows"


@pytest.mark.parametrize("loss", ["pixel", "feature"])
def test_super_resolution_quick(device, picture, loss):
    config = replace(
        super_resolution.Config.quick(), num_steps=10, weights=None, device=device, loss=loss, pixel_weight=0.0, shift=0
    )
    model = super_resolution.train([picture(120, 130, 1)], config)
    assert len(set(model.facts["history"]["total"])) > 5
    small = super_resolution.reduce(picture(96, 96, 2), 4)
    assert super_resolution.upscale(small, model, device=device).image.shape == (1, 3, 96, 96)


def test_pix2pix_quick(device, tmp_path):
    config = replace(pix2pix.Config.quick(), num_epochs=4, device=device)
    model = pix2pix.train(streets(8, 64), config)
    assert model.facts["history"]["G_L1"][-1] < model.facts["history"]["G_L1"][0]
    pix2pix.save(model, tmp_path / "half.safetensors", half=True)
    half = pix2pix.load(tmp_path / "half.safetensors")
    sources = torch.stack(streets(2, 64))[:, 0]
    options = {"device": device, "precision": "float32", "test_mode": "running"}
    ours, exact = pix2pix.translate(sources, half, **options), pix2pix.translate(sources, model, **options)
    assert (ours.image - exact.image).abs().mean() < 0.01


@pytest.mark.parametrize("pictures", [False, True], ids=["points", "pictures"])
def test_gan_quick(device, pictures):
    generator = runtime.seeded_generator(0)
    config = replace(gan.Config.points(), num_steps=12, device=device)
    data = torch.randn(256, 2, generator=generator)
    if pictures:
        config = replace(gan.Config.fast(), num_steps=6, device=device, width=8, batch_size=8)
        data = torch.rand(64, 3, config.image_size, config.image_size, generator=generator)
    model = gan.train(data, config)
    assert model.stopped is None
    assert gan.generate(5, model).image.isfinite().all()
