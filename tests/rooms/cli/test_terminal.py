"""Messages in the words of the command line, terminals with few letters, and Ctrl-C before anything has begun."""

import os
import signal
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from course_lib.__main__ import main
from course_lib.cli.terminal import in_options
from course_lib.images import save_image
from course_lib.methods import johnson, super_resolution

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("a.png is bad.", "a.png is bad."),
        ("/tmp/device=x/a.png is bad; use another.", "/tmp/device=x/a.png is bad; use another."),
        (
            "a picture of 9×9 px needs 3 GB: 5 px fit; a smaller history_size or optimizer='adam' needs less",
            "a picture of 9×9 px needs 3 GB: 5 px fit",
        ),
        ("It broke; try precision='float32' or a smaller learning_rate", "It broke"),
        (
            "It broke; try a smaller learning_rate, precision='float32', or a smaller weight on that term",
            "It broke; try a smaller weight on that term",
        ),
        ("It broke; try precision='float32'. The last picture stays.", "It broke; The last picture stays."),
        (
            "a.png does not exist. Check it. For the project's own, use sample_image(name).",
            "a.png does not exist. Check it.",
        ),
        ("It is too large. Use device='cpu' or tile=64.", "It is too large. Use --device cpu or --tile 64."),
        ("relu5_1 needs 16 px, got 2×24; use a larger image or shallower layers", "relu5_1 needs 16 px, got 2×24"),
        ("weights are too large; try style_weight=5", "weights are too large; try --style-weight 5"),
        ("Values are off. Read files with load_image, or divide by 255.", "Values are off."),
    ],
)
def test_advice_that_a_command_cannot_follow_is_left_out(message, said):
    assert in_options(message, Namespace(device="auto", tile=None, style_weight=None, size=None)) == said


def tiny(tmp_path):
    config = super_resolution.Config(width=0.1, num_blocks=1, weights=None, device="cpu", factor=2)
    super_resolution.save(
        super_resolution.Model(super_resolution.build(config), config, {}), tmp_path / "net.safetensors"
    )
    save_image(torch.zeros(1, 3, 8, 8), tmp_path / "a.png")
    return [
        "upscale",
        str(tmp_path / "a.png"),
        "-o",
        str(tmp_path / "b.png"),
        "--model",
        str(tmp_path / "net.safetensors"),
    ]


def program(*words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "course_lib", *words],
        capture_output=True, cwd=ROOT, env={**os.environ, **environment}, check=False,
    )  # fmt: skip


def test_a_terminal_that_knows_only_ascii(tmp_path):
    done = program(*tiny(tmp_path), PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert b"16 x 16 px in " in done.stdout
    assert b"Traceback" not in done.stderr


def test_ctrl_c_while_pytorch_is_imported(tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise KeyboardInterrupt\n")  # in place of the real one
    done = program("models", PYTHONPATH=str(tmp_path))
    assert done.returncode == 130
    assert done.stderr == b"course_lib: stopped.\n"


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="no pipes of that kind")
def test_a_reader_that_goes_away_is_no_error():
    command = f"{sys.executable} -m course_lib ledger | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, cwd=ROOT, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "0"


def test_too_small_a_picture_is_named_in_pixels(tmp_path, capsys):
    config = johnson.Config(width=0.1, num_blocks=1, weights=None, device="cpu")
    johnson.save(johnson.Model(johnson.build(config), config, {}), tmp_path / "net.safetensors")
    save_image(torch.zeros(1, 3, 1, 200), tmp_path / "thin.png")
    words = [
        "stylize",
        str(tmp_path / "thin.png"),
        "-o",
        str(tmp_path / "b.png"),
        "--model",
        str(tmp_path / "net.safetensors"),
    ]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "sides of at least 8 px" in said
    assert "(1, 3" not in said
    assert "(N, 3" not in said


def test_every_exit_code(tmp_path, capsys, monkeypatch):
    words = tiny(tmp_path)
    assert main(words) == 0
    assert main([*words[:3], str(tmp_path / "nowhere" / "b.png"), *words[4:]]) == 2
    monkeypatch.setattr(super_resolution, "upscale", lambda *a, **k: signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert main(words) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err.endswith("course_lib: stopped.\n")
