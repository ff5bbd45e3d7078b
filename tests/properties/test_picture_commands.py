"""``stylize``, ``upscale``, ``translate`` with any input: right-sized pictures, or a sentence and no trace."""

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from drawn_files import FINE_WORDS, WORDS, WRITTEN, lay_out, mostly_sound, pictures
from hypothesis import given
from hypothesis import strategies as st
from observed_runs import folder, picture_at, run
from PIL import Image

from course_lib.methods import control, deep_photo, gatys

OUTPUTS = (
    "out.png", "out.jpg", "out.jpeg", "out.webp", "OUT.PNG", "täxt ½.png", "~/home.png", "old.png", "old link.png",
    "made/", "there", "there/", "out.gif", "out", "nowhere/out.png", "{input}", "a link to it.png", "there.png",
    f"{'n' * 246}.png", f"{'n' * 251}.png", f"{'n' * 252}.png", f"{'ö' * 130}.png", "old.png/out.png", "/dev/null",
    "/dev/null/out.png", "", ".", "out.png/", "locked.png", "locked/out.png", "locked/", "/proc/out.png",
)  # fmt: skip
SURE_FILES = {*OUTPUTS[:9]} | {f"{'n' * 246}.png", f"{'n' * 251}.png"}
SURE_FOLDERS = {"made/", "there", "there/"}
DEVICES = (None, "cpu", "auto", "cpu:0", "cuda:99", "gpu", "", "CPU", "mps:x")
SIZES = (
    None,
    "8",
    "16",
    "33",
    "48",
    "64",
    "1",
    "7",
    "0",
    "-5",
    "abc",
    "1e3",
    "8.0",
    "１６",
    "1000000",
    "9" * 40,
    "",
    "²",
)
TILES = (None, "8", "17", "64", "1000000000", "1", "0", "-1", "x", "9" * 40, "")
SEEDS = (None, "0", "7", str(2**32 - 1), str(2**32), str(2**64), "-1", "1.5", "x", "9" * 40)
STEPS = (None, "1", "2", "0", "-1", "x", "")
WEIGHTS = (None, "150", "0", "-1", "nan", "inf", "1e-300", "1e300", "x", "")
STARTS = (None, "content", "noise", "style", "mixed", "photo")
ALPHAS = (None, "0", "1", "0.25", "2", "-0.1", "nan", "inf", "x", "")
TRANSFORMS = (None, "adain", "wct", "swap", "swap+adain", "adian", "")
KEPT = ((), ("--keep-colors",), ("--keep-colors", "match"), ("--keep-colors", "luminance"))
SHARES = (None, "1", "0.5", "0", "-1", "nan", "inf", "1e308", "x", "")
WISHED = (None, "1", "0.5", "0", "-1", "nan", "inf", "1e300", "x", "")
MASKS = (None, "old.png", "there.png/mask.png", "there", "locked.png", "none.png", "great_wave", "red", "#090909", "")
LEAST = {"stylize": 8, "upscale": 5, "translate": 1, "optimize": 16, "any style": 17}  # px of a side
FINE = {
    "--device": DEVICES[:4], "--size": SIZES[:6], "--tile": TILES[:5], "--seed": SEEDS[:4], "--steps": STEPS[:3],
    "--style-weight": WEIGHTS[:3], "--start": STARTS[:5], "--alpha": ALPHAS[:4], "--transform": TRANSFORMS[:5],
    "--patches": WISHED[:3], "--photorealistic": WISHED[:3], "--mask": MASKS[:2], "--style-mask": MASKS[:2],
    "--fine-style": MASKS[:2],
}  # fmt: skip


def target_of(output: str, source: str, root: Path) -> str:
    """Prepare the place that `output` means, and return the word for ``-o``."""
    (root / "there").mkdir()
    (root / "there.png").mkdir()
    for name in ("old.png", "old two.png", "locked.png"):
        Image.new("RGB", (3, 2), (9, 9, 9)).save(root / name)
    (root / "old link.png").symlink_to(root / "old two.png")
    (root / "locked").mkdir()
    (root / "locked.png").chmod(0o444)
    (root / "locked").chmod(0o555)
    with suppress(OSError, ValueError):
        (root / "a link to it.png").symlink_to(os.path.expanduser(source))
    if output in ("made/", "there", "there/"):
        return output
    return source if output == "{input}" else output


def expected(verb, drawn, chosen) -> tuple[int, int]:
    """(width, height) of a result."""
    width, height = drawn.shown
    if verb == "upscale":
        return 2 * width, 2 * height
    if (size := chosen.get("--size")) is None and verb != "optimize":
        return width, height
    long = int(size or 256)
    return tuple(max(1, round(long * side / max(width, height))) for side in (width, height))


def try_command(verb, words, kind, drawn, output, chosen, own=(), possible=True):
    """Run a command on pictures in a new folder, and check everything that must hold whatever they are.

    Args:
        verb: of the command line; "optimize" for ``stylize`` without a network, "any style" for it with a painting.
        words: further words of the command.
        kind: one of `WORDS`, how the pictures are named.
        own: a painting.
        possible: whether the further words make sense.
    """
    with folder() as root:
        request = lay_out(kind, drawn, root)
        for painting in own:
            painting.write(root / "style" / painting.name)
            words = [*words, str(root / "style" / painting.name)]
        out = target_of(output, request.words[0], root)
        more = [word for name, value in chosen.items() if value is not None for word in (name, value)]
        done = run(
            [{"optimize": "stylize", "any style": "stylize"}.get(verb, verb), *request.words, *words, "-o", out, *more],
            root,
        )

        several = request.folder or out.endswith("/") or output in ("there", "there.png", ".")
        several |= kind == "pattern" and not Path(out).suffix  # the pattern may match more the next time
        place = Path(os.path.expanduser(out))
        assert done.code == 2 or (out and all(request.words)), done
        targets = {}
        for each, name in request.taken.items():
            if several:
                suffix = Path(name).suffix.lower() in WRITTEN
                targets[each] = place / (name if suffix else f"{name}.png")
            else:
                targets[each] = place
        allowed = {os.path.relpath(os.path.realpath(path), root) for path in targets.values()}
        for path in list(allowed):
            allowed |= {str(above) for above in Path(path).parents}
        assert done.changed <= allowed, (done.changed - allowed, done)

        least = LEAST[verb]
        options_fine = possible and all(value in FINE[name] for name, value in chosen.items())
        fine = {}
        for each in targets:
            known = min(expected(verb, each, chosen)) if options_fine else 0
            before = min(each.shown) if verb != "optimize" else known
            fine[each] = each.sound and (known if verb != "upscale" else before) >= least
        made = {
            each: path
            for each, path in targets.items()
            if os.path.relpath(os.path.realpath(path), root) in done.changed
        }
        for each, path in made.items():
            assert picture_at(path)[0] == WRITTEN[path.suffix.lower()]
            if each.sound:
                assert picture_at(path)[1] == expected(verb, each, chosen), (each, done)
        assert done.code != 0 or len(made) == len(set(map(os.path.realpath, targets.values()))), (done, targets)
        painted = (
            all(each.sound and min(expected(verb, each, chosen if verb == "optimize" else {})) >= least for each in own)
            if options_fine
            else False
        )
        sure = options_fine and request.sure and (output in SURE_FOLDERS if several else output in SURE_FILES)
        if sure and all(fine.values()) and (painted or not own) and len(set(targets.values())) == len(targets):
            assert done.code == 0, done
        return done


@st.composite
def cases(draw, least=1, size=(), **choices):
    """(kind of word, pictures, word after ``-o``, options): mostly at most one of them is faulty."""
    faulty = draw(st.sampled_from(("", "", "picture", "word", "output", "option", "any")))
    kinds = WORDS if faulty in ("word", "any") else FINE_WORDS
    kind = draw(st.sampled_from(kinds))
    several = kind in ("folder", "folders", "pattern", "two files")
    drawn = draw(
        st.lists(pictures(least, sound=faulty not in ("picture", "any")), min_size=1, max_size=3 if several else 1)
    )
    fine = sorted(SURE_FOLDERS if several or draw(st.integers(0, 4)) == 0 else SURE_FILES)
    output = draw(st.sampled_from(OUTPUTS if faulty in ("output", "any") else fine))
    every = {f"--{word.replace('_', '-')}": some for word, some in choices.items()} | (
        {"--size": SIZES} if size else {}
    )
    odd = draw(st.sampled_from(sorted(every))) if faulty in ("option", "any") and every else ""
    fine_options = {**FINE, "--size": size}
    options = {name: draw(st.sampled_from(some if name == odd else fine_options[name])) for name, some in every.items()}
    return kind, drawn, output, options


@given(cases(8, size=SIZES[:6], tile=TILES, device=DEVICES), st.sampled_from(KEPT))
def test_stylize_with_a_network(model_files, case, kept):
    try_command("stylize", [*kept, "--model", str(model_files["stylize"])], *case)


@given(cases(8, size=SIZES[:6], tile=TILES, device=DEVICES), st.sampled_from(SHARES), st.sampled_from(SHARES))
def test_stylize_by_name(model_files, case, first, second):
    words = ["--model", str(model_files["several styles"]), "--style", "style 0", "--style", "style 1"]
    shares = [share for share in (first, second) if share is not None]
    possible = len(shares) != 1 and all(share in SHARES[1:4] for share in shares) and shares != ["0", "0"]
    words += ["--weights", *shares] if shares else []
    done = try_command("stylize", words, *case, possible=possible)
    assert possible or "1e308" in shares or done.code == 2, done  # a huge weight is one, twice it is not


@given(
    cases(17, size=SIZES[3:6], tile=TILES, device=DEVICES, alpha=ALPHAS, transform=TRANSFORMS), mostly_sound(17),
    st.sampled_from(KEPT),
)  # fmt: skip
def test_stylize_like_any_painting(model_files, case, painting, kept):
    words = [*kept, "--model", str(model_files["any style"])]
    try_command("any style", words, *case, own=[painting])


@given(cases(5, tile=TILES, device=DEVICES))
def test_upscale(model_files, case):
    try_command("upscale", ["--model", str(model_files["upscale"])], *case)


@given(cases(size=SIZES[:6], seed=SEEDS, device=DEVICES), st.booleans())
def test_translate(model_files, case, pencil):
    try_command("translate", ["--model", str(model_files["translate"]), *["--pencil"] * pencil], *case)


@pytest.fixture(scope="module")
def small_loss_network():
    """Random weights in place of the pretrained ones."""
    with pytest.MonkeyPatch.context() as patch:
        for method in (gatys, control, deep_photo):
            patch.setattr(method, "stylize", with_random_weights(method.stylize))
        patch.setattr(control, "with_fine_style", with_random_weights(control.with_fine_style))
        yield


def with_random_weights(original):
    def call(content, style, config, **more):
        return original(content, style, replace(config, weights=None, precision="float32"), **more)

    return call


@given(
    cases(16, size=("48", "64"), steps=STEPS, style_weight=WEIGHTS, start=STARTS, seed=SEEDS, device=DEVICES),
    mostly_sound(16),
)  # fmt: skip
def test_stylize_by_optimization(small_loss_network, case, painting):
    kind, drawn, output, chosen = case
    chosen = {**chosen, "--size": chosen["--size"] or "16", "--steps": chosen["--steps"] or "1"}
    try_command("optimize", [], kind, drawn, output, chosen, own=[painting])


@given(
    cases(32, size=("48", "64"), patches=WISHED, photorealistic=WISHED, mask=MASKS, style_mask=MASKS, fine_style=MASKS),
    mostly_sound(32), st.sampled_from(KEPT),
)  # fmt: skip
def test_stylize_with_a_say_in_color_place_and_scale(small_loss_network, case, painting, kept):
    kind, drawn, output, chosen = case
    chosen = {**chosen, "--size": chosen["--size"] or "32"}
    words = [*kept, "--steps", "1", "--device", "cpu"]
    try_command("optimize", words, kind, drawn, output, chosen, own=[painting], possible=False)


@given(
    st.binary(max_size=300), st.sampled_from(("stylize", "upscale", "translate")), st.integers(0, 400), st.booleans()
)
def test_a_damaged_model_file(model_files, data, verb, place, whole):
    if not whole:
        good = model_files[verb].read_bytes()
        data = good[:place] + data + good[place + len(data) :]
    with folder() as root:
        Image.new("RGB", (16, 16), (40, 90, 200)).save(root / "photo.png")
        (root / "mine.safetensors").write_bytes(data)
        run([verb, "photo.png", "--model", "mine.safetensors", "-o", "out.png", "--device", "cpu"], root)
