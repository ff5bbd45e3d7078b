"""What decides the claims: one function for each stored run. Live cells and stored runs call the same one.

Each function takes *one case* and returns a `Measured`: numbers under the names that the rules in ``data/claims.yml``
use, and the pictures they were read from. `take` calls a function for all cases that the list of claims asks for.

The functions share their arguments. ``photo`` and ``painting`` are pictures (1, 3, H, W) in [0, 1]; ``size`` is the
long side, in pixels, of pictures that a function loads itself; ``steps`` is the number of iterations, one evaluation of
loss and gradient each; ``seed`` is the seed of the noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from itertools import product
from typing import Any

from course_lib import samples
from course_lib.teaching import records, registry
from course_lib.teaching.measures import (
    any_style,
    choices,
    control,
    domain,
    exact,
    faces,
    iterations,
    label,
    memorizing,
    painters,
    photographs,
    sets,
    several_styles,
    spike,
    unpaired,
    winners,
)
from course_lib.teaching.measures.cases import (
    BLENDS,
    FACES,
    LIGHTS,
    MASKED,
    MIXED,
    NEW_PAINTINGS,
    PAINTERS,
    PAINTINGS,
    PAIRS,
    PHOTOGRAPHS,
    SIDES,
    STREETS,
    TEXTURES,
)
from course_lib.teaching.measures.measured import Measured as Measured

PREFIX = "measured_"  # of the stored runs' names
MEASURES: dict[str, Callable[..., Measured]] = {
    function.__name__: function
    for function in (
        *(choices.content_layer, choices.style_layers, choices.ratio, choices.strength, choices.starts, choices.prior),
        *(choices.grid, choices.own_pair, iterations.long_run, iterations.printed_costs, iterations.transfer_learning),
        *(exact.style_gradient, exact.rescaling, exact.unbounded, painters.survival, domain.domain),
        *(any_style.alpha, any_style.run_time, several_styles.any_speed, several_styles.near_single),
        *(several_styles.own_style, several_styles.interpolation, several_styles.new_style),
        *(control.color_match, control.colors_kept, control.place, control.fine_style),
        *(photographs.affine, photographs.poisson, photographs.photorealism, photographs.fusion),
        *(photographs.texture, faces.faces, winners.ugly_pictures),
        *(sets.sample_size, sets.disturbed, sets.ugly_sets),
        *(unpaired.hiding, memorizing.memorizing, spike.spike, label.label),
    )
}


def claims_of(name: str) -> list[registry.Claim]:
    """The claims that a measure decides, in the order of the list.

    Args:
        name: of a function in `MEASURES`.

    Raises:
        ClaimError: there are none, or they differ in their cases or conditions.
    """
    found = [claim for claim in registry.load().values() if claim.record == PREFIX + name]
    if not found:
        raise registry.ClaimError(f"no claim is decided by {name!r}; measures: {', '.join(MEASURES)}")
    if any((claim.cases, claim.conditions) != (found[0].cases, found[0].conditions) for claim in found):
        raise registry.ClaimError(f"the claims of {PREFIX + name} differ in their cases or conditions")
    return found


def take(
    name: str,
    *,
    profile: str,
    seed: int = 0,
    say: Callable[[str], object] = print,
    changed: Mapping[str, Any] | None = None,
    reduced: str = "",
    command: str = "",
) -> records.Record:
    """Measure every case that the claims of `name` ask for, and store the run as ``measured_NAME``.

    Args:
        name: of a function in `MEASURES`.
        profile: ``"quick"``, ``"laptop"`` or ``"paper"``: which of the registered conditions; quick takes one case.
        seed: the first of the seeds; the others follow it.
        say: is called after each case with a line of its numbers.
        changed: conditions to change, for a rehearsal; `reduced` must then say so.
        reduced: how the run falls short of its profile, in words.
        command: the command that makes this run; by default ``make verify``.

    Returns:
        The record, as it was stored.

    Raises:
        ClaimError: no such measure, no claim that it decides, or no conditions for this profile; conditions are
            changed and nothing says so; or a quick run would become part of the project.
    """
    if name not in MEASURES:
        raise registry.ClaimError(f"there is no measure {name!r}; there are: {', '.join(MEASURES)}")
    claims = claims_of(name)
    if profile not in claims[0].conditions:
        profiles = ", ".join(claims[0].conditions)
        raise registry.ClaimError(f"{PREFIX + name} has no conditions for the profile {profile!r}, only for {profiles}")
    settings = {**claims[0].conditions[profile], **(changed or {})}
    if settings != claims[0].conditions[profile] and not reduced:
        raise registry.ClaimError(f"{PREFIX + name} under changed conditions must say how it is reduced")
    if profile == "quick" and records.folder_of(PREFIX + name, profile).is_relative_to(records.results_folder()):
        raise registry.ClaimError("a quick run takes one case and decides nothing: set COURSE_LIB_RESULTS to a folder")
    measure = MEASURES[name]
    known = signature(measure).parameters  # only some measures load their own pictures and need the size
    options = [_options(kind, count, seed) for kind, count in claims[0].shape.items()]
    cases = list(product(*options))[: 1 if profile == "quick" else None]
    command = command or f"make verify CLAIM={claims[0].id} PROFILE={profile}"
    with records.run(PREFIX + name, profile=profile, seed=seed, config=settings, command=command) as run:
        columns: dict[str, list[float]] = {}
        labels = []
        for case in cases:
            given = {key: value for part in case for key, value in _read(part, settings)}
            found = measure(**given, **{key: value for key, value in settings.items() if key in known})
            for key, value in found.numbers.items():
                columns.setdefault(key, []).append(value)
            labels.append(", ".join(_label(part) for part in case))
            run.images = run.images or dict(found.images)
            say(f"{labels[-1]}: " + ", ".join(f"{key} {value:.4g}" for key, value in found.numbers.items()))
        for claim in claims:
            run.claim(claim.id, columns, over=" × ".join(claim.shape), cases=labels)
        run.reduced = reduced
    return run


def _options(kind: str, count: int, seed: int) -> list[tuple[str, Any]]:
    """The first `count` values of a kind, each with the kind's name.

    Raises:
        ClaimError: an unknown kind, or more than there are.
    """
    known: Mapping[str, Sequence[Any]] = {
        "pairs": PAIRS,
        "photographs": PHOTOGRAPHS,
        "paintings": PAINTINGS,
        "painters": PAINTERS,
        "blends": BLENDS,
        "new paintings": NEW_PAINTINGS,
        "mixed pairs": MIXED,
        "lights": LIGHTS,
        "painted pairs": PAIRS,
        "masked pairs": MASKED,
        "textures": TEXTURES,
        "faces": FACES,
        "streets": STREETS,
        "sides": SIDES,
        "machines": ("this machine",),
        "seeds": range(seed, seed + count),
    }
    if kind not in known or count > len(known[kind]):
        sizes = ", ".join(f"{name} ({len(values)})" for name, values in known.items() if name != "seeds")
        raise registry.ClaimError(f"cases can be {sizes} and seeds; got {count} {kind}")
    return [(kind, value) for value in known[kind][:count]]


def _read(part: tuple[str, Any], settings: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The arguments that one part of a case stands for; pictures have a long side of ``settings["size"]`` pixels."""
    kind, value = part
    match kind:
        case "pairs" | "mixed pairs" | "lights":
            photo, painting = (samples.sample_image(name, settings["size"]) for name in value)
            return [("photo", photo), ("painting", painting)]
        case "photographs":
            return [("photo", samples.sample_image(value, settings["size"]))]
        case "paintings":
            return [("painting", samples.sample_image(value, settings["size"]))]
        case "painted pairs":
            photo, painting = (samples.sample_image(name, settings["size"]) for name in value)
            return [("photo", photo), ("painting", painting), ("painter", value[1])]
        case "machines":
            return []
        case "masked pairs":
            return [("masked", value)]
    return [(kind.removesuffix("s").replace(" ", "_"), value)]


def _label(part: tuple[str, Any]) -> str:
    kind, value = part
    if kind in ("seeds", "faces", "streets", "sides"):
        return f"{kind.removesuffix('s')} {value}"
    return " and ".join(value) if isinstance(value, tuple) else str(value)
