"""Device, seed, precision, threads, memory and progress."""

import copy
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from torch import nn

from course_lib import runtime
from course_lib.runtime import Progress, device_name, pick_device, pick_precision, seeded, seeded_generator, use_threads


def only(monkeypatch, *kinds):
    """Pretend that this machine has these accelerators and no others."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in kinds)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in kinds)
    monkeypatch.setattr(torch.xpu, "is_available", lambda: "xpu" in kinds)


@pytest.mark.parametrize(
    ("here", "picked"), [((), "cpu"), (("xpu",), "xpu"), (("mps", "xpu"), "mps"), (("cuda", "mps"), "cuda")]
)
def test_auto_takes_the_first_available_device(monkeypatch, here, picked):
    only(monkeypatch, *here)
    assert pick_device("auto").type == picked
    assert pick_device().type == picked


def test_a_device_can_be_named_with_its_number(monkeypatch):
    only(monkeypatch, "cuda")
    assert pick_device("cuda:1") == torch.device("cuda", 1)
    assert pick_device("cpu") == torch.device("cpu")  # even where a faster device is available


def test_an_unavailable_device_is_refused_with_a_list_of_available_ones(monkeypatch):
    only(monkeypatch)
    with pytest.raises(ValueError, match=r"'cuda' is not available here; available: cpu\. Use device='auto'"):
        pick_device("cuda")


@pytest.mark.parametrize("name", [torch.device("cpu"), torch.device("cpu", 0), "cpu:0", np.str_("cpu")])
def test_a_device_may_come_as_a_device(name):
    assert pick_device(name) == torch.device("cpu")
    assert device_name(name) == "cpu"


def test_a_number_is_that_of_an_accelerator(monkeypatch):
    only(monkeypatch, "cuda")
    for number in (1, np.int64(1), torch.tensor(1)):
        assert pick_device(number) == torch.device("cuda", 1)
    only(monkeypatch)
    with pytest.raises(ValueError, match=r"'cuda:1' is not available here; available: cpu\. Use device='auto'"):
        pick_device(1)


def test_a_gpu_that_this_machine_does_not_have_is_refused_with_those_it_has(monkeypatch):
    only(monkeypatch, "cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(ValueError, match=r"'cuda:2' is not available here; available: cuda:0 to cuda:1\."):
        pick_device("cuda:2")


@pytest.mark.parametrize("seed", [1.5, "0", None, True, 2**64, -(2**63) - 1])
def test_what_is_no_seed_is_refused(seed):
    for function in (seeded_generator, lambda value: seeded(value, torch.device("cpu")).__enter__()):
        with pytest.raises(ValueError, match="^seed must be a whole number from "):
            function(seed)


def test_inference_takes_floats_of_any_precision():
    network, x = torch.nn.Conv2d(3, 1, 1), torch.rand(1, 3, 4, 4).bfloat16()
    with runtime.inference(network, device=torch.device("cpu")) as run:
        outputs = [run(x.to(dtype)) for dtype in (torch.float32, torch.float64, torch.bfloat16)]
    assert {y.dtype for y in outputs} == {torch.float32}
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])


@pytest.mark.parametrize(
    "name", ["gpu", "tpu", "", "cpu:first", "cuda:-1", "auto:1", "cuda:²", None, 1.5, -1, True, "meta"]
)
def test_an_unknown_name_lists_the_known_ones(monkeypatch, name):
    only(monkeypatch, "cuda")
    with pytest.raises(ValueError, match="unknown device .* auto, cuda, mps, xpu, cpu"):
        pick_device(name)


def test_seeds_reproduce_and_leave_the_global_state_alone():
    before = torch.get_rng_state()
    first, again, other = (torch.rand(5, generator=seeded_generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_seeded_draws_depend_on_the_seed_alone_and_the_state_is_restored():
    cpu, before, drawn = torch.device("cpu"), torch.get_rng_state(), []
    for seed in (3, 3, 4):
        with seeded(seed, cpu):
            drawn.append(torch.rand(5))
        torch.rand(1)  # other draws in between
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(drawn[0], torch.rand(5, generator=seeded_generator(3)))
    torch.set_rng_state(before)
    with seeded(3, cpu):
        torch.rand(5)
    assert torch.equal(torch.get_rng_state(), before)


def seeded_failure():
    with seeded(3, torch.device("cpu")):
        torch.rand(5)
        raise KeyboardInterrupt


def test_a_failure_inside_restores_the_random_state():
    before = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        seeded_failure()
    assert torch.equal(torch.get_rng_state(), before)


def test_seeds_nest():
    with seeded(3, torch.device("cpu")):
        straight = torch.rand(5)
    with seeded(3, torch.device("cpu")):
        parts = [torch.rand(2)]
        with seeded(4, torch.device("cpu")):
            torch.rand(7)
        parts.append(torch.rand(3))
    assert torch.equal(torch.cat(parts), straight)


def test_seeding_the_cpu_leaves_accelerators_alone(monkeypatch):
    """`torch.manual_seed` would seed all of them permanently."""
    seeds = []
    for module in (torch.cuda, torch.mps, torch.xpu):
        for name in ("manual_seed", "manual_seed_all"):
            monkeypatch.setattr(module, name, lambda seed: seeds.append(seed), raising=False)
    with seeded(3, torch.device("cpu")):
        torch.rand(1)
    assert not seeds


def test_an_accelerator_is_seeded_by_its_own_module(monkeypatch):
    seeds = []
    monkeypatch.setattr(torch, "get_device_module", lambda device: SimpleNamespace(manual_seed=seeds.append))
    with seeded(3, torch.device("mps")):
        drawn = torch.rand(5)
    assert seeds == [3]
    assert torch.equal(drawn, torch.rand(5, generator=seeded_generator(3)))


def test_precision(monkeypatch):
    cpu = torch.device("cpu")
    assert pick_precision("float32", cpu) is torch.float32
    assert pick_precision("bfloat16", cpu) is torch.bfloat16
    for fast, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(runtime, "has_fast_bfloat16", lambda device, fast=fast: fast)
        assert pick_precision("auto", cpu) is expected
    with pytest.raises(ValueError, match="unknown precision 'half'; use 'auto', 'float32' or 'bfloat16'"):
        pick_precision("half", cpu)


@pytest.mark.parametrize(
    ("flags", "fast"),
    [("avx2 avx512f", False), ("avx512f avx512_bf16", True), ("amx_bf16 amx_tile", True), (None, False)],
)
def test_bfloat16_only_on_cpus_that_support_it(monkeypatch, tmp_path, flags, fast):
    cpuinfo = tmp_path / "cpuinfo"
    if flags is not None:
        cpuinfo.write_text(f"model name: X\nflags: {flags}\n")
    monkeypatch.setattr(runtime, "Path", lambda _: cpuinfo)
    assert runtime.has_fast_bfloat16(torch.device("cpu")) is fast


@pytest.mark.parametrize(("capability", "fast"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_bfloat16_on_gpus_since_ampere(monkeypatch, capability, fast):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert runtime.has_fast_bfloat16(torch.device("cuda")) is fast
    assert not runtime.has_fast_bfloat16(torch.device("mps"))


def test_threads():
    before = torch.get_num_threads()
    try:
        assert use_threads(1) == torch.get_num_threads() == 1
        assert use_threads() == torch.get_num_threads() >= 1
        with pytest.raises(ValueError, match="at least 1, got 0"):
            use_threads(0)
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="GNU OpenMP, which says how its threads wait")
@pytest.mark.parametrize("own", [None, "ACTIVE"])
def test_threads_sleep_while_they_wait_unless_the_environment_says_otherwise(own):
    """OpenMP reads the variable once, when torch is loaded, and says here how often a thread looks before it sleeps.

    Without the variable it calls its policy passive, too, but looks 300,000 times.
    """
    environment = {k: value for k, value in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    environment |= {"OMP_DISPLAY_ENV": "verbose"} | ({} if own is None else {"OMP_WAIT_POLICY": own})
    command = [sys.executable, "-c", "import course_lib, torch"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    (rounds,) = re.findall(r"GOMP_SPINCOUNT = '(\d+)'", done.stderr)
    assert int(rounds) == 0 if own is None else int(rounds) > 300_000


def test_progress_copies_the_picture_only_on_request():
    asked = []
    progress = Progress(1, 10, {"total": 2.0}, 0.5, lambda: asked.append(1) or torch.zeros(1, 3, 2, 2))
    assert not asked
    assert progress.image().shape == (1, 3, 2, 2)
    with pytest.raises(AttributeError):
        progress.step = 2  # a callback cannot change the record


# --- memory, and losses that stay on the device ---


def test_free_memory_is_positive_and_at_most_the_total():
    free = runtime.available_memory(torch.device("cpu"))
    assert 0 < free <= psutil.virtual_memory().total
    assert runtime.available_memory(torch.device("meta")) is None  # unknown


@pytest.mark.parametrize(
    ("limit", "expected"), [("max", None), ("3000000", 3_000_000 - 2_000_000 + 500_000), ("9" * 18, None)]
)
def test_a_containers_limit_counts(tmp_path, monkeypatch, limit, expected):
    """Limit minus usage, plus the file cache, which the system gives back."""
    for name, text in (("max", limit), ("current", "2000000"), ("stat", "anon 7\ninactive_file 500000\nslab 3")):
        (tmp_path / f"memory.{name}").write_text(text + "\n")
    monkeypatch.setattr(runtime, "_GROUP", tmp_path)
    free = runtime.available_memory(torch.device("cpu"))
    if expected is None:
        assert free == pytest.approx(psutil.virtual_memory().available, rel=0.2)
    else:
        assert free == expected


def test_losses_are_transferred_only_when_they_are_read(monkeypatch):
    reads = []
    original = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda self: reads.append(1) or original(self))
    losses = runtime.Losses(("content", "tv"), torch.tensor([2.0, 0.5]))
    assert len(losses) == 3
    assert list(losses) == ["total", "content", "tv"]
    assert not reads
    assert dict(losses) == {"total": 2.5, "content": 2.0, "tv": 0.5}
    assert len(reads) == 1
    with pytest.raises(KeyError):
        losses["style"]


# --- inference ---


def dropping():
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.5))


@pytest.mark.parametrize("training", [True, False])
def test_inference_evaluates_and_leaves_the_network_as_it_was(training):
    """No dropout, the statistics collected in training; afterwards each module is in its own mode again."""
    network, batch = dropping().train(training), torch.rand(2, 3, 8, 8)
    network[2].train(not training)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    expected = copy.deepcopy(network).eval()(batch)
    with runtime.inference(network, device="cpu") as run:
        result = run(batch)
    torch.testing.assert_close(result, expected)
    assert not result.requires_grad
    assert [module.training for module in network] == [training, training, not training]
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_inference_in_bfloat16_is_close_and_float32_outside():
    network, batch = dropping(), torch.rand(1, 3, 8, 8)
    with runtime.inference(network, device="cpu", precision="bfloat16") as run:
        rough = run(batch)
    with runtime.inference(network, device="cpu") as run:
        exact = run(batch)
    assert 0 < (rough.float() - exact).abs().max() < 0.02
    assert network[0].weight.dtype == torch.float32


def test_inference_converts_each_weight_once():
    """And forgets the converted weights afterwards, so that a network that has learned since computes anew."""
    network, batch = nn.Conv2d(3, 3, 1), torch.rand(1, 3, 8, 8)
    with runtime.inference(network, device="cpu", precision="bfloat16") as run:
        first = run(batch)
        with torch.no_grad():
            kept = network.weight.clone()
            network.weight.zero_()
        assert torch.equal(run(batch), first)
        network.weight.data.copy_(kept)
    with torch.no_grad():
        network.weight.zero_()
        network.bias.zero_()
    with runtime.inference(network, device="cpu", precision="bfloat16") as run:
        assert run(batch).abs().max() == 0


def test_a_failure_inside_inference_restores_the_modes():
    network = dropping().train()
    with pytest.raises(KeyboardInterrupt), runtime.inference(network, device="cpu"):
        raise KeyboardInterrupt
    assert all(module.training for module in network.modules())
