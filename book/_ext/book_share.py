"""What a published copy says about itself: descriptions, the first page's card, robots.txt, what the page for 404 says.

Everything follows from one setting, repository.url in _config.yml: GitHub Pages serves https://github.com/OWNER/NAME at
https://OWNER.github.io/NAME/. sphinxext-opengraph makes the cards of shared links, sphinx-sitemap the site map, and
sphinx-notfound-page the frame of the page for 404; their settings stand in _config.yml.
"""

import html
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from docutils import nodes
from sphinx.application import Sphinx

LONGEST = 200  # characters of a description
CARD_TAG = re.compile(r'<meta (?:name="description"|name="twitter:|property="og:)[^>]*>')


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


def set_address(app: Sphinx, config: Any) -> None:
    site = site_address(config.html_theme_options["repository_url"])
    config.html_baseurl = config.ogp_site_url = site
    config.notfound_urls_prefix = urlsplit(site).path


def describe(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: nodes.document | None) -> None:
    """The page's icons, and its description in place of sphinxext-opengraph's, which cuts within a word."""
    lines = [
        f'<link rel="icon" type="image/png" sizes="32x32" href="{context["pathto"]("_static/favicon-32.png", 1)}" />',
        f'<link rel="apple-touch-icon" href="{context["pathto"]("_static/apple-touch-icon.png", 1)}" />',
    ]
    if page == app.config.notfound_pagename:
        lines.append('<meta name="robots" content="noindex" />')
    if text := html.escape(description(tree)):
        lines.append(f'<meta name="description" content="{text}" />')
        context["meta"] = {**(context.get("meta") or {}), "og:description": text, "og:type": "article"}
    context["metatags"] = "\n".join([context.get("metatags", ""), *lines, ""])


def say_what_is_lost(app: Sphinx, env: Any) -> None:
    """The text of the page for 404. It is shown at any depth, so its links are whole paths."""
    root, first = app.config.notfound_urls_prefix, app.config.root_doc
    chapters = "".join(
        f'<li><a href="{root}{page}.html">{html.escape(env.titles[page].astext())}</a></li>'
        for page in sorted(env.titles)
        if page.startswith("notebooks/") and page.count("/") == 1
    )
    body = (
        "<h1>Page not found</h1><p>There is no page at this address. It may have been renamed, or the link was cut "
        "short.</p><p>What you looked for is probably one of these: "
        f'<a href="{root}{first}.html">the first page</a>, <a href="{root}search.html">the search</a>, '
        f"or a chapter:</p><ul>{chapters}</ul>"
    )
    app.config.notfound_context = {"title": "Page not found", "body": body}


def write_around(app: Sphinx, problem: Exception | None) -> None:
    """The files beside the pages: first page, robots.txt."""
    if problem is not None or app.builder.format != "html":
        return
    out, site, name = Path(app.outdir), app.config.html_baseurl, html.escape(app.config.html_title)
    first = f"{app.config.root_doc}.html"
    # A link to the bare address must have its card too, and not everybody who fetches it follows to the first page.
    card = "\n".join(CARD_TAG.findall((out / first).read_text(encoding="utf-8")))
    card = card.replace(f'content="{site}{first}"', f'content="{site}"').replace('"article"', '"website"')
    (out / "index.html").write_text(
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8" />\n<title>{name}</title>\n'
        f'<meta http-equiv="Refresh" content="0; url={first}" />\n<link rel="canonical" href="{site}{first}" />\n'
        f'{card}\n</head><body><p><a href="{first}">{name}</a></p></body></html>\n',
        encoding="utf-8",
    )
    (out / "robots.txt").write_text(f"User-agent: *\nAllow: /\nSitemap: {site}sitemap.xml\n", encoding="utf-8")
    (out / ".nojekyll").touch()  # GitHub would leave out folders that begin with _


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("config-inited", set_address)
    app.connect("env-updated", say_what_is_lost)
    app.connect("html-page-context", describe, priority=450)  # before opengraph's, after notfound's paths
    app.connect("build-finished", write_around, priority=700)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
