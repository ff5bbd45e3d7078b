"""The benchmarks of labels, attention and cartoons: scores mean what they say, and records fit the rules."""

import json

import pytest
import torch

from benchmarks import attention_scores, cartoon_scores, label_scores, score_runs
from course_lib.data.cartoon import cartoon
from course_lib.methods import animegan, ugatit
from course_lib.teaching import records, registry


def stored(module, scale, asked):
    """Make the first seed of each run at a toy scale, copy it for the others, and fill the record; what rules ask."""
    name = module.BENCHMARK.record
    for run_name in module.BENCHMARK.runs:
        module.make(run_name, 0, scale)
        first = module.file_of(run_name, 0, scale)
        assert not list(first.parent.glob("*.checkpoint")), "a finished run leaves no checkpoint"
        for seed in (1, 2):  # they would tell no more
            module.file_of(run_name, seed, scale).write_bytes(first.read_bytes())
    run = records.Record(name, "laptop", 0, {})
    module.store(run, range(3), scale)
    numbers = module.numbers(run.values)
    assert set(asked) <= set(numbers)
    assert {len(series) for series in numbers.values()} == {3}
    decided = {claim.id: claim for claim in registry.load().values() if claim.record == name}
    assert set(run.claims) == set(decided)
    for claim_id, claim in decided.items():
        values = run.claims[claim_id]["values"]
        needed = registry.Expression(claim.holds).names + registry.Expression(claim.effect).names
        assert set(needed) <= set(values), claim_id
        assert {len(series) for series in values.values()} == {claim.count}
    return run


def test_the_runs_of_labels_are_made_read_and_have_the_numbers_of_their_rules(tmp_path):
    scale = label_scores.Scale(
        steps=6, batch=2, trained=4, tested=8, width=0.05, blocks=1, folder=tmp_path, device="cpu"
    )
    asked = ("error, StarGAN", "error, three CycleGANs", "difference, zeros", "difference, reflected")
    run = stored(label_scores, scale, asked)
    assert run.values["steps"]["StarGAN"][0] == [6]
    assert run.values["steps"]["three CycleGANs"][0] == [2, 2, 2], "together as many"
    assert run.values["difference"]["StarGAN, reflected"][0] < 1e-4 < run.values["difference"]["StarGAN"][0]
    assert run.values["color transfer"]["error"] < run.values["as it is"]["error"]
    assert run.images["StarGAN · 3"].shape == (1, 3, 32, 96)


def test_scores_of_labels_know_a_perfect_translation_and_one_that_ignores_the_label():
    scale = label_scores.Scale(trained=4, tested=4)
    streets = label_scores.data(scale)[1]
    perfect = label_scores.score(label_scores.translated(lambda x, given, to: streets[to], scale), scale)
    assert perfect["error"] == 0
    assert perfect["difference"] > 0.02
    deaf = label_scores.score(label_scores.translated(lambda x, given, to: x, scale), scale)
    assert deaf["difference"] == 0
    by_hand = [(streets[a] - streets[b]).abs().mean() for a, b in label_scores.DIRECTIONS]
    assert deaf["error"] == pytest.approx(float(sum(by_hand)) / 6, rel=1e-5)


def test_both_sides_of_the_comparison_of_labels_share_what_they_can():
    one, pair = label_scores.config_of(label_scores.ONE, 0), label_scores.pair_config(0)
    for name in ("image_size", "load_size", "mirror", "batch_size", "width", "num_blocks", "learning_rate", "cooldown"):
        assert getattr(one, name) == getattr(pair, name), name
    steps = pair.num_epochs * label_scores.LAPTOP.trained // pair.batch_size
    assert 3 * steps == one.num_steps
    assert label_scores.config_of(label_scores.REFLECTED, 0).padding == "reflect"


def test_the_runs_of_attention_are_made_read_and_have_the_numbers_of_their_rules(tmp_path):
    scale = attention_scores.Scale(steps=2, trained=4, tested=4, width=0.05, folder=tmp_path, device="cpu")
    asked = [f"error, {name}" for name in ("U-GAT-IT", "no classifiers", "instance", "layer")]
    asked += ["rho, texture", "rho, shape", "correlation, trained", "correlation, untrained"]
    run = stored(attention_scores, scale, asked)
    rho = run.values["rho"]
    assert rho["instance"] == 3 * [1.0]
    assert rho["layer"] == 3 * [0.0]
    assert 0.85 < rho["U-GAT-IT"][0] < 0.95, "it starts at .9"
    assert set(run.values["baselines"]) == {"texture", "shape"}
    assert run.images["no classifiers · 0"].shape == (1, 3, 32, 160)


def test_lower_streets_keep_their_ground_and_repeat_their_sky():
    pictures = torch.rand(2, 3, 20, 6)
    same = attention_scores.lowered(pictures, 1.0)
    torch.testing.assert_close(same, pictures, rtol=0, atol=1e-5)
    half = attention_scores.lowered(pictures, 0.5)
    # at half the height, each row is the mean of two rows; the free half shows the first one
    means = (pictures[..., 0::2, :] + pictures[..., 1::2, :]) / 2
    torch.testing.assert_close(half[..., 10:, :], means, rtol=0, atol=1e-4)
    torch.testing.assert_close(half[..., :9, :], pictures[..., :1, :].expand(-1, -1, 9, -1), rtol=0, atol=1e-4)


def test_the_rho_of_the_blocks_leaves_out_the_layers_on_the_way_up():
    config = attention_scores.config_of(attention_scores.FULL, 0)
    network = ugatit.build(config)
    assert attention_scores.blocks_rho(network) == pytest.approx(0.9)
    with torch.no_grad():
        for name, rho in network.named_parameters():
            if name.endswith("rho") and "blocks" in name:
                rho.fill_(0.5 if name.startswith("AB") else 0.7)
    assert attention_scores.blocks_rho(network) == pytest.approx(0.6)


def test_the_task_of_shape_changes_no_material():
    scale = attention_scores.Scale(trained=4, tested=4)
    texture, shape = (attention_scores.data(task, scale) for task in (False, True))
    assert torch.equal(texture["A"], shape["A"])
    assert torch.equal(texture["given"], shape["given"])
    torch.testing.assert_close(shape["truth"], attention_scores.lowered(shape["given"]))
    assert not torch.equal(texture["truth"], shape["truth"])


@pytest.fixture
def cartoons(tmp_path):
    return cartoon_scores.Scale(
        side=64, tile=16, trained=4, epochs=2, tested=2, width=0.05, weights=None, folder=tmp_path, device="cpu"
    )


def test_the_runs_of_cartoons_are_made_read_and_have_the_numbers_of_their_rules(cartoons):
    parts = {"colors": "no color", "lines": "no style", "edges": "no blurred edges", "content": "no first phase"}
    asked = [f"{key}, {name}" for key, part in parts.items() for name in (part, "all terms")]
    run = stored(cartoon_scores, cartoons, [*asked, "error, all terms", "error, photograph"])
    assert run.values["photograph"]["colors"] == run.values["photograph"]["content"] == 0
    assert run.values["filter"]["lines"] == run.values["filter"]["edges"] == run.values["filter"]["error"] == 0
    assert run.values["filter"]["agreement"] == pytest.approx(1)
    assert cartoon_scores.numbers(run.values)["error, photograph"] == 3 * [run.values["photograph"]["error"]]


def test_each_run_of_cartoons_leaves_out_what_its_name_says():
    full = cartoon_scores.config_of(cartoon_scores.FULL, 0)
    assert min(full.style_weight, full.color_weight, full.edge_weight, full.init_epochs) > 0
    for name, changed in cartoon_scores.RUNS.items():
        config = cartoon_scores.config_of(name, 0)
        others = {key: value for key, value in vars(config).items() if key not in changed}
        assert others == {key: vars(full)[key] for key in others}
        assert not any(changed.values())


def test_each_measure_of_cartoons_sees_the_fault_it_is_for(cartoons):
    photo, truth = cartoon_scores.pairs(cartoons)[0]
    exact = cartoon_scores.measured(truth, photo, truth, cartoons)
    gray = truth.mean(1, keepdim=True).expand_as(truth)
    faults = {
        "colors": gray,
        "lines": cartoon(photo, colors=10, smooth=1.5, line=1.0, ink=0.0),
        "edges": torch.nn.functional.avg_pool2d(truth, 5, stride=1, padding=2, count_include_pad=False),
        "content": torch.rand(truth.shape, generator=torch.Generator().manual_seed(0)),
        "error": 1 - truth,
    }
    for measure, faulty in faults.items():
        assert cartoon_scores.measured(faulty, photo, truth, cartoons)[measure] > exact[measure], measure


def test_cartoons_of_the_tiles_come_from_other_photographs(cartoons):
    photos, drawn = cartoon_scores.data(cartoons)
    assert photos.shape == drawn.shape == (4, 3, 16, 16)


def test_a_benchmark_makes_what_is_missing_in_shares_and_keeps_its_results(tmp_path, monkeypatch):
    made = []

    def file_of(name, seed):
        return score_runs.file_of(tmp_path, "toy", name, seed)

    def make(name, seed):
        made.append((name, seed))
        score_runs.checkpoint_of(file_of(name, seed)).touch()
        score_runs.keep(file_of(name, seed), {"error": seed, "seconds": 30.0}, {0: torch.full((1, 3, 4, 4), 0.2)})

    benchmark = score_runs.Benchmark("toy", "18_scores", ("a", "b, c"), file_of, make, None, dict)
    monkeypatch.setattr(score_runs, "FOLDER", tmp_path)

    def call(*words):
        monkeypatch.setattr("sys.argv", ["toy", "--seeds", "2", *words])
        return score_runs.main(benchmark, "about")

    assert call("--share", "2/2") == 0
    assert made == [("b, c", 0), ("b, c", 1)]
    assert call() == 0
    assert made[2:] == [("a", 0), ("a", 1)], "only what is missing"
    assert not list(tmp_path.glob("*.checkpoint"))
    results = {name: [score_runs.read(file_of(name, seed)) for seed in range(2)] for name in benchmark.runs}
    assert score_runs.columns(results, ["error"]) == {"error": {"a": [0, 1], "b, c": [0, 1]}}
    assert score_runs.minutes(results) == 2.0
    assert score_runs.picture(file_of("a", 0), 0).mean().item() == pytest.approx(0.2, abs=1e-6)
    assert json.loads(file_of("b, c", 1).read_text())["error"] == 1


def test_the_recipe_of_cartoons_is_version_two():
    assert cartoon_scores.config_of(cartoon_scores.FULL, 0).version == animegan.Config.quick().version == "v2"
