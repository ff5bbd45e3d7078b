"""The benchmark of painted clips: scores mean what they say, and the record has the numbers of its rules."""

from pathlib import Path

import pytest
import torch

from benchmarks import video_scores
from benchmarks.video_scores import ALONE, EVERYWHERE, LONG, MASKED, Scale
from course_lib.flow import warp
from course_lib.teaching import records, registry

SCALE = Scale(size=(48, 64), length=6)


def test_the_four_ways_differ_in_one_thing_at_a_time() -> None:
    configs = {name: video_scores.config_of(name, 0) for name in video_scores.OPTIMIZED}
    assert configs[ALONE].temporal_weight == 0 < configs[MASKED].temporal_weight
    assert configs[EVERYWHERE] == configs[MASKED]  # they differ in the mask of the motion
    assert (configs[MASKED].past, configs[LONG].past) == ((1,), video_scores.LAPTOP.past)
    motion = video_scores.clip(0, SCALE).motion(1, 0)
    assert 0 < motion.visible.mean() < 1
    assert (video_scores.everywhere(motion).visible == 1).all()


@pytest.mark.parametrize("seed", range(len(video_scores.CASES)))
def test_the_flower_hides_something_that_comes_back(seed: int) -> None:
    made = video_scores.clip(seed)
    assert all(0.02 < 1 - made.motion(t, t - 1).visible.mean() < 0.2 for t in range(1, len(made)))
    assert video_scores.returned(made.frames, made) < 0.01  # the photo itself: not NaN, and nearly the same


def test_what_came_back_is_compared_with_the_latest_frame_that_showed_it() -> None:
    made = video_scores.clip(0, SCALE)
    frames = torch.stack([torch.full((3, *SCALE.size), 0.1 * t) for t in range(len(made))])
    # gray rises by 0.1 a frame, so the square of a pixel last seen k frames ago is 0.01 k²
    squares = count = 0.0
    for t in range(2, len(made)):
        left = 1 - made.motion(t, t - 1).visible
        for k in range(2, t + 1):
            visible = left * made.motion(t, t - k).visible
            squares, count = squares + 0.01 * k * k * float(visible.sum()), count + float(visible.sum())
            left = left - visible
    assert count > 0
    assert video_scores.returned(frames, made) == pytest.approx(squares / count, rel=1e-4)


@pytest.mark.real_weights
def test_what_was_hidden_is_scored_there_only() -> None:
    made = video_scores.clip(0, SCALE)
    assert video_scores.hidden_content(made.frames, made) == pytest.approx(0, abs=1e-9)
    ghosts = [made.frame(0)]
    for t in range(1, len(made)):
        ghosts.append(warp(ghosts[-1], made.motion(t, t - 1).flow))  # the flower is smeared over what it uncovers
    assert video_scores.hidden_content(torch.cat(ghosts), made) > 0.05


@pytest.mark.real_weights
def test_a_record_has_the_numbers_of_its_rules(tmp_path: Path) -> None:
    seeds = range(len(video_scores.CASES))
    scale = Scale(size=(40, 56), length=4, first_steps=2, steps=1, past=(1, 2), folder=tmp_path, device="cpu")
    for name in video_scores.RUNS:
        video_scores.make(name, 0, scale)
        first = video_scores.file_of(name, 0, scale)
        for seed in seeds[1:]:  # they would tell no more
            video_scores.file_of(name, seed, scale).write_bytes(first.read_bytes())
            for picture in first.parent.glob(f"{first.stem}.*.png"):
                (tmp_path / picture.name.replace("_0.", f"_{seed}.")).write_bytes(picture.read_bytes())
    run = records.Record(video_scores.RECORD, "laptop", 0, {})
    video_scores.store(run, seeds, scale)
    decided = {claim.id: claim for claim in registry.load().values() if claim.record == video_scores.RECORD}
    assert set(run.claims) == set(decided)
    for claim_id, claim in decided.items():
        values = run.claims[claim_id]["values"]
        assert {*registry.Expression(claim.holds).names, *registry.Expression(claim.effect).names} <= {*values}
        assert {len(series) for series in values.values()} == {claim.count}
    assert run.values["change"][video_scores.STABLE][0] < run.values["change"][video_scores.PAINTER][0]
    assert len(run.values["trace"]) == len(run.values["gain"]) == len(video_scores.PAINTERS)
