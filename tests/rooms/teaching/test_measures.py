"""What decides the claims: every case is measured, and every measure returns the numbers that its rules ask for."""

import math
from dataclasses import replace

import pytest
import torch

from course_lib import sample_image, sample_names
from course_lib.evaluation import segmenter
from course_lib.methods import gatys, multi_style
from course_lib.painting import objective as painting_objective
from course_lib.teaching import claims, measures, records, registry
from course_lib.teaching.measures import Measured, domain, exact, iterations
from course_lib.teaching.registry import Claim, ClaimError, Expression


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder for stored runs, outside the project."""
    monkeypatch.setattr(records, "_asked", {})
    monkeypatch.setenv("COURSE_LIB_RESULTS", str(tmp_path))
    return tmp_path


# --- taking a measure, with one that needs no time
def row(name="a.toy", **changed):
    about = {
        "paper": "p", "claim": "It is darker.", "where": "w", "certainty": "D", "chapter": "04",
        "record": "measured_toy", "measure": "m", "holds": "`photo` < `painting`", "cases": "2 pairs × 3 seeds",
        "refuted": "r", "conditions": {"quick": {"size": 8, "steps": 1}, "laptop": {"size": 16, "steps": 5}},
    }  # fmt: skip
    return Claim(name, **{**about, **changed})


@pytest.fixture
def rows(monkeypatch):
    """The list of claims: two that the toy decides. A test may change it."""
    known = {"a.toy": row(), "a.other": row("a.other", holds="`steps` > 0")}
    for module in (registry, claims):
        monkeypatch.setattr(module, "load", lambda: known)
    return known


@pytest.fixture
def called(rows, monkeypatch):
    """The calls of the toy measure."""
    calls = []

    def toy(photo, painting, *, steps, seed):
        calls.append((tuple(photo.shape[-2:]), tuple(painting.shape[-2:]), steps, seed))
        numbers = {"photo": photo.mean().item(), "painting": painting.mean().item(), "steps": steps, "seed": seed}
        return Measured(numbers, {f"seed {seed}": photo})

    monkeypatch.setitem(measures.MEASURES, "toy", toy)
    return calls


def test_every_case_is_measured_once_and_stored_for_every_claim(called, rows, folder):
    said = []
    run = measures.take("toy", profile="laptop", seed=4, say=said.append)
    assert len(called) == len(said) == 6
    assert [call[2:] for call in called] == [(5, seed) for _ in range(2) for seed in (4, 5, 6)]
    assert all(max(size) == 16 for call in called for size in call[:2])
    stored = records.load("measured_toy")
    assert (stored.profile, stored.seed, stored.config) == ("laptop", 4, {"size": 16, "steps": 5})
    assert stored.command == "make verify CLAIM=a.toy PROFILE=laptop"
    assert set(stored.claims) == {"a.toy", "a.other"}
    found = stored.claims["a.toy"]
    assert found["cases"] == [
        *(f"eilean_donan and great_wave, seed {seed}" for seed in (4, 5, 6)),
        *(f"schwerin_palace and church_at_auvers, seed {seed}" for seed in (4, 5, 6)),
    ]
    assert (found["over"], found["rule"]) == ("pairs × seeds", rows["a.toy"].digest)
    assert found["values"]["seed"] == [4, 5, 6, 4, 5, 6]
    castle, palace = (sample_image(name, 16).mean().item() for name in ("eilean_donan", "schwerin_palace"))
    assert found["values"]["photo"] == pytest.approx([castle] * 3 + [palace] * 3)
    assert list(stored.images) == ["seed 4"], "the pictures of the first case"
    assert said[0].startswith("eilean_donan and great_wave, seed 4: photo 0.")
    assert run.claims == stored.claims
    assert set(stored.inputs) == {"eilean_donan", "great_wave", "schwerin_palace", "church_at_auvers"}


def test_quick_takes_one_case_under_its_own_conditions(called, folder):
    run = measures.take("toy", profile="quick", say=str)
    assert [call[2:] for call in called] == [(1, 0)]
    assert run.claims["a.toy"]["cases"] == ["eilean_donan and great_wave, seed 0"]
    assert len(run.claims["a.toy"]["values"]["photo"]) == 1


def test_a_quick_run_does_not_become_part_of_the_project(called, monkeypatch, tmp_path):
    monkeypatch.delenv("COURSE_LIB_RESULTS")
    monkeypatch.setattr(records, "results_folder", lambda: tmp_path / "results")
    with pytest.raises(ClaimError, match="a quick run takes one case and decides nothing"):
        measures.take("toy", profile="quick", say=str)
    assert not called
    assert not (tmp_path / "results").exists()


def test_what_cannot_be_measured_is_refused_before_it_starts(called, rows, folder):
    with pytest.raises(ClaimError, match="no measure 'toys'; there are: content_layer, .*toy"):
        measures.take("toys", profile="laptop")
    with pytest.raises(ClaimError, match="no conditions for the profile 'paper', only for quick, laptop"):
        measures.take("toy", profile="paper")
    rows["a.other"] = row("a.other", cases="1 pairs × 3 seeds")
    with pytest.raises(ClaimError, match="the claims of measured_toy differ in their cases or conditions"):
        measures.take("toy", profile="laptop")
    rows["a.other"] = row("a.other", conditions={"laptop": {"size": 32}})
    with pytest.raises(ClaimError, match="differ in their cases or conditions"):
        measures.take("toy", profile="laptop")
    for cases in ("3 dogs", "9 pairs × 1 seeds"):
        rows.clear()
        rows["a.toy"] = row(cases=cases)
        with pytest.raises(ClaimError, match=rf"cases can be pairs \(3\), .* and seeds; got {cases[:6]}"):
            measures.take("toy", profile="laptop")
    rows.clear()
    with pytest.raises(ClaimError, match="no claim is decided by 'toy'"):
        measures.take("toy", profile="laptop")
    assert not called
    assert not list(folder.iterdir())


def test_a_measure_without_a_number_of_its_rule_stores_nothing(called, rows, folder):
    rows["a.other"] = row("a.other", holds="`brightness` > 0")
    with pytest.raises(ClaimError, match="needs brightness; measured: photo, painting, steps, seed"):
        measures.take("toy", profile="laptop", say=str)
    assert not list(folder.iterdir())


def test_changed_conditions_must_be_said(called, folder):
    with pytest.raises(ClaimError, match="measured_toy under changed conditions must say how it is reduced"):
        measures.take("toy", profile="laptop", say=str, changed={"steps": 4})
    assert not called
    same = measures.take("toy", profile="laptop", say=str, changed={"steps": 5}, command="make paper ONLY=toy")
    assert (same.config["steps"], same.reduced, same.command) == (5, "", "make paper ONLY=toy")
    cut = measures.take("toy", profile="laptop", say=str, changed={"steps": 4}, reduced="4 of 5 steps")
    assert (cut.config["steps"], cut.reduced) == (4, "4 of 5 steps")


def test_only_a_measure_that_asks_for_the_size_is_told(rows, monkeypatch):
    rows.clear()
    rows["a.toy"] = row(holds="`size` > 0", cases="2 seeds")
    monkeypatch.setitem(measures.MEASURES, "toy", lambda *, size, seed: Measured({"size": size + seed}))
    assert measures.take("toy", profile="laptop", say=str).claims["a.toy"]["values"] == {"size": [16, 17]}


def test_the_pictures_of_the_cases_are_in_the_package_and_differ():
    photos, paintings = ({pair[k] for pair in measures.PAIRS} for k in (0, 1))
    assert len(photos) == len(paintings) == len(measures.PAIRS)
    for name in {*photos, *paintings, *measures.PHOTOGRAPHS, *measures.PAINTINGS}:
        assert sample_image(name, 16).shape[1] == 3


# --- the measures themselves
def test_the_gradient_of_the_style_loss_is_that_of_equation_6():
    for seed in range(3):
        found = exact.style_gradient(seed=seed, size=6).numbers
        assert found["largest difference"] < 1e-12
        assert found["largest gradient"] > 0


@pytest.mark.real_weights
def test_rescaled_filters_leave_the_features_as_they_were(real_network):
    real_network("vgg16", ("relu1_1",))
    found = exact.rescaling(sample_image("cat", (32, 32))).numbers
    assert found["largest difference"] < 1e-12
    assert 0 < found["smallest mean"] <= 1 + 1e-9
    assert found["largest mean"] == pytest.approx(1)


@pytest.fixture
def random_network(monkeypatch):
    """The loss network has random weights: what a number is does not matter then."""
    network = painting_objective.cached_network

    def cached_network(arch, layers, pooling, _, *rest):
        return network(arch, layers, pooling, None, *rest)

    monkeypatch.setattr(painting_objective, "cached_network", cached_network)
    monkeypatch.setattr(painting_objective, "layer_weights", lambda _, layers, **__: (1.0,) * len(layers))


def test_pixels_leave_their_range_unless_they_are_projected(random_network):
    photo, painting = sample_image("cat", (32, 32)), sample_image("great_wave", (32, 32))
    found = exact.unbounded(photo, painting, steps=8, seed=0).numbers
    assert 0 < found["without bounds"] < 1
    assert found["with projection"] == 0


def test_the_share_of_the_first_fifth_is_computed_by_hand():
    """Ten moves of 4, 2, 1, 1, …: the first two are 6 of 14."""
    levels = [0.0]
    for move in (4, 2, *(1,) * 8):
        levels.append(levels[-1] + move / 100)
    pictures = [torch.full((1, 3, 16, 16), level) for level in levels]
    assert iterations.first_fifth(pictures) == pytest.approx(6 / 14, rel=1e-4)


def test_ten_and_forty_give_the_printed_totals():
    """The paper prints neither α nor β."""
    for total, style, content in zip(
        *(iterations.PRINTED[name] for name in ("total", "style", "content")), strict=True
    ):
        assert 10 * content + 40 * style == pytest.approx(total, rel=1e-5)
    assert pytest.approx(10 * 7865.72 / 5.04752e9) == iterations.SHARE


def test_costs_are_taken_every_twenty_iterations():
    history = {"total": [float(100 - k) for k in range(61)], "content/relu4_2": [float(k) / 10 for k in range(61)]}
    found = iterations.costs(history)
    assert found == {"total": [100, 80, 60, 40], "content": [0, 2, 4, 6], "style": [100, 78, 56, 34]}


def test_the_recipe_starts_with_the_printed_share_of_the_content(random_network):
    photo, painting = sample_image("cat", (32, 32)), sample_image("great_wave", (32, 32))
    config = iterations.recipe(photo, painting, steps=1, seed=0)
    first = gatys.stylize(photo, painting, config).history
    assert first["content/relu4_2"][0] / first["total"][0] == pytest.approx(iterations.SHARE, rel=1e-3)
    assert (config.optimizer, config.start, config.learning_rate) == ("adam", "mixed", 2 / 255)


def test_a_transplanted_picture_keeps_what_is_elsewhere_and_exchanges_two_regions():
    """Left half sky (blue), right half road (gray), below a strip of building."""
    colors = torch.tensor(list(domain.CLASSES.values())) / 255
    classes = torch.zeros(4, 4, dtype=torch.long)
    names = list(domain.CLASSES)
    classes[:3, :2], classes[:3, 2:], classes[3] = (names.index(name) for name in ("sky", "road", "building"))
    labels = colors[classes].movedim(-1, 0)[None]
    picture = torch.zeros(1, 3, 4, 4)
    picture[:, 2, :3, :2], picture[:, :, :3, 2:], picture[:, 0, 3] = 1.0, 0.5, 1.0
    asked = domain.swapped(labels, "sky", "road")
    assert torch.equal(asked[..., :3, :2], labels[..., :3, 2:])
    assert torch.equal(asked[..., 3, :], labels[..., 3, :])
    assert torch.equal(domain.swapped(asked, "road", "sky"), labels)
    made = domain.transplanted(picture, labels, "sky", "road", seed=0)
    assert torch.equal(made[..., :3, :2], torch.full((1, 3, 3, 2), 0.5))
    assert torch.equal(made[0, :, 0, 2], torch.tensor([0.0, 0.0, 1.0]))
    assert torch.equal(made[..., 3, :], picture[..., 3, :])
    assert torch.equal(domain.transplanted(picture, labels, "sky", "window", seed=0), picture), "no window: as it was"


TINY = {"long_run": {"size": 32, "steps": 50}, "transfer_learning": {"size": 48, "steps": 20}, "domain": {"maps": 2},
        "style_gradient": {"size": 8}, "survival": {"size": 48}, "any_speed": {"size": 48, "steps": 1},
        "new_style": {"size": 32, "steps": 8}, "sample_size": {"size": 32, "count": 64},
        "disturbed": {"size": 32, "count": 24}, "ugly_sets": {"size": 32, "count": 16},
        "spike": {"height": 200}, "label": {"size": 32}}  # fmt: skip


@pytest.fixture
def tiny_twelve(monkeypatch):
    """An untrained network takes the place of the twelve paintings'."""
    names = [name for name in sample_names("style") if name not in measures.NEW_PAINTINGS]
    config = multi_style.Config(num_styles=len(names), width=0.1, num_blocks=1, style_size=32)
    model = multi_style.Model(multi_style.build(config).eval(), config, {"styles": names})
    monkeypatch.setattr(multi_style, "load", lambda name: model)


@pytest.mark.real_weights
@pytest.mark.parametrize("name", [name for name in measures.MEASURES if name != "rescaling"])
def test_a_measure_returns_the_numbers_that_its_rules_ask_for(
    name, random_network, tiny_twelve, real_network, monkeypatch
):
    """One tiny case: a run of hours must not end with a missing number."""
    real_network("vgg16", ("relu1_1",))
    teach = segmenter.train_segmenter
    monkeypatch.setattr(segmenter, "train_segmenter", lambda pairs, **_: teach(pairs[:2], num_steps=2))
    known = {
        claim.id: replace(claim, conditions={"quick": TINY.get(name, {"size": 48, "steps": 2})})
        for claim in measures.claims_of(name)
    }
    monkeypatch.setattr(registry, "load", lambda: known)
    run = measures.take(name, profile="quick", say=str)
    assert set(run.claims) == set(known)
    for claim in known.values():
        values = run.claims[claim.id]["values"]
        assert all(len(series) == 1 and math.isfinite(series[0]) for series in values.values())
        for text in filter(None, (claim.holds, claim.effect)):
            assert set(Expression(text).names) <= set(values)
    for title, image in run.images.items():
        assert image.shape[:2] == (1, 3), title
