"""The bytes of a .pdf, a .docx or a further format in, text with its headings and pages out."""

import logging
import re
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from copilot.errors import CopilotError
from copilot.plain import clean
from copilot.types import Heading

_UNTITLED = re.compile(r"\W*(?:untitled|anonymous|unnamed|document\d*|microsoft word\b.*)\W*$", re.I)
LARGER, LONGEST = 1.1, 80  # a heading's letters against those of the text; its characters, at most
_BULLET = re.compile("^[\x7f\uf0b7](?= )", re.M)  # what becomes of a bullet in a symbol font


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
        pages = [_clean(_BULLET.sub("•", page.extract_text())) + "\n" for page in reader.pages]
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
    """(level, title, 0-based page) of lines in larger letters than the text; the largest have level 1."""
    lines: list[tuple[float, str, int]] = []  # size, text, page
    for page, content in enumerate(reader.pages):
        runs: list[tuple[float, str]] = []

        def see(text: str, cm: Any, tm: Any, font: Any, size: float, runs: list[tuple[float, str]] = runs) -> None:
            scale = abs(tm[3] or tm[1]) * abs(cm[3] or cm[1])
            runs.append((round(size * scale, 1), text))

        content.extract_text(visitor_text=see)
        told, largest = "", 0.0
        for size, text in [*runs, (0.0, "\n")]:
            for n, part in enumerate(text.split("\n")):
                if n and told.strip():
                    lines.append((largest, _clean(told).strip(), page))
                told, largest = ("" if n else told) + part, size if n or not told.strip() else largest
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
    return [(sizes.index(z) + 1, text, page) for z, text, page in lines if z in sizes and named.search(text)]


def read_docx(data: bytes, file: Path) -> str:
    """A Word file as markdown: headings as #, tables as pipe tables, in reading order."""
    from docx import Document as open_docx
    from docx.table import Table

    try:
        content = open_docx(BytesIO(data)).iter_inner_content()
        blocks = [_table(block) if isinstance(block, Table) else _line(block) for block in content]
    except Exception:  # no zip, a zip without a document, broken XML: each library below has its own exception
        raise CopilotError(f"{file}: not a Word document (.docx)", "open it in Word and save it as .docx") from None
    text = "\n\n".join(block for block in blocks if block)
    return re.sub(r"(?m)^((-|1\.) .*)\n\n(?=\2 )", r"\1\n", text) + "\n"


def _line(paragraph: Any) -> str:
    """A paragraph by its style."""
    text, style = str(paragraph.text).strip(), (paragraph.style.name if paragraph.style else "") or ""
    if not text:
        return ""
    if style == "Title":
        return "# " + " ".join(text.split())
    if match := re.fullmatch(r"Heading (\d)", style):
        return "#" * min(int(match[1]) + 1, 6) + " " + " ".join(text.split())
    if style.startswith("List"):
        return ("1. " if style.startswith("List Number") else "- ") + text
    return "\\" + text if text.startswith("#") else text


def _table(table: Any) -> str:
    rows = [[" ".join(cell.text.split()).replace("|", "\\|") for cell in row.cells] for row in table.rows]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    if lines:
        lines.insert(1, "|" + " --- |" * len(rows[0]))
    return "\n".join(lines)


def read_other(file: Path) -> str:
    """Further formats through langchain-community's loaders (the `loaders` extra)."""
    try:
        from langchain_community.document_loaders import UnstructuredFileLoader

        return "\n\n".join(part.page_content for part in UnstructuredFileLoader(str(file)).load())
    except ImportError:
        raise CopilotError(
            f"{file}: {file.suffix} files need the `loaders` extra",
            "pip install 'tech-clarity-copilot[loaders]' unstructured, or name the file in `documents.exclude`",
        ) from None
    except Exception as error:  # each loader has its own
        raise CopilotError(f"{file}: cannot be read: {error}", "name it in `documents.exclude`") from None
