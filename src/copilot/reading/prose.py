"""Paragraphs of documentation in; their whole sentences out, on one line each and without marks."""

import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

_T = TypeVar("_T")
_WORDS = (
    r"(?:please |side)?note|warning|caution|(?:pro[- ]?)?tip|important|danger|attention|notice|nb|beware|hinweis|"
    r"achtung|vorsicht|warnung|wichtig"
)
NOTE = re.compile(
    rf"(?!\W{{0,2}}`|(?:\*\*|__)(?-i:[a-z]))\W{{0,2}}(?:(?:{_WORDS}|(?-i:Limits?))\b\W{{0,2}}:\W{{0,2}}\s*|"
    rf"(?-i:(?=[A-Z]))(?:{_WORDS})\b(?:\W{{0,2}}!\W{{0,2}}\s+|\W{{0,2}} [–—-] +)(?=\S))",
    re.I,
)
ALERT = re.compile(rf"\W{{0,3}}(?:{_WORDS})\W{{0,3}}$", re.I)
_OF = r"(?: (?:and|or|when|with|of|in|for|to|on|&) .*)?"
MISTAKES = re.compile(  # headings of what goes wrong
    r"(?:(?:common|typical|frequent|usual|known|most|other|important|the) )*(?:mistakes?|pitfalls?|gotchas?|caveats?|"
    r"limitations?|warnings?|don['’]ts|dos? (?:and|&) don['’]?ts|things to avoid|common (?:errors|issues|problems))"
    rf"{_OF}",
    re.I,
)
ADVICE = re.compile(
    rf"(?:(?:best|good) practices?|tips|troubleshooting(?: tips)?|known issues|good to know){_OF}", re.I
)
MISTAKEN = re.compile(  # what tells of one, and is told with these words
    r"\W{0,3}(?:(?:common|typical|frequent|usual) (?:mistakes?|errors?|pitfalls?|problems?)|pitfalls?|gotchas?|"
    r"caveats?|(?:be )?careful|watch out)\W{0,3}:\W{0,3} *(?=\S)",
    re.I,
)
LONG_NOTE = 240  # characters of a note that is told whole
PAST = re.compile(
    r"\W*(?:(?:added|changed|new|deprecated) in\b|history$|see also\W*$|examples?(?:\W*$|: )|©|copyright\b|"
    r"except where otherwise noted|see all \w+ legal\b|all rights reserved|updated: \d|stability: \d)",
    re.I,
)
ACTS = re.compile(  # a term that tells what to do, or when
    r"[-*+•\s`_]*(?:first|then|next|finally|last|second|third|find|click|press|open|select|choose|enter|type|go|plug|switch|"
    r"turn|sign|log|save|mix|add|put|check|make|create|run|install|download|upload|copy|move|delete|remove|start|stop|fill|"
    r"call|send|connect|close|use|tap|drag|review|test|confirm|submit|verify|configure|enable|disable|import|export|navigate|"
    r"scroll|pick|restart|update|write|read|take)\b",
    re.I,
)
DOES = re.compile(r"[A-Z][a-z]+ (?:the|an?|your|this|that|it|them|all|each)\b")  # "Press the button", whatever the verb
CUT = re.compile(r"\b(?:to|and|the|an?|of|or|with|for|in|is|are|by|from|that)$")
_PLAIN = re.compile(r"[a-z]+[ ,]")
_LIKENS = re.compile(r"(?:\w+ )?analogy:|(?:think of|imagine|picture) (?:an?|the|it|this|that|your)\b", re.I)
_SHORTENED = (r"e\.g", r"i\.e", "vs", "cf", "max", "min", "approx", "incl", "Mr", "Mrs", "Ms", "Dr", "Prof")
_COUNTED = ("no", "No", "nos", "ext", "ca", "Fig", "fig", "Sec", "sec", "Art", "Nr", "vol", "Vol", "pp", "Tel")
SENTENCE = re.compile(  # no end of one is the stop of the first, nor that of the second before a number
    "".join(rf"(?<!\b{word}\.)" for word in _SHORTENED)
    + "".join(rf"(?!(?<=\b{word}\.)\s+\d)" for word in _COUNTED)
    + r"(?:(?<=[.!?])\s+(?=[^a-z\s(])|(?<=[.!?])\s+(?=\([A-Z])|(?<=[.!?][\"')])\s+(?=[^a-z\s])|(?<=[。！？])\s*(?=\S))"
)
_LINK = re.compile(r"!?\[((?:`[^`]*`|[^\[\]`])+)\]\((?:[^()\s]|\([^()\s]*\))*(?: \"[^\"]*\")?\)")
_POWER = re.compile(r"<sup>([^<]*)</sup>")
_MARKUP = re.compile(r"\*\*|</?(?:kbd|br|b|i|em|strong|p|a|span|sub|code|tt|u)\b[^<>]*>")
_ITALIC = re.compile(r"(?<![^\s(\"“])\*(?=[\w\"“'])([^*\n]+)(?<=[\w\"”'.!?:])\*(?![\w*])")
LONG = 900  # characters of what is said of a name, beyond which whole sentences are left out


def one(text: str) -> str:
    """`text` on one line, without bold marks, addresses of links and the like; what stands in backticks is kept."""
    text = _LINK.sub(r"\1", " ".join(text.replace("``", "`").split()))
    spans = text.split("`")
    closed = len(spans) % 2 == 1
    for i, span in enumerate(spans):
        if i % 2 and closed:
            spans[i] = span.strip()
        else:
            spans[i] = _ITALIC.sub(r"\1", _MARKUP.sub("", _POWER.sub(r"^\1", span))).replace(" ,", ",")
    return "`".join(spans)


def balanced(text: str) -> bool:
    """Whether every backtick and bracket is closed, as where nothing was cut."""
    plain = re.sub(r"`[^`]*`|[:;]-?[()]|^\w\)", "", text)
    return text.count("`") % 2 == 0 and plain.count("(") == plain.count(")")


def sentences(paragraphs: Iterable[str], short: bool = False) -> tuple[str, ...]:
    """Whole sentences, each once; a line that leads over to a list is none.

    One of two words and less, "No.", stays with the sentence after it, or before it; alone it counts where `short`. A
    short likeness, "Think of a cook. ...", stays whole.
    """
    parts = (s for p in paragraphs for s in _parted(NOTE.sub("", p, count=1) if NOTE.match(p) else p))
    whole = (s for s in parts if _whole(s, short) and balanced(s) and not PAST.match(s))
    return unique(s[0].upper() + s[1:] if _PLAIN.match(s) else s for s in whole)


def _parted(paragraph: str) -> list[str]:
    likens = _LIKENS.match(paragraph) and len(paragraph) <= LONG_NOTE and ends(paragraph)
    return [paragraph] if likens else _joined(SENTENCE.split(paragraph))


def _joined(parts: Iterable[str]) -> list[str]:
    """The sentences of a paragraph, short ones joined with the next, or at the end with the one before."""
    found: list[str] = []
    waiting = ""
    for part in filter(None, map(str.strip, parts)):
        whole = f"{waiting} {part}".strip()
        waiting = whole if _brief(part) else ""
        found += [] if waiting else [whole]
    if waiting and found and ends(found[-1]):
        found[-1] += f" {waiting}"
    elif waiting:
        found.append(waiting)
    return found


def _brief(sentence: str) -> bool:
    """Whether it ends, and has too few words to be read alone."""
    return len(sentence.split()) < 3 and sentence.endswith((".", "!")) and sentence[:1].isalpha()


def _whole(sentence: str, short: bool) -> bool:
    last = sentence.rstrip("\"')*`")[-1:]
    return last in (".", "!", "…", "。", "！") and (ends(sentence) or short) and re.search(r"\w", sentence) is not None


def whole_note(found: Sequence[str]) -> Sequence[str]:
    """The sentences of a note as one where it is short, since the second often leans on the first."""
    text = " ".join(found)
    return [text] if 0 < len(text) <= LONG_NOTE else found


def done(step: str, numbered: bool = False, last: bool = True) -> str:
    """What a step tells to do: its sentences, or all of it where it ends without a mark, or has two words.

    A numbered one is told as it is, so that none is missing, but for the `last`, which may be cut.
    """
    step = step if numbered else step.rstrip(" ;")
    if numbered and step.endswith(":"):
        step = f"{step} see the sources."
    if numbered and (not last or step.endswith((".", "!", "?"))):
        return closed(step)
    if found := sentences([step], short=numbered):
        return " ".join(found)
    whole = step.rstrip(" .!").count(". ") == 0 and balanced(step) and not step.endswith((":", "?", ",", ";"))
    whole = whole and not CUT.search(step)
    return f"{step.rstrip('.')}." if whole and (1 if step.endswith(".") else 2) <= len(step.split()) < 30 else ""


def small(text: str) -> str:
    """`text` as the end of a sentence."""
    return text[0].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text


def closed(text: str) -> str:
    """`text` with a mark at its end, and no backtick that none closes."""
    text = (text if text.count("`") % 2 == 0 else text.replace("`", "")).rstrip(" ;,")
    return text if re.search(r"[.!?…。！？][\"')*`]*$", text) else f"{text}."


def short(text: str) -> str:
    """The first sentences of what is said of a name; a cut one is left out."""
    kept: list[str] = []
    for part in SENTENCE.split(text):
        if kept and (len(" ".join([*kept, part])) > LONG or not part.rstrip("\"')`").endswith((".", "!", "?"))):
            continue
        kept.append(part.strip())
    return re.sub(r"(?:,? (?:e\.g\.|i\.e\.|such as|for example)|[,;] see)[:,]?$", ".", " ".join(kept).rstrip(" :,;"))


def unique(texts: Iterable[_T]) -> tuple[_T, ...]:
    """Each text once, in order."""
    return tuple(dict.fromkeys(texts))


def ends(text: str) -> bool:
    """Whether it ends as a sentence does, and has three words and more."""
    last = text.rstrip("\"')*`")[-1:]
    return (last in (".", "!", "?", "…") and len(text.split()) > 2) or last in ("。", "！", "？")
