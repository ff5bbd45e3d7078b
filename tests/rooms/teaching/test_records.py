"""Stored runs: what is written, what a failure leaves, and how records are shown."""

import json
import math
from pathlib import Path

import pytest
import torch
from PIL import Image

from course_lib import sample_image, samples
from course_lib.methods import gatys
from course_lib.samples import ledger
from course_lib.teaching import provenance, records, registry
from course_lib.teaching.records import RecordError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder for records."""
    place = tmp_path / "data" / "results"
    monkeypatch.setattr(records, "results_folder", lambda: place)
    monkeypatch.setattr(records, "_asked", {})
    for name in ("RECORDS", "RESULTS", "DIGEST", "COMMIT", "DIRTY"):
        monkeypatch.delenv(f"COURSE_LIB_{name}", raising=False)
    return place


def store(name="01_test", *, profile="laptop", seed=3, value=1.5, **more):
    with records.run(name, profile=profile, seed=seed, config=gatys.Config(num_steps=7)) as run:
        run.values["loss"] = value
        run.images["the result"] = torch.full((1, 3, 20, 30), 0.5)
        run.values.update(more)


def test_a_run_writes_everything_needed_to_check_it(folder):
    store()
    stored = json.loads((folder / "01_test" / "record.json").read_text(encoding="utf-8"))
    assert set(stored) == set(records.Record.__dataclass_fields__)
    assert stored["name"] == "01_test"
    assert (stored["profile"], stored["seed"]) == ("laptop", 3)
    assert stored["values"] == {"loss": 1.5}
    assert stored["config"]["num_steps"] == 7
    assert stored["config"]["style_layers"] == list(gatys.Config().style_layers)
    assert stored["images"] == {"the result": "the_result.webp"}
    assert stored["versions"]["torch"] == torch.__version__.split("+")[0]
    assert stored["versions"]["python"].startswith("3.")
    assert stored["device"]
    assert stored["minutes"] >= 0
    assert stored["peak_memory_gb"] > 0.01
    assert stored["command"] == "python -m scripts.execute 01 -p PROFILE laptop -p SEED 3"
    assert {path.name for path in folder.iterdir()} == {"01_test"}


def test_a_run_keeps_the_names_sizes_and_digests_of_its_pictures(folder):
    sample_image("dog", 40)  # before the run was asked for
    assert records.missing("01_test", profile="laptop", seed=3)
    cat = sample_image("cat", 64)  # after, and before the block
    with records.run("01_test", profile="laptop", seed=3) as run:
        for size in (48, 48, (20, 30)):
            sample_image("great_wave", size)
        run.values["loss"] = cat.mean()
    sample_image("panda", 40)
    inputs = records.load("01_test").inputs
    rows = {row["file"]: row for row in ledger()}
    assert {name: (it["file"], it["sizes"]) for name, it in inputs.items()} == {
        "cat": ("content/cat.jpg", [[43, 64]]),
        "great_wave": ("style/great_wave.jpg", [[32, 48], [20, 30]]),
    }
    assert all(it["sha256"] == rows[it["file"]]["sha256"] for it in inputs.values())


def test_a_run_that_read_nothing_before_its_block_stops_watching(folder):
    before = len(samples._watchers)
    assert records.missing("01_test", profile="laptop", seed=3)
    with records.run("01_test", profile="laptop", seed=3):
        sample_image("cat", 64)
    assert list(records.load("01_test").inputs) == ["cat"]
    assert len(samples._watchers) == before


def test_a_run_that_fails_stops_watching(folder):
    before = len(samples._watchers)
    with pytest.raises(ZeroDivisionError), records.run("01_test", profile="laptop", seed=3):
        1 / 0  # noqa: B018
    assert len(samples._watchers) == before


def test_minutes_are_measured(folder, monkeypatch):
    clock = iter([100.0, 280.0])
    monkeypatch.setattr(records.time, "perf_counter", lambda: next(clock))
    store()
    record = records.load("01_test")
    assert record.minutes == 3.0
    assert record.line == (
        f"stored run · laptop profile · {record.device} · torch {record.versions['torch']} · seed 3 · 3.0 min"
    )


@pytest.mark.parametrize(
    ("device", "shown"),
    [("AMD EPYC, 1 threads", "AMD EPYC, 1 thread"), ("AMD EPYC, 11 threads", "AMD EPYC, 11 threads")],
)
def test_the_line_of_the_oldest_runs_names_one_thread(device, shown):
    assert f" · {shown} · torch" in records.Record("01_test", "laptop", 3, {}, device=device).line


def test_pictures_are_webp_of_the_right_size_and_color(folder):
    with records.run("01_test", profile="laptop", seed=0) as run:
        orange = torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1)
        run.images["small"] = orange.expand(1, 3, 20, 30)
        run.images["large"] = orange.expand(1, 3, 512, 2048)
        run.images["overshoot"] = 1.2 * orange.expand(1, 3, 20, 30)
    sizes = {}
    for title, path in records.load("01_test").images.items():
        with Image.open(path) as image:
            assert image.format == "WEBP"
            sizes[title] = image.size
            r, _, b = image.convert("RGB").getpixel((5, 5))
            assert r > 240
            assert b < 15
    assert sizes == {"small": (30, 20), "large": (1024, 256), "overshoot": (30, 20)}


def test_titles_that_look_alike_as_file_names_stay_apart(folder):
    with records.run("01_test", profile="laptop", seed=0) as run:
        for level, title in ((0.2, "α < 1"), (0.8, "α > 1"), (0.5, "a/b"), (1.0, "A/B")):
            run.images[title] = torch.full((1, 3, 20, 20), level)
    record = records.load("01_test")
    assert list(record.images) == ["α < 1", "α > 1", "a/b", "A/B"]
    for title, level in (("α < 1", 51), ("α > 1", 204), ("a/b", 128), ("A/B", 255)):
        with Image.open(record.images[title]) as image:
            assert image.convert("RGB").getpixel((5, 5))[0] == pytest.approx(level, abs=3)
    assert len({path.name.lower() for path in record.images.values()}) == 4  # some file systems ignore case


def test_values_come_back_as_numbers(folder):
    store(tensor=torch.tensor(2.5), grid=torch.eye(2), curve=[1.0, 0.5], text="α", endless=math.inf, none=None)
    values = records.load("01_test").values
    assert values["tensor"] == 2.5
    assert values["grid"] == [[1, 0], [0, 1]]
    assert values["curve"] == [1.0, 0.5]
    assert values["text"] == "α"
    assert values["endless"] == math.inf
    assert values["none"] is None


def test_a_run_that_fails_stores_nothing(folder):
    def fail():
        with records.run("01_test", profile="laptop", seed=0) as run:
            run.values["loss"] = 1.0
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not folder.exists() or not list(folder.iterdir())


def test_a_failure_leaves_the_older_record_as_it_was(folder, monkeypatch):
    store(value=1.0)
    before = {path.name: path.read_bytes() for path in (folder / "01_test").iterdir()}

    def same():
        assert {path.name for path in folder.iterdir()} == {"01_test"}, "left-overs"
        return {path.name: path.read_bytes() for path in (folder / "01_test").iterdir()} == before

    def broken_picture():
        with records.run("01_test", profile="laptop", seed=0) as run:
            run.images["good"] = torch.zeros(1, 3, 8, 8)
            run.images["bad"] = torch.full((1, 3, 8, 8), math.nan)

    with pytest.raises(ValueError, match="NaN"):
        broken_picture()
    assert same()

    def path_for_picture():
        with records.run("01_test", profile="laptop", seed=0) as run:
            run.images["bad"] = folder / "01_test" / "the_result.webp"

    with pytest.raises(RecordError, match="'bad' of a new run must be a tensor"):
        path_for_picture()
    assert same()

    original, moves = records.os.replace, []

    def disk_full(source, target):
        moves.append(target)
        if len(moves) == 2:  # the old record has been moved away, but the new one cannot be moved in
            raise OSError("no space")
        original(source, target)

    monkeypatch.setattr(records.os, "replace", disk_full)
    with pytest.raises(OSError, match="no space"):
        store(value=2.0)
    assert same()


def test_a_new_run_replaces_the_old_one_whole(folder):
    store(value=1.0)
    with records.run("01_test", profile="laptop", seed=9) as run:
        run.values["other"] = 2
    record = records.load("01_test")
    assert (record.profile, record.seed, record.values, record.images) == ("laptop", 9, {"other": 2}, {})
    assert [path.name for path in (folder / "01_test").iterdir()] == ["record.json"]


def forget(monkeypatch):
    """What another process would know: nothing."""
    monkeypatch.setattr(records, "_asked", {})


def test_a_run_at_the_papers_scale_lies_beside_the_laptops(folder, monkeypatch):
    store(value=1.0)
    store(profile="paper", value=2.0)
    assert records.load("01_test").values["loss"] == 2.0, "whoever made it, sees it"
    forget(monkeypatch)
    assert records.load("01_test").values["loss"] == 1.0
    assert records.load("01_test", profile="paper").values["loss"] == 2.0
    assert records.at_paper_scale("01_test").values["loss"] == 2.0
    assert records.at_paper_scale("01_nope") is None
    assert (folder / "paper" / "01_test" / "record.json").is_file()
    html = records.show("01_test", profile="paper", caption="c", alt="a")._repr_html_()
    assert "paper profile" in html
    with pytest.raises(RecordError, match="make paper ONLY=01_nope"):
        records.load("01_nope", profile="paper")


def test_a_paper_run_that_was_left_out_shows_the_laptop_run(folder, monkeypatch):
    store(value=1.0)
    monkeypatch.setenv("COURSE_LIB_RECORDS", "01_other,01_more")
    assert not records.missing("01_test", profile="paper", seed=0)
    assert records.load("01_test").profile == "laptop"
    assert records.missing("01_other", profile="paper", seed=0)
    with pytest.raises(RecordError):
        records.load("01_test", profile="paper")


def test_a_queue_collects_its_runs_elsewhere_and_compares_digests(folder, tmp_path, monkeypatch):
    store(profile="paper", value=1.0)
    monkeypatch.setenv("COURSE_LIB_RESULTS", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("COURSE_LIB_DIGEST", "abc")
    monkeypatch.setenv("COURSE_LIB_COMMIT", "1234567")
    assert records.missing("01_test", profile="paper", seed=3), "made by other code"
    store(profile="paper", value=2.0)
    assert not records.missing("01_test", profile="paper", seed=3)
    made = records.load("01_test", profile="paper")
    assert (made.values["loss"], made.digest, made.commit) == (2.0, "abc", "1234567")
    assert (tmp_path / "elsewhere" / "paper" / "01_test" / "record.json").is_file()
    monkeypatch.setenv("COURSE_LIB_DIGEST", "abd")
    assert records.missing("01_test", profile="paper", seed=3)
    monkeypatch.delenv("COURSE_LIB_RESULTS")
    assert records.load("01_test", profile="paper").values["loss"] == 1.0, "the older record is untouched"


def test_some_runs_can_be_made_again_and_no_others(folder, monkeypatch):
    for name in ("01_test", "01_other"):
        store(name)
    for asked, made in (("again", ["01_test", "01_other"]), ("again,01_test", ["01_test"]), ("01_test", [])):
        monkeypatch.setenv("COURSE_LIB_RECORDS", asked)
        found = [name for name in ("01_test", "01_other") if records.missing(name, profile="laptop", seed=3)]
        assert found == made, asked


def test_a_reduced_run_says_so(folder):
    with records.run("01_test", profile="paper", seed=0) as run:
        run.reduced = "12,000 of 40,000 steps"
    assert "paper profile, reduced: 12,000 of 40,000 steps ·" in records.load("01_test").line


def test_which_runs_are_missing(folder):
    def missing(profile, seed):
        return records.missing("01_test", profile=profile, seed=seed)

    assert missing("laptop", 3)
    assert not missing("quick", 3)  # the quick profile never makes stored runs
    store(profile="laptop", seed=3)
    assert not missing("laptop", 3)
    assert missing("laptop", 4)
    assert missing("paper", 3)
    assert not missing("quick", 4)


def test_show_has_pictures_caption_alt_and_the_line(folder):
    store()
    figure = records.show("01_test", caption="A castle.", alt="A castle as waves")
    html = figure._repr_html_()
    assert 'aria-label="A castle as waves"' in html
    assert "A castle. (stored run · laptop profile" in html
    assert 'alt="the result"' in html
    assert "data:image/webp;base64," in html
    assert 'alt="painted"' in records.show("01_test", caption="c", alt="a", titles=["painted"])._repr_html_()
    with pytest.raises(ValueError, match="non-empty alt"):
        records.show("01_test", caption="c", alt="")


def test_show_some_in_another_order(folder):
    with records.run("01_test", profile="laptop", seed=0) as run:
        for title in ("a", "b", "c"):
            run.images[title] = torch.zeros(1, 3, 8, 8)
    html = records.show("01_test", caption="c", alt="x", only=["c", "a"])._repr_html_()
    assert html.index('alt="c"') < html.index('alt="a"')
    assert 'alt="b"' not in html
    with pytest.raises(RecordError, match=r"no picture \['d'\]; it has a, b, c"):
        records.show("01_test", caption="c", alt="x", only=["d"])


def test_an_unknown_name_lists_the_stored_runs_and_says_how_to_make_one(folder):
    with pytest.raises(RecordError, match=r"no stored run '01_nope' .* stored: none"):
        records.load("01_nope")
    store()
    with pytest.raises(
        RecordError, match=r"stored: 01_test\. Make it with: python -m scripts.execute 03 -p PROFILE laptop"
    ):
        records.show("03_nope", caption="c", alt="a")


def test_a_damaged_record_says_so(folder):
    store()
    (folder / "01_test" / "record.json").write_text("{", encoding="utf-8")
    with pytest.raises(RecordError, match="record.json .*damaged.*Make it again with: python -m scripts.execute 01"):
        records.load("01_test")
    assert records.missing("01_test", profile="laptop", seed=3)


def test_the_config_may_be_a_dict_or_nothing(folder):
    with records.run("01_a", profile="laptop", seed=0, config={"steps": 3, "path": folder}):
        pass
    with records.run("01_b", profile="laptop", seed=0):
        pass
    assert records.load("01_a").config == {"steps": 3, "path": str(folder)}
    assert records.load("01_b").config == {}


def test_the_folder_is_the_repositorys():
    assert records.results_folder().parts[-2:] in (("data", "results"), ("_data", "results"))


def test_every_committed_record_can_be_shown():
    """Every record in data/results has all the fields and WebP pictures that `run` writes."""
    for path in records.results_folder().rglob("record.json"):
        stored = json.loads(path.read_text(encoding="utf-8"))
        optional = {"claims", "reduced", "digest", "inputs"}  # newer than the first records
        assert set(stored) | optional == set(records.Record.__dataclass_fields__), path
        assert stored["name"] == path.parent.name
        record = records.load(path.parent.name, profile=stored["profile"])
        assert (path.parents[1].name == "paper") == (record.profile == "paper"), path
        assert record.profile in ("laptop", "paper"), f"{path}: a quick run decides nothing"
        if record.images:
            shown = records.show(record.name, profile=record.profile, caption="c", alt="a")
            assert "data:image/webp" in shown._repr_html_()
        assert {file.name for file in path.parent.iterdir()} == {"record.json", *stored["images"].values()}


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux can reset the peak")
def test_peak_memory_is_that_of_the_run_alone(folder):
    large = torch.ones(100_000_000)  # 0.4 GB, freed again
    before = provenance.peak_memory_gb()
    del large
    with records.run("01_x", profile="laptop", seed=0) as run:
        held = torch.ones(25_000_000)
    assert run.peak_memory_gb < before - 0.2
    with records.run("01_x", profile="laptop", seed=0) as run:
        larger = torch.ones(75_000_000)
    assert run.peak_memory_gb > 0.3
    assert len(held) < len(larger)


# --- measurements for the ledger
@pytest.fixture
def claim(monkeypatch):
    """The one claim of the list."""
    row = registry.Claim(
        "a.b", "p", "It falls.", "w", "D", chapter="04", record="01_test", measure="m", holds="`low` < `high`",
        cases="2 seeds", refuted="r",
    )  # fmt: skip
    monkeypatch.setattr(registry, "load", lambda: {"a.b": row})
    return row


def test_a_run_keeps_its_measurements_with_the_digest_of_the_rule(folder, claim):
    with records.run("01_test", profile="laptop", seed=0) as run:
        low = [torch.tensor(0.25), 1]
        run.claim("a.b", {"low": low, "high": (2, 3), "beside": [7, 8]}, over="pairs", cases=("seed 0", "seed 1"))
    assert records.load("01_test").claims == {
        "a.b": {
            "rule": claim.digest,
            "over": "pairs",
            "cases": ["seed 0", "seed 1"],
            "values": {"low": [0.25, 1.0], "high": [2.0, 3.0], "beside": [7.0, 8.0]},
        }
    }


@pytest.mark.parametrize(
    ("values", "cases"),
    [
        ({}, ()),
        ({"low": [], "high": []}, ()),
        ({"low": [1.0, 2.0], "high": [2.0]}, ()),
        ({"low": [1.0, 2.0], "high": [2.0, 3.0]}, ("seed 0",)),
        ({}, ("seed 0",)),
    ],
)
def test_there_must_be_one_number_per_case_under_every_name(claim, values, cases):
    run = records.Record("01_test", "laptop", 0, {})
    with pytest.raises(
        (RecordError, registry.ClaimError), match="one number per case under every name|needs low, high"
    ):
        run.claim("a.b", values, cases=cases)
    assert run.claims == {}


def test_a_measurement_needs_a_claim_and_the_numbers_of_its_rule(claim):
    run = records.Record("01_test", "laptop", 0, {})
    with pytest.raises(registry.ClaimError, match="there is no claim 'a.c'"):
        run.claim("a.c", {"low": [1.0], "high": [2.0]})
    with pytest.raises(registry.ClaimError, match="needs high; measured: low, hihg"):
        run.claim("a.b", {"low": [1.0], "hihg": [2.0]})
    assert run.claims == {}


def test_a_run_stores_a_measurement_that_does_not_support_the_claim_all_the_same(folder, claim):
    with records.run("01_test", profile="laptop", seed=0) as run:
        run.claim("a.b", {"low": [3.0, 3.0], "high": [1.0, 2.0]})
    assert records.load("01_test").claims["a.b"]["values"]["low"] == [3.0, 3.0]
