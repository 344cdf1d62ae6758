"""Folders of free HTML documentation in, a JSON list of plain sentences out: the language that the generator quotes.

Made from Debian's postgresql-doc-15 (PostgreSQL licence), python3.11-doc (PSF), sqlite3-doc (public domain) and
apache2-doc (Apache-2.0), English pages only.
"""

from __future__ import annotations

import argparse
import json
import re
from html.parser import HTMLParser
from pathlib import Path

BLOCKS = {"p", "dd", "dt", "li", "td", "th", "h1", "h2", "h3", "h4", "h5", "h6", "div", "pre", "table", "br", "section"}
SKIPPED = {"script", "style", "head", "pre", "nav", "footer", "header", "h1", "h2", "h3", "h4", "h5", "h6"}
CODE = {"code", "tt", "kbd", "samp"}
SENTENCE = re.compile(r"[A-Z][a-z]*(?:[ ](?:`[^`\s]{2,24}`|\(?[A-Za-z0-9][A-Za-z0-9'’-]*\)?)[,;:]?){4,20}\.")


class Reader(HTMLParser):
    """Collects the paragraphs of a page, code in backticks."""

    def __init__(self) -> None:
        """An empty page."""
        super().__init__()
        self.paragraphs: list[str] = []
        self.now: list[str] = []
        self.hidden = self.code = 0

    def cut(self) -> None:
        """End the paragraph."""
        if text := " ".join("".join(self.now).split()):
            self.paragraphs.append(text)
        self.now = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """Open a block, code or something left out."""
        if tag in BLOCKS:
            self.cut()
        if tag in SKIPPED:
            self.hidden += 1
        if tag in CODE:
            self.code += 1
            self.now.append("`" if self.code == 1 and not self.hidden else "")

    def handle_endtag(self, tag: str) -> None:
        """Close it."""
        if tag in CODE and self.code:
            self.now.append("`" if self.code == 1 and not self.hidden else "")
            self.code -= 1
        if tag in SKIPPED and self.hidden:
            self.hidden -= 1
        if tag in BLOCKS:
            self.cut()

    def handle_data(self, data: str) -> None:
        """Text of the paragraph."""
        if not self.hidden:
            self.now.append(data)


def sentences(folder: Path) -> set[str]:
    """Whole sentences of 5 to 21 words of every English page under `folder`."""
    found: set[str] = set()
    for path in sorted(folder.rglob("*.html*")):
        other = re.search(r"/manual/(?!en/)[a-z-]+/", path.as_posix())
        if other or not path.is_file() or re.search(r"\.html\.(?!en\b)", path.name):
            continue
        reader = Reader()
        reader.feed(path.read_text(encoding="utf-8", errors="ignore"))
        reader.cut()
        for paragraph in reader.paragraphs:
            for piece in re.split(r"(?<=[.!?]) (?=[A-Z`])", paragraph):
                if SENTENCE.fullmatch(piece) and len(piece) <= 150 and piece.count("`") <= 4:
                    found.add(piece)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    pool = sorted(set().union(*(sentences(f) for f in args.folders)))
    args.out.write_text(json.dumps(pool, ensure_ascii=False))
    print(f"{len(pool)} sentences")
