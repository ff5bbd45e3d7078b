"""The list of the queue of runs at the papers' scale, as the page *Run it at the papers' scale* shows it.

No setup(): book_ledger uses it for `{paper-queue}`.
"""

import html
import json

import paper_runs
from book_local import ROOT
from paper_runs import CARD, section, spell

from course_lib.teaching import records
from scripts.paper_queue.items import NEEDS, Item


def parts() -> dict[str, list[tuple[int, Item]]]:
    """The queue by parts, every item with its place in the queue (from 1)."""
    found: dict[str, list[tuple[int, Item]]] = {}
    for place, item in enumerate(paper_runs.QUEUE, start=1):
        if "datasets" in item.needs:
            part = "Scores on research data sets"
        elif item.trained:
            part = "Networks to train"
        else:
            part = "Chapters" if item.kind == "chapter" else "Time, memory, tests"
        found.setdefault(part, []).append((place, item))
    return found


def shown_on() -> dict[str, str]:
    """The page of every run that a chapter shows: ``03_noise`` → ``notebooks/03_gatys``; its own chapter first."""
    found: dict[str, str] = {}
    for file in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        for name in paper_runs.mentions(sources, file.name[:2]):
            if name not in found or name.startswith(f"{file.name[:2]}_"):
                found[name] = f"notebooks/{file.stem}"
    return found


def queue_list() -> str:
    """The whole queue as HTML: a table for each part, then the runs that no chapter shows."""
    there, pages = made(), shown_on()
    tables = "".join(_table(part, items, there, pages) for part, items in parts().items())
    alone = [record for name, record in there.items() if name not in pages]
    more = "".join(section(record, opened=False, named=True) for record in alone)
    more = f'<p class="part">Runs that no chapter shows</p>{more}' if more else ""
    return f'<div class="queue">{tables}{more}</div>'


def made() -> dict[str, records.Record]:
    """The queue's runs that are there, by name, in the order of the queue."""
    found = {name: records.at_paper_scale(name) for item in paper_runs.QUEUE for name in item.records}
    return {name: record for name, record in found.items() if record is not None}


def state(there: dict[str, records.Record]) -> str:
    """How much of the queue is done, in words."""
    queue = paper_runs.QUEUE
    time = spell(sum(item.seconds for item in queue) / 60)
    whole = f"The queue has {_count(len(queue), 'item')}, about {time} in all on {CARD}"
    if not there:
        return f"{whole}. <b>Nothing of it has been run yet</b>: all times are estimates."
    done = sum(_whole(item, there) for item in queue)
    runs = sum(len(item.records) for item in queue)
    spent = spell(sum(record.minutes for record in there.values()))
    devices = html.escape(", ".join(dict.fromkeys(record.device for record in there.values())))
    many = "All of it has been run" if done == len(queue) else f"{done} of them {'is' if done == 1 else 'are'} done"
    return f"{whole}. <b>{many}</b>: {len(there)} of {runs} runs, in {spent}, on {devices}."


def _whole(item: Item, there: dict[str, records.Record]) -> bool:
    """Whether all runs of an item are there, none of them reduced."""
    return all(name in there and not there[name].reduced for name in item.records)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' if number != 1 else ''}"


def _table(part: str, items: list[tuple[int, Item]], there: dict[str, records.Record], pages: dict[str, str]) -> str:
    seconds = sum(item.seconds for _, item in items)
    done = sum(_whole(item, there) for _, item in items)
    rows = "".join(
        f'<tr><td class="place">{place}</td><td>{_what(item, there, pages)}</td>'
        f'<td class="time">{spell(item.seconds / 60)}</td><td>{_done(item, there)}</td></tr>'
        for place, item in items
    )
    total = f"{_count(len(items), 'item')}, {spell(seconds / 60)}, {done} done"
    return (
        f'<p class="part">{part} <small>{total}</small></p><table class="table"><thead><tr><th scope="col">#</th>'
        '<th scope="col">item</th><th scope="col">about</th><th scope="col">state</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _what(item: Item, there: dict[str, records.Record], pages: dict[str, str]) -> str:
    makes = [_link(name, pages) if name in there else f"<code>{html.escape(name)}</code>" for name in item.records]
    makes += [f"the network <code>{html.escape(name)}</code>" for name in item.models]
    wants = f"; it needs {' and '.join(NEEDS[need][0] for need in item.needs)}" if item.needs else ""
    title = html.escape(item.title[0].upper() + item.title[1:])
    return f"{title}<small><code>{html.escape(item.name)}</code> makes {_list(makes)}{wants}</small>"


def _list(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _link(name: str, pages: dict[str, str]) -> str:
    page = f"../{pages[name]}.html" if name in pages else ""
    return f'<a href="{page}#paper-{html.escape(name, quote=True)}"><code>{html.escape(name)}</code></a>'


def _done(item: Item, there: dict[str, records.Record]) -> str:
    found = [there[name] for name in item.records if name in there]
    if not found:
        return '<span class="left">not run yet</span>'
    devices = html.escape(", ".join(dict.fromkeys(record.device for record in found)))
    text = f"{spell(sum(record.minutes for record in found))}, {devices}"
    cut = "; ".join(dict.fromkeys(record.reduced for record in found if record.reduced))
    text += f"; reduced: {html.escape(cut)}" if cut else ""
    return text if len(found) == len(item.records) else f"{len(found)} of {len(item.records)} runs: {text}"
