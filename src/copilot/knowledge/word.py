"""The bytes of a Word file in, its text as markdown out: headings, numbered lists and tables in reading order."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

from copilot.errors import CopilotError
from copilot.plain import pipe_table

LONGEST = 80  # characters of a line in bold that is taken for a heading
_TITLE = re.compile(  # of a column
    r"\b(?:name|field|type|description|meaning|value|role|code|parameter|status|key|action|step|default|required|option|column|"
    r"event|error|cause|what|when|where|who|how|property|setting|term|unit|message|light|lamp|signal|product|plan)s?\b",
    re.I,
)
_ITEM = re.compile(r" *(?:-|\d+\.) ")


def read_docx(data: bytes, file: Path) -> str:
    """A Word file as markdown. Raises CopilotError for what is none.

    A heading is told by its style, by one that it is based on, or by its outline level; where no paragraph has such a
    style, by bold letters on a line of its own.
    """
    from docx import Document as open_docx
    from docx.table import Table

    try:
        document = open_docx(BytesIO(data))
        content = list(_blocks(document.element.body, document))
        bold = not any(not isinstance(block, Table) and _level(block) > 1 for block in content)
        counts: Counter[tuple[int, int]] = Counter()
        blocks = [_table(block) if isinstance(block, Table) else _line(block, counts, bold) for block in content]
    except Exception:  # no zip, a zip without a document, broken XML: each library below has its own exception
        raise CopilotError(f"{file}: not a Word document (.docx)", "open it in Word and save it as .docx") from None
    return "".join(_joined([block for block in blocks if block]))


def _blocks(parent: Any, within: Any) -> Iterator[Any]:
    """Paragraphs and tables in reading order, those of content controls and text boxes too."""
    from docx.oxml.ns import qn
    from docx.table import Table
    from docx.text.paragraph import Paragraph

    for child in parent.iterchildren():
        if child.tag == qn("w:p"):
            yield Paragraph(child, within)
            boxes = [box for box in child.iter(qn("w:txbxContent")) if _of(box, "Fallback") is None]
            for box in boxes:
                yield from _blocks(box, within)
        elif child.tag == qn("w:tbl"):
            yield Table(child, within)
        elif child.tag == qn("w:sdt"):
            for content in child.findall(qn("w:sdtContent")):
                yield from _blocks(content, within)


def _of(element: Any, name: str) -> Any:
    """The nearest element around `element` whose tag ends in `name`; None without one."""
    return next((above for above in element.iterancestors() if str(above.tag).endswith(f"}}{name}")), None)


def _text(paragraph: Any) -> str:
    """What a reader sees of a paragraph: insertions, not what is struck out or hidden; powers as ^2."""
    from docx.oxml.ns import qn

    found: list[str] = []
    own = _of(paragraph._p, "txbxContent")  # a paragraph within a box; text of boxes within it comes after it
    for element in paragraph._p.iter(qn("w:t"), qn("w:br"), qn("w:tab"), qn("w:noBreakHyphen")):
        run = _of(element, "r")
        if run is None or _of(element, "txbxContent") is not own:
            continue
        properties = run.rPr
        marks = [] if properties is None else [m for m in properties if m.get(qn("w:val")) not in ("0", "false")]
        if {mark.tag for mark in marks} & {qn("w:strike"), qn("w:dstrike"), qn("w:vanish")}:
            continue
        raised = properties is not None and properties.superscript and re.match(r"[\d-]+$", element.text or "")
        plain = {qn("w:br"): "\n", qn("w:tab"): "\t", qn("w:noBreakHyphen"): "-"}.get(element.tag, element.text or "")
        found.append(f"^{plain}" if raised and found and found[-1][-1:].isalnum() else plain)
    return "".join(found)


def _joined(blocks: list[str]) -> Iterator[str]:
    """The blocks with a blank line after each but an item that another follows."""
    for block, after in pairwise([*blocks, ""]):
        item, next_item = _ITEM.match(block), _ITEM.match(after)
        same = item and next_item and (after[0] == " " or block[0] == " " or (block[0] == "-") == (after[0] == "-"))
        yield block + ("\n" if not after or same else "\n\n")


def _line(paragraph: Any, counts: Counter[tuple[int, int]], bold: bool) -> str:
    """A paragraph by its style and its place in a list; `counts` are the items of each list so far."""
    text = _text(paragraph).strip()
    if not text:
        return ""
    if level := _level(paragraph) or (3 if bold and _bold(paragraph) else 0):
        counts.clear()  # a list that goes on below a heading counts anew
        return "#" * min(level, 6) + " " + " ".join(text.split())
    style = (paragraph.style.name if paragraph.style else "") or ""
    number, deep, kind = _numbering(paragraph)
    kind = kind or ("decimal" if style.startswith("List Number") else "bullet" if style.startswith("List") else "none")
    if kind == "none":
        counts.pop((0, 0), None)  # lists by style alone end with the next paragraph
        return "\\" + text if text.startswith("#") else text
    for key in [key for key in counts if key[0] == number and key[1] > deep]:
        del counts[key]
    counts[number, deep] += kind != "bullet"
    return "   " * deep + ("- " if kind == "bullet" else f"{counts[number, deep]}. ") + text


def _level(paragraph: Any) -> int:
    """The level of a heading, 1 the title's; 0 for what is none."""
    outline = _outline(paragraph._p.pPr)
    for style in _styles(paragraph):
        if style.name == "Title":
            return 1
        if match := re.fullmatch(r"Heading (\d)", style.name or ""):
            return int(match[1]) + 1
        outline = _outline(style.element.pPr) if outline is None else outline
    return outline + 2 if outline is not None and outline < 9 else 0


def _styles(paragraph: Any) -> Iterator[Any]:
    """The style of a paragraph and those that it is based on."""
    style = paragraph.style
    for _ in range(10):  # they may be based on each other
        if style is None:
            return
        yield style
        style = style.base_style


def _outline(properties: Any) -> int | None:
    """The outline level of a paragraph's properties, 0 for the highest; 9 is the text's."""
    from docx.oxml.ns import qn

    found = properties.find(qn("w:outlineLvl")) if properties is not None else None
    return int(found.get(qn("w:val"))) if found is not None else None


def _bold(paragraph: Any) -> bool:
    """Whether a short line in bold, which is no sentence, stands for a heading."""
    text = _text(paragraph).strip()
    return _heavy([paragraph]) and len(text) <= LONGEST and text[-1] not in ".,;:"


def _heavy(paragraphs: Iterable[Any]) -> bool:
    """Whether there is text, and all of it is bold."""
    runs = [run for part in paragraphs for run in part.runs if run.text.strip()]
    return bool(runs) and all(run.bold for run in runs)


def _numbering(paragraph: Any) -> tuple[int, int, str]:
    """(list, depth, number format) of an item, its own or its style's; the format is "" where it is no item."""
    from docx.oxml.ns import qn

    places = [paragraph._p.pPr, *(style.element.pPr for style in _styles(paragraph))]
    found = next((place.numPr for place in places if place is not None and place.numPr is not None), None)
    if found is None or found.numId is None:
        return 0, 0, ""
    number, deep = int(found.numId.val), int(found.ilvl.val) if found.ilvl is not None else 0
    if number == 0:  # numbering is switched off
        return 0, 0, "none"
    numbering = paragraph.part.numbering_part.element
    abstract = next((n.abstractNumId.val for n in numbering.num_lst if n.numId == number), None)
    for definition in numbering.findall(qn("w:abstractNum")):
        if int(definition.get(qn("w:abstractNumId"))) == abstract:
            for level in definition.findall(qn("w:lvl")):
                kind = level.find(qn("w:numFmt"))
                if int(level.get(qn("w:ilvl"))) == deep and kind is not None:
                    return number, deep, str(kind.get(qn("w:val")))
    return number, deep, ""


def _cell(cell: Any) -> str:
    """The paragraphs of a cell on one line, tables within it too: those that end without a mark are items of a list."""
    from docx.table import Table

    blocks = list(_blocks(cell._tc, cell))
    parts = [_inner(block) if isinstance(block, Table) else _text(block) for block in blocks]
    text = "\n".join(part.strip() for part in parts if part.strip())
    text = re.sub(r"(?<=[^\s.:;,!?])[ \t]*\n\s*(?=\S)(?!\d+[.)] )", "; ", text)
    return " ".join(text.split())


def _inner(table: Any) -> str:
    """A table within a cell, row after row."""
    return "; ".join(": ".join(filter(None, map(_cell, row.cells))) for row in table.rows)


def _boxed(table: Any) -> str:
    """A table of one row, which holds text side by side: a paragraph for each cell, its first line before a colon."""
    texts = ["\n".join(_text(part).strip() for part in cell.paragraphs) for cell in table.rows[0].cells]
    told = [re.sub(r"\n+", " ", re.sub(r"^(\w[\w ]{2,20})(?<![.:!])\n+", r"\1: ", text.strip())) for text in texts]
    return "\n\n".join(filter(None, dict.fromkeys(told)))


def _titled(table: Any, rows: list[list[str]]) -> bool:
    """Whether the first row holds titles: it says so, is bold where the next is not, or holds what titles are."""
    from docx.oxml.ns import qn

    first, second = table.rows[0], table.rows[1]
    if first._tr.trPr is not None and first._tr.trPr.find(qn("w:tblHeader")) is not None:
        return True
    heavy, below = (_heavy(part for cell in row.cells for part in cell.paragraphs) for row in (first, second))
    if heavy != below:
        return heavy
    if any(cell.endswith(".") or len(cell) > 40 for cell in rows[0]) or not all(rows[0]):
        return False
    return len(rows[0]) > 2 or any(_TITLE.search(cell) for cell in rows[0])


def _table(table: Any) -> str:
    """A table as a pipe table: a cell that goes over several columns stands in the first, one over rows in each.

    A first row that is one cell is a line above it; two rows of titles become one; without titles their row is empty.
    """
    grid = [[cell._tc for cell in row.cells] for row in table.rows]
    rows = [[_cell(cell) for cell in row.cells] for row in table.rows]
    if not rows or not rows[0]:
        return ""
    if len(rows) == 1:
        return _boxed(table)
    if not _titled(table, rows):
        grid, rows = [grid[0], *grid], [[""] * len(rows[0]), *rows]
    for cells, row in zip(grid, rows, strict=True):
        for n in range(len(cells) - 1, 0, -1):
            row[n] = "" if cells[n] is cells[n - 1] else row[n]
    above = ""
    if len(rows) > 2 and rows[0][0] and len(grid[0]) > 1 and len(set(map(id, grid[0]))) == 1:
        above, grid, rows = rows[0][0], grid[1:], rows[1:]
    if len(rows) > 2 and any(rows[0]) and any(left is right for left, right in pairwise(grid[0])):
        over = ""
        for n, cell in enumerate(grid[0]):
            over = rows[0][n] or (over if n and cell is grid[0][n - 1] else "")
            rows[1][n] = over if cell is grid[1][n] else f"{over} {rows[1][n]}".strip()
        rows = rows[1:]
    return "\n".join([*[above, ""] * bool(above), pipe_table(rows)])
