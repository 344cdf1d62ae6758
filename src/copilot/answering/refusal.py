"""A question that the documents do not answer and its hits in; an answer that says so, and what is nearest, out.

A refusal that a model writes gets the same shape: what it goes on to say cannot be from the documents.
"""

import re
from collections.abc import Iterator, Sequence

from copilot.answering.abstained import SAID, abstained
from copilot.answering.asked import Asked, read_question
from copilot.answering.identifiers import in_text
from copilot.answering.ranking import best_entry
from copilot.answering.wording import can_stand, leaning, row, shortened
from copilot.prompt.sections import MARK
from copilot.types import Hit

TOPICS = 3  # named in a refusal
LONGEST = 160  # characters of what is quoted from each
_OPENS = 0.5  # of likeness, about that of one rare word: a topic's first sentence says what it is
_FIRST = re.compile(r"[^\n]*\n\s*[^\n]*?(?:[.!?](?=\s)|\n)")  # a heading and a whole sentence below it


def refusal(question: str, hits: Sequence[Hit], unknown: Sequence[str], titles: Sequence[str]) -> str:
    """The configured sections for a question that no passage clearly answers: no claim, what is nearest, where to go.

    `unknown` are the question's words that no document holds. Of each topic a sentence is quoted, since a question in
    quite other words than the documents' own may be refused wrongly.
    """
    asked, topics = read_question(question, hits), dict[str, list[Hit]]()
    for hit in hits:
        topics.setdefault(_topic(hit), []).append(hit)
    named = [f"- {topic}{_quote(asked, own)}" for topic, own in topics.items() if topic][:TOPICS]
    nearest = "\n".join(["The nearest topics in the documents:", *named])
    quoted = ", ".join(f"“{word}”" for word in unknown if not in_text(word))
    said = f"{SAID}{f' They never mention {quoted}.' if quoted else ''}"
    ask = "- Ask again in the words of these topics.\n- Or ask the people who keep the documents: it may be missing."
    nothing = "Nothing can be listed, since no passage clearly answers the question."
    bodies = [said, nearest if named else nothing, *[nothing] * (len(titles) - 3), ask]
    while len(bodies) > len(titles):  # fewer sections: the first ones say more
        bodies[:2] = ["\n\n".join(bodies[:2])]
    return "\n\n".join(f"{MARK}{title}\n{body}" for title, body in zip(titles, bodies, strict=True))


def shaped(question: str, pieces: Iterator[str], hits: Sequence[Hit], titles: Sequence[str]) -> Iterator[str]:
    """What a model writes; where its first sentence says that the documents do not say, the refusal in its place.

    Held back is that sentence alone, and it gives "" meanwhile; the model is left as soon as it refuses.
    """
    heading, held, sent, whole = f"{MARK}{titles[0]}\n", "", 0, None
    for piece in pieces:
        held += piece
        if whole := _FIRST.match(held):
            if abstained(whole[0]):
                break
            yield held[sent:]
            yield from pieces
            return
        passed = len(heading) if held.startswith(heading) else 0
        yield held[sent:passed]
        sent = max(sent, passed)
    refused = abstained(whole[0] if whole else held)
    yield (refusal(question, hits, (), titles) if refused else held)[sent:]


def _topic(hit: Hit) -> str:
    """The lowest heading that names nothing, and the title, in words that the passage holds; "" where there is none.

    A part such as "Summary" says nothing without the topic that it is of, which stands there instead.
    """
    path = hit.chunk.heading if hit.chunk.entry is None else hit.chunk.entry
    *headings, title = (part.replace("`", "").strip() for part in (*path.split(" › "), hit.chunk.title))
    plain = [part for part in dict.fromkeys((*headings[::-1], title)) if part and not in_text(part)]
    return f"{plain[0]} ({title})" if title in plain[1:] else "".join(plain[:1])


def _quote(asked: Asked, hits: Sequence[Hit]) -> str:
    """After the name of a topic, its first sentence, or what says much more of what is asked; "" for none."""
    found = best_entry(asked, hits)
    if found is None:
        return ""
    entry = found.entry
    told = [*leaning(entry), *entry.notes, *entry.steps, *map(row, (*entry.fields, *entry.codes))]
    short = [text for text in (shortened(text, LONGEST) for text in told) if can_stand(text, LONGEST)]
    best = max(short, key=lambda text: asked.likeness(text) + _OPENS * (text == short[0]), default="")
    return f": “{best}”" if best else ""
