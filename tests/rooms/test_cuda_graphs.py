"""Captured steps without a GPU: a CUDA graph simulated on the CPU.

The simulation records every operation of one step with its tensors and replays them as a graph does: the same
operations on the same tensors, without the host's code. Anything that changes on the host from step to step, for
example a counter in Python, keeps its value from the capture, so the results differ from those of ordinary steps.
"""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from course_lib import cuda_graphs, runtime
from course_lib.cuda_graphs import WARM_UP, CapturedStep
from course_lib.data.facades import Facades
from course_lib.methods import gan, gatys, johnson, pix2pix
from course_lib.networks import layers
from course_lib.optimize.image import stepper
from course_lib.optimize.lbfgs import LBFGS
from course_lib.training.loop import Minimizer, fit

CPU = torch.device("cpu")
pytestmark = pytest.mark.filterwarnings("error:no CUDA graph")
WAITING = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero")


class Recording(TorchDispatchMode):
    """Records every operation as it runs."""

    def __init__(self):
        super().__init__()
        self.tape = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in WAITING:
            raise RuntimeError(f"operation not permitted when stream is capturing: {name}\nmore lines")
        outputs = function(*args, **(kwargs or {}))
        self.tape.append((function, *tree_map(alias, (args, kwargs or {}, outputs))))
        return outputs


def alias(value):
    """The same memory without its autograd history."""
    return value.data if isinstance(value, Tensor) else value


def storages(values):
    return {value.untyped_storage().data_ptr() for value in tree_leaves(values) if isinstance(value, Tensor)}


def capture_on_the_cpu(step, device):
    with Recording() as recording:
        outputs = step()
    replays = []

    def replay():
        replays.append(1)
        if len(replays) == 1:
            return  # a real capture runs nothing, but this one has already run the step of the first replay
        for function, args, kwargs, kept in recording.tape:
            new = function(*args, **kwargs)
            for old, fresh in zip(tree_leaves(kept), tree_leaves(new), strict=True):
                if isinstance(old, Tensor) and not storages(old) & storages(
                    (args, kwargs)
                ):  # neither view nor in place
                    old.copy_(fresh)

    return replay, outputs


@pytest.fixture
def graphs(monkeypatch):
    """Steps on the CPU are captured; the fixture is the list of captures."""
    captured = []

    def capture(step, device):
        captured.append(device)
        return capture_on_the_cpu(step, device)

    monkeypatch.setattr("course_lib.cuda_graphs.can_capture", lambda device: True)
    monkeypatch.setattr("course_lib.training.optimizers.can_capture", lambda device: True)
    monkeypatch.setattr("course_lib.optimize.image.can_capture", lambda device: True)
    monkeypatch.setattr(cuda_graphs, "capture", capture)
    monkeypatch.setattr(CapturedStep, "_beside", lambda self, *inputs: self.step(*inputs))
    return captured


def test_a_replay_repeats_the_operations_of_the_step(graphs):
    calls, total = [], torch.zeros(2)

    def step(x):
        calls.append(1)
        total.add_(x)
        return total * 2

    captured = CapturedStep(step, CPU)
    for k in range(1, 8):
        assert torch.equal(captured(torch.full((2,), float(k))), 2 * total)
        assert torch.equal(total, torch.full((2,), float(sum(range(k + 1)))))
    assert len(calls) == WARM_UP + 1
    assert len(graphs) == 1


def test_the_simulation_reveals_state_on_the_host(graphs):
    """If a step depends on a counter in Python, the comparisons below detect it."""
    count, total = [0], torch.zeros(())

    def step():
        count[0] += 1
        total.add_(count[0])
        return total

    captured = CapturedStep(step, CPU)
    for _ in range(8):
        captured()
    assert total.item() != sum(range(1, 9))


def test_a_step_that_waits_runs_without_a_graph_and_warns_once(graphs):
    total, cleaned = torch.zeros(()), []

    def step(x):
        total.add_(x)
        if total.item() < 0:
            raise AssertionError("never")
        return total

    captured = CapturedStep(step, CPU, clean_up=lambda: cleaned.append(1))
    for _ in range(WARM_UP):
        captured(torch.ones(()))
    before = total.clone()
    with pytest.warns(RuntimeWarning, match="no CUDA graph of this step .operation not permitted.*item|local_scalar"):
        captured(torch.ones(()))
    assert cleaned == [1]
    before += 2  # the simulation ran the addition before it failed; a real capture runs nothing
    assert torch.equal(total, before)
    captured(torch.ones(()))
    assert torch.equal(total, before + 1)
    assert len(graphs) == 1


def test_nothing_is_captured_without_cuda_or_if_disabled(monkeypatch):
    assert not cuda_graphs.can_capture(CPU)
    assert cuda_graphs.can_capture(torch.device("cuda"))
    monkeypatch.setenv("COURSE_LIB_CUDA_GRAPHS", "0")
    assert not cuda_graphs.can_capture(torch.device("cuda"))
    assert not CapturedStep(lambda: None, torch.device("cuda")).enabled
    assert not CapturedStep(lambda: None, CPU).enabled


# --- the steps of this package


@pytest.mark.parametrize("history_size", [3, 20])
def test_lbfgs_takes_the_same_steps(graphs, history_size):
    """30 steps: the history of 3 is overwritten ten times, that of 20 once."""
    generator = torch.Generator().manual_seed(1)
    q = torch.randn(40, 40, generator=generator, dtype=torch.float64)
    a, b = q @ q.T / 40 + 0.3 * torch.eye(40, dtype=torch.float64), torch.randn(40, dtype=torch.float64)

    def path(captured):
        x = torch.zeros(40, dtype=torch.float64)
        optimizer = LBFGS(x, history_size=history_size, project=lambda v: v.clamp_(-0.5, 0.5))

        def evaluate(x):
            return ((x @ a @ x) / 2 - b @ x).view(1).float(), a @ x - b

        step = stepper(optimizer, evaluate, torch.zeros_like(x))
        step.enabled = captured
        rows = []
        for _ in range(30):
            rows.append(step().clone())
        return x, torch.stack(rows)

    (ours, rows), (plain, expected) = path(True), path(False)
    assert len(graphs) == 1
    torch.testing.assert_close(ours, plain, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(rows, expected)
    assert expected[-1, 0] < expected[0, 0] - 1


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "adam"},
        {"precondition": 0.4, "tv_weight": 1.0},
        {"pooling": "max", "precision": "bfloat16", "start": "content"},
    ],
)
def test_a_captured_stylization_gives_the_same_picture(graphs, picture, changes):
    content, style = picture(40, 48, 1), picture(40, 40, 2)
    config = replace(gatys.Config(num_steps=12, weights=None, device="cpu"), **changes)
    ours = gatys.stylize(content, style, config)
    assert len(graphs) == 1
    graphs.clear()
    with pytest.MonkeyPatch.context() as ordinary:
        ordinary.setattr("course_lib.cuda_graphs.can_capture", lambda device: False)
        plain = gatys.stylize(content, style, config)
    assert not graphs
    torch.testing.assert_close(ours.image, plain.image, rtol=1e-5, atol=1e-5)
    for name, values in plain.history.items():
        if name != "seconds":
            assert ours.history[name] == pytest.approx(values, rel=1e-4), name
    assert len(set(plain.history["total"])) == 12


def test_a_loss_that_is_not_finite_ends_a_captured_run_too(graphs, picture):
    content = picture(32, 32, 1)
    config = gatys.Config(num_steps=30, weights=None, device="cpu", optimizer="adam", learning_rate=1e30, project=False)
    with pytest.warns(RuntimeWarning, match="not finite"):
        result = gatys.stylize(content, content.flip(-1), config)
    assert result.stopped
    assert result.image.isfinite().all()


def trained(captured, train):
    """What `train` returns with and without graphs."""
    with pytest.MonkeyPatch.context() as patch:
        if not captured:
            patch.setattr("course_lib.cuda_graphs.can_capture", lambda device: False)
        return train()


def same_weights(ours, plain):
    for (name, a), b in zip(ours.state_dict().items(), plain.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=name)


def test_captured_training_with_a_falling_rate_gives_the_same_weights(graphs, picture):
    photos = [picture(40, 44, seed) for seed in range(3)]
    config = johnson.Config(
        num_steps=10, image_size=32, style_size=32, width=0.1, num_blocks=1, weights=None, device="cpu", cooldown=1.0,
        norm="instance", batch_size=2,
    )  # fmt: skip
    ours, plain = (trained(c, lambda: johnson.train(picture(32, 32, 9), photos, config)) for c in (True, False))
    assert len(graphs) == 1
    same_weights(ours.network, plain.network)
    assert ours.facts["history"]["total"] == pytest.approx(plain.facts["history"]["total"], rel=1e-4)


def test_a_captured_training_that_was_interrupted_resumes(graphs, picture, tmp_path):
    photos = [picture(40, 44, seed) for seed in range(3)]
    config = johnson.Config(
        num_steps=12, image_size=32, style_size=32, width=0.1, num_blocks=1, weights=None, device="cpu", cooldown=0.5,
        norm="instance", batch_size=1,
    )  # fmt: skip

    def stop_at_7(progress):
        if progress.step == 7:
            raise KeyboardInterrupt

    whole = johnson.train(picture(32, 32, 9), photos, config)
    file = tmp_path / "run.checkpoint"
    learn = {"checkpoint": file}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("course_lib.training.run.fit", lambda *a, **k: fit(*a, **{**k, "checkpoint_every": 5}))
        with pytest.raises(KeyboardInterrupt):
            johnson.train(picture(32, 32, 9), photos, config, callback=stop_at_7, **learn)
        again = johnson.train(picture(32, 32, 9), photos, config, **learn)
    assert len(graphs) == 3
    same_weights(again.network, whole.network)


@pytest.mark.parametrize("changes", [{}, {"gan_weight": 0.0}, {"objective": "least-squares", "conditional": False}])
def test_captured_pix2pix_gives_the_same_weights_including_dropout(graphs, changes):
    scenes = Facades(size=36, length=3)
    pairs = [scenes[k] for k in range(3)]
    config = pix2pix.Config(
        num_epochs=3, image_size=32, load_size=36, width=0.1, patch=16, device="cpu", precision="float32", **changes
    )
    ours, plain = (trained(c, lambda: pix2pix.train(pairs, config)) for c in (True, False))
    assert len(graphs) == 1
    same_weights(ours.network, plain.network)


def test_a_pool_of_earlier_fakes_is_never_captured(graphs):
    scenes = Facades(size=36, length=2)
    config = pix2pix.Config(
        num_epochs=4, image_size=32, load_size=36, width=0.1, patch=16, device="cpu", precision="float32", pool_size=3
    )
    pix2pix.train([scenes[k] for k in range(2)], config)
    assert not graphs


def test_a_captured_gan_on_points_gives_the_same_weights(graphs):
    points = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    config = replace(gan.Config.quick(), num_steps=10, batch_size=8, device="cpu", num_classes=0, image_size=0)
    ours, plain = (trained(c, lambda: gan.train(points, config)) for c in (True, False))
    assert len(graphs) == 1
    same_weights(ours.network, plain.network)


def test_a_custom_loss_is_captured_only_if_declared_capturable(graphs):
    def loss(network, batch):
        return (network(batch) * torch.randint(3, ()).item()).square().mean().view(1), batch

    def learner(**options):
        with runtime.seeded(0, CPU):
            return Minimizer(nn.Conv2d(3, 3, 1), loss, ["loss"], **options)

    data = [torch.rand(3, 8, 8) for _ in range(4)]
    fit(learner(), data, num_steps=6, batch_size=2)
    assert not graphs
    with pytest.warns(RuntimeWarning, match="no CUDA graph"):
        fit(learner(capturable=True), data, num_steps=6, batch_size=2)


def test_a_step_on_a_dict_of_tensors_is_captured_with_its_batch(graphs):
    """Each of six batches must reach the graph: the first terms would stay if one did not."""

    def loss(network, batch):
        x, (y,) = batch["x"], batch["rest"]
        return (network(x) - y).square().mean().view(1), None

    def run(capturable):
        with runtime.seeded(0, CPU):
            network = nn.Conv2d(3, 3, 1)
        done = fit(Minimizer(network, loss, ["loss"], capturable=capturable), data, num_steps=8, batch_size=2)
        return network, done.history["loss"]

    generator = torch.Generator().manual_seed(0)
    data = [{"x": x, "rest": (k * x.flip(0),)} for k, x in enumerate(torch.rand(16, 3, 8, 8, generator=generator))]
    (ours, history), (plain, expected) = run(True), run(False)
    assert len(graphs) == 1
    same_weights(ours, plain)
    assert history == pytest.approx(expected, rel=1e-4)
    assert len(set(history)) == 8


def test_a_step_after_a_failed_capture_starts_without_gradients(graphs):
    """Otherwise the gradients left by the failed capture would be added to those of the next step."""
    waits = []

    def loss(network, batch):
        terms = network(batch).square().mean().view(1)
        if len(waits) == WARM_UP:
            terms = terms + 0 * terms.item()
        waits.append(1)
        return terms, batch

    def run(capturable):
        waits.clear()
        with runtime.seeded(0, CPU):
            network = nn.Conv2d(3, 3, 1)
            layers.initialize(network, 0.5)
        fit(Minimizer(network, loss, ["loss"], capturable=capturable), data, num_steps=6, batch_size=2)
        return network

    data = [torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(k)) for k in range(4)]
    with pytest.warns(RuntimeWarning, match="no CUDA graph"):
        ours = run(True)
    same_weights(ours, run(False))


def test_super_resolution_with_a_random_shift_is_not_captured(graphs):
    from course_lib.methods import super_resolution

    photos = [torch.rand(1, 3, 40, 40)]
    small = {"num_steps": 5, "image_size": 32, "width": 0.1, "num_blocks": 1, "weights": None, "device": "cpu"}
    super_resolution.train(photos, replace(super_resolution.Config.fast(), **small))
    assert not graphs
    super_resolution.train(photos, replace(super_resolution.Config.fast(), **small, shift=0))
    assert len(graphs) == 1


def test_repeated_passes_are_captured_once_for_each_shape(graphs):
    """Results that were returned earlier keep their values when a replay overwrites the graph's output."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3))
    pictures = [torch.rand(1, 3, 12, 12 + k % 2, generator=torch.Generator().manual_seed(k)) for k in range(14)]
    for repeats, captures in ((False, 0), (True, 2)):
        with runtime.inference(network, device="cpu", repeats=repeats) as run:
            results = [run(picture) for picture in pictures]
        assert len(graphs) == captures
        for picture, result in zip(pictures, results, strict=True):
            torch.testing.assert_close(result, network(picture).detach())


# --- on a simulated CUDA device: shapes, formats and devices without values


def pretend(module, mode):
    """Move the tensors of a module to a simulated CUDA device."""
    for part in module.modules():
        for held in (part._parameters, part._buffers):
            for name, value in held.items():
                if value is not None:
                    with mode:
                        held[name] = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="cuda")
    return module


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("pooling", ["average", "max"])
def test_a_step_stays_on_the_device_and_reads_no_value(monkeypatch, precision, pooling):
    """Simulated tensors have no values: reading one, or mixing devices, raises an error."""
    from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

    from course_lib import VGGFeatures
    from course_lib.losses.perceptual import PerceptualLoss

    monkeypatch.setattr("course_lib.pretrained.passes._fuses", lambda *_: False)
    monkeypatch.setattr("course_lib.losses.style._sums_wide", lambda dtype: True)
    monkeypatch.setattr("course_lib.losses.perceptual.check_pictures", lambda *_, **__: None)  # once, before the steps
    mode = FakeTensorMode(allow_non_fake_inputs=False)
    network = pretend(VGGFeatures(weights=None, precision=precision, pooling=pooling), mode)
    loss = PerceptualLoss(network, content={"relu4_2": 1.0}, style={"relu1_1": 1.0, "relu4_1": 2.0})
    with mode:
        x = torch.rand(1, 3, 48, 64, device="cuda")
        loss.set_content(x)
        loss.set_style([torch.rand(1, 3, 40, 40, device="cuda")])
        optimizer = LBFGS(x, history_size=4, project=lambda v: v.clamp_(0, 1))
        step = stepper(optimizer, loss.with_gradient, torch.zeros_like(x))
        step.enabled = False
        for _ in range(3):
            row = step()
        assert row.shape == (4,)
        assert {tensor.device.type for tensor in (row, x, optimizer.row, *optimizer.previous)} == {"cuda"}
        with pytest.raises(DataDependentOutputException):
            row[0].item()
        with pytest.raises(Exception, match="cpu"):
            _ = x + torch.rand(1, 3, 48, 64)
