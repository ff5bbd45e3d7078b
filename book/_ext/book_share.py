"""What a published copy says about itself: descriptions, cards for shared links, sitemap, robots.txt, a page for 404.

Everything follows from one setting, repository.url in _config.yml: GitHub Pages serves https://github.com/OWNER/NAME at
https://OWNER.github.io/NAME/.
"""

import html
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from docutils import nodes
from sphinx.application import Sphinx

CARD = ("_static/og.jpg", 1200, 630, "A castle, a woodcut of a wave, and the castle in the manner of the woodcut")
LONGEST = 200  # characters of a description
NOT_SEARCHED = {"search", "genindex", "py-modindex", "404"}
HERE = Path(__file__).resolve().parent


def site_address(repository: str) -> str:
    """Where GitHub Pages serves this repository.

    Raises:
        ValueError: not the address of a repository on GitHub.
    """
    found = re.fullmatch(r"https://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?", repository)
    if found is None:
        raise ValueError(f"repository.url in _config.yml must be https://github.com/OWNER/NAME, not {repository!r}")
    owner, name = found[1].lower(), found[2]
    return f"https://{owner}.github.io/" + ("" if name.lower() == f"{owner}.github.io" else f"{name}/")


def description(tree: nodes.document | None) -> str:
    """The page's first paragraphs as plain text, cut at a word."""
    if tree is None:
        return ""
    words: list[str] = []
    for paragraph in tree.findall(nodes.paragraph):
        if isinstance(paragraph.parent, nodes.section | nodes.document):
            words += re.sub(r"\[[^\]]*\]", "", paragraph.astext()).split()
            if sum(map(len, words)) > LONGEST / 3:
                break
    text = " ".join(words)
    if text.startswith("The claim. "):
        text = text.removeprefix("The claim. ")
    if len(text) <= LONGEST:
        return text
    return text[: LONGEST - 2].rsplit(" ", 1)[0].rstrip(",;:–") + " …"


def tags(title: str, text: str, address: str, site: str, name: str) -> str:
    """The tags that search machines and messengers read."""
    card, width, height, alt = CARD
    pairs = [
        ("og:type", "website" if address == site else "article"),
        ("og:site_name", name),
        ("og:title", title),
        ("og:description", text),
        ("og:url", address),
        ("og:image", site + card),
        ("og:image:width", str(width)),
        ("og:image:height", str(height)),
        ("og:image:alt", alt),
    ]
    lines = [f'<meta property="{key}" content="{html.escape(value)}" />' for key, value in pairs if value]
    if text:
        lines.insert(0, f'<meta name="description" content="{html.escape(text)}" />')
    return "\n".join([*lines, '<meta name="twitter:card" content="summary_large_image" />'])


def set_address(app: Sphinx, config: Any) -> None:
    config.html_baseurl = site_address(config.html_theme_options["repository_url"])


def describe(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: nodes.document | None) -> None:
    site, name = app.config.html_baseurl, app.config.html_title
    title = re.sub(r"<[^>]*>", "", html.unescape(context.get("title") or name))
    found = tags(title, description(tree), f"{site}{page}.html", site, name)
    up = "../" * page.count("/")
    icons = (
        f'<link rel="icon" type="image/png" sizes="32x32" href="{up}_static/favicon-32.png" />\n'
        f'<link rel="apple-touch-icon" href="{up}_static/apple-touch-icon.png" />'
    )
    context["metatags"] = f"{context.get('metatags', '')}\n{found}\n{icons}\n"


def write_around(app: Sphinx, problem: Exception | None) -> None:
    """The files beside the pages: first page, 404, sitemap, robots.txt."""
    if problem is not None or app.builder.format != "html":
        return
    out, site, name = Path(app.outdir), app.config.html_baseurl, app.config.html_title
    first = app.config.root_doc
    text = description(app.env.get_doctree(first))
    # A link to the bare address must have its card too, and not everybody who fetches it follows to the first page.
    (out / "index.html").write_text(
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8" />\n<title>{html.escape(name)}</title>\n'
        f'<meta http-equiv="Refresh" content="0; url={first}.html" />\n'
        f'<link rel="canonical" href="{site}{first}.html" />\n'
        f"{tags(name, text, site, site, name)}\n</head>"
        f'<body><p><a href="{first}.html">{html.escape(name)}</a></p></body></html>\n',
        encoding="utf-8",
    )
    chapters = "".join(
        f'<li><a href="BASE{page}.html">{html.escape(app.env.titles[page].astext())}</a></li>'
        for page in sorted(app.env.titles)
        if page.startswith("notebooks/") and page.count("/") == 1
    )
    lost = (HERE / "404.html").read_text(encoding="utf-8").replace("CHAPTERS", chapters)
    lost = lost.replace("FIRST", first).replace("TITLE", html.escape(name)).replace("BASE", urlsplit(site).path)
    (out / "404.html").write_text(lost, encoding="utf-8")
    pages = sorted(page for page in app.env.found_docs if page not in NOT_SEARCHED)
    entries = "".join(f"<url><loc>{html.escape(site + page)}.html</loc></url>\n" for page in pages)
    (out / "sitemap.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
        f"{entries}</urlset>\n",
        encoding="utf-8",
    )
    (out / "robots.txt").write_text(f"User-agent: *\nAllow: /\nSitemap: {site}sitemap.xml\n", encoding="utf-8")
    (out / ".nojekyll").touch()  # GitHub would leave out folders that begin with _


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("config-inited", set_address)
    app.connect("html-page-context", describe, priority=950)
    app.connect("build-finished", write_around, priority=700)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
