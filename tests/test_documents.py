"""Files of all four formats in, text with headings and pages out; and every file that cannot be read, by name."""

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from copilot.config import Chunks, Documents
from copilot.errors import ConfigError, CopilotError
from copilot.knowledge.chunks import split
from copilot.knowledge.documents import find_files, linked_folders, load_document, load_documents
from copilot.knowledge.headings import markdown_headings, text_headings
from copilot.reading.entries import read_entry
from copilot.types import Heading


def write(folder: Path, **files: str | bytes) -> Path:
    """Files by name; `__` stands for the dot of the suffix, `_in_` for a folder."""
    for name, content in files.items():
        file = folder / name.replace("_in_", "/").replace("__", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def names(*paths: Path, **config: list[str]) -> list[str]:
    return [name for name, _ in find_files(Documents(paths=[str(p) for p in paths], **config))]


def refused(file: Path) -> CopilotError:
    with pytest.raises(CopilotError) as caught:
        load_document(file.name, file)
    assert str(file) in caught.value.message and caught.value.hint
    return caught.value


def make_pdf(file: Path, pages: list[str], title: str | None = None, marks: bool = True) -> Path:
    """A PDF whose pages each begin with a bookmarked heading."""
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(file))
    if title:
        canvas.setTitle(title)
    for number, page in enumerate(pages):
        for row, line in enumerate(page.splitlines()):
            canvas.drawString(72, 760 - 16 * row, line)
        if marks and page:
            canvas.bookmarkPage(f"p{number}")
            canvas.addOutlineEntry(page.splitlines()[0], f"p{number}", level=0)
        canvas.showPage()
    canvas.save()
    return file


def test_the_shipped_knowledge_base(root: Path) -> None:
    documents = list(load_documents(Documents(paths=[str(root / "data/knowledge_base")])))
    assert len(documents) >= 8 and {Path(d.path).suffix for d in documents} == {".md", ".txt", ".pdf", ".docx"}
    for document in documents:
        assert document.sha256 == hashlib.sha256(Path(document.source).read_bytes()).hexdigest()
        assert len(document.headings) > 5 and document.headings[0].level == 1, document.path
        assert document.headings[0].title == document.title
        assert bool(document.page_starts) is document.path.endswith(".pdf")
        for mark in document.headings:
            begins = " ".join(document.text[mark.start :].lstrip("# \t").split())
            assert begins.startswith(mark.title), (document.path, mark)


def test_docx_tables_stand_where_the_reader_meets_them(tmp_path: Path) -> None:
    from docx import Document

    made = Document()
    made.add_heading("Lists", 0)
    made.add_paragraph("Before the table.")
    table = made.add_table(rows=2, cols=2)
    for n, text in enumerate(("Field", "Type", "a|b\nc", "text")):
        table.cell(n // 2, n % 2).text = text
    made.add_paragraph("After the table.")
    made.add_heading("Part\nTwo", 1)
    made.add_paragraph("one", style="List Bullet")
    made.add_paragraph("two", style="List Bullet")
    made.add_paragraph("first", style="List Number")
    made.add_paragraph("second", style="List Number")
    made.add_paragraph("# no heading")
    made.save(str(tmp_path / "a.docx"))
    document = load_document("a.docx", tmp_path / "a.docx")
    assert document.text.split("\n\n") == [
        "# Lists",
        "Before the table.",
        "| Field | Type |\n| --- | --- |\n| a\\|b; c | text |",
        "After the table.",
        "## Part Two",
        "- one\n- two",
        "1. first\n2. second",
        "\\# no heading\n",
    ]
    assert [(h.level, h.title) for h in document.headings] == [(1, "Lists"), (2, "Part Two")]
    assert document.title == "Lists"


def test_word_lists_headings_and_cells_as_word_shows_them(tmp_path: Path) -> None:
    """Numbering without a list style, a heading style of one's own, titles over two columns, a row that is one cell."""
    from docx import Document
    from docx.enum.style import WD_STYLE_TYPE
    from docx.oxml import OxmlElement, parse_xml
    from docx.oxml.ns import nsdecls, qn

    made = Document()
    numbering = made.part.numbering_part.element
    kind = f"{qn('w:lvl')}/{qn('w:numFmt')}"
    formats = {n.find(kind).get(qn("w:val")): n for n in numbering.findall(qn("w:abstractNum"))}
    decimal = numbering.add_num(int(formats["decimal"].get(qn("w:abstractNumId")))).numId

    def numbered(text: str, style: str = "List Paragraph") -> None:
        properties = made.add_paragraph(text, style=style)._p.get_or_add_pPr()
        inner = f'<w:ilvl w:val="0"/><w:numId w:val="{decimal}"/>'
        properties.append(parse_xml(f"<w:numPr {nsdecls('w')}>{inner}</w:numPr>"))

    own = made.styles.add_style("Company heading", WD_STYLE_TYPE.PARAGRAPH)
    own.base_style = made.styles["Heading 1"]
    made.add_paragraph("Clean it", style="Company heading")
    numbered("Open the lid.")
    numbered("Wipe it.", "Normal")
    level = OxmlElement("w:outlineLvl")
    level.set(qn("w:val"), "1")
    made.add_paragraph("By hand")._p.get_or_add_pPr().append(level)
    numbered("Take a cloth.")
    table = made.add_table(rows=4, cols=3)
    table.cell(0, 1).merge(table.cell(0, 2)).text = "May"
    table.cell(0, 0).merge(table.cell(1, 0)).text = "Role"
    for (row, column), text in {(1, 1): "open", (1, 2): "clean", (2, 0): "Guest", (2, 1): "yes", (2, 2): "no"}.items():
        table.cell(row, column).text = text
    table.cell(3, 0).merge(table.cell(3, 2)).text = "Others"
    made.save(str(tmp_path / "a.docx"))
    document = load_document("a.docx", tmp_path / "a.docx")
    assert [(h.level, h.title) for h in document.headings] == [(2, "Clean it"), (3, "By hand")]
    assert "1. Open the lid.\n2. Wipe it.\n\n### By hand\n\n1. Take a cloth.\n" in document.text
    assert "| Role | May open | May clean |\n" in document.text
    assert "| Guest | yes | no |\n| Others |  |  |" in document.text


def test_lines_in_bold_are_headings_of_a_word_file_without_any(tmp_path: Path) -> None:
    from docx import Document

    made = Document()
    for bold, text in ((True, "Clean it"), (False, "Open the lid."), (True, "Never open it wet.")):
        made.add_paragraph().add_run(text).bold = bold
    made.save(str(tmp_path / "a.docx"))
    assert [h.title for h in load_document("a.docx", tmp_path / "a.docx").headings] == ["Clean it"]


def test_what_word_shows_is_read_and_what_it_hides_is_not(tmp_path: Path) -> None:
    """Insertions, content controls, boxes, raised digits; no struck text. Tables of one row or without titles."""
    from docx import Document
    from docx.oxml import parse_xml
    from docx.oxml.ns import nsdecls

    made = Document()
    paragraph = made.add_paragraph("It closes at ")
    paragraph._p.append(parse_xml(f'<w:ins {nsdecls("w")}><w:r><w:t>22:00</w:t></w:r></w:ins>'))
    paragraph.add_run(" or 9:00").font.strike = True
    paragraph.add_run(", hidden").font.hidden = True
    paragraph.add_run(" in 10")
    paragraph.add_run("6").font.superscript = True
    paragraph.add_run(" ways.")
    inner = "<w:sdtContent><w:p><w:r><w:t>A control.</w:t></w:r></w:p></w:sdtContent>"
    made.element.body.insert(1, parse_xml(f"<w:sdt {nsdecls('w')}>{inner}</w:sdt>"))
    for texts in (["DANGER\nIt is hot."], ["Green\tFull", "Red, blinking\tA fault: unplug it."]):
        cells = [text.split("\t") for text in texts]
        table = made.add_table(rows=len(cells), cols=len(cells[0]))
        for row, parts in zip(table.rows, cells, strict=True):
            for cell, part in zip(row.cells, parts, strict=True):
                cell.text = part
        made.add_paragraph("Next.")
    made.save(str(tmp_path / "a.docx"))
    text = load_document("a.docx", tmp_path / "a.docx").text
    assert "It closes at 22:00 in 10^6 ways.\n\nA control.\n\nDANGER: It is hot.\n" in text
    assert "|  |  |\n| --- | --- |\n| Green | Full |\n| Red, blinking | A fault: unplug it. |\n" in text
    assert dict(read_entry(text).fields)["Green"] == "Full" and read_entry(text).notes == ("It is hot.",)


def ruled_pdf(file: Path, rows: list[list[str]], above: int = 0) -> Path:
    """A PDF with a ruled table, `above` points below the top, and a line at the top and the bottom of each page."""
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table

    plain = getSampleStyleSheet()["BodyText"]
    cells = [[Paragraph(cell, plain) for cell in row] for row in rows]
    table = Table(cells, colWidths=[90, 60, 120], style=[("GRID", (0, 0), (-1, -1), 0.5, "black")])

    def running(canvas: object, template: object) -> None:
        canvas.drawString(50, 810, "Robot manual 2.1")  # type: ignore[attr-defined]
        canvas.drawString(50, 20, f"{template.page} / 9")  # type: ignore[attr-defined]

    story = [Spacer(1, above), Paragraph("The robot has a record.", plain), table, Paragraph("It ends here.", plain)]
    SimpleDocTemplate(str(file)).build(story, onFirstPage=running, onLaterPages=running)
    return file


def test_the_tables_of_a_pdf_are_tables(tmp_path: Path) -> None:
    rows = [["Field", "Len", "Description"], ["BATTERY", "5", "Charge in percent, which the robot tells each hour."]]
    text = load_document("a.pdf", ruled_pdf(tmp_path / "a.pdf", [*rows, ["DIRT_<br/>LEVEL", "1", "a|b"]])).text
    assert text.endswith(
        "The robot has a record.\n\n| Field | Len | Description |\n| --- | --- | --- |\n"
        "| BATTERY | 5 | Charge in percent, which the robot tells each hour. |\n| DIRT_LEVEL | 1 | a\\|b |\n\n"
        "It ends here.\n"
    )


def test_a_table_that_goes_on_has_its_titles_again_and_running_lines_go(tmp_path: Path) -> None:
    rows = [["Field", "Len", "Description"], *[[f"FIELD{n}", str(n), f"Part {n}."] for n in range(30)]]
    document = load_document("a.pdf", ruled_pdf(tmp_path / "a.pdf", rows, 300))
    assert len(document.page_starts) == 2
    titles = "| Field | Len | Description |\n| --- | --- | --- |\n| FIELD"
    assert document.text[document.page_starts[1] :].startswith(titles)
    assert "Robot manual" not in document.text and "/ 9" not in document.text
    fields = read_entry(document.text).fields
    assert [name for name, _ in fields] == [f"FIELD{n}" for n in range(30)]


def test_the_lists_and_words_of_a_pdf_are_whole(tmp_path: Path) -> None:
    lines = ["The robot cleans a well-known area and its infor-", "mation, by a well-", "known way."]
    more = ["1", "Open the lid.", "2", "Wipe the lens.", "\x7f", "Keep it dry.", "3", "x"]
    text = load_document("a.pdf", make_pdf(tmp_path / "a.pdf", ["\n".join([*lines, *more])], marks=False)).text
    assert "its information, by a well-known way.\n1. Open the lid.\n2. Wipe the lens.\n" in text
    assert text.endswith("3\nx\n"), "no item"


def test_front_matter_is_no_passage_and_names_the_document(tmp_path: Path) -> None:
    text = "---\ntitle: \"The lamps\"\ntags:\n  - light\n---\n\n## Switch on\n\nUse the switch.\n"
    document = load_document("a.md", write(tmp_path, a__md=text) / "a.md")
    assert document.title == "The lamps" and document.text.count("\n") == text.count("\n")
    assert [chunk.heading for chunk in split(document, Chunks())] == ["Switch on"]
    ruled = "---\n\nJust a line above.\n\n---\n\nAnd below.\n"
    assert load_document("b.md", write(tmp_path, b__md=ruled) / "b.md").text == ruled


def test_pdf_pages_and_outline(tmp_path: Path) -> None:
    file = make_pdf(tmp_path / "guide.pdf", ["First part\nWords here.", "", "Second part\nMore words."], "The Guide")
    document = load_document("guide.pdf", file)
    assert document.title == "The Guide" and len(document.page_starts) == 3
    assert [h.title for h in document.headings] == ["First part", "Second part"]
    assert document.headings[1].start >= document.page_starts[2]
    chunks = list(split(document, Chunks()))
    assert [(c.page, c.heading) for c in chunks] == [(1, "First part"), (3, "Second part")]


def test_pdf_without_title_or_outline(tmp_path: Path) -> None:
    document = load_document("my-notes.pdf", make_pdf(tmp_path / "my-notes.pdf", ["Just words."], marks=False))
    assert (document.title, document.headings, document.page_starts) == ("my notes", (), (0,))


def test_larger_lines_are_the_headings_of_a_pdf_without_an_outline(tmp_path: Path, root: Path) -> None:
    """They are what the outline of a shipped PDF says, and the file's own title is none when a program made it up."""
    from pypdf import PdfReader, PdfWriter

    shipped = root / "data/knowledge_base/messaging/webhooks.pdf"
    known = load_document("webhooks.pdf", shipped)
    writer = PdfWriter()
    for page in PdfReader(shipped).pages:
        writer.add_page(page)
    writer.add_metadata({"/Title": "(anonymous)"})
    writer.write(tmp_path / "bare.pdf")
    bare = load_document("bare.pdf", tmp_path / "bare.pdf")
    assert len(known.headings) > 10 and bare.headings == known.headings
    assert bare.title == known.headings[0].title


def test_a_pdf_whose_text_is_large_has_no_headings_for_that(tmp_path: Path) -> None:
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(tmp_path / "big.pdf"))
    for row in range(20):
        canvas.setFont("Helvetica", 8 if row % 4 else 14)
        told = "A row of a table with numbers in it, " * 2 if row % 4 else "A sentence in larger letters ends here."
        canvas.drawString(40, 760 - 20 * row, told)
    canvas.save()
    assert load_document("big.pdf", tmp_path / "big.pdf").headings == ()


def test_lines_in_bold_are_the_headings_of_a_pdf_whose_letters_have_one_size(tmp_path: Path) -> None:
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(tmp_path / "bold.pdf"))
    told = ["*1. Leave", "Everybody has 30 days of leave in a year, which can be taken", "at any time of it."]
    told += ["*1.1 Asking", "Ask two weeks before, in the portal or by a letter to the office.", "*2. Illness"]
    for row, line in enumerate([*told, "Call before nine and see a doctor on the third day."]):
        canvas.setFont("Helvetica-Bold" if line[0] == "*" else "Helvetica", 10)
        canvas.drawString(40, 760 - 14 * row, line.removeprefix("*"))
    canvas.save()
    found = [(h.level, h.title) for h in load_document("bold.pdf", tmp_path / "bold.pdf").headings]
    assert found == [(1, "1. Leave"), (2, "1.1 Asking"), (1, "2. Illness")]


def test_short_lines_between_blank_ones_are_the_headings_of_plain_text() -> None:
    text = "ACME HOOKS\n\nSet up an endpoint\n\nOpen the page.\n\nRetries\n\nEight times.\n\nDone\n"
    found = [(h.level, h.title) for h in text_headings(text)]
    assert found == [(2, "ACME HOOKS"), (3, "Set up an endpoint"), (3, "Retries")]
    assert [h.title for h in text_headings(f"Title\n=====\n\n{text}")] == ["Title", "ACME HOOKS"], "it underlines them"
    assert text_headings("A note\n\nJust one line above.\n") == ()


def test_numbered_headings_of_a_memo() -> None:
    text = "1.  Introduction\n\n   Text here.\n\n2.1.  Header\n\n   It has 8 octets.\n"
    assert [h.title for h in text_headings(text)] == ["1.  Introduction", "2.1.  Header"]


def test_the_capitals_of_a_manual_page_are_headings() -> None:
    text = "NAME\n       lamp - lights\n\nOPTIONS\n       --dim\n              Less light.\n\nPOST\n\n/lamps\n"
    assert [h.title for h in text_headings(text)] == ["NAME", "OPTIONS"]


def test_the_questions_of_an_faq_are_headings() -> None:
    text = "# FAQ\n\n**Q: Why so late?**\n\nA: It is slow.\n\nQ2. May I go?\nA: Yes.\n\nQ: and this\n"
    wanted = [(1, "FAQ"), (6, "Why so late?"), (6, "May I go?")]
    folded = "<summary><b>Is it safe?</b></summary>\n\n??? question \"May I?\"\n\n## Ports {#ports}\n"
    assert [h.title for h in markdown_headings(folded)] == ["Is it safe?", "May I?", "Ports"]
    assert [h.title for h in markdown_headings("**May I?**\n\nYes.\n\n**No?** Text.\n")] == ["May I?"]
    assert [(h.level, h.title) for h in markdown_headings(text)] == wanted
    assert [(h.level, h.title) for h in text_headings(text.removeprefix("# FAQ"))] == wanted[1:]


def marked(text: str, read: Callable[[str], tuple[Heading, ...]] = markdown_headings) -> list[tuple[int, str]]:
    return [(heading.level, heading.title) for heading in read(text)]


def test_a_line_in_bold_that_is_a_paragraph_is_a_heading() -> None:
    text = "# Athena\n\n**Why so?**\n\nIt is.\n\n**POST /v1/ask**\n\nAsks.\n\n**E42 – Jam**\n\nOpen.\n\n"
    text += "**3. Refunds**\n\nPaid.\n\n**3.1 In parts**\n\nTwice.\n\n**Troubleshooting**\n\nWait.\n"
    wanted = [(2, "POST /v1/ask"), (2, "E42 – Jam"), (2, "3. Refunds"), (3, "3.1 In parts"), (2, "Troubleshooting")]
    assert marked(text) == [(1, "Athena"), (6, "Why so?"), *wanted]
    below = "# A\n\nx\n\n## B\n\nx\n\n**Ageing**\n\nx\n\n## C\n\nx\n"
    assert marked(below) == [(1, "A"), (2, "B"), (3, "Ageing"), (2, "C")]
    assert marked("**Athena**\n\nAll of it.\n\n__Settings__\n\nx\n") == [(1, "Athena"), (2, "Settings")]


NO_TITLES = ("Note", "Warning:", "Step 2: Open it", "Example", "Request", "It is shut.", "Parameters", "Never open it")


@pytest.mark.parametrize("line", [*NO_TITLES, "Last updated 3 May", "Table 2", "and so on", "One**, **two"])
def test_other_lines_in_bold_are_no_headings(line: str) -> None:
    assert marked(f"# A\n\nx\n\n**{line}**\n\ny\n") == [(1, "A")]


def test_labels_in_bold_are_no_headings() -> None:
    assert marked("# A\n\n**Depot**\nA house.\n\n**Crate** It is shut.\n\n**Last**\n") == [(1, "A")]
    twice = "## One\n\n**What to do**\n\nx\n\n**Odd**\n\nx\n\n## Two\n\n**What to do**\n\nx\n\n**Odd**\n\nx\n"
    assert marked(twice) == [(2, "One"), (2, "Two")]
    procedures = "# A\n\n## Put it in\n\n**Windows**\n\n1. Run it.\n\n**macOS**\n\n1. Drag it.\n"
    assert marked(procedures) == [(1, "A"), (2, "Put it in")]
    call = "# A\n\n## Ask\n\n**`POST /ask`**\n\nAsks.\n\n## Tell\n\nx\n"
    assert marked(call) == [(1, "A"), (2, "Ask"), (2, "Tell")]
    several = "# A\n\n## Ask\n\n**POST /ask**\n\nAsks.\n\n**GET /ask**\n\nTells.\n"
    assert marked(several) == [(1, "A"), (2, "Ask"), (3, "POST /ask"), (3, "GET /ask")]


def test_markdown_without_headings_has_those_of_plain_text() -> None:
    text = "1. Introduction\n\nIt works.\n\n2. Depot\n\n2.1 Seal a crate (once)\n\nPOST /crates\n\nIt is shut.\n\n"
    text += "Common problems\n\nNone.\n\n3. Questions\n\nIs it safe?\nYes.\n\nMay I?\nNo.\n\n```\n\n4. Code\n\n```\n"
    wanted = [(3, "1. Introduction"), (3, "2. Depot"), (4, "2.1 Seal a crate (once)"), (5, "Common problems")]
    assert marked(text) == [*wanted, (3, "3. Questions"), (6, "Is it safe?"), (6, "May I?")]
    assert marked(f"Works - Manual (draft)\n\n{text}")[:2] == [(1, "Works - Manual (draft)"), wanted[0]]
    assert marked(f"# Works\n\n{text}")[:3] == [(1, "Works"), *wanted[:2]], "one title"
    assert marked(f"# Works\n\n## Depot\n\n{text}") == [(1, "Works"), (2, "Depot")]
    assert marked("Do this:\n\n1. Open it\n\n2. Shut it\n\n3. Go home\n\nDone.\n") == []
    assert marked("1. Open it\n\n   Wide.\n\n2. Shut it\n\n   Well.\n") == []


def test_headings_below_front_matter_stand_where_their_lines_do() -> None:
    text = "---\ntitle: Depot\n---\n\n1. Crates\n\nThey are shut.\n\n```\ncode\n```\n\n2. Boxes\n\nThey are open.\n"
    found = markdown_headings(text)
    assert [text[heading.start :].partition("\n")[0] for heading in found] == ["1. Crates", "2. Boxes"]


def test_headings_of_html_and_asciidoc() -> None:
    text = "<h1 align=\"center\">The <i>Depot</i></h1>\n\n<h2>Crates</h2>\n\n== Boxes ==\n\n=== Seal\n\n== no\n"
    assert marked(text) == [(1, "The Depot"), (2, "Crates"), (2, "Boxes"), (3, "Seal")]
    assert marked("== Boxes\n\nText.\n\n=== Seal it\n\nMore.\n", text_headings) == [(2, "Boxes"), (3, "Seal it")]
    assert marked("# Rename # {#rename}\n## C# ##\n") == [(1, "Rename"), (2, "C#")]
    folded = "<details><summary>May I?</summary>\n\nYes.\n\n</details>\n<details open> <summary><b>Why?</b></summary>\n"
    assert marked(folded) == [(6, "May I?"), (6, "Why?")]


def test_a_question_without_its_mark_among_others() -> None:
    text = "Q: Is it free?\nA: Yes.\n\nHow do I sign out?\nPress it.\n\nIs this one\nof two lines?\n\nWell.\n"
    assert marked(text, text_headings) == [(6, "Is it free?"), (6, "How do I sign out?")]
    assert marked("Is it free?\nYes.\n\nNothing else.\n", text_headings) == []


def test_markdown_headings_outside_code() -> None:
    text = """---
title: # no
---
# One #
## C#
```sh
# no
~~~
## no
```
~~~~
# no
~~~
~~~~
``` `inline` ```
   ### Three
    # no, code

#no

Setext one
==========

Setext two
---

- item
---

a | b
---

two lines of
a paragraph
---
####### no
"""
    found = markdown_headings(text)
    assert [(h.level, h.title) for h in found] == [
        (1, "One"),
        (2, "C#"),
        (3, "Three"),
        (1, "Setext one"),
        (2, "Setext two"),
        (2, "a | b"),
    ]
    assert [text[h.start :].split("\n")[0].strip(" #") for h in found][:3] == ["One", "C", "Three"]
    assert text[found[3].start :].startswith("Setext one")


def test_text_headings() -> None:
    text = "Bells\n=====\n\nWords.\n\nRinging\n-------\nx\n\nLOUD BELLS\n\nNo heading here.\n\nNO\n\n----\n"
    assert [(h.level, h.title, text[h.start :].split("\n")[0]) for h in text_headings(text)] == [
        (1, "Bells", "Bells"),
        (2, "Ringing", "Ringing"),
        (2, "LOUD BELLS", "LOUD BELLS"),
    ]


def test_heading_offsets_survive_unusual_line_ends(tmp_path: Path) -> None:
    body = "# A\r\nx\x0cy\u2028z\u0085w\r\n\r\n## B\rend"
    document = load_document("a.md", write(tmp_path, a__md=body) / "a.md")
    assert "\r" not in document.text
    assert [document.text[h.start :].split("\n")[0] for h in document.headings] == ["# A", "## B"]


def test_titles(tmp_path: Path) -> None:
    write(tmp_path, a__md="# The Title\nx", rate_limits__md="## Part\nx", b__txt="plain words")
    titles = {d.path: d.title for d in load_documents(Documents(paths=[str(tmp_path)]))}
    assert titles == {"a.md": "The Title", "b.txt": "b", "rate_limits.md": "rate limits"}


def test_unreadable_pdf(tmp_path: Path, root: Path) -> None:
    whole = (root / "data/knowledge_base/messaging/webhooks.pdf").read_bytes()
    for content in (b"no pdf at all", b"", b"%PDF-1.7\n%%EOF\n", whole[: len(whole) // 3]):
        error = refused(write(tmp_path, broken__pdf=content) / "broken.pdf")
        assert "not a readable PDF" in error.message and "\n" not in error.message


def encrypted(folder: Path, password: str, algorithm: str = "RC4-128") -> None:
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(make_pdf(folder / "plain.pdf", ["Open words"])))
    writer.encrypt(password, "owner", algorithm=algorithm)
    writer.write(folder / "locked.pdf")


def test_encrypted_pdf(tmp_path: Path) -> None:
    encrypted(tmp_path, "a password")
    error = refused(tmp_path / "locked.pdf")
    assert "the PDF is encrypted" in error.message and "without a password" in error.hint


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
def test_pdf_locked_for_editing_alone_is_read(tmp_path: Path, algorithm: str) -> None:
    encrypted(tmp_path, "", algorithm)
    assert "Open words" in load_document("locked.pdf", tmp_path / "locked.pdf").text


def test_every_file_that_cannot_be_read_is_named_at_once(tmp_path: Path) -> None:
    write(tmp_path, a__md=b"\xff", b__md="Text.", c__docx="no zip")
    with pytest.raises(CopilotError) as caught:
        load_documents(Documents(paths=[str(tmp_path)]))
    first, second = caught.value.message.splitlines()
    assert "a.md:1: not UTF-8 text" in first and "c.docx: not a Word document" in second
    assert caught.value.hint == "mend these files, or name them in `documents.exclude`"


def test_scanned_pdf(tmp_path: Path) -> None:
    error = refused(make_pdf(tmp_path / "scan.pdf", ["", ""]))
    assert "no text in it" in error.message and "OCR" in error.hint


def test_docx_that_is_none(tmp_path: Path) -> None:
    write(tmp_path, text__docx="plain text", empty__docx="", ole__docx=b"\xd0\xcf\x11\xe0" + b"\0" * 600)
    with zipfile.ZipFile(tmp_path / "zip.docx", "w") as archive:
        archive.writestr("hello.txt", "no document")
    from docx import Document

    Document().save(str(tmp_path / "whole.docx"))
    with zipfile.ZipFile(tmp_path / "whole.docx") as good, zipfile.ZipFile(tmp_path / "xml.docx", "w") as bad:
        for name in good.namelist():
            bad.writestr(name, b"<broken" if name == "word/document.xml" else good.read(name))
    for name in ("text", "empty", "ole", "zip", "xml"):
        assert "not a Word document" in refused(tmp_path / f"{name}.docx").message, name
    assert "no text in it" in refused(tmp_path / "whole.docx").message


@pytest.mark.parametrize("content", ["", "  \n\t\n", "---\n\n***\n"])
def test_a_file_without_text(tmp_path: Path, content: str) -> None:
    error = refused(write(tmp_path, a__md=content) / "a.md")
    assert "no text in it" in error.message and "documents.exclude" in error.hint


def test_not_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    error = refused(write(tmp_path, a__txt=b"one\ntwo\ncaf\xe9\n") / "a.txt")
    assert f"{tmp_path / 'a.txt'}:3: not UTF-8" in error.message and "UTF-8" in error.hint
    assert "a.md:1: not UTF-8" in refused(write(tmp_path, a__md="é".encode("utf-16")) / "a.md").message
    assert load_document("b.md", write(tmp_path, b__md=b"\xef\xbb\xbf# Hi\nx") / "b.md").title == "Hi"


def test_a_format_that_needs_an_extra(tmp_path: Path) -> None:
    error = refused(write(tmp_path, a__unknown="x") / "a.unknown")
    assert "`loaders` extra" in error.message or "cannot be read" in error.message


def test_empty_folder_and_missing_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no documents in") as caught:
        names(tmp_path)
    assert ".docx" in caught.value.hint and "documents.include" in caught.value.hint
    with pytest.raises(ConfigError, match=f"no file or folder at {tmp_path / 'gone'}"):
        names(tmp_path, tmp_path / "gone")


def test_include_and_exclude(tmp_path: Path) -> None:
    write(tmp_path, a__md="x", B__MD="x", c__html="x", sub_in_d__txt="x", sub_in_deep_in_e__md="x")
    write(tmp_path, drafts_in_f__md="x", hidden__md="x")
    (tmp_path / "hidden.md").rename(tmp_path / ".hidden.md")
    (tmp_path / "drafts/f.md").with_name("~$f.docx").write_text("lock file of Word")
    assert names(tmp_path) == ["B.MD", "a.md", "drafts/f.md", "sub/d.txt", "sub/deep/e.md"]
    assert names(tmp_path, exclude=["drafts/**", "**/d.*"]) == ["B.MD", "a.md", "sub/deep/e.md"]
    assert names(tmp_path, include=["*.md"]) == ["B.MD", "a.md"]
    assert names(tmp_path, include=["sub/*.???"]) == ["sub/d.txt"]
    assert names(tmp_path, include=["sub/**"]) == ["sub/d.txt", "sub/deep/e.md"]
    assert names(tmp_path / "c.html") == ["c.html"]  # a file that is named is taken


def test_same_names_in_several_folders_stay_apart(tmp_path: Path) -> None:
    for n, folder in enumerate(("x_in_kb", "y_in_kb", "z_in_kb")):
        write(tmp_path, **{f"{folder}_in_a__md": f"words {n}"})
    found = dict(find_files(Documents(paths=[str(tmp_path / f"{name}/kb") for name in "xyz"])))
    assert {name: path.read_text() for name, path in found.items()} == {
        "a.md": "words 0",
        "kb/a.md": "words 1",
        "z/kb/a.md": "words 2",
    }


def test_a_file_that_two_paths_reach_is_read_once(tmp_path: Path) -> None:
    write(tmp_path, a__md="x", sub_in_b__md="x")
    assert names(tmp_path, tmp_path / "sub", tmp_path / "a.md") == ["a.md", "sub/b.md"]


def test_linked_folders_are_named_unless_they_are_read(tmp_path: Path) -> None:
    """No loop is followed, and what is excluded or hidden is not missed."""
    kb = write(tmp_path, kb_in_a__md="x", kb_in_sub_in_b__md="x", other_in_c__md="x") / "kb"
    links = {"team": "other", "loop": "kb", "again": "kb/sub", ".hidden": "other", "old": "other"}
    for link, target in links.items():
        (kb / link).symlink_to(tmp_path / target, target_is_directory=True)
    given = Documents(paths=[str(kb)], exclude=["old/**"])
    assert linked_folders(given) == [kb / "team"] and names(kb) == ["a.md", "sub/b.md"]
    assert linked_folders(Documents(paths=[str(kb), str(kb / "team")])) == []
    assert names(kb, kb / "team") == ["a.md", "c.md", "sub/b.md"]


def test_emphasis_and_the_lines_of_a_letter_are_no_headings() -> None:
    steps = "# Help\n\n## Sign up\n\n1. Open it.\n2. Enter a name.\n\n**Check your inbox**\n\n3. Click the link.\n"
    assert marked(steps) == [(1, "Help"), (2, "Sign up")]
    bold = "# Help\n\n## Pay\n\nPay it.\n\n**You need to be an owner**\n\nAsk.\n\n**Important: keep dry**\n\nIt is.\n"
    assert marked(bold) == [(1, "Help"), (2, "Pay")]
    letter = "# Bread\n\nMix it.\n\nKnead for ten minutes\n\nRest.\n\nBake for 40 minutes\n\nEat.\n\nRegards\n\nA.\n"
    assert marked(letter) == [(1, "Bread")]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# Guide\n\nText.\n\n# Part\n\nText.\n", "Guide"),
        ("<!-- a -->\n<p align='center'>\n[![build](a.svg)](b)\n# Guide\n\nText.\n\n# Part\n\nText.\n", "Guide"),
        ("Home > Docs\n\n# Guide\n\nText.\n", "Guide"),
        ("Text of the first part.\n\n# Second part\n\nText.\n\n# Third part\n\nText.\n", "rag doc"),
        ("# Method: cats.get\n\nText.\n\n# Method: cats.list\n\nText.\n", "rag doc"),
        ("# Topic 1: Cats\n\nText.\n\n# Topic 2: Dogs\n\nText.\n", "rag doc"),
        ("# Method: how we work\n\nText.\n\n# Tools\n\nText.\n", "Method: how we work"),
    ],
)
def test_a_document_is_not_called_as_one_of_its_parts(text: str, title: str, tmp_path: Path) -> None:
    file = tmp_path / "rag_doc.md"
    file.write_text(text, encoding="utf-8")
    assert load_document("rag_doc.md", file).title == title


def test_numbered_lines_below_a_marked_chapter_are_headings() -> None:
    text = "# 4 Devices\n\n4.1 Laptops\n\nFour years.\n\n4.2 Lost or stolen\n\nCall 4900.\n\n# 5 Badges\n\nText.\n"
    assert [(h.level, h.title) for h in markdown_headings(text)] == [
        (1, "4 Devices"),
        (2, "4.1 Laptops"),
        (2, "4.2 Lost or stolen"),
        (1, "5 Badges"),
    ]
    other = "# 4 Devices\n\n1 Laptop\n\nText.\n\n2 Screens\n\nText.\n\n# 5 Badges\n"
    assert len(markdown_headings(other)) == 2, "things that are counted"
