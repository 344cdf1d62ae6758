"""Sections and hits in; which passage supports a section, what [n] means, and that every span opens, held."""

import io
import random
import re
from pathlib import Path

import pytest
from rich.console import Console
from tiny_lm import hit

from copilot.answering.abstained import SAID
from copilot.answering.answer import loose_sections
from copilot.answering.citations import Citing, best_hit, content_words
from copilot.answering.identifiers import in_text, supported
from copilot.answering.marks import Explain, Marker, Unnumbered, marked
from copilot.config import SECTIONS
from copilot.config_file import load_config
from copilot.knowledge.chunks import split
from copilot.knowledge.documents import find_files, load_document
from copilot.model.dataset import read_questions
from copilot.prompt.sections import parse
from copilot.terminal import Terminal
from copilot.types import Answer, Citation, Hit, Usage

LAMP = hit("`PUT /lamps/on` lights the lamp, given `lampId`.", "lamps.md", "Lamps › Switch on")
DOOR = hit("`PUT /doors/open` opens the door in the wall, given `doorId`.", "doors.md", "Doors › Open")
BELL = hit("A bell rings loudly in the evening when somebody stands outside.", "bells.pdf", "Bells", 3)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Give `doorId` to the lamp, and light the lamp.", 1),  # a name beats words
        ("`PUT /lamps/on` with `lampId`.", 0),
        ("The bell rings loudly in the evening.", 2),
        ("The bell is blue and heavy, made by hand in Italy, and somebody likes it.", None),
        ("The documents do not say that.", None),
        ("Use `windowId`.", None),
        ("- It rings.\n- A bell rings loudly in the evening when somebody stands outside", 2),
        ("Rings loudly", 2),  # few words, but they stand there as they are
        ("Loudly rings", None),
        ("", None),
    ],
)
def test_the_hit_that_supports_a_section(text: str, wanted: int | None) -> None:
    assert best_hit(text, [LAMP, DOOR, BELL]) == wanted


def test_nothing_of_a_refusal_is_cited() -> None:
    citing = Citing([LAMP, DOOR, BELL], {})
    assert citing.cite(SAID) is None
    assert citing.cite("The nearest topics are `PUT /lamps/on` and the bell.") is None
    assert not any(source.cited for source in citing.sources())


def test_words_decide_between_the_same_names_and_the_score_between_the_same_words() -> None:
    long = hit("`lampId` names the lamp that a switch lights.", "b.md")
    assert best_hit("`lampId` is the switch.", [hit("`lampId`", "a.md"), long]) == 1
    better = Hit(long.chunk, 0.9)
    assert best_hit("`lampId` is the switch.", [long, better]) == 1
    assert best_hit("`lampId` is the switch.", [better, long]) == 0


def test_numbers_are_those_of_the_list_cited_places_first() -> None:
    citing = Citing([LAMP, DOOR, BELL, DOOR], {})
    assert citing.cite("Give `doorId`.") == Citation(1, 1)
    assert citing.cite("Nothing of this.") is None
    assert citing.cite("Give `lampId`.") == Citation(2, 0) == citing.cite("Give `lampId`.")
    told = [(s.label, s.hits, s.cited) for s in citing.sources()]
    assert told == [
        ("doors.md › Doors › Open", (1, 3), True),
        ("lamps.md › Lamps › Switch on", (0,), True),
        ("bells.pdf › Bells › page 3", (2,), False),
    ]
    assert Citing([], {}).sources() == ()


def test_the_place_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "lamps.md").write_bytes(b"\xef\xbb\xbf# Lamps\r\n\r\n## Switch on\r\n`lampId`\r\n")
    text = load_document("lamps.md", tmp_path / "lamps.md").text
    chunk = hit(text[text.index("## S") :], "lamps.md", "Lamps › Switch on").chunk
    moved = Hit(type(chunk)("lamps.md", "Lamps", "Lamps", None, text.index("## S"), len(text), chunk.text), 0.5)
    (source,) = Citing([moved], {"lamps.md": tmp_path / "lamps.md"}).sources()
    assert source.label == "lamps.md › Lamps › line 3" and source.link == (tmp_path / "lamps.md").as_uri() + "#L3"
    (page,) = Citing([BELL], {"bells.pdf": tmp_path / "a b.pdf"}).sources()
    assert page.link.endswith("/a%20b.pdf#page=3") and page.line is None


def test_sources_are_links_where_the_terminal_can(tmp_path: Path) -> None:
    (tmp_path / "lamps.md").write_text(LAMP.chunk.text, encoding="utf-8")
    sources = Citing([LAMP], {"lamps.md": tmp_path / "lamps.md"}).sources()
    answer = Answer("Q", "x", (), (LAMP,), "m", None, Usage(1, 1, 0, 0), sources=sources)
    terminal, shown = Terminal(), io.StringIO()
    terminal.out = Console(file=shown, force_terminal=True, width=100)
    terminal.answer(answer, streamed=True, show_context=False)
    link = sources[0].link
    assert link.startswith("file:///") and re.search(rf"\x1b\]8;[^;]*;{re.escape(link)}\x1b\\", shown.getvalue())


def cite(text: str) -> Citation | None:
    """Sections that say x have a source."""
    return Citation(1, 0) if "x" in text else None


def fed(text: str, seed: int, explain: Explain = lambda text, citation: ()) -> str:
    """What a Marker writes of `text` in pieces of one to six characters."""
    pieces: list[str] = []
    marker, at, drawn = Marker(cite, pieces.append, explain), 0, random.Random(seed)
    while at < len(text):
        size = drawn.randint(1, 6)
        marker.feed(text[at : at + size])
        at += size
    marker.end()
    return "".join(pieces)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("### A\nx.\n\n### B\ny.\n\n### C\n- x", "### A\nx. [1]\n\n### B\ny.\n\n### C\n- x [1]"),
        ("x\n### A\n\n### x", "x [1]\n### A\n\n### x"),  # a heading is no text of a section
        ("### A\n```\n### x\n```\n\n### B\ny", "### A\n```\n### x\n```\n\n[1]\n\n### B\ny"),  # a comment in code
        ("### A\n| x |\n|---|", "### A\n| x |\n|---|\n\n[1]"),
        ("\n\n### A\nx  \n \n", "### A\nx [1]"),
        ("### A\n#x and ##", "### A\n#x and ## [1]"),
        ("### A\nx\x0c\n###", "### A\nx\x0c\n### [1]"),
        ("", ""),
    ],
)
def test_markers_at_the_ends_of_sections(text: str, wanted: str) -> None:
    assert marked(text, cite) == wanted
    assert [(part.title, cite(part.text)) for part in loose_sections(text) if cite(part.text)] or "[1]" not in wanted
    for seed in range(20):
        assert fed(text, seed) == wanted, "however it is cut into pieces"


def test_explanations_stand_below_the_marker_of_their_section() -> None:
    text = "### A\nx y\n### B\n\n### C\n| y |\n\n### D\n- x\n"
    wanted = "### A\nx y [1]\n\n> **y**: 3\n### B\n\n### C\n| y |\n\n> **y**: 5\n\n### D\n- x [1]"

    def explain(body: str, citation: Citation | None) -> list[tuple[str, str]]:
        return [("y", str(len(body)))] if "y" in body else []

    assert marked(text, cite, explain) == wanted
    for seed in range(20):
        assert fed(text, seed, explain) == wanted, "however it is cut into pieces"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("It rings [1]. It is blue [2, 3].\n- Red [3]\n[1]", "It rings. It is blue.\n- Red\n"),
        ("It rings.[1][2] Yes", "It rings. Yes"),
        ("`a[1]` and `b [1]`, list[1], [4], [0]", "`a[1]` and `b [1]`, list[1], [4], [0]"),  # names; no passages
        ("[1](x) [1]: x [a] [ 1", "[1](x) [1]: x [a] [ 1"),
        ("```\n [1, 2]\n```\nSo [1]", "```\n [1, 2]\n```\nSo"),
        ("", ""),
    ],
)
def test_numbers_of_passages_in_prose_are_left_out(text: str, wanted: str) -> None:
    assert Unnumbered(3).whole(text) == wanted
    for seed in range(20):
        bare, out, at, drawn = Unnumbered(3), "", 0, random.Random(seed)
        while at < len(text):
            size = drawn.randint(1, 5)
            out, at = out + bare.feed(text[at : at + size]), at + size
        assert out + bare.end() == wanted


def test_text_comes_as_soon_as_it_can() -> None:
    pieces: list[str] = []
    marker = Marker(cite, pieces.append)
    for piece in ("### A\nx was", " a thing", ".\n", "\n##", "# B\n"):
        marker.feed(piece)
    assert "".join(pieces) == "### A\nx was a thing. [1]\n\n### B"
    assert pieces[0] == "### A" and pieces[1:3] == ["\nx was", " a thing"]


def test_every_cited_span_opens_and_holds_the_words(root: Path) -> None:
    """References over all chunks of their documents: .md, .txt, .pdf by page, .docx."""
    config = load_config(root / "configs" / "tiny.yaml")
    files = dict(find_files(config.documents))
    documents = {name: load_document(name, file) for name, file in files.items()}
    chunks = [chunk for document in documents.values() for chunk in split(document, config.chunks)]
    seen: dict[str, int] = {}
    for question in read_questions(Path(config.evaluation.questions)):
        gold = {document for document, _ in question.gold}
        citing = Citing([Hit(chunk, 0.5) for chunk in chunks if chunk.document in gold], files)
        for section in parse(question.reference, SECTIONS) or ():
            if (citation := citing.cite(section.text)) is None:
                continue
            chunk, source = citing.hits[citation.hit].chunk, citing.sources()[citation.number - 1]
            document = documents[chunk.document]
            span = document.text[chunk.start : chunk.end]  # what a reader opens
            assert span == chunk.text and source.cited and citation.hit in source.hits
            names = [name for name in in_text(section.text) if supported(name, span)]
            assert names or len(content_words(section.text) & content_words(span)) >= 4
            if source.line is not None:
                lines = files[chunk.document].read_text(encoding="utf-8").splitlines()
                assert lines[source.line - 1] == span.splitlines()[0]
            if source.page is not None:
                starts = (*document.page_starts, len(document.text))
                assert starts[source.page - 1] <= chunk.start < starts[source.page]
            kind = Path(chunk.document).suffix
            seen[kind] = seen.get(kind, 0) + 1
            assert (source.line is None, source.page is None) == (kind in (".pdf", ".docx"), kind != ".pdf")
    assert set(seen) == {".md", ".txt", ".pdf", ".docx"} and sum(seen.values()) > 200
