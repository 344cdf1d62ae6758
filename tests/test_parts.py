"""Headings in; which of them are parts of the topic above them, and how a topic is answered from all its parts, out."""

from copilot.answering.asked import read_question
from copilot.answering.ranking import best_entry, focused
from copilot.config import Chunks
from copilot.knowledge.chunks import split
from copilot.knowledge.headings import markdown_headings, text_headings
from copilot.knowledge.parts import bare, entries, is_part
from copilot.types import Document, Hit

TOPICS = """# Depot

## Topic 1: Crates

### Summary
A crate holds boxes.

### How it works
The porter seals it with `POST /crates`.

### 1.3 📌 Common mistakes
- Sealing it empty.

## Topic 2: Boxes

### Summary
A box holds one thing.

### Key parameters / fields
- **size** (string, required) – how big it is
"""


def document(text: str) -> Document:
    return Document("a.md", "/a.md", "Depot", text, "0" * 64, markdown_headings(text))


def owners(text: str) -> dict[str, str]:
    """The title of each part, and that of its entry."""
    marks = markdown_headings(text)
    return {marks[n].title: marks[of].title for n, of in enumerate(entries(marks)) if n != of}


def hits(text: str) -> list[Hit]:
    return [Hit(chunk, 0.5) for chunk in split(document(text), Chunks())]


def test_titles_of_parts() -> None:
    for title in ("Request body", "200 response", "2.3 📌 Common mistakes", "Common mistakes or troubleshooting tips"):
        assert is_part(title), title
    for title in ("Key parameters / fields", "Tips & best practices", "What happens next?", "❌ Errors:", "Summary"):
        assert is_part(title), title
    for title in ("Errors of the depot", "Models", "Seal a crate", "FAQ", "How crates work", "401", "🔔"):
        assert not is_part(title), title
    assert (bare("10. 📖 Glossary"), bare("1️⃣ Seal it."), bare("401")) == ("Glossary", "Seal it", "401")


def test_a_part_is_of_the_topic_above_it_not_of_the_document() -> None:
    assert owners("# Depot\n## Seal\n### Request\n#### Body\n## Errors\n") == {"Request": "Seal", "Body": "Seal"}
    assert owners("# Depot\n## Summary\n## Crates\n## Errors\n") == {}
    assert owners("# Seal\n## Summary\n## Steps\n## Errors\n") == {"Summary": "Seal", "Steps": "Seal", "Errors": "Seal"}
    assert entries(markdown_headings("# Seal\n### Steps\n# Open\n### Steps\n# Errors\n")) == [0, 0, 2, 2, 4]


def test_topics_with_general_titles_stay_apart() -> None:
    assert owners("# Staff\n## Overview\n## Permissions\n## Settings\n## Tips\n") == {}
    assert owners("# App\n## Settings\n## Permissions\n## Errors\n## Tickets\n# Appendix\n") == {}


def test_errors_beside_topics_are_a_topic() -> None:
    assert owners("# Works\n## Depot\n### Crates\n### Errors\n") == {}
    assert owners("# Works\n## Depot\n### Crates\n### Parameters\n") == {"Parameters": "Depot"}
    assert owners("# Works\n## Seal\n### Fields\n### Errors\n### Ageing\n") == {"Fields": "Seal", "Errors": "Seal"}


def test_a_topic_is_found_with_all_its_parts() -> None:
    found = [hit for hit in hits(TOPICS) if hit.chunk.heading.endswith(("How it works", "fields"))]
    first = focused("How do I seal a crate?", [*found, *found, found[0]], lambda _: hits(TOPICS))
    titles = [hit.chunk.heading.rpartition(" › ")[2] for hit in first]
    assert titles[:3] == ["Summary", "How it works", "1.3 📌 Common mistakes"]
    best = best_entry(read_question("How do I seal a crate?", first), first)
    assert best is not None and best.heading == "Topic 1: Crates" and len(best.hits) == 3
    assert best.entry.sentences[0] == "A crate holds boxes." and best.entry.calls == ("POST /crates",)


def test_the_line_of_a_heading_is_no_text_of_its_section() -> None:
    """Whatever marks it has: a short answer right below is read."""
    shut = "It is shut well."
    for line in ("**Is it shut?**", "<h2>Seal it</h2>", "== Seal it ==", "**Seal a crate**\n", "## Seal it {#seal}"):
        text = f"# Depot\n\nKeeps crates.\n\n{line}\n{shut}\n"
        found = [hit for hit in hits(text) if shut in hit.chunk.text]
        best = best_entry(read_question("Seal it?", found), found)
        assert best is not None and best.entry.sentences == (shut,), line


EVENTS = """# Depot

## Confirm a crate

`POST /crates/confirm` books it.

## Cancel a crate

`POST /crates/cancel` gives it back.

## Events

| Event | When |
|---|---|
| `crates.confirmed` | a crate was confirmed |
| `crates.cancelled` | a crate was cancelled |
"""


def test_a_topic_asked_for_in_few_words_comes_before_a_row_that_has_them() -> None:
    found = [Hit(hit.chunk, 0.5 + 0.1 * (hit.chunk.heading == "Depot › Events")) for hit in hits(EVENTS)]
    for question, heading in (
        ("confirm crate", "Confirm a crate"),
        ("confirming crates", "Confirm a crate"),
        ("How do I cancel a crate?", "Cancel a crate"),
        ("crates.confirmed", "Events"),
        ("events", "Events"),
    ):
        best = best_entry(read_question(question, found), found)
        assert best is not None and best.heading == heading, question


def test_no_text_is_lost_below_a_title_that_is_underlined_with_tildes() -> None:
    text = "Depot\n=====\n\nIt is wide.\n\nLids\n~~~~\n\nA lid has a key.\n\nKeys\n^^^^\n\nA key is of steel.\n"
    doc = Document("a.txt", "/a.txt", "Depot", text, "0" * 64, text_headings(text))
    told = ("It is wide.", "A lid has a key.", "A key is of steel.")
    for chunk, said in zip(split(doc, Chunks()), told, strict=True):
        best = best_entry(read_question("What?", [Hit(chunk, 0.5)]), [Hit(chunk, 0.5)])
        assert best is not None and best.entry.sentences == (said,)
