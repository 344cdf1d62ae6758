"""Lines in, the questions that paragraphs or items of them open with and answer out, as headings: those of an FAQ."""

import re
from collections.abc import Sequence
from itertools import takewhile
from textwrap import dedent

from copilot.types import Heading

_PAIR = re.compile(  # "**May I?** Yes.", "- Q: May I? A: Yes.", "Can I go? Yes."
    r"(?P<item>(?:[-*+•]|\d{1,2}[.)]) +)?"
    r"(?:(?P<q>(?:\*\*|__)?Q(?:uestion)?(?: ?\d+)?[.:](?:\*\*|__)? *)|(?P<bold>\*\*|__))?"
    r"(?P<asked>[^?*\n]{4,200}\?)(?(bold)(?P=bold)|(?:\*\*|__)?)(?P<said>.*)$"
)
_PLAIN = re.compile(  # a question that needs no mark, and how its answer begins
    r"(?:Can|Could|Do|Does|Did|How|Is|Are|Was|Were|What|When|Where|Which|Who|Whose|Why|May|Must|Should|Will|Would|Has|"
    r"Have) [^.!:|]*\? +[^a-z\s]"
)
_REPLY = re.compile(r"(?: [–—-])? +(?![^.!?]*\?)(?!If (?:not|so|yes|no)\b)[\"'“`*_\[(]*[^\W\d_]")
_LEAD = re.compile(  # "**Size.** It is wide."
    r"(?P<bold>\*\*|__)(?!(?:Note|Warning|Caution|Tip|Hint|Important|Danger|Attention|Info|Example)\b)"
    r"(?P<lead>[A-Z][^*_?!:.\n]{2,80})[.:]?(?P=bold)[.:]? +(?=\S)"
)
_NO_PARAGRAPH = re.compile(r"[-*+•|>`~ \t]|\d+[.)] ")  # what belongs to the paragraph above it
_FOLDED = re.compile(r"(?:<details\b[^<>]*>\s*)?<summary>(?:<\w+>)?(?P<lead>[^<]*)(?:</\w+>)?</summary>[ \t]*(?=\S)")
_LEANS = re.compile(r"(?=(?:\S+ ){0,5}\S+$).*\b(?:it|its|this|these|they|them)\b", re.I)  # on its topic
_ASKS = re.compile(r"(?:.*\b)?(?:faqs?|asked|questions?|q ?& ?a|problems?|troubleshooting)\b|.*(?:\.{3}|…)$", re.I)


def answered(lines: Sequence[str], known: Sequence[Heading]) -> list[Heading]:
    """Two and more alike below one of the `known` headings, level 6; one in bold is enough (`_alone`).

    Of those without a mark most paragraphs from the first on have to be such. Questions that lean on one topic, "How
    does it work?", are none unless the heading says that there are questions.
    """
    above = {heading.start: heading for heading in known}
    told: list[tuple[str, list[tuple[str, Heading]]]] = [("", [])]  # below each title the (kind, heading) of paragraphs
    start, opens = 0, True
    for n, line in enumerate(lines):
        at, start = start, start + len(line) + 1
        heading, kind, asked = above.get(at), "", ""
        if heading and heading.level < 6:
            told.append((heading.title, []))
        elif not heading and line.strip():
            kind, asked = _pair(line, lines[n + 1 : n + 2], opens)
            if opens and not kind and (lead := _LEAD.match(line)):
                kind, asked = "lead", lead["lead"]
            elif opens and not kind and not _NO_PARAGRAPH.match(line):
                kind = "text"
            if opens or kind:
                told[-1][1].append((kind, Heading(at, 6, _whole(told[-1][0], asked))))
        opens = bool(heading or asked or not line.strip())
    return [heading for title, parts in told for heading in _several(title, parts)]


def unasked(text: str, title: str) -> str:
    """`text` without the question, or what else its `title` is, that it opens with: the answer is on the same line."""
    lines = text.split("\n")
    if (lead := _LEAD.match(text) or _FOLDED.match(text)) and lead["lead"].strip() == title:
        return text[lead.end() :]
    end = 1 if "?" in lines[0] else 2
    match = _PAIR.match(" ".join([lines[0], *map(str.strip, lines[1:end])]))
    if match is None or not title.endswith(match["asked"].strip(".… ")) or not (match["item"] or match["said"].strip()):
        return text
    return "\n".join([match["said"].lstrip(" –—-"), *dedent("\n".join(lines[end:])).split("\n")]).lstrip("\n")


def _several(title: str, parts: Sequence[tuple[str, Heading]]) -> list[Heading]:
    """The questions among the paragraphs below a title."""
    for kind in ("Q", "bold", "plain"):
        found = [n for n, part in enumerate(parts) if part[0].startswith(kind)]
        leans = any(_LEANS.match(parts[n][1].title) for n in found) and not _ASKS.match(title)
        if len(found) > 1 and not leans and (kind != "plain" or 2 * len(found) >= len(parts) - found[0]):
            return [parts[n][1] for n in found]
    return _alone(title, parts)


def _alone(title: str, parts: Sequence[tuple[str, Heading]]) -> list[Heading]:
    """The only question in bold below a title, and what else is led to in bold after it, "**Size.** It is wide.".

    None where the topic goes on below it: one more paragraph may be of its answer, if the topic does not open with it.
    """
    found = [n for n, (kind, _) in enumerate(parts) if kind.startswith("bold")]
    asked = parts[found[0] :] if len(found) == 1 else []
    if not asked or asked[0][0] != "bold":
        return []
    more = sum(kind == "text" for kind, _ in takewhile(lambda part: part[0] != "lead", asked))
    if (more > (found[0] > 0) or _LEANS.match(asked[0][1].title)) and not _ASKS.match(title):
        return []
    return [heading for kind, heading in asked if kind in ("bold", "lead")]


def _pair(line: str, below: Sequence[str], opens: bool) -> tuple[str, str]:
    """(kind, question) of a line that opens with one and answers it; `opens` says that it begins a paragraph."""
    under = "".join(below)
    match = _PAIR.match(line if "?" in line else f"{line} {under.strip()}")
    if match is None:
        return "", ""
    kind = "Q" if match["q"] else "bold" if match["bold"] else "plain"
    kind += " item" if match["item"] and kind == "bold" else ""
    if match["item"] and kind != "plain":
        replied = _REPLY.match(match["said"]) or (not match["said"].strip() and re.match(r"[ \t]+[^\W\d_]", under))
    else:
        replied = _REPLY.match(match["said"]) if opens and (kind != "plain" or _PLAIN.match(match[0])) else None
    return (kind, match["asked"].strip()) if replied else ("", "")


def _whole(title: str, asked: str) -> str:
    """A question that goes on with its title, "How do I..." and "...copy a loop?", as one."""
    goes_on = title.endswith(("...", "…")) and asked.startswith(("...", "…"))
    return f"{title.rstrip('.… ')} {asked.lstrip('.… ')}" if goes_on else asked
