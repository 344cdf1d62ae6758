"""Questions with their answers on one line are headings; other questions are text."""

import pytest

from copilot.answering.asked import read_question
from copilot.answering.ranking import best_entry
from copilot.config import Chunks
from copilot.knowledge.chunks import split
from copilot.knowledge.headings import markdown_headings, text_headings
from copilot.types import Document, Hit

BOLD = "**Can I open a crate?** Yes, with a key.\n\n**Who pays for a lost key?** You.\n\n"
FAQS = {
    "bold": BOLD,
    "plain": "Can I open a crate? Yes, with a key.\n\nMore of it.\n\nWho pays for a lost key? You.\n",
    "without blank lines": "Can I open a crate? Yes, with a key.\nWho pays for a lost key? You.\n",
    "items": "- **Can I open a crate?** Yes, with a key.\n- **Who pays for a lost key?** You.\n",
    "marked": "- Q: Can I open a crate? A: Yes, with a key.\n- Q: Who pays for a lost key? A: You.\n",
    "marked, in lines": "- Q: Can I open a crate?\n  A: Yes, with a key.\n- Q: Who pays for a lost key?\n  A: You.\n",
    "numbered": "1. **Q: Can I open a crate?** Yes, with a key.\n2. **Q: Who pays for a lost key?** You.\n",
    "wrapped": "Can I open\na crate? Yes, with a key.\n\nWho pays for a lost\nkey? You.\n",
}


def document(text: str) -> Document:
    return Document("a.md", "/a.md", "Depot", text, "0" * 64, markdown_headings(text))


@pytest.mark.parametrize("name", FAQS)
def test_questions_before_their_answers_are_headings(name: str) -> None:
    """The passages keep the words of the document, and the answer is read without its question."""
    doc = document(f"# Depot\n\nIt is wide.\n\n## FAQ\n\n{FAQS[name]}\n## Ageing\n\nIt ages.\n")
    told = [(heading.level, heading.title) for heading in doc.headings]
    assert told[1:-1] == [(2, "FAQ"), (6, "Can I open a crate?"), (6, "Who pays for a lost key?")]
    chunks = list(split(doc, Chunks()))
    assert all(doc.text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    for title, answer in ((told[2][1], "Yes, with a key."), (told[3][1], "You.")):
        found = [Hit(chunk, 0.5) for chunk in chunks if chunk.heading.endswith(title)]
        best = best_entry(read_question(title, found), found)
        assert best is not None and best.heading == title and best.entry.sentences[0] == answer, title
        assert not best.entry.points and best.entry.opens


def test_questions_of_plain_text_and_those_that_go_on_with_their_heading() -> None:
    found = text_headings(f"DEPOT RULES\n\n{FAQS['plain']}")
    assert [heading.title for heading in found][1:] == ["Can I open a crate?", "Who pays for a lost key?"]
    text = "# Depot\n\n## How do I...\n\n**...open a crate?** Use a key.\n\n**...seal it?** Use a seal.\n"
    assert [heading.title for heading in markdown_headings(text)][2:] == ["How do I open a crate?", "How do I seal it?"]


def test_one_question_in_bold_with_its_reply_is_a_heading() -> None:
    """What is led to in bold after it is another; no sentence of either is lost."""
    text = "# Depot\n\n## Keys\n\nThey are of steel.\n\n**Who pays for a lost key?** You do.\n\n"
    doc = document(f"{text}- At once.\n\n**Spare keys.** They cost 5 €.\n\n## End\n\nx\n")
    assert [heading.title for heading in doc.headings][2:-1] == ["Who pays for a lost key?", "Spare keys"]
    hits = [Hit(chunk, 0.5) for chunk in split(doc, Chunks())]
    best = best_entry(read_question("Spare keys", hits), hits)
    assert best is not None and best.entry.sentences == ("They cost 5 €.",)
    faq = "# FAQ\n\n## Questions\n\n**May it get wet?** No.\n\nNever.\n\n## End\n\nx\n"
    assert [heading.title for heading in markdown_headings(faq)][2:-1] == ["May it get wet?"]


@pytest.mark.parametrize(
    "text",
    [
        "**Who pays for a lost key?** You do.\n\nKeys are of steel.\n\nThey rust.\n",
        "They are of steel.\n\n- **Who pays for a lost key?** You do.\n- Keys are dear.\n",
        "They are of steel.\n\n**What is it?** A key.\n\n**Note.** It rusts.\n",
        "1. Is the lid shut? If not, shut it.\n2. Is the lamp green? If not, call us.\n",
        "- Is the lid shut? Shut it.\n- Is the lamp green? Wait.\n",
        "Is the lid shut? If not, shut it.\n\nIs the lamp green? If so, wait.\n",
        "**What is it?** A house.\n\n**How does it work?** With a key.\n\n**Why does it matter?** It is dry.\n",
        "**Can I open a crate?** Yes, with a key.\n\nMore of it.\n",
        "Who was first? Nobody knows.\n\nIt was wide.\n\nIt was dry.\n\nIt was old.\n\nWhy was it shut? It burnt.\n",
        "It was shut. Why? It burnt.\nWho knows? They do.\n",
        "Tired of crates? Try boxes.\n\nTired of boxes? Try bags.\n",
        "**How wide is the lid?** 1 2 3 4 5\n\n**How dry is the house?** 1 2 3 4 5\n",
        "Q1. What is a crate? (2 points)\n\nQ2. Who was first? (1 point)\n",
        "What is a crate? Who was first? Why so?\n\nWhere was it? When was it? Why so?\n",
        "```\nCan I open it? Yes.\nWho pays for it? You.\n```\n",
        "| Can I open a crate? Yes. |\n|---|\n| Who pays for a key? You. |\n",
    ],
)
def test_other_questions_are_text(text: str) -> None:
    found = markdown_headings(f"# Depot\n\n## Rules\n\n{text}\n## End\n\nx\n")
    assert [heading.title for heading in found] == ["Depot", "Rules", "End"]


def test_what_unfolds_on_one_line_is_a_heading_and_its_text_is_read() -> None:
    folds = "<details><summary>Why is it dark?</summary>It has no lamp.</details>\n\n"
    folds += "<details>\n<summary><b>Lost keys</b></summary> You pay 5 €.\n</details>\n"
    doc = document(f"# Depot\n\n## More\n\n{folds}\n## End\n\nx\n")
    assert [heading.title for heading in doc.headings][2:-1] == ["Why is it dark?", "Lost keys"]
    for chunk, said in zip(split(doc, Chunks()), ("It has no lamp.", "You pay 5 €."), strict=False):
        best = best_entry(read_question("What?", [Hit(chunk, 0.5)]), [Hit(chunk, 0.5)])
        assert best is not None and best.entry.sentences == (said,)
