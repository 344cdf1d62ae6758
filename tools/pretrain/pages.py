"""Real markdown pages in, a JSON pool of their passages out; and from that pool, products whose facts are those passages.

Read from npm packages under MIT, BSD, ISC or Apache-2.0 licences and from Debian's documentation packages that stand in FREE_DOCS,
cut by the product's own splitter. Passages that speak of what the development and the blind set document (EVALUATED) are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tarfile
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from random import Random

from facts import Fact, loose, turn
from product import Chunk, Entry, Product
from words import invent

FREE_DOCS = ["apache2-doc", "nginx-doc", "postgresql-doc-15", "python3.11-doc", "sqlite3-doc", "python-django-doc", "python-sqlalchemy-doc", "python-celery-doc", "python-flask-doc", "python-requests-doc", "python-aiohttp-doc", "keystone-doc", "nova-doc", "neutron-doc", "cinder-doc", "glance-doc", "swift-doc", "heat-doc", "designate-doc", "octavia-doc", "barbican-doc", "ironic-doc", "manila-doc", "horizon-doc", "python-oslo.config-doc", "varnish-doc", "libcurl4-doc", "nodejs-doc", "cmake-doc", "python-scrapy-doc", "python-tornado-doc", "sphinx-doc", "python-werkzeug-doc", "python-jinja2-doc", "python-click-doc", "python-pymongo-doc", "python-kombu-doc"]
FREE = re.compile(r"^\(?(MIT|ISC|Apache-2\.0|BSD-[23]-Clause|0BSD|MIT OR Apache-2\.0|\(MIT OR [\w.-]+\)|CC0-1\.0)", re.IGNORECASE)
EVALUATED = re.compile(r"docker|prometheus|\bmatrix\b|synapse|promql|couchdb|meilisearch|syncthing", re.IGNORECASE)
ROW = re.compile(r"^\s*(?:[-*+] |\|\s*)(?:\*\*)?`([^`\n|]{2,40})`(.*)$", re.MULTILINE)  # a list item or a table row that begins with a name
STOP = re.compile(r"(?<=[.!])\s+(?=[A-Z`])")
MARKS = re.compile(r"\[!\[|!\[|\]\(|<[a-z/]|https?:|\*\*|__|^\s*[|#>]|\{\{")
CUE = re.compile(r"\b(must|only|not|cannot|can't|never|if|unless|error|fails?|warning|note|deprecated|make sure|avoid|required|limit|at most|at least|too)\b", re.IGNORECASE)


class Markdown(HTMLParser):
    """Collects a page of HTML as markdown: headings, paragraphs, lists, tables, code."""

    def __init__(self) -> None:
        """An empty page."""
        super().__init__()
        self.out: list[str] = []
        self.hidden = self.pre = self.term = self.cells = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open a block, code or something left out."""
        if tag in ("script", "style", "head", "nav", "footer") or ("class", "headerlink") in attrs:
            self.hidden += tag != "a"
        elif tag == "pre":
            self.pre = 1
        mark = {"p": "\n\n", "div": "\n\n", "section": "\n\n", "br": "\n", "li": "\n- ", "dt": "\n- `", "dd": ": ", "tr": "\n| ", "pre": "\n\n```\n"}.get(tag, "")
        self.term = tag == "dt" or (self.term and tag not in ("dd", "p"))
        if re.fullmatch("h[1-6]", tag):
            mark = "\n\n" + "#" * int(tag[1]) + " "
        if tag in ("code", "tt", "kbd", "samp") and not self.pre and not self.term:
            mark = "`"
        if mark and not (self.out and self.out[-1] in ("\n- ", ": ", "| ") and tag in ("p", "div")):
            self.out.append(mark)

    def handle_endtag(self, tag: str) -> None:
        """Close it."""
        if tag in ("script", "style", "head", "nav", "footer"):
            self.hidden = max(0, self.hidden - 1)
        elif tag in ("td", "th"):
            self.out.append(" | ")
        elif tag == "dt":
            self.out.append("`")
            self.term = 0
        elif tag == "pre":
            self.pre = 0
            self.out.append("\n```\n\n")
        elif tag in ("code", "tt", "kbd", "samp") and not self.pre and not self.term:
            self.out.append("`")
        elif re.fullmatch("h[1-6]", tag):
            self.out.append("\n\n")

    def handle_data(self, data: str) -> None:
        """Text of the page."""
        if not self.hidden:
            self.out.append(data if self.pre else re.sub(r"\s+", " ", data).replace("¶", "").replace("\u2019", "'"))

    def text(self) -> str:
        """The page so far."""
        lines = re.sub(r"``+(?!`|\n)", "`", re.sub(r"`\s+`(?!`)", "`", "".join(self.out)).replace("```\n", "\0")).replace("\0", "```\n")
        return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", lines))


def cut(name: str, text: str) -> list[list[str]]:
    """The passages of a markdown page as [header, text]; none where it is no English prose."""
    from copilot.config import Chunks
    from copilot.knowledge.chunks import split
    from copilot.knowledge.headings import markdown_headings
    from copilot.types import Document

    text = re.sub(r"<!--.*?-->", "", text.replace("\r", ""), flags=re.DOTALL)
    if not 800 < len(text) < 150_000 or sum(ord(c) > 0x2FF for c in text) > len(text) / 50:
        return []
    marks = markdown_headings(text)
    title = marks[0].title if marks else Path(name).stem
    kept = []
    for chunk in split(Document(name, name, title, text, "", marks), Chunks()):
        if len(facts(chunk.text)) >= 2 and not EVALUATED.search(chunk.text):
            heading = re.sub(r"<[^>]*>|[*`]|\[([^\]]*)\]\([^)]*\)", r"\1", chunk.heading)
            parts = [p.strip() for p in heading.split(" › ") if p.strip()]
            kept.append([" › ".join(dict.fromkeys([re.sub(r"<[^>]*>|[*`]", "", title).strip(), *parts])), chunk.text])
    return kept[:40]


def markdown_pages(archive: Path) -> Iterator[list[list[str]]]:
    """The pages of an npm package under a free licence."""
    with tarfile.open(archive) as tar:
        files = {m.name: m for m in tar.getmembers() if m.isfile()}
        about = json.loads(tar.extractfile(files["package/package.json"]).read()) if "package/package.json" in files else {}
        if not FREE.match(str(about.get("license", ""))):
            return
        for name, member in sorted(files.items()):
            if name.lower().endswith(".md") and not re.search(r"change|history|licen|contribut|security|conduct|node_modules|authors|upgrad|migrat", name.lower()):
                yield cut(name, tar.extractfile(member).read().decode("utf-8", "ignore"))


def html_pages(folder: Path, most: int) -> Iterator[list[list[str]]]:
    """Up to `most` English pages under an unpacked documentation package."""
    found = [p for p in sorted(folder.rglob("*.html*")) if p.is_file() and not p.is_symlink() and not re.search(r"/(?!en/)[a-z]{2}(-[a-z]+)?/mod|\.html\.(?!en\b)|genindex|release|whatsnew|changelog|search|_static|_modules|/(de|es|fr|ja|ko|tr|zh-cn|da|pt-br)/", str(p), re.IGNORECASE)]
    for path in Random(str(folder.name)).sample(found, min(most, len(found))):
        reader = Markdown()
        reader.feed(path.read_text(encoding="utf-8", errors="ignore"))
        yield cut(path.stem, reader.text())


def meaning(rest: str) -> str:
    """What a row says about its name, given what stands after the name: its first cell or part that reads as words."""
    for part in rest.split("|") if "|" in rest else [rest]:
        part = re.sub(r"^(?:\([^()]*\)|\{[^{}]*\}|<[^<>]*>|\[[^\[\]]*\]|[:*–—\s-])+", "", part.strip())
        said = re.split(r"(?<=[.!])\s", part.strip(" *-"), maxsplit=1)[0].rstrip(". ")
        if 12 <= len(said) <= 150 and said[0].isupper() and said.count(" ") >= 2 and said.count("`") % 2 == 0 and not MARKS.search(said):
            return said
    return ""


def facts(text: str) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """(sentence, as the passage writes it, names it explains) of a passage, in order."""
    found: list[tuple[int, str, str, list[tuple[str, str]]]] = []
    for m in ROW.finditer(text):
        if said := meaning(m[2]):
            low = said[0].lower() + said[1:] if said[1:2].islower() else said
            found.append((m.start(), f"`{m[1]}`: {low}.", said, [(m[1], low)]))
    bare = re.sub(r"```.*?```", lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.DOTALL)
    for line in re.finditer(r"[^\n]+", bare):
        if re.match(r"\s*(?:[|#>`]|[-*+] (?:\*\*)?`)|\s{4}", line[0]):
            continue
        for piece in STOP.split(re.sub(r"^\s*(?:[-*+]|\d+[.)])\s+", "", line[0]).strip()):
            if 25 <= len(piece) <= 190 and piece[0].isupper() and piece[-1] in ".!" and piece.count("`") % 2 == 0 and not MARKS.search(piece):
                found.append((line.start(), piece, piece, []))
    return [row[1:] for row in sorted(found, key=lambda row: row[0])]


@cache
def pool() -> list[list[list[str]]]:
    """What this file wrote, named by TINY_PAGES; empty without it."""
    stored = os.environ.get("TINY_PAGES")
    return json.loads(Path(stored).read_text()) if stored else []


def questions(rng: Random, text: str, names: list[tuple[str, str]], title: str) -> list[str]:
    """What a reader may ask to hear `text`."""
    if names:
        n, said = names[0][0], names[0][1].replace("`", "")
        about = " ".join(said.split()[: rng.randint(4, 9)]).rstrip(",:;")
        return [f"What does {n} do?", f"What is {n} for?", f"Which option is for this: {about}?", f"What do I set for {about}?", loose(rng, said) or f"Explain {n}."]
    w = text.rstrip(".!").replace("`", "").split()
    size = min(len(w), rng.randint(3, 6))
    at = rng.randint(0, len(w) - size)
    span = " ".join(w[at : at + size]).strip(",;:()")
    out = [turn(text), loose(rng, text), loose(rng, text), f"What do the documents say about {span}?" if rng.random() < 0.3 else ""]
    if m := re.match(r"(?:You can|Use \S+ to|To) ([a-z]+ [^,.]{8,70})", text.replace("`", "")):
        out += [f"How do I {m[1]}?", f"Can I {m[1]}?"]
    if m := re.match(r"If (?:you |the |an? )?([^,]{8,60}), ", text.replace("`", "")):
        out += [f"What happens if {text.replace('`', '')[3:].split(',')[0]}?"]
    return [q for q in out if q] or [f"Tell me about {span}."]


def make_pages(rng: Random) -> Product | None:
    """A run of passages of one real page as a product of topics; None without a pool."""
    if not pool():
        return None
    page = rng.choice(pool())
    size = min(len(page), rng.randint(5, 10))
    at = rng.randint(0, len(page) - size)
    name = page[0][0].split(" › ")[0]
    alias = invent(rng).capitalize() if rng.random() < 0.5 and re.fullmatch(r"[\w.-]{3,}", name) else ""
    out = Product(alias or name, [], [], [])
    for header, text in page[at : at + size]:
        if alias:
            text, header = re.sub(rf"\b{re.escape(name)}\b", alias, text), re.sub(rf"\b{re.escape(name)}\b", alias, header)
        title = header.split(" › ")[-1]
        found = facts(text)
        e = Entry("topic", title, "", title.lower(), [title.lower()], found[0][0] if found else "", chunk=len(out.chunks))
        for i, (said, quote, names) in enumerate(found):
            ask = questions(rng, said, names, title)
            if i == 0 and len(title.split()) <= 6 and re.fullmatch(r"[\w -]{4,}", title):
                t = title if title[:2].isupper() else title[0].lower() + title[1:]
                ask += [f"What is {t}?", f"How does {t} work?", f"Explain {t}.", f"Tell me about {t}."]
            e.facts.append(Fact(said, ask, names, quote))
        out.chunks.append(Chunk(header, text, title))
        if len(e.facts) >= 2:
            out.entries.append(e)
            out.entities.append(title.lower())
    return out if len(out.entries) >= 2 else None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("npm", type=Path, help="holds packages as .tgz files")
    parser.add_argument("docs", type=Path, help="holds unpacked documentation packages, a folder each")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    pages = [p for archive in sorted(args.npm.glob("*.tgz")) for p in markdown_pages(archive)]
    for folder in (args.docs / name for name in FREE_DOCS):
        pages += html_pages(folder, 60)
    pages = [p for p in pages if len(p) >= 3]
    args.out.write_text(json.dumps(pages, ensure_ascii=False))
    print(f"{len(pages)} pages, {sum(map(len, pages))} passages")
