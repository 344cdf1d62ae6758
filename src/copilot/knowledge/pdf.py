"""The bytes of a PDF in, its text with headings, pages and tables out."""

import logging
import re
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from copilot.errors import CopilotError
from copilot.knowledge.pdf_tables import draws, with_tables
from copilot.plain import clean
from copilot.types import Heading

_UNTITLED = re.compile(r"\W*(?:untitled|anonymous|unnamed|document\d*|microsoft word\b.*)\W*$", re.I)
LARGER, LONGEST = 1.1, 80  # a heading's letters against those of the text; its characters, at most
FEW = 0.25  # share of the letters that headings in bold may have
EDGE, SHARE = 3, 0.6  # lines of a page's top and bottom that may be running ones; the share of pages that have one
_BULLET = re.compile("^[ \t]*[\x7f\uf0b7\u2022\u25aa\u25e6\u25cf\u2023]\\s+(?=\\S)", re.M)  # \x7f: of a symbol font
_NUMBERED = re.compile(r"\d+((?:\.\d+)*)\.? +(?=[^\W\d_])")
_NUMBER = re.compile(r"^(\d{1,2})[.)]?\n(?=[^\W\d_]\S* \S)", re.M)  # of an item, on a line of its own
_HYPHEN = re.compile(r"([^\W\d_]{2,})-\n([a-z]{2,})")


def read_pdf(data: bytes, file: Path) -> tuple[str, tuple[int, ...], tuple[Heading, ...], str]:
    """(text, page starts, headings, title); headings come from the PDF's own outline, else from its larger lines.

    Raises CopilotError for an encrypted file and for one that is no PDF.
    """
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, FileNotDecryptedError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    locked = CopilotError(f"{file}: the PDF is encrypted", "save a copy without a password")
    try:
        reader = PdfReader(BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise locked
        pages = [_lined(page.extract_text()) for page in reader.pages]
        contents = [page.get_contents() for page in reader.pages]
        pages = with_tables(data, pages, [part is not None and draws(part.get_data()) for part in contents])
        pages = [f"{_numbered(page).strip()}\n" for page in _unbroken(_without_running(pages))]
        title = _clean(str((reader.metadata and reader.metadata.title) or "")).strip()
        outline = list(_outline(reader, reader.outline, 1)) or _larger(reader)
    except (FileNotDecryptedError, DependencyError):
        raise locked from None
    except CopilotError:
        raise
    except Exception as error:  # a broken file makes pypdf raise whatever its bytes lead to
        why = str(error).strip() or type(error).__name__
        raise CopilotError(f"{file}: not a readable PDF ({why})", "save it again from its program") from None
    starts, length = [], 0
    for text in pages:
        starts.append(length)
        length += len(text)
    whole = "".join(pages)
    return whole, tuple(starts), _located(whole, starts, outline), "" if _UNTITLED.match(title) else title


def _lined(text: str) -> str:
    """The lines of a page, with bullets on the lines of their items."""
    return _clean(_BULLET.sub("• ", re.sub(r"(?m)^[ \t]+", "", text)))


def _numbered(text: str) -> str:
    """A page with the numbers of lists on the lines of their items; its tables are written already."""
    expected = 1

    def item(match: "re.Match[str]") -> str:
        nonlocal expected
        number = int(match[1])
        follows = number > 1 or re.search(r"^2[.)]?\n[^\W\d_]\S* ", text[match.end() :], re.M)
        if number not in (1, expected) or not follows:
            return match[0]
        expected = number + 1
        return f"{number}. "

    return _NUMBER.sub(item, text)


def _without_running(pages: list[str]) -> list[str]:
    """The pages without the lines that stand at the top or the bottom of most, their numbers aside."""
    kinds = [[re.sub(r"\d+", "#", line.strip()) for line in page.split("\n")] for page in pages]
    told = [[n for n, line in enumerate(lines) if line] for lines in kinds]
    edges = [{*own[:EDGE], *own[-EDGE:]} for own in told]
    found = Counter(kind for lines, own in zip(kinds, edges, strict=True) for kind in {lines[n] for n in own})
    running = {kind for kind, count in found.items() if count > 1 and count >= SHARE * len(pages) and kind[0] != "|"}
    return [
        "\n".join(line for n, line in enumerate(page.split("\n")) if n not in own or kind[n] not in running)
        for page, own, kind in zip(pages, edges, kinds, strict=True)
    ]


def _unbroken(pages: list[str]) -> list[str]:
    """The pages with words whole that a line's end has broken, with a hyphen where the document has it elsewhere."""
    words = set(re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", "\n".join(pages).lower()))

    def whole(match: "re.Match[str]") -> str:
        hyphened = f"{match[1]}-{match[2]}"
        return hyphened if hyphened.lower() in words else f"{match[1]}{match[2]}"

    return [_HYPHEN.sub(whole, page) for page in pages]


def _clean(text: str) -> str:
    """`text` without what UTF-8 cannot hold (half surrogates of a broken font table) and without control characters."""
    return clean(text.encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n"))


def _located(text: str, starts: list[int], outline: list[tuple[int, str, int]]) -> tuple[Heading, ...]:
    """The bookmarks whose title stands as a line of its own on their page or after it."""
    headings, last = [], 0
    for level, name, page in outline:
        pattern = r"\s+".join(re.escape(word) for word in name.split())
        match = re.compile(rf"^[ \t]*{pattern}[ \t]*$", re.M).search(text, max(last, starts[page])) if pattern else None
        if match:
            headings.append(Heading(match.start(), level, " ".join(name.split())))
            last = match.end()
    return tuple(headings)


def _outline(reader: Any, items: object, level: int) -> Iterator[tuple[int, str, int]]:
    """(level, title, 0-based page) of the PDF's bookmarks."""
    for item in items if isinstance(items, list) else []:
        if isinstance(item, list):
            yield from _outline(reader, item, level + 1)
        elif (page := reader.get_destination_page_number(item)) is not None and page >= 0:
            yield level, _clean(str(item.title)), page


def _larger(reader: Any) -> list[tuple[int, str, int]]:
    """(level, title, 0-based page) of lines in larger letters than the text, the largest at level 1, and in bold."""
    lines: list[tuple[float, str, int]] = []  # size, text, page
    bold: list[tuple[str, int]] = []  # text and page of those in bold letters
    for page, content in enumerate(reader.pages):
        runs: list[tuple[float, bool, str]] = []

        def see(text: str, cm: Any, tm: Any, font: Any, size: float, runs: list[Any] = runs) -> None:
            scale = abs(tm[3] or tm[1]) * abs(cm[3] or cm[1])
            runs.append((round(size * scale, 1), "bold" in str((font or {}).get("/BaseFont", "")).lower(), text))

        content.extract_text(visitor_text=see)
        told, largest, heavy = "", 0.0, True
        for size, thick, text in [*runs, (0.0, True, "\n")]:
            for n, part in enumerate(text.split("\n")):
                if n and told.strip():
                    lines.append((largest, _clean(told).strip(), page))
                    bold += [(lines[-1][1], page)] if heavy else []
                begins = n or not told.strip()
                heavy = thick or not part.strip() if begins else heavy and (thick or not part.strip())
                told, largest = ("" if n else told) + part, size if begins else largest
    amount = Counter[float]()
    for size, text, _ in lines:
        amount[size] += len(text)
    if not amount:
        return []
    body = amount.most_common(1)[0][0]

    def titled(size: float) -> bool:
        """Whether nearly all lines of this size are short and no sentences."""
        own = [text for other, text, _ in lines if other == size]
        short = [text for text in own if len(text) <= LONGEST and not text.endswith((".", ",", ";", ":"))]
        return size > body * LARGER and len(short) >= 0.8 * len(own)

    sizes = sorted(filter(titled, amount), reverse=True)
    named = re.compile(r"[^\W\d_]{2}")
    larger = [(sizes.index(z) + 1, text, page) for z, text, page in lines if z in sizes and named.search(text)]
    known = {text for _, text, _ in larger}
    rest = [(text, page) for text, page in bold if text not in known and (not sizes or _NUMBERED.match(text))]
    inner = [(level + len(sizes), text, page) for level, text, page in _bold(rest, sum(amount.values()))]
    order = {(text, page): n for n, (_, text, page) in enumerate(lines)}
    return sorted([*larger, *inner], key=lambda found: order[found[1:]])


def _bold(lines: list[tuple[str, int]], amount: int) -> list[tuple[int, str, int]]:
    """The lines in bold as headings, where they are short and few; a number such as 2.1 tells the level."""
    times = Counter(text for text, _ in lines)
    lines = [(text, page) for text, page in lines if times[text] == 1]  # titles of tables are repeated
    short = [(text, page) for text, page in lines if len(text) <= LONGEST and text[-1] not in ".,;:"]
    few = sum(len(text) for text, _ in lines) < FEW * amount
    if len(short) < max(2, 0.8 * len(lines)) or not few:
        return []
    depth = [match[1].count(".") if (match := _NUMBERED.match(text)) else 0 for text, _ in short]
    return [(level + 1, text, page) for level, (text, page) in zip(depth, short, strict=True)]
