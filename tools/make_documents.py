"""Turn tools/documents/<group>/<name>.<docx|pdf>.md into data/knowledge_base/<group>/<name>.<docx|pdf>.

The sources use a small part of markdown: headings, paragraphs, bullet lists, pipe tables and fenced code.
The output is deterministic: a second run writes the same bytes.

    python tools/make_documents.py [--sources DIR] [--out DIR]
"""

from __future__ import annotations

import argparse
import io
import re
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

import docx
from docx.shared import Pt
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.lib.units import cm
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, XPreformatted

ROOT = Path(__file__).resolve().parents[1]
SPAN = re.compile(r"(`[^`]+`|\*\*[^*]+\*\*)")
NEW_BLOCK = re.compile(r"#{1,6} |- |\||```")


class Block(NamedTuple):
    kind: str  # heading, text, bullet, table or code
    text: str = ""
    level: int = 0
    rows: tuple[tuple[str, ...], ...] = ()


def parse(markdown: str) -> Iterator[Block]:
    """Split markdown into blocks."""
    lines = markdown.splitlines()
    i = 0
    while i < len(lines):
        line, start = lines[i], i
        i += 1
        if line.startswith("```"):
            while i < len(lines) and not lines[i].startswith("```"):
                i += 1
            yield Block("code", "\n".join(lines[start + 1 : i]))
            i += 1
        elif match := re.match(r"(#{1,6}) +(.*)", line):
            yield Block("heading", match[2].strip(), len(match[1]))
        elif line.startswith("|"):
            while i < len(lines) and lines[i].startswith("|"):
                i += 1
            cells = [tuple(cell.strip() for cell in row.strip().strip("|").split("|")) for row in lines[start:i]]
            yield Block("table", rows=tuple(row for row in cells if not all(re.fullmatch(r":?-+:?", c) for c in row)))
        elif line.strip():
            while i < len(lines) and lines[i].strip() and not NEW_BLOCK.match(lines[i]):
                i += 1
            words = " ".join(part.strip() for part in lines[start:i])
            yield Block("bullet", words[2:]) if line.startswith("- ") else Block("text", words)


def spans(text: str) -> Iterator[tuple[str, str]]:
    """Cut a line into (style, text) pieces, where style is "code", "bold" or ""."""
    for piece in SPAN.split(text):
        if piece.startswith("`") and len(piece) > 1:
            yield "code", piece[1:-1]
        elif piece.startswith("**") and len(piece) > 4:
            yield "bold", piece[2:-2]
        elif piece:
            yield "", piece


def write_docx(blocks: list[Block], title: str, target: Path) -> None:
    document = docx.Document()
    properties = document.core_properties
    properties.title, properties.author, properties.last_modified_by = title, "Documentation team", "Documentation team"
    properties.created = properties.modified = datetime(2025, 1, 1)
    properties.revision = 1

    def fill(paragraph: Any, text: str, bold: bool = False) -> None:
        for style, piece in spans(text):
            run = paragraph.add_run(piece)
            run.bold = True if bold or style == "bold" else None
            if style == "code":
                run.font.name, run.font.size = "Consolas", Pt(10)

    for block in blocks:
        if block.kind == "heading":
            fill(document.add_heading(level=block.level - 1), block.text)  # level 0 is Word's "Title"
        elif block.kind == "table":
            table = document.add_table(rows=0, cols=len(block.rows[0]), style="Table Grid")
            for number, row in enumerate(block.rows):
                for cell, text in zip(table.add_row().cells, row, strict=True):
                    fill(cell.paragraphs[0], text, bold=number == 0)
            document.add_paragraph()
        elif block.kind == "code":
            run = document.add_paragraph(style="No Spacing").add_run(block.text)
            run.font.name, run.font.size = "Consolas", Pt(9)
            document.add_paragraph()
        else:
            fill(document.add_paragraph(style="List Bullet" if block.kind == "bullet" else None), block.text)
    buffer = io.BytesIO()
    document.save(buffer)
    with zipfile.ZipFile(buffer) as made, zipfile.ZipFile(target, "w") as fixed:
        for name in sorted(made.namelist(), key=lambda n: (n != "[Content_Types].xml", n)):
            info = zipfile.ZipInfo(name, (2025, 1, 1, 0, 0, 0))
            info.create_system = 3
            fixed.writestr(info, made.read(name), zipfile.ZIP_DEFLATED)


class PdfDocument(SimpleDocTemplate):
    """A PDF whose headings become bookmarks."""

    bookmarks = 0

    def afterFlowable(self, flowable: Any) -> None:
        level = getattr(flowable, "outline_level", None)
        if level is not None:
            self.bookmarks += 1
            self.canv.bookmarkPage(f"heading-{self.bookmarks}")
            self.canv.addOutlineEntry(flowable.getPlainText(), f"heading-{self.bookmarks}", level)


def write_pdf(blocks: list[Block], title: str, target: Path) -> None:
    styles = getSampleStyleSheet()
    body = ParagraphStyle("body", parent=styles["BodyText"], fontSize=10, leading=14)
    cell = ParagraphStyle("cell", parent=body, fontSize=8.5, leading=11)
    mono = ParagraphStyle("mono", parent=styles["Code"], fontSize=8, leading=10, leftIndent=8, spaceAfter=6)
    cells = (0, 0), (-1, -1)
    grid = [("GRID", *cells, 0.5, colors.grey), ("VALIGN", *cells, "TOP"), ("BACKGROUND", (0, 0), (-1, 0), "#eeeeee")]
    tags = {"code": '<font name="Courier">{}</font>', "bold": "<b>{}</b>", "": "{}"}

    def text(words: str, style: ParagraphStyle, bullet: str | None = None) -> Paragraph:
        markup = "".join(tags[kind].format(escape(piece)) for kind, piece in spans(words))
        return Paragraph(markup, style, bulletText=bullet)

    story: list[Any] = []
    for block in blocks:
        if block.kind == "heading":
            story.append(text(block.text, styles["Title" if block.level == 1 else f"Heading{block.level}"]))
            story[-1].outline_level, story[-1].keepWithNext = block.level - 1, True
        elif block.kind == "table":
            heads = [[text(f"**{words}**", cell) for words in block.rows[0]]]
            rows = heads + [[text(words, cell) for words in row] for row in block.rows[1:]]
            longest = [max(6, min(40, max(map(len, column)))) for column in zip(*block.rows, strict=True)]
            widths = [17 * cm * length / sum(longest) for length in longest]
            story += [Table(rows, widths, style=grid, repeatRows=1), Spacer(0, 8)]
        elif block.kind == "code":
            story.append(XPreformatted(escape(block.text), mono))
        else:
            story.append(text(block.text, body, "\u2022" if block.kind == "bullet" else None))

    def footer(canvas: Any, document: Any) -> None:
        canvas.setFont("Helvetica", 8)
        canvas.drawCentredString(A4[0] / 2, 1.2 * cm, f"{title} - page {document.page}")

    margins = dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), 2 * cm)
    about = {"title": title, "author": "Documentation team", "lang": "en"}
    pdf = PdfDocument(str(target), pagesize=A4, invariant=1, pageCompression=0, **margins, **about)
    pdf.build(story, onFirstPage=footer, onLaterPages=footer)


def make_all(sources: Path, out: Path) -> list[Path]:
    """Write every document; return the written paths."""
    made = []
    for source in sorted(sources.glob("*/*.md")):
        target = out / source.parent.name / source.stem
        target.parent.mkdir(parents=True, exist_ok=True)
        blocks = list(parse(source.read_text(encoding="utf-8")))
        title = next((block.text for block in blocks if block.kind == "heading"), target.stem)
        {".docx": write_docx, ".pdf": write_pdf}[target.suffix](blocks, title, target)
        made.append(target)
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", type=Path, default=ROOT / "tools" / "documents")
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "knowledge_base")
    options = parser.parse_args()
    for path in make_all(options.sources, options.out):
        print(path)
