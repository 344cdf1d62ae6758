"""An answer in, whether it says that the documents do not say out."""

import re

from copilot.answering.identifiers import in_text

SAID = "The documents do not clearly answer this."  # what a refusal of ours begins with; it has no markers and no terms

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
