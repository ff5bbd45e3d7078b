"""The benchmarks run and compare equal computations. Speed is not tested."""

import argparse
import math

import pytest
import torch

from benchmarks import (
    any_style,
    engine,
    fast_style,
    folder,
    matting,
    measure,
    optimizer,
    participants,
    patches,
    results,
    sizes,
    tiles,
    translation_scores,
    unpaired_scores,
)
from course_lib import sample_image
from course_lib.data.crops import Crops
from course_lib.methods import adain, gatys, johnson
from course_lib.teaching import records, registry
from course_lib.training.batches import order


@pytest.fixture
def options():
    return argparse.Namespace(size=64, steps=participants.BLOCK, seed=0, device="cpu", sizes=(64,))


def test_a_record_of_no_scores_is_refused(tmp_path, monkeypatch, capsys):
    """The stored table would be replaced by an empty one."""
    monkeypatch.setenv("COURSE_LIB_RESULTS", str(tmp_path / "results"))
    (tmp_path / "scores.json").write_text('{"cat night_cafe 256 noise 0": {"plain": [1.0]}}')
    for out in ([], ["--out", str(tmp_path / "scores.json")]):  # the scores are of another size
        monkeypatch.setattr("sys.argv", ["optimizer", "--record", "--sizes", "128", *out])
        with pytest.raises(SystemExit, match="2"):
            optimizer.main()
        assert "holds none of this part" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_a_plain_loop_that_diverges_scores_infinity(monkeypatch):
    """So that every picture counts as lower; a NaN would compare as neither."""
    monkeypatch.setattr(optimizer, "scorer", lambda case, device: None)
    monkeypatch.setattr(optimizer, "score", lambda image, loss: math.nan)
    monkeypatch.setattr(optimizer, "start_of", lambda case, device: None)

    class Diverging:
        def __init__(self, *given):
            self.watch = None

        def run(self):
            self.watch(torch.zeros(1))
            self.watch(torch.zeros(1))

    monkeypatch.setattr(optimizer, "Plain", Diverging)
    case = optimizer.Case("cat", "great_wave", 32, "noise", 0, (1, 3))
    assert optimizer.plain(case, torch.device("cpu")) == [math.inf, math.inf]


@pytest.mark.slow
def test_all_participants_have_the_same_objective(real_network, options):
    """From the same start all have the same loss, and every loss falls."""
    real_network("vgg19", ("relu1_1",))
    rows = engine.race("content", options)
    assert set(rows) == {"plain", "float32", "Config()", "Config.fast()"}
    content, style = sample_image(participants.CONTENT, 64), sample_image(participants.STYLE, 64)
    exact = real_network("vgg19", (*engine.STYLE_LAYERS, engine.CONTENT_LAYER), precision=torch.float64)
    first = engine.score(content, engine.exact_loss(content, style, exact))
    for name, row in rows.items():
        assert row["loss"] < 0.5 * first, name
        assert row["seconds"] > 0
    config = gatys.Config(device="cpu", precision="float32")
    plain = participants.Plain(content, style, content, config)
    assert plain.closure().item() == pytest.approx(first, rel=1e-4)
    ours = gatys.objective(content, style, config)
    assert ours.with_gradient(content)[0].sum().item() == pytest.approx(first, rel=1e-4)
    torch.testing.assert_close(plain.x.grad, ours.with_gradient(content)[1], rtol=1e-3, atol=1e-5)


def test_the_scores_of_translators_have_the_numbers_of_their_rules():
    """The benchmark takes an hour; its last step must not fail."""
    scale = translation_scores.LAPTOP
    accuracy = {name: [0.1 * k, 0.2 * k, 0.3] for k, name in enumerate(translation_scores.runs_of(scale))}
    run = records.Record("09_scores", "laptop", 0, {})
    translation_scores.claim(run, accuracy, scale)
    decided = {claim.id: claim for claim in registry.load().values() if claim.record == "09_scores"}
    assert set(run.claims) == set(decided)
    for name, claim in decided.items():
        values = run.claims[name]["values"]
        needed = registry.Expression(claim.holds).names + registry.Expression(claim.effect).names
        assert set(needed) <= set(values), name
        assert {len(series) for series in values.values()} == {claim.count}
    best = run.claims["pix2pix.patch"]["values"]["best other patch"]
    assert best == [max(accuracy[f"{patch} px"][seed] for patch in (1, 34, 70)) for seed in range(3)]


def test_the_scores_without_pairs_are_made_read_and_have_the_numbers_of_their_rules(tmp_path):
    """All runs at a toy scale: each trains, is scored and stored, and the record holds what the rules need."""
    scale = unpaired_scores.Scale(epochs=1, trained=4, tested=13, width=0.05, folder=tmp_path, device="cpu")
    for name in unpaired_scores.RUNS:
        for seed in range(3):
            if seed == 0:
                unpaired_scores.make(name, seed, scale)
            else:  # the others would tell no more
                first = unpaired_scores.file_of(name, 0, scale)
                unpaired_scores.file_of(name, seed, scale).write_bytes(first.read_bytes())
    run = records.Record("15_scores", "laptop", 0, {})
    unpaired_scores.store(run, range(3), scale)
    assert set(run.values["error"]) == set(unpaired_scores.RUNS)
    decided = {claim.id: claim for claim in registry.load().values() if claim.record == "15_scores"}
    assert set(run.claims) == set(decided) == set(unpaired_scores.CLAIMS)
    for name, claim in decided.items():
        values = run.claims[name]["values"]
        needed = registry.Expression(claim.holds).names + registry.Expression(claim.effect).names
        assert set(needed) <= set(values), name
        assert {len(series) for series in values.values()} == {claim.count}
    assert run.values["as it is"]["error"] > run.values["color transfer"]["error"]


def test_scores_without_pairs_know_a_perfect_translation_and_a_collapsed_one():
    scale = unpaired_scores.Scale(trained=4, tested=13)
    truth = unpaired_scores.data(scale)["truth"]
    perfect = unpaired_scores.score(truth, None, scale)
    assert perfect["error"] == 0
    assert perfect["color agreement"] == pytest.approx(1, abs=1e-4)
    assert perfect["variety"] == pytest.approx(1)
    collapsed = unpaired_scores.score(truth[:1].expand_as(truth), None, scale)
    assert collapsed["variety"] == 0
    washed = truth.mean(1, keepdim=True).expand_as(truth)
    assert unpaired_scores.score(washed, None, scale)["error"] > 0.01


def test_first_below_returns_the_first_evaluation_that_reaches_the_goal():
    pictures = [torch.tensor(float(value)) for value in (9, 7, 5, 4, 2, 1)]
    assert engine.first_below(pictures, 4.5, float, 10) == 1 + 10 * 3
    assert engine.first_below(pictures, 9.0, float, 10) == 1
    assert engine.first_below(pictures, 0.5, float, 10) is None


def test_each_participant_runs_with_its_own_settings():
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    seen = {}
    for name in ("plain", "plain, TF32 off", "plain, TF32 everywhere"):
        with participants.settings_of(name):
            seen[name] = cudnn.allow_tf32, matmul.allow_tf32
    assert seen["plain"] == before
    assert seen["plain, TF32 off"] == (False, False)
    assert seen["plain, TF32 everywhere"] == (True, True)
    assert (cudnn.allow_tf32, matmul.allow_tf32) == before


@pytest.mark.slow
def test_the_machine_is_measured_in_operations(real_network):
    real_network("vgg19", ("relu1_1",))
    able = engine.machine(64, 64, torch.float32, torch.device("cpu"))
    # conv1_1 alone: 3·64·9 weights at 64·64 positions, multiply and add, forward and backward
    assert able["operations"] > 4 * 3 * 64 * 9 * 64 * 64
    by_hand = (
        4
        * 9
        * (
            (3 * 64 + 64 * 64) * 64**2
            + (64 * 128 + 128 * 128) * 32**2
            + (128 * 256 + 3 * 256 * 256) * 16**2
            + (256 * 512 + 3 * 512 * 512) * 8**2
            + 512 * 512 * 4**2
        )
    )
    assert able["operations"] == by_hand


@pytest.mark.slow
def test_the_steps_of_sizes_run(real_network):
    real_network("vgg19", ("relu1_1",))
    for which in ("plain", "ours"):
        step = sizes.evaluations(which, 64, gatys.Config(device="cpu", precision="float32"))
        step()
        step()


def test_the_plain_training_step_and_ours_have_the_same_first_loss(real_network):
    """Same network, batch and terms; only the implementation differs."""
    real_network("vgg16", ("relu1_1",))
    config = johnson.Config(
        image_size=64, batch_size=2, width=0.25, num_blocks=1, norm="instance", upsampling="resize",
        precision="float32", device="cpu",
    )  # fmt: skip
    crops = Crops(None, size=64)
    batch = torch.stack([crops[k] for _, k in next(order(len(crops), 2, seed=0))])
    plain = fast_style.Plain(config, torch.device("cpu")).step(batch)
    ours = fast_style.Ours(config, torch.device("cpu")).steps(crops, 1)
    assert ours[0] == pytest.approx(plain, rel=1e-4)


@pytest.mark.slow
def test_the_fast_style_race_runs(real_network):
    real_network("vgg16", ("relu1_1",))
    settings = {"size": 64, "batch": 1, "width": 0.1, "forward": 64, "steps": 1, "rounds": 1, "seed": 0}
    medians = fast_style.race(argparse.Namespace(**settings, device="cpu", weights="default"))
    assert min(medians.values()) > 0
    assert medians["step ratio"] == pytest.approx(medians["plain step"] / medians["our step"])


def test_tiles_are_timed_and_their_memory_is_measured():
    options = argparse.Namespace(
        sizes=[40], tiles=[16], small=[24], small_tiles=[8], rounds=1, device="cpu", peak=(24, 16), precision="float32"
    )
    rows = tiles.compare(options)
    assert {row.row.split(" in ")[0] for row in rows} == {"painter, 40 × 27 px", "enlarger, 24 × 16 px"}
    assert all(row.ours > 0 and row.plain > 0 for row in rows)
    memory, seconds = tiles.peak(options)
    assert math.isnan(memory) or memory > 0.1
    assert seconds > 0


def test_a_folder_is_painted_beside_its_passes(capsys):
    options = argparse.Namespace(count=2, pixels=1500, model="great_wave", rounds=1, device="cpu")
    loop, passes = folder.compare(options)
    assert loop.ours == passes.ours > 0
    assert loop.row.startswith("2 photos of 47 × 32 px")
    assert capsys.readouterr().out == ""  # the command is quiet


@pytest.mark.real_weights
def test_any_style_and_its_plain_port_give_the_same_picture_under_every_transform(real_network):
    real_network("vgg19", ("relu4_1",))
    plain = any_style.Plain(torch.device("cpu"))
    photo, painting = any_style.pictures(48)
    for name in any_style.TRANSFORMS:
        ours = adain.stylize(photo, painting, transform=name, device="cpu", precision="float32").image
        close = (
            20 * any_style.CLOSE if name == "wct" else any_style.CLOSE
        )  # whitening enlarges rounding up to 316 times
        torch.testing.assert_close(plain.stylize(photo, painting, name), ours, rtol=0, atol=close)
    with torch.no_grad():
        plain.decoder[-1].bias += 0.01
    with pytest.raises(
        RuntimeError, match=r"the plain port's picture differs by 0.01 at 48 px; expected at most 0.0001"
    ):
        any_style.difference(plain, 48, torch.device("cpu"))


@pytest.mark.real_weights
def test_a_pass_of_any_style_its_parts_and_its_transforms_are_timed(real_network):
    real_network("vgg19", ("relu4_1",))
    found = any_style.race(argparse.Namespace(sizes=[32], rounds=1, details=32, device="cpu"), memory=False)
    rows = {row.row: row for row in any_style.rows_of(found, torch.device("cpu"))}
    assert all(row.plain > 0 and row.ours > 0 for row in rows.values())
    for part in ("any style, whole pass", "any style, encode", "any style, decode", "wct", "swap+adain"):
        assert [row for row in rows if row.startswith(part)], part
    assert set(found["32"]["parts, float32"]) == {"encode", "transform", "decode"}


@pytest.mark.real_weights
def test_the_patch_term_and_its_plain_version_agree_and_are_timed(real_network, monkeypatch):
    real_network("vgg19", ("relu4_1",))
    found = patches.race(argparse.Namespace(sizes=[48], rounds=1, device="cpu"), memory=False)
    rows = [row.row for row in patches.rows_of(found, torch.device("cpu")) if row.plain > 0 and row.ours > 0]
    for what in ("whole step, relu4_1", "whole step, relu3_1 + relu4_1", "term alone, relu3_1", "term alone, relu4_1"):
        assert [row for row in rows if row.startswith(f"patches, {what}, 48 px")], what
    memory = patches.peak("relu4_1", 64, "float32", torch.device("cpu"))
    assert math.isnan(memory) or memory > 0
    monkeypatch.setattr(patches, "CLOSE", 0.0)
    with pytest.raises(RuntimeError, match="the plain version differs by .* at 48 px; expected at most 0"):
        patches.difference(("relu4_1",), 48, torch.device("cpu"))


def test_the_laplacians_and_the_solutions_agree_and_are_timed(monkeypatch):
    found = matting.race(argparse.Namespace(sizes=[24], rounds=1), memory=False)
    assert set(found["24"]["seconds"]) == {"make", "step", "poisson"}
    rows = [row.row for row in matting.rows_of(found) if row.plain > 0 and row.ours > 0]
    for what in ("Laplacian, matrix", "Laplacian, planes", "Laplacian, a step, term", "screened Poisson, cosine"):
        assert [row for row in rows if row.startswith(what)], what
    image, other = matting.pictures(24)
    ours = matting.photorealism_term(image, 1.0).with_gradient(other)
    for one, two in zip(matting.plain_step(matting.plain_laplacian(image).float(), other), ours, strict=True):
        torch.testing.assert_close(one.view_as(two), two, rtol=1e-4, atol=1e-6)
    memory = matting.peak(96, "planes")
    assert math.isnan(memory) or memory >= 0
    monkeypatch.setattr(matting, "CLOSE", 0.0)
    with pytest.raises(RuntimeError, match="plain M differs by .* at 24 px; expected at most 0"):
        matting.differences(24)


def test_a_row_says_how_many_times_as_fast_and_is_appended_with_its_device(tmp_path):
    file = tmp_path / "results.jsonl"
    results.save([results.Row("toy", "a", plain=3.0, ours=2.0, roofline=0.5)], torch.device("cpu"), file)
    results.save([results.Row("toy", "b", 1.0, 1.0), results.Row("toy", "a", 4.0, 1.0)], torch.device("cpu"), file)
    rows = results.read(file)
    assert [(row.row, row.ratio) for row in rows] == [("a", 1.5), ("b", 1.0), ("a", 4.0)]  # nothing was overwritten
    assert all(row.device and row.torch and row.day for row in rows)
    assert [(row.row, row.ratio) for row in results.latest(rows)] == [("a", 4.0), ("b", 1.0)]


def test_a_line_that_is_no_row_is_named(tmp_path):
    file = tmp_path / "results.jsonl"
    file.write_text('{"benchmark": "toy", "row": "a", "plain": 1, "ours": 1}\n{"benchmark": "toy"}\n')
    with pytest.raises(ValueError, match=r"line 2 .* take it out"):
        results.read(file)


def test_the_table_is_what_the_results_say():
    text = results.PAGE.read_text(encoding="utf-8")
    assert results.table(results.read()) in text, "python -m benchmarks.results writes it anew"


def test_operations_by_hand_and_the_roofline():
    """A 3×3 convolution from 2 to 3 channels at 4×5 places: 9·2·3·20 multiplications and as many additions."""
    conv, x = torch.nn.Conv2d(2, 3, 3, padding=1, bias=False), torch.rand(1, 2, 4, 5)
    assert measure.operations(lambda: conv(x)) == 2 * 1080
    machine = measure.Machine(rate=1000.0, bandwidth=100.0)
    assert machine.share(4.32, operations=2160) == pytest.approx(0.5)
    assert machine.share(4.0, operations=2160, traffic=400) == 1.0  # the slower of the two decides


def test_turns_alternate_and_the_first_rounds_do_not_count(monkeypatch):
    calls, now = [], [0.0]

    def way(name, seconds):
        calls.append(name)
        now[0] += seconds[calls.count(name) - 1]

    monkeypatch.setattr(measure, "clock", lambda device: now[0])
    ways = {"a": lambda: way("a", [9, 1, 2, 3]), "b": lambda: way("b", [9, 5, 5, 8])}
    assert measure.in_turns(ways, torch.device("cpu"), rounds=3, warm_up=1) == {"a": 2, "b": 5}
    assert calls == ["a", "b"] * 4
