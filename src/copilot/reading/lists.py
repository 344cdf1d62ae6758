"""The lines of an entry in; the same with what stands below an item of a list folded into the item's line, out.

A step keeps its paragraphs, its commands and what may be chosen in it, and so its number. A name whose values are
listed below it keeps them. Letters and "(1)" become usual marks.
"""

import re
from collections.abc import Sequence

from copilot.reading.markup import FENCE
from copilot.reading.prose import ACTS, DOES, NOTE, SENTENCE, closed, small

ITEM = re.compile(r"\s*(?:[-*+•▪◦]|\d{1,2}[.)]) +(?=\S)")
_NUMBER = re.compile(r"\s*\d")
_ROUND = re.compile(r"(\s*)\((\d{1,2})\) +(?=\S)")
_LETTER = re.compile(r"(\s*)\(?([a-h])[.)] +(?=\S)")
_NAME = re.compile(r"[-*+•] +((?:`[^`\n]+`|[^\s:.,;`–—]+)(?: [^\s:.,;`–—]+){0,2})$")  # a mere name
_PROMPT = re.compile(r"\s*\$ (\S.{0,98}?)\s*$")
_TYPED = re.compile(r"\S+ \*?\((?:array|bool|date|dict|enum|float|int|list|map|number|object|string|required|optional)")
_OPTION = re.compile(  # a name, or a term in bold, with what brackets say
    r"(?:(?:\*\*)?`[^`\n]+`(?:\*\*)?|--?[a-z][\w-]*|(?P<bold>\*\*[^*\n`]{2,40}\*\*))(?:,? \([^()\n]*\))?:?(?:\*\*)?$"
)
_INNER = re.compile(  # a name of its own
    r"(?:`[^`]+`|\*\*[^*]+\*\*|[a-z]\w*)(?: ?\([^()]*\))?(?::| [–—-]+ )|`[^`]+` [{<]|.{1,40}:\*\*"
)
_GOES_ON = re.compile(r"(?:[,;]|[,;]? [*_]{0,2}(?:or|and)[*_]{0,2})\s*$", re.I)
_ONE = 220  # characters of items that are one sentence
COMMANDS, VALUES = 140, 200  # characters of the commands of a step, and of the values of a name, that are written


def folded(lines: Sequence[str]) -> list[str]:
    """The lines, an item with what belongs to it on one."""
    lines, out, at = _one_sentence(_marked(lines)), [], 0
    fenced = False
    while at < len(lines):
        fenced ^= lines[at].strip().startswith(FENCE)
        if fenced:
            end, said = at, ""
        else:
            end, said = _item(lines, at) if ITEM.match(lines[at]) else _enumerated(lines, at)
        out += [said, ""] if said else [lines[at]]
        at = end if said else at + 1
    return out


def _marked(lines: Sequence[str]) -> list[str]:
    """Other marks of items as usual ones."""
    letters = {match[2] for line in lines if (match := _LETTER.match(line))}
    out: list[str] = []
    fenced = False
    for line in lines:
        fenced ^= line.strip().startswith(FENCE)
        if not fenced and (match := _ROUND.match(line)):
            line = f"{match[1]}{match[2]}. {line[match.end() :]}"
        elif not fenced and {"a", "b"} <= letters and (match := _LETTER.match(line)):
            mark = "-" if len(match[1]) > 1 else f"{ord(match[2]) - ord('a') + 1}."
            line = f"{match[1]}{mark} {line[match.end() :]}"
        out.append(line)
    return out


def _item(lines: Sequence[str], at: int) -> tuple[int, str]:
    """(line after it, its text) of an item that has something below it; "" where that stays as it is."""
    mark = ITEM.match(lines[at])
    deep, column = len(lines[at]) - len(lines[at].lstrip()), mark.end() if mark else 0
    numbered = bool(_NUMBER.match(lines[at]))
    said, parts, end = lines[at][column:].strip(), list[str](), at + 1
    option, inmost = None if numbered else _OPTION.match(said), 0  # how far the first item below one is indented
    bare = option is not None and not said.endswith(":")
    loose, changed = False, False  # whether a blank line came; whether more than its paragraph belongs to it
    while end < len(lines):
        line = lines[end]
        inner = len(line) - len(line.lstrip())
        if not line.strip():
            loose, end = True, end + 1
            continue
        fence = line.strip().startswith(FENCE)
        if NOTE.match(line.strip()) or line.lstrip().startswith(("|", "#")) or (fence and not numbered):
            break
        if fence and (inner > deep or said.endswith(":")):
            close = next((i for i in range(end + 1, len(lines)) if lines[i].strip().startswith(FENCE)), 0)
            if not close:
                break
            said = _with_commands(_told(said, parts), lines[end + 1 : close])
            parts, end, loose, changed = [], close + 1, False, True
        elif inner < deep + 2 and (loose or fence or ITEM.match(line) or inner <= deep):
            break
        elif ITEM.match(line):
            if not (numbered or said.endswith(":") or bare) or (bare and _NUMBER.match(line)):
                break
            inmost = inmost if parts else inner
            text = ITEM.sub("", line, count=1).strip()
            if bare and parts and inner > inmost:
                parts[-1] += f"{' ' if parts[-1].endswith(':') else '; '}{text}"
            else:
                parts.append(text)
            end, loose, changed = end + 1, False, True
        elif loose and not numbered:
            break
        else:
            if parts:
                parts[-1] += f" {line.strip()}"
            else:
                said += f" {line.strip()}"
            changed, end, loose = changed or loose, end + 1, False
    if not changed or (not numbered and any(map(_TYPED.match, parts))):
        return at, ""
    told = _told(said, parts) if numbered else "" if bare else _values(said, parts)
    told = told or (_explained(said, parts, option) if option else "")
    return (end, f"{lines[at][:column]}{told}") if told else (at, "")


def _enumerated(lines: Sequence[str], at: int) -> tuple[int, str]:
    """A line that leads over to a list of mere names, or to a command, with them; "" where it does not."""
    below = next((n for n in range(at + 1, min(at + 3, len(lines))) if lines[n].strip()), 0)
    if below and lines[at].endswith(":") and (prompt := _PROMPT.match(lines[below])) and "`" not in prompt[1]:
        return below + 1, f"{lines[at]} `{prompt[1]}`."
    said, end, names = lines[at].rstrip(), at + 1, list[str]()
    while end < len(lines) and said.endswith(":") and (match := _NAME.match(lines[end]) or not lines[end].strip()):
        if isinstance(match, re.Match):
            names.append(match[1])
        elif names:
            break
        end += 1
    whole = end == len(lines) or not lines[end].strip() or lines[end].startswith("#")
    if len(names) < 2 or not whole or len(text := ", ".join(names)) > VALUES:
        return at, ""
    return end, f"{said} {text}."


def _told(said: str, parts: Sequence[str]) -> str:
    """A step with what may be chosen in it."""
    if not parts:
        return said
    if all(re.match(r"[A-Z`*\"]", part) and len(part.split()) > 2 for part in parts):
        return " ".join([said, *(part if part.endswith((".", "!", "?", ":")) else f"{part}." for part in parts)])
    return f"{said} {'; '.join(part.rstrip('.;,') for part in parts)}."


def _values(said: str, parts: Sequence[str]) -> str:
    """A name with the values below it; their names alone where there is no room for more; "" for still more."""
    names = [re.match(r"[^:–—]*?`[^`]*`|[^:–—(]+", part) for part in parts]
    for told in (parts, [name[0].strip() for name in names if name]):
        text = "; ".join(part.rstrip(".;,") for part in told)
        if told and len(text) <= VALUES and not SENTENCE.search(text):
            return f"{said} {text}."
    return ""


def _explained(said: str, parts: Sequence[str], option: "re.Match[str]") -> str:
    """An option with the sentences below it; "" where these are names of their own, or tell what to do with a term."""
    if not parts or any(map(_INNER.match, parts)) or (option["bold"] and any(map(ACTS.match, parts))):
        return ""
    name = re.sub(r":(\*\*)?$", r"\1", said)
    return f"{name}: {' '.join(map(closed, parts))}"


def _one_sentence(lines: Sequence[str]) -> list[str]:
    """The lines; items that end in "or", or in a comma and the last but one in "and", are the one sentence they are."""
    out: list[str] = []
    at, fenced = 0, False
    while at < len(lines):
        fenced ^= lines[at].strip().startswith(FENCE)
        end = at
        while not fenced and end < len(lines) and re.match(r"[-*+•] +\S", lines[end]):
            end += 1
        after = lines[end] if end < len(lines) else ""
        told = [ITEM.sub("", line, count=1).strip() for line in lines[at:end]]
        said = _joined(told) if len(told) > 1 and not after.strip() else ""
        lead = out[-1] if out and out[-1].strip() else "".join(out[-2:-1])
        leads = len(lead.split()) > 1 and lead.rstrip().endswith(":") and not lead.startswith(("#", "*", "|", "-"))
        if said and leads and len(lead + said) < _ONE:
            while not out[-1].strip():
                out.pop()
            out[-1] = f"{lead.rstrip()} {small(said)}"
        elif said and not leads:
            out += [f"- {said}" if ACTS.match(said) else said, ""]
        else:
            end = max(end, at + 1)
            out += _apart(lines[at:end])
        at = end
    return out


def _apart(items: Sequence[str]) -> list[str]:
    """Items without what joins each to the next; where some tell what to do, only if all do, which are steps then."""
    acts = [ACTS.match(item) is not None or DOES.match(ITEM.sub("", item, count=1)) is not None for item in items]
    if not any(map(_GOES_ON.search, items[:-1])) or (any(acts) and not all(acts)):
        return list(items)
    ended = [*(_GOES_ON.sub("", item) for item in items[:-1]), items[-1]]
    return [re.sub(r"(?<=[-*+•] )[a-z]", lambda m: m[0].upper(), item, count=1) for item in ended] if acts[0] else ended


def _joined(items: Sequence[str]) -> str:
    """The sentence that items are together, "" where they are none."""
    *first, last = items
    ors = [re.search(r"\bor\W*$", text, re.I) for text in first]
    ends = bool(re.search(r"\band\W*$", first[-1], re.I)) and not any(map(ACTS.match, items))
    if not (all(map(_GOES_ON.search, first)) and (any(ors) or ends)) or _GOES_ON.search(last):
        return ""
    if any(_INNER.match(text) or SENTENCE.search(text) for text in items):
        return ""
    said = closed(" ".join(items))
    return said if len(said) < _ONE else ""


def _with_commands(said: str, code: Sequence[str]) -> str:
    """A step with its commands, if they are few."""
    told = [re.sub(r"^(?:\$|>>>|>) ", "", line.strip()) for line in code if line.strip()]
    told = [line for line in told if not line.startswith("# ")]
    fits = 0 < len(told) <= 3 and len("; ".join(told)) <= COMMANDS
    if not fits or any("`" in line or line[0] in "{[<" for line in told) or not said.endswith((":", ".")):
        return said
    if not said.endswith(":") and (len(told) > 1 or "`" in said):
        return said
    return f"{said.rstrip('.:')}: {'; '.join(f'`{line}`' for line in told)}."
