"""The numbers of the page that paints in the browser, from its stored runs: `{tried}`, `{try-it-times}`."""

import html
import json
import os
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

ROOT = Path(os.environ.get("COURSE_LIB_ROOT") or Path(__file__).resolve().parents[2])
RECORD = ROOT / "data" / "results" / "try_it" / "record.json"
DUSK = ROOT / "data" / "results" / "try_it_dusk" / "record.json"  # the panel of streets at dusk
TRAINED = ROOT / "data" / "results" / "model_clear_dusk" / "record.json"  # how its network was made, and its errors
NOISE = ROOT / "data" / "results" / "try_it_noise" / "record.json"  # the panel of streets from noise
STREETS = ROOT / "data" / "results" / "model_streets" / "record.json"  # how the network of streets from noise was made
CAMERA = ROOT / "data" / "results" / "try_camera" / "record.json"  # the panel that paints live
UNMEASURED = "(not measured yet)"
SKETCH_SIDE = 128  # pixels of what the sketcher sees


def record(file: Path = RECORD) -> dict[str, Any]:
    """A stored run, empty where there is none yet."""
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def milliseconds(value: float) -> str:
    return f"{value / 1000:.1f} s" if value >= 950 else f"{value:.2g} ms" if value < 10 else f"{value:.0f} ms"


def megabytes(value: float) -> str:
    return f"{value / 1e6:.2g} MB" if value < 1e7 else f"{value / 1e6:.1f} MB"


def facts() -> dict[str, str]:
    """Every number of the page by the name that `{tried}` knows it by."""
    stored = record()
    if not stored:
        return {}
    values = stored["values"]
    painter = json.loads((RECORD.parents[1] / "model_great_wave" / "record.json").read_text(encoding="utf-8"))
    found = {
        "runtime": values["runtime"],
        "browser": values["browser"],
        "device": stored["device"],
        "program": megabytes(values["program bytes"]),
        "unpacked": megabytes(values["program bytes unpacked"] + values["painter bytes"]["8"]),
        "painter": megabytes(values["painter bytes"]["8"]),
        "painter 16": megabytes(values["painter bytes"]["16"]),
        "painter 32": megabytes(values["painter bytes"]["32"]),
        "sketcher": megabytes(values["sketcher bytes"]["8"]),
        "first fetch": megabytes(values["program bytes"] + values["painter bytes"]["8"]),
        "parameters": f"{painter['values']['parameters']:,}",
        "load": milliseconds(values["ms to load"]),
        "sketch": milliseconds(values["ms"]["sketch"]),
        "sketch ratio": f"{values['ratio']['sketch']:.2g}",
    }
    for size, ms in values["ms"].items():
        found |= {f"ms {size}": milliseconds(ms), f"ratio {size}": f"{values['ratio'][size]:.2g}"}
        found[f"torch {size}"] = milliseconds(values["ms of PyTorch"][size])
    found |= {f"dB {name}": f"{number:.0f} dB" for name, number in values["dB"].items()}
    found |= any_facts(values) | dusk_facts() | noise_facts() | camera_facts()
    return {name: str(value) for name, value in found.items()}


def any_facts(values: dict[str, Any]) -> dict[str, str]:
    """Those of the panel that takes any painting."""
    size = values["any bytes"]
    found = {f"any {part}": megabytes(size[part]["8"]) for part in ("encoder", "decoder")}
    found["program with WebGPU"] = megabytes(values["program bytes with WebGPU"])
    for bits in ("8", "32"):
        found[f"any both {bits}"] = megabytes(size["encoder"][bits] + size["decoder"][bits])
    for side, ms in values["any ms"].items():
        theirs = values["any ms of PyTorch"][side]
        found |= {f"ms any {side}": milliseconds(ms), f"torch any {side}": milliseconds(theirs)}
        found |= {
            f"ratio any {side}": f"{ms / theirs:.2g}",
            f"ms slider {side}": milliseconds(values["any ms of a slider"][side]),
        }
    return found


def dusk_facts() -> dict[str, str]:
    """Those of the panel that turns a street to dusk; nothing while its run is missing."""
    stored, trained = record(DUSK), record(TRAINED)
    if not stored:
        return {}
    values, errors = stored["values"], trained["values"]["error"]
    return {
        **{f"translator {bits}": megabytes(size) for bits, size in values["bytes"].items()},
        **{f"dB translator {way}": f"{ratio:.0f} dB" for way, ratio in values["dB"].items()},
        "ms translator": milliseconds(values["ms"]),
        "torch translator": milliseconds(values["ms of PyTorch"]),
        "ratio translator": f"{values['ratio']:.2g}",
        "translator minutes": f"{trained['minutes']:.0f}",
        "translator pixels": str(trained["config"]["image_size"]),
        "translator scenes": f"{trained['values']['photos']:,}",
        "translator unseen": str(len(trained["values"]["error of each street"]["CycleGAN"])),
        "translator error": f"{errors['CycleGAN']:.3f}",
        "translator error back": f"{trained['values']['error back']['CycleGAN']:.3f}",
        "color transfer error": f"{errors['color transfer']:.3f}",
        "error as it is": f"{errors['as it is']:.3f}",
    }


def noise_facts() -> dict[str, str]:
    """Those of the panel that makes streets from noise; nothing while its run is missing."""
    measured, stored = record(NOISE), record(STREETS)
    if not measured:
        return {}
    values = measured["values"]
    return {
        **{f"noise {bits}": megabytes(size) for bits, size in values["bytes"].items()},
        **{f"dB noise {bits}": f"{ratio:.0f} dB" for bits, ratio in values["dB"].items()},
        "ms noise": milliseconds(values["ms"]),
        "torch noise": milliseconds(values["ms of PyTorch"]),
        "ratio noise": f"{values['ratio']:.2g}",
        "noise minutes": f"{stored['minutes']:.0f}",
        "noise parameters": f"{stored['values']['parameters']:,}",
        "noise scenes": f"{stored['values']['photos']:,}",
        "noise pixels": str(stored["config"]["image_size"]),
        "noise numbers": str(stored["config"]["z_size"]),
    }


def camera_facts() -> dict[str, str]:
    """Those of the panel that paints live; nothing while its run is missing."""
    stored = record(CAMERA)
    if not stored:
        return {}
    values, found = stored["values"], {}
    for size, fps in values["fps"].items():
        found |= {f"fps {which} {size}": f"{number:.1f}" for which, number in fps.items()}
        found |= {
            f"flicker {which} {size}": f"{1e4 * one:.2f} · 10⁻⁴" for which, one in values["flicker"][size].items()
        }
    return found | {
        "camera device": stored["device"],
        "camera noise": f"{stored['config']['sigma']:g}",
        "camera load": f"{values['load']:.0f}",
        "camera cores": str(values["cores"]),
    }


def tried(
    name: str, raw: str, text: str, line: int, inliner: Any, options: Any = None, content: Any = None
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    """`` {tried}`ms 512` ``: a number of the stored run."""
    for file in (RECORD, DUSK, TRAINED, NOISE, STREETS, CAMERA):
        inliner.document.settings.env.note_dependency(str(file))
    known, text = facts(), " ".join(text.split())
    if known and text not in known:
        message = inliner.reporter.error(f"the stored run try_it has no {text!r}; it has {', '.join(known)}", line=line)
        return [inliner.problematic(raw, raw, message)], [message]
    return [nodes.inline("", known.get(text, UNMEASURED), classes=["tried"])], []


class Times(Directive):
    """`{try-it-times}`: the table of what was measured."""

    def run(self) -> list[nodes.Node]:
        for file in (RECORD, DUSK, NOISE):
            self.state.document.settings.env.note_dependency(str(file))
        known, stored = facts(), record()
        if not known:
            text = "Nothing was measured yet: <code>python -m benchmarks.try_it --record</code> does it."
            return [nodes.raw("", f"<p>{text}</p>", format="html")]
        rows = [(f"a painter, {size} px", size) for size in ("256", "512", "1024")]
        rows += [(f"any painting, {side} px", f"any {side}") for side in stored["values"]["any ms"]]
        rows.append((f"from sketch to street, {SKETCH_SIDE} px", "sketch"))
        made_by = f"<code>{html.escape(stored['command'])}</code>"
        for file, word, key in ((DUSK, "from day to dusk", "translator"), (NOISE, "a street from noise", "noise")):
            if own := record(file):
                rows.append((f"{word}, {known[f'{key} pixels']} px", key))
                made_by += f", the row “{word}” by <code>{html.escape(own['command'])}</code>"
                made_by += f" in {html.escape(own['values']['browser'])}" * (
                    own["values"]["browser"] != known["browser"]
                )
        cells = "".join(
            f'<tr><th scope="row">{word}</th><td>{known[f"ms {key}"]}</td><td>{known[f"torch {key}"]}</td>'
            f"<td>{known[f'ratio {key}']}</td></tr>"
            for word, key in rows
        )
        note = html.escape(
            f"Medians. {known['browser']}, onnxruntime-web {known['runtime']} and torch {stored['versions']['torch']}, "
            f"one thread each, taking turns on one machine ({known['device']}). Before the first picture: "
            f"{known['load']} to fetch {known['first fetch']} from the same machine, unpack it to {known['unpacked']} "
            "and start. "
        )
        table = (
            '<figure class="table tried-times"><table><thead><tr><th scope="col">one pass of</th>'
            '<th scope="col">this page</th><th scope="col">PyTorch</th><th scope="col">ratio</th></tr></thead>'
            f"<tbody>{cells}</tbody></table><figcaption>{note}Made by {made_by}.</figcaption></figure>"
        )
        return [nodes.raw("", table, format="html")]
