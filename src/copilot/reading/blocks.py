"""The lines of an entry in; the same with what lines in a row say of one thing put together, out.

Blocks of "Problem: ..." and "Cause: ...", or of "Parameter: ..." and "Type: ...", become a table, and problems above
lists or text rows; a term with its text
below it, or after a dash, and a parameter whose type stands on the line below its name become items.
"""

import re
from collections.abc import Iterable, Sequence

from copilot.plain import pipe_row, pipe_table
from copilot.reading.lists import ITEM
from copilot.reading.markup import FENCE
from copilot.reading.prose import ACTS, ALERT, DOES, NOTE, closed
from copilot.reading.rows import TYPE, label

_KEY = re.compile(r"(?:[-*+•] +)?(?:\*\*|__)?([A-Z][\w/ ]{1,24}?)(?:\*\*|__)?:(?:\*\*|__)? +(\S.*)$")
_FIRST = re.compile(  # the key that a block begins with
    r"(?:problem|symptom|issue|error|code|parameter|field|name|term|message|setting|option)s?$", re.I
)
_PROBLEM = re.compile(  # "**Problem:** It is dark"
    r"(?P<mark>(?:(?:[-*+•]|\d{1,2}[.)]) +)?)(?:\*\*|__)?(?:Problem|Symptom|Issue)(?: ?\d+)?(?:\*\*|__)?:"
    r"(?:\*\*|__)? +(?P<name>\S.{2,80}?)(?:\*\*|__)?\s*$",
    re.I,
)
_ABOUT = re.compile(
    r"(?:\*\*|__)?(?:Cause|Reason|Fix|Solution|Remedy|Answer)s?(?:\*\*|__)?:(?:\*\*|__)?(?: +(?=\S)|$)", re.I
)
_STATUS = re.compile(  # "429 - Too many requests", "**Error 409:** There is one already", "HTTP 429: Slow down"
    r"(?:[-*+•] +)?(?:\*\*|`)?((?:(?:HTTP|Error|Status)(?: code)? )?)([45]\d\d)(?! ?[-–] ?\d)(?:`|\*\*)?"
    r"((?: [A-Z][\w' -]{2,40}?| [a-z]\w*_\w+)?)(?:\*\*|`)?(?::|:\*\*| [–—-]+| (?:→|->))(?:\*\*)? +(\S.*)$"
)
_TERM = re.compile(r"(?P<name>\*\*[^*\n]{2,48}\*\*|`[^`\n]{2,48}`)$")
_DASHED = re.compile(  # a code needs no mark: "E05 - Sensor of another account."
    r"(?P<name>\*\*[^*\n:]{2,48}\*\*|`[^`\n]{2,48}`|"
    r"(?:(?i:code|error|fault|alarm|message) )?[A-Z]{1,5}-?\d{2,5}(?= [–—-]+ \S)) (?:[–—-]+|→|->|⇒|=>) "
    r"(?P<said>\S.*?)\s*$"
)
_LEAD = re.compile(  # "**Factory reset.** Press the button for ten seconds."
    r"\*\*(?!(?:definition|analogy|example|remember|note|important|tip|warning|step|goal|result|problem|cause|solution|"
    r"question|answer|in short|summary)\b)(?P<name>[^*\n:.]{3,48})\.\*\* +(?P<said>\S.*?)\s*$",
    re.I,
)
_POINTED = re.compile(r"^([-*+•] +)?(\*\*[^*\n:]{1,48}\*\*|`[^`\n]{1,48}`)(?: ·[^→\n]*)? (?:→|->|⇒|=>) +(?=\S)")
_BULLET = re.compile(
    r"[-*+•] +(?P<name>\*\*?[^\W\d][^*\n:`]{1,40}\*\*?)(?::| [–—-]+| (?:→|->|⇒|=>)) +(?P<said>\S.*?)\s*$"
)
_COUNTED = re.compile(
    r"\d{1,2}[.)] +(?P<name>\*\*[^\W\d][^*\n:`]{1,60}\*\*)(?::| [–—-]+| (?:→|->|⇒|=>)) +(?P<said>\S.*?)\s*$"
)
_MARKED = re.compile(
    r"[-*+•] +[`*]*([A-Za-z][\w.\[\]-]*)[`*]* [*_(]{1,3}(required|optional)[*_)]{1,3}:? +(\S.*)$", re.I
)
_SHAPED = re.compile(r"[a-z]\w*_\w|[a-z][A-Z]|\d\d\d|`|[a-z]-[a-z]|[A-Z]{2}[A-Z_-]*\d|[A-Z]+_[A-Z]")
_KINDS = re.compile(
    rf"(?:(?:required|optional|recommended), )?(?:{TYPE}s?|integers|object)(?:(?:,? or |, ?| \| )(?:{TYPE}s?|null))*$",
    re.I,
)
_MUST = re.compile(r"(?:required|optional|defaults? (?:to )?\S+)$", re.I)
_DOTTED = re.compile(r"(`[^`\n]+`|\*\*[\w.\[\]-]+\*\*) · ([^·\n]+?)(?: · \W*(required|optional)\W*)?$", re.I)
_PHRASE = re.compile(
    r"bad request|unauthorized|forbidden|(?:page )?not found|method not allowed|conflict|gone|too many requests|"
    r"unprocessable (?:entity|content)|internal server error|bad gateway|service unavailable|gateway time-?out",
    re.I,
)
OTHER = re.compile(r"\s*(?:[#|>*+-]|\d+[.)] |`{3}|~{3}|$)")  # begins something else than text


def together(lines: Sequence[str], title: str = "") -> list[str]:
    """The lines, each thing with what is said of it on one; `title` is the last part of the heading path."""
    out: list[str] = []
    at, fenced = 0, False
    coded = any(_told_of_errors(line) for line in (title, *lines))
    terms = _several(lines[n] for n in range(len(lines)) if _term(lines, n) > n)
    dashed = _several(line for line in lines if _DASHED.match(line))
    bullets = _several(line for line in lines if _bullet(line))
    counted = _concepts(lines)
    problems = sum(_problem(lines, n)[0] > n for n in range(len(lines))) > 1
    leads = sum(_LEAD.match(line) is not None for line in lines) > 1
    while at < len(lines):
        fenced ^= lines[at].strip().startswith(FENCE)
        end, told = at + 1, [lines[at]]
        if not fenced:
            for take in (_blocks, *[_problem] * problems, _copied, _dotted):
                if (found := take(lines, at))[0] > at:
                    end, told = found
                    break
            else:
                arrows = len(re.findall(r"→|->|⇒|=>", lines[at]))
                line = _POINTED.sub(r"\1\2: ", lines[at]) if arrows == 1 else lines[at]
                below = _term(lines, at)
                named = _DASHED.match(lines[at]) if dashed and not NOTE.match(line) else None
                named = named or (_bullet(line) if bullets else None) or (_COUNTED.match(line) if counted else None)
                if leads and (lead := _LEAD.match(lines[at])):
                    end = _paragraph(lines, at)
                    told = ["", pipe_row([f"**{lead['name']}**", _text([lead["said"], *lines[at + 1 : end]])])]
                elif below > at and (terms or (_SHAPED.search(line) and not ACTS.match(line))):
                    end, told = below, [pipe_row([line.strip(), _text(lines[at + 1 : below])])]
                elif named:
                    end = _paragraph(lines, at)
                    told = [pipe_row([named["name"], _text([named["said"], *lines[at + 1 : end]])])]
                elif marked := _MARKED.match(line):
                    told = [f"- `{marked[1]}` ({marked[2].lower()}): {marked[3]}"]
                elif (status := _STATUS.match(line)) and _apart(status, coded) and not _keys(lines, at):
                    told = [f"- `{status[2]}{status[3]}`: {status[4]}"]
                else:
                    told = [line]
        out += told
        at = end
    return out


def _apart(status: "re.Match[str]", coded: bool) -> bool:
    """Whether a line tells of an error in a way that `rows` does not read; `coded` where errors are told of."""
    known = coded or "_" in status[3] or _PHRASE.fullmatch(status[3].strip())
    return bool(known and (status[1] or "_" in status[3] or not ITEM.match(status[0])))


def _told_of_errors(line: str) -> bool:
    return label(line) == "error" and len(line.split()) < 8 and not _STATUS.match(line)


def _several(lines: Iterable[str]) -> bool:
    """Whether two and more lines begin with a term, and fewer than half of them tell what to do."""
    found = list(lines)
    return len(found) > 1 and 2 * sum(ACTS.match(line) is not None for line in found) < len(found)


def _concepts(lines: Sequence[str]) -> bool:
    """Whether all that is numbered, two and more, is a term in bold with what it is, and none tells what to do."""
    items = [line for line in lines if re.match(r"\d{1,2}[.)] +\S", line)]
    found = [match for line in items if (match := _COUNTED.match(line))]
    acts = any(ACTS.match(m["name"]) or ACTS.match(m["said"]) or DOES.match(m["said"]) for m in found)
    return 1 < len(found) == len(items) and not acts


def _bullet(line: str) -> "re.Match[str] | None":
    """An item that begins with a term in bold and says what it is, of few words, and none that tells what to do."""
    found = _BULLET.match(line)
    name = found["name"].strip("*") if found else ""
    told = len(name.split()) < 4 and not ALERT.match(name) and not NOTE.match(line[2:]) and not _STATUS.match(line)
    return found if told and not re.match(r"(?:step|phase|day|part)\b", name, re.I) else None


def _text(lines: Iterable[str]) -> str:
    """Lines as one."""
    return " ".join(line.strip() for line in lines)


def _listed(name: str, about: Sequence[str], text: str) -> list[str]:
    """A parameter as an item."""
    return [f"- {name} ({', '.join(about)}){f': {text}' if text else ''}", ""]


def _paragraph(lines: Sequence[str], at: int) -> int:
    """The line after those that go on with the one at `at`; one after a hard break, or a term, does not."""
    end = at + 1
    while end < len(lines) and not OTHER.match(lines[end]) and not _DASHED.match(lines[end]):
        if lines[end - 1].endswith(("  ", "\\")):
            break
        end += 1
    return end


def _term(lines: Sequence[str], at: int) -> int:
    """The line after the text right below a name that stands alone; `at` where there is none."""
    match = _TERM.match(lines[at].strip())
    name = match["name"].strip("*` ") if match else ""
    before = lines[at - 1].strip() if at else ""
    if not name or before or at + 1 >= len(lines) or lines[at + 1].startswith(":"):
        return at
    if ALERT.match(name) or (label(name) and not re.search(r"\d", name)) or name.endswith((".", "?", ":", "!")):
        return at
    end = at + 1
    while end < len(lines) and not OTHER.match(lines[end]):
        end += 1
    said = lines[end - 1].rstrip()
    return end if end > at + 1 and said.endswith((".", "!")) and not _KEY.match(lines[at + 1]) else at


def _keys(lines: Sequence[str], at: int) -> list[tuple[str, str]]:
    """The lines "Key: value" below the one at `at`."""
    found = []
    for line in lines[at + 1 : at + 7]:
        if (match := _KEY.match(line.strip())) is None or NOTE.match(line.strip()):
            break
        found.append((match[1].strip(), match[2].strip()))
    return found


def _block(lines: Sequence[str], at: int) -> tuple[int, list[tuple[str, str]]]:
    """(line after it, keys with values) of the block that begins at `at`; no keys where none does."""
    if at >= len(lines):
        return at, []
    keys = _keys(lines, at)
    if status := _STATUS.match(lines[at].strip()):
        named = f"{status[3].strip()}. {status[4]}" if status[3] else status[4]
        return (at + 1 + len(keys), [("Code", status[2]), ("Meaning", named), *keys]) if keys else (at, [])
    match = _KEY.match(lines[at].strip())
    if match is None or not _FIRST.match(match[1].strip()) or not keys or ITEM.match(lines[at + 1]):
        return at, []
    return at + 1 + len(keys), [(match[1].strip(), match[2].strip()), *keys]


def _blocks(lines: Sequence[str], at: int) -> tuple[int, list[str]]:
    """(line after them, a table) of two and more blocks that begin with the same key."""
    rows: list[list[tuple[str, str]]] = []
    end, found = _block(lines, at)
    after = at
    while found and (not rows or found[0][0] == rows[0][0][0]):
        rows.append(found)
        after = end
        blank = next((n for n in range(end, min(end + 2, len(lines))) if lines[n].strip()), len(lines))
        end, found = _block(lines, blank)
    if len(rows) < 2:
        return at, []
    titles = list(dict.fromkeys(key for row in rows for key, _ in row))
    cells = [[dict(row).get(title, "") for title in titles] for row in rows]
    for row in cells:
        row[0] = row[0].rstrip(".")
    return after, ["", *pipe_table([titles, *cells]).splitlines(), ""]


def _problem(lines: Sequence[str], at: int) -> tuple[int, list[str]]:
    """(line after it, a row) of a problem with the items, or the text, that stand below it."""
    match, said, end = _PROBLEM.match(lines[at]), list[str](), at + 1
    if match is None or re.match(r"\s*[a-z]", "".join(lines[end : end + 1])):
        return at, []  # it goes on
    follows = match["name"][-1] not in ".,;:" and bool("".join(lines[end : end + 1]).strip())
    while end < len(lines) and not _PROBLEM.match(lines[end]):
        line, mark, about = lines[end], ITEM.match(lines[end]), _ABOUT.match(lines[end].strip())
        listed = about or (mark and not match["mark"]) or (follows and lines[end - 1].strip() and not mark)
        within = line.startswith((" ", "\t")) or listed
        if (line.strip() and not within) or line.strip().startswith(("|", "#", *FENCE)):
            break
        text = _ABOUT.sub("", ITEM.sub("", line, count=1).strip(), count=1)
        if text and said and not (mark or about):
            said[-1] += f" {text}"
        elif text:
            said.append(text)
        end += 1
    return (end, ["", pipe_row([match["name"].rstrip("."), _text(map(closed, said))]), ""]) if said else (at, [])


def _copied(lines: Sequence[str], at: int) -> tuple[int, list[str]]:
    """(line after it, an item) of a parameter as it is copied from a page: name, type, "Required", and its text."""
    name = re.fullmatch(r"[`*]*([A-Za-z][\w.\[\]-]*)[`*]*", lines[at].strip())
    end = at + 1
    if not name or end >= len(lines) or not _KINDS.match(lines[end].strip()):
        return at, []
    about = [lines[end].strip()]
    end += 1
    while end < len(lines) and _MUST.match(lines[end].strip()):
        about.append(lines[end].strip().lower())
        end += 1
    said = end
    while end < len(lines) and not OTHER.match(lines[end]):
        if end + 1 < len(lines) and _KINDS.match(lines[end + 1].strip()):
            break
        end += 1
    text = _text(lines[said:end])
    if len(about) == 1 and not (text.endswith(".") and re.search(r"^[a-z]|[_.`]", lines[at].strip())):
        return at, []
    return end, _listed(f"`{name[1]}`", about, text)


def _dotted(lines: Sequence[str], at: int) -> tuple[int, list[str]]:
    """The same of "`input` · string · **Required**" above its text."""
    match = _DOTTED.match(re.sub(r"^[-*+•] +", "", lines[at].strip()))
    if match is None:
        return at, []
    end = at + 1
    while end < len(lines) and not OTHER.match(lines[end]) and not _DOTTED.match(lines[end].strip()):
        end += 1
    return end, _listed(match[1], [part.lower() for part in (match[2], match[3]) if part], _text(lines[at + 1 : end]))
