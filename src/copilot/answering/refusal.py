"""Hits and section titles in, an answer that says the documents do not say out; a text in, whether it refuses, out.

A refusal that a model writes gets the same shape: what it goes on to say cannot be from the documents.
"""

import re
from collections.abc import Iterator, Sequence

from copilot.answering.identifiers import in_text
from copilot.prompt.sections import MARK
from copilot.types import Hit

SAID = "The documents do not say."  # what a refusal begins with; nothing in it is cited or explained
TOPICS = 3  # named in a refusal
_FIRST = re.compile(r"[^\n]*\n\s*[^\n]*?(?:[.!?](?=\s)|\n)")  # a heading and a whole sentence below it

_DOCS = (
    r"(?:documents|documentation|docs|context|passages?|excerpts?|knowledge base"
    r"|(?:this|provided|given|available) (?:document|information|text|material|page|manual|guide|sources?))"
)
_TELL = r"(?:say|mention|describe|cover|explain|contain|include|state|specify|document|provide|hold|tell|answer|give)"
_TOLD = r"(?:mentioned|described|covered|explained|stated|specified|contained|included|provided|found)"
_MATTER = r"(?:information|documentation|mention)"
_CONDITION = re.compile(r"\b(?:if|unless|when|whenever)(?: \w+){0,3} $", re.I)
_ABSTAIN = re.compile(
    rf"\b{_DOCS} (?:\w+ )?(?:(?:do|does|did) not|don't|doesn't|didn't|cannot) (?:\w+ly )?{_TELL}\b"
    rf"|\b{_DOCS} (?:\w+ )?(?:say|says|contains?|holds?|states?|mentions?|gives?|has|have) (?:nothing|no)\b"
    rf"|\bn(?:one|othing) (?:\w+ ){{0,2}}(?:of|in) the (?:\w+ )?{_DOCS}"
    rf"|\b(?:is|are|was|were) (?:not|nowhere) {_TOLD} (?:\w+ )?(?:in|by) the (?:\w+ )?{_DOCS}"
    r"|(?<!that )(?<!which )\b(?:is|are|was|were) (?:not|nowhere) documented\b"
    rf"|\bthere (?:is|are|was) no {_MATTER} (?:about|on|of|for|in|regarding|whether|how)\b"
    rf"|^no {_MATTER} (?:\w+ ){{0,8}}(?:is|are|was) (?:given|found|available|provided)\b"
    rf"|\b(?:i|we) (?:find|found|have) no {_MATTER}\b"
    r"|\b(?:i|we) (?:do not|don't|cannot|can't|could not|couldn't) (?:know|find|answer|say)\b"
    r"|\bcannot be answered (?:from|with|by)\b",
    re.I,
)


def refusal(hits: Sequence[Hit], unknown: Sequence[str], titles: Sequence[str]) -> str:
    """The configured sections for a question that the documents do not answer: no name, no claim, and where to go.

    `unknown` are the question's words that no document holds.
    """
    topics = dict.fromkeys(topic for hit in hits if (topic := _topic(hit)))
    nearest = "\n".join(["The nearest topics in the documents:", *(f"- {topic}" for topic in list(topics)[:TOPICS])])
    quoted = ", ".join(f"“{word}”" for word in unknown if not in_text(word))
    said = f"{SAID}{f' They never mention {quoted}.' if quoted else ''}"
    ask = "- Ask again in the words of these topics.\n- Or ask the people who keep the documents: it may be missing."
    nothing = "Nothing can be listed, since no passage answers the question."
    bodies = [said, nearest if topics else nothing, *[nothing] * (len(titles) - 3), ask]
    while len(bodies) > len(titles):  # fewer sections: the first ones say more
        bodies[:2] = ["\n\n".join(bodies[:2])]
    return "\n\n".join(f"{MARK}{title}\n{body}" for title, body in zip(titles, bodies, strict=True))


def shaped(pieces: Iterator[str], hits: Sequence[Hit], titles: Sequence[str]) -> Iterator[str]:
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
    yield (refusal(hits, (), titles) if refused else held)[sent:]


def _topic(hit: Hit) -> str:
    """The lowest heading that names nothing, and the title, in words that the passage holds; "" where there is none.

    A part such as "Summary" says nothing without the topic that it is of, which stands there instead.
    """
    path = hit.chunk.heading if hit.chunk.entry is None else hit.chunk.entry
    *headings, title = (part.replace("`", "").strip() for part in (*path.split(" › "), hit.chunk.title))
    plain = [part for part in dict.fromkeys((*headings[::-1], title)) if part and not in_text(part)]
    return f"{plain[0]} ({title})" if title in plain[1:] else "".join(plain[:1])


def abstained(text: str) -> bool:
    """Whether the answer opens by saying that the documents do not say.

    Read are the first two sentences under the first heading, and only up to one that names an identifier: an answer
    that explains something and then names a gap has not abstained.
    """
    lines = [line for line in text.strip().splitlines() if line.strip()]
    if lines and lines[0].startswith("#"):
        lines = lines[1:]
    end = next((i for i, line in enumerate(lines) if line.startswith("#")), len(lines))
    for sentence in sentences("\n".join(lines[:end]))[:2]:
        plain = sentence.replace("’", "'")
        if any(not _CONDITION.search(plain[: match.start()]) for match in _ABSTAIN.finditer(plain)):
            return True
        if in_text(sentence):
            return False
    return False


def sentences(text: str) -> list[str]:
    """Sentences, a line's end ending one too; headings left out."""
    body = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    pieces = re.split(r"(?<=[.!?])\s+|\n+", body)
    return [" ".join(piece.split()) for piece in pieces if re.search(r"\w", piece)]
