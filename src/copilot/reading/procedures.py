"""The lines of an entry in; the same with what is to be done, and what never, in the layouts that `entries` reads, out.

What stands below "Do not:" becomes warnings. Steps below one of several labels, such as "On Windows", or within a tab
say so. A table of steps becomes a list of them, and numbered conditions end the sentence that leads over to them.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from copilot.reading.lists import ITEM
from copilot.reading.markup import FENCE, coded
from copilot.reading.prose import LONG_NOTE, MISTAKES, SENTENCE, closed, done, small
from copilot.reading.rows import label as label_of

_NEVER = re.compile(  # what a line ends with that forbids what stands below it
    r"(?!(?:if|when|where|in case|unless|why|what if)\b)(?:.*\b)?(?:do not|don['’]ts?|never|cannot|can['’]t|avoid|"
    r"(?:must|may|shall|should) not|not (?:safe|allowed|permitted) to|(?:never|not) (?:to )?do(?: this| these)?|"
    r"(?:forbidden|prohibited|not allowed|not permitted)(?: to)?)[\s:.*_]*$",
    re.I,
)
_DENIES = re.compile(  # a line that says no to what stands below it, or calls it wrong
    r"(?!(?:if|when|whenever|where|in case|unless|why|what|before|after|until|once|to|how to|for|in order to)\b)"
    r"(?!.*\b(?:try|steps?|do (?:the following|this|so|it)|as follows|check|proceed|instead|please|not only|"
    r"forget|hesitate|wait)\b)"
    r"(?:.*\b(?:not|never|cannot|no longer|impossible|except|(?:everything|all|anything|nothing) but|mistakes?|"
    r"pitfalls?|avoid)\b.*|.*n['’]t\b.*|\W*(?:bad|wrong|incorrect|worse|disadvantages?|cons|limitations?)\W*):[*_]*$",
    re.I,
)
_ASIDE = re.compile(  # a short one, which need not have a colon: "Not included", "Who may not open it?"
    r"(?!.*\b(?:if|when|why)\b)((?:Not|Never)\b[^.:;,!?|]{3,60}(?!\?)|(?:Which|Who)\b[^.:;,!?|]*(?:\bnot|n['’]t)\b[^.:;,!?|]*)"
    r"[?:]?$"
)
_WHAT_NOT = re.compile(r"What(?:(?: is| are|['’]s) not| (?:is|are)n['’]t)\b(?=[^?]+\?$)")
_ONLY = re.compile(r"only\b[^.]*\b(?:if|when|after|where)\b[^.]*?:$", re.I)  # a condition of the steps below it
_JOINS = re.compile(r"(?:not|never|avoid|to|cannot|can['’]t|but|except)$", re.I)
_NEGATED = re.compile(r"(?:do not|don['’]t|never|no|not)\b", re.I)
_LABEL = re.compile(
    r"(?:\*\*|__)(?P<bold>[^*_:\n]{2,40}):?(?:\*\*|__):?$|(?P<plain>(?:On|For|In|With|Using|If|When|Before|After|From|Since|"
    r"Until|Without) [^:\n.]{2,60}|Otherwise|[A-Za-z][\w.+/-]*(?: [\w.+/-]+){0,2}):$"
)
_WRONG = re.compile(
    r"\b(?:bad|wrong|incorrect|mistakes?|pitfalls?|avoid|following)\b|\b(?:not possible to|but|except)\W*$", re.I
)
_RIGHT = re.compile(r"(?:good|correct|right|recommended|do|steps?)\W*$", re.I)
_BRANCH = re.compile(r"(?:if|when|before|after|from|since|until|without|otherwise)\b", re.I)
_TAB = re.compile(r"\s*===!?\+? \"(?P<mk>[^\"]+)\"\s*$|\s*<TabItem\b[^>]*\blabel=[\"'{]+(?P<jsx>[^\"'}]+)[^>]*>\s*$")
_TAB_ENDS = re.compile(r"\s*</?(?:TabItem|Tabs)\b[^>]*>\s*$")
_ALL_TRUE = re.compile(
    r".*\b(?:(?:all|any|one) (?:of (?:the following|these|them) )?(?:are|is|must be|apply|applies|hold)\b.*|"
    r"conditions?|criteria|requirements?|(?:if|when|where) the following.*):$",
    re.I,
)
_LISTS = re.compile(  # leads over to what is no step, though it be numbered
    r"(?!.*\bstep)(?:.*\b(?:(?:two|three|four|several|many|these|following|possible) (?:\w+ )?"
    r"(?:ways|reasons|causes|options|cases|kinds|types)|(?:happens|because|if|when)))\W*:$",
    re.I,
)
_COUNTS = re.compile(r"(?:step|no\.?|nr\.?|#|number|schritt)$", re.I)
_DOES = re.compile(r"action|task|instruction|\bdo\b|activity", re.I)
_NEEDS = re.compile(r"(?:prerequisites?|before you (?:begin|start))\W*$", re.I)
_ACTS = re.compile(  # what an item begins with that tells what to do
    r"[A-Z][a-z]+(?: (?:in|out|up|on|off))? (?:(?:the|an?|your|this|that|it|them|if|with|to|all|each|any)\b|[A-Z`*])"
)


def procedures(lines: Sequence[str], title: str = "") -> list[str]:
    """The lines; `title` is the last part of the heading path."""
    lines = _excluded(list(_tabled(_without_tabs(lines))))
    counted = [at for at, line in enumerate(lines) if _LABEL.match(line.strip()) and _numbered_below(lines, at)]
    out: list[str] = []
    lead, label, fenced = "Do not" if _NEVER.fullmatch(title) else "", "", False
    points, bullets = 0, False  # where the line stands that conditions belong to, and whether they have no numbers
    deep, numbered = -1, False  # how far the items below a lead are indented, and whether they have numbers
    for at, line in enumerate(lines):
        fenced ^= line.strip().startswith(FENCE)
        mark = ITEM.match(line)
        if fenced or not line.strip():
            out.append(line)
        elif mark and lead and (deep < 0 or (numbered == line.lstrip()[0].isdigit() and _deep(line) <= deep)):
            deep, numbered = _deep(line), line.lstrip()[0].isdigit()
            said = line[mark.end() :]
            said = said if "".join(lines[at + 1 :]).strip() else done(said) or said  # nor is the last item lost
            out += ["", f"Warning: {_forbidden(lead, said)}", ""]
        elif mark and points and (re.match(r"\d", line) or bullets):
            out[points] = f"{out[points].rstrip('. ')}{';' * (out[points][-1] != ':')} {small(line[mark.end() :])}"
        elif mark and label and (re.match(r"\d", line) or _BRANCH.match(label)):
            out.append(f"{mark[0]}{label}: {line[mark.end() :]}")
        elif mark or line.startswith((" ", "\t")):
            out.append(line)
        else:
            below = next((text for text in lines[at + 1 : at + 3] if text.strip()), "")
            *before, told = re.split(r"(?<=[.!?])\s+", line.strip("*_ "))
            forbids = len(told.split()) < 12 and ITEM.match(below) is not None and _denies(told, below)
            needs = ITEM.match(below) and _NEEDS.match(told) and below.rstrip().endswith(".")
            lead = "Before you start" if needs else re.sub(r"[\s:.*_]+$", "", told) if forbids else ""
            forbids = forbids or bool(needs)
            deep = -1
            all_true = not label_of(told) and _joined(line.replace("*", "").rstrip(), below)
            named = _LABEL.match(line.strip())
            label = (named["bold"] or named["plain"]) if named and at in counted and len(counted) > 1 else ""
            single = label and " " not in label and not _BRANCH.match(label)
            label = "" if _RIGHT.match(label) else f"For {label}" if single else label
            line = f"{line.rstrip().rstrip(':')}." if ITEM.match(below) and _ONLY.match(line) else line
            out += ["", line.rstrip()] if all_true else [" ".join(before), ""] if forbids else [line]
            points, bullets = (len(out) - 1 if all_true else 0), not re.match(r"\d", below)
    return out


def _excluded(lines: Sequence[str]) -> list[str]:
    """The lines; "What is **not** included?" is "Not included:", with what is listed below, if little, a warning."""
    out: list[str] = []
    at, code = 0, coded(lines)
    while at < len(lines):
        bare = lines[at].replace("**", "").rstrip()
        what = _WHAT_NOT.match(bare)
        aside = _ASIDE.match(f"Not{bare[what.end() : -1]}" if what else bare)
        lead, line = f"{aside[1]}:" if aside else "", lines[at]
        begin = end = at + 1 + (not "".join(lines[at + 1 : at + 2]).strip())
        while end < len(lines) and ITEM.match(lines[end]) and not _deep(lines[end]):
            end += 1
        if end > begin and not code[at] and lead and _denies(lead, lines[begin]):
            line = lead
            said = closed("; ".join(ITEM.sub("", item, count=1).strip().rstrip(".;,") for item in lines[begin:end]))
            if len(said) < LONG_NOTE and not "".join(lines[end : end + 1]).strip() and not SENTENCE.search(said):
                line, at = f"\nWarning: {lead} {said}\n", end - 1
        out += line.split("\n")
        at += 1
    return out


def _deep(line: str) -> int:
    return len(line) - len(line.lstrip())


def _denies(line: str, below: str) -> bool:
    """Whether a line forbids what is listed from `below` on, or says no to it; a list of errors is none of that.

    "It won't start:" above what to do then does not.
    """
    if _ACTS.match(ITEM.sub("", below, count=1)) and not _WRONG.search(line):
        return _NEVER.fullmatch(line) is not None
    heads = len(line.split()) < 4 and MISTAKES.search(line)  # "Common mistakes:", of which `entries` knows
    return bool(_NEVER.fullmatch(line) or (_DENIES.match(line) and not label_of(line) and not heads))


def _numbered_below(lines: Sequence[str], at: int) -> bool:
    """Whether steps stand below a label; or any items, where it is a condition."""
    below = next((line for line in lines[at + 1 : at + 3] if line.strip()), "")
    return bool(re.match(r"1[.)] ", below) or (_BRANCH.match(lines[at].strip("*_ ")) and ITEM.match(below)))


def _joined(line: str, below: str) -> bool:
    """Whether the items from `below` on end the sentence `line`: conditions, reasons, or ways."""
    if re.match(r"\d", below):
        lists = _LISTS.match(line) and not (_BRANCH.match(line) or _ACTS.match(ITEM.sub("", below, count=1)))
        return bool(_ALL_TRUE.match(line) or lists)
    return bool(ITEM.match(below) and re.search(r"\b(?:one|any|all) of (?:these|them|the following)\b.*:$", line))


def _forbidden(lead: str, text: str) -> str:
    """What must not be done, as a sentence."""
    if _NEGATED.match(text):
        return text
    if re.search(r"\b(?:do|not to do|don['’]ts)(?: this| these)?$", lead, re.I):
        lead = "Do not"
    return f"{lead} {small(text)}" if _JOINS.search(lead) else f"{lead}: {text}"


def _without_tabs(lines: Sequence[str]) -> Iterator[str]:
    """What stands in a tab, with the tab's name before each paragraph and step."""
    name, deep, begins = "", 0, True
    for line in lines:
        if found := _TAB.match(line):
            name, begins = found["mk"] or found["jsx"], True
            deep = _deep(line) + 4 if found["mk"] else 0
            yield ""
            continue
        if _TAB_ENDS.match(line) or (name and deep and line.strip() and not line.startswith(" " * deep)):
            name, deep = "", 0
            if _TAB_ENDS.match(line):
                yield ""
                continue
        line = line[deep:] if name and deep else line
        mark = ITEM.match(line)
        if name and line.strip() and not line.strip().startswith(("|", *FENCE)) and (begins or mark):
            at = mark.end() if mark else 0
            line = f"{line[:at]}For {name}: {line[at:].lstrip()}"
        begins = not line.strip()
        yield line


def _tabled(lines: Iterator[str]) -> Iterator[str]:
    """A table whose first column counts steps, as steps."""
    for table, group in groupby(lines, lambda line: line.startswith("|")):
        part = list(group)
        yield from _steps(part) if table else part


def _steps(table: Sequence[str]) -> list[str]:
    """The rows of a markdown table as steps; the table where it holds none."""
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))] for line in table]
    rows = [row for row in cells[2:] if len(row) == len(cells[0])]
    numbers = [row[0].strip("*. ") for row in rows]
    rule = len(cells) > 2 and all(re.fullmatch(r":?-+:?", cell) for cell in cells[1])
    if not rule or len(cells[0]) < 2 or not _COUNTS.match(cells[0][0]) or not all(map(str.isdecimal, numbers)):
        return list(table)
    does = next((n for n, title in enumerate(cells[0]) if n and _DOES.search(title)), 0)
    if does != 1 and not re.match(r"step|schritt", cells[0][0], re.I):
        return list(table)  # of lights, errors, parts ...
    does = does or 1
    out = [""]
    for number, row in zip(numbers, rows, strict=True):
        others = [n for n, cell in enumerate(row) if n not in (0, does) and cell.strip("-–—")]
        further = [f"{cells[0][n]}: {row[n].rstrip('.')}." for n in others]
        done = row[does] if row[does].endswith((".", "!", "?", ":")) else f"{row[does]}."
        out.append(" ".join([f"{number}. {done}", *further]))
    return [*out, ""]
