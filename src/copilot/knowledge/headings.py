"""Text in, its headings out: where each stands, its level and its title."""

import re
from collections import Counter
from collections.abc import Sequence

from copilot.knowledge.parts import STEP, is_part
from copilot.knowledge.questions import answered
from copilot.types import Heading

_ATX = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.+?)[ \t]*$")
_CLOSING = re.compile(r"[ \t]+#+$")
_HTML = re.compile(r"^[ \t]*<h([1-6])\b[^<>]*>(.+?)</h\1>[ \t]*$", re.I)
_ASCIIDOC = re.compile(r"^(={2,5}) ([A-Z\d].*?)(?: =+)?[ \t]*$")
_ASKED = re.compile(r"^(?:\*\*|__)?(?:Q|Question)(?: ?\d+)?[:.](?:\*\*|__)? *(\S.*\?)(?:\*\*|__)?[ \t]*$")
_BOLD_ASKED = re.compile(r"^(?:\*\*|__)([^*_\n]{2,120}\?)(?:\*\*|__)[ \t]*$")
_BOLD = re.compile(r"^(\*\*|__)(?=\S)((?:(?!\1).){2,100})(?<=[^\s.:;,!?])\1[ \t]*$")
_NO_TITLE = re.compile(  # in bold: it warns, shows or dates something
    r"\W*(?:(?:note|warning|caution|tip|important|danger|attention|notice|hint|info|hinweis|achtung|tl;dr)\W*$|"
    r"(?:do not|don['’]t|never|always|please|make sure|be careful|remember|note that|last updated?|version \d|"
    r"(?:figure|table|listing|example|abbildung|tabelle) \d|(?:important|note|warning|caution|tip|attention):))|"
    r"(?-i:[a-zäöü]\S* )",
    re.I,
)
_SAYS = re.compile(r".*\b(?:is|are|was|were|must|never|not|needs?|cannot|should|has|have)\b", re.I)  # a whole sentence
_ORDERS = re.compile(r"(?:you|please|do|never|always)\b", re.I)
_TROUBLES = re.compile(  # headings below which a title in bold may be a sentence: "My upload is slow"
    r".*\b(?:troubleshooting|faqs?|frequently asked questions|problems?|common (?:issues|errors)|known issues)\b", re.I
)
_CALL = re.compile(r"\W*(?:GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS)\b\W")
_BELOW = re.compile(r"\n\s*(\S.{0,8})")  # how the text after a line begins
_POINT = re.compile(r"[-*+•] +\S")
_FOLDED = re.compile(  # what a reader unfolds
    r"^(?:(?:<details\b[^<>]*>[ \t]*)?"
    r"<summary>(?:<\w+>)?([^<]{3,120}?)(?:</\w+>)?</summary>|\?\?\?\+? \w+ \"([^\"]{3,120}\?)\"[ \t]*$)"
)
_ANCHOR = re.compile(r"[ \t]*\{[:\s]*[#.][^{}]*\}$")
_SETEXT = re.compile(r"^ {0,3}(=+|-+)[ \t]*$")
_NOT_A_PARAGRAPH = re.compile(r"^ {0,3}(?:[-+*>|]|\d+[.)][ \t])|^ {4}|^\t")
_FENCE = re.compile(r"^[ \t]*(?:(`{3,})([^`]*)|(~{3,})(.*))$")
_NUMBERED = re.compile(r"(\d{1,2}(?:\.\d{1,2}){0,3})[.)]? {1,3}(?=[A-Z])[^|]{2,80}(?<![.:;,!?\s])$")  # at the margin
_NO_LINE = re.compile(  # of a letter, or of a how-to
    r"(?:dear|kind regards|best (?:regards|wishes)|regards|sincerely|yours|cheers|hello|hi)\b|"
    r".*\b\d+ ?(?:minutes?|hours?|days?|seconds?|degrees|°|kg|g|ml|cm|mm|km|%|€|\$)|"
    r".*\bfor \w+ (?:minutes|hours|days)\b",
    re.I,
)
_QUESTION = re.compile(r"(?:\d{1,2}[.)] )?[A-Z][^.!?:|]{4,100}\?$")
_TITLED = re.compile(r"[A-Z][\w'’()/-]*(?: [\w'’()/&,-]+){0,8}$")  # at the margin
_FRONT = re.compile(r"---[ \t]*\n(?:[\w.-]+[ \t]*:.*\n|[ \t]+\S.*\n|- .*\n|#.*\n|[ \t]*\n)*---[ \t]*(?:\n|$)")
_UNDERLINE = re.compile(r"^(=|-|~|\^)\1{2,}\s*$")


def markdown_headings(text: str) -> tuple[Heading, ...]:
    """Headings of markdown, HTML and AsciiDoc outside code fences and front matter (CommonMark 4.2, 4.3, 4.5).

    So are questions ("Q: ...", in bold on a line of their own, or before their answers) and what unfolds (level 6). An
    underlined heading is taken where it is a paragraph of one line, and so are titles in bold (`_bold`). Where there is
    none but the title, those of plain text are taken.
    """
    found: list[Heading] = []
    bold: list[tuple[int, str, Heading | None]] = []  # (start, text, heading above) of those in bold
    leads: list[tuple[int, str, Heading | None]] = []  # such, right above a list
    main: list[Heading] = []  # marked as headings
    lines = text.split("\n")
    start, fence, before = 0, "", ""  # offset of the line; the open fence's mark; the line above
    paragraph: tuple[int, str] | None = None  # (start, title) of a paragraph that has one line so far
    skip, _ = front_matter(text)
    for n, line in enumerate(lines):
        at, start = start, start + len(line) + 1
        alone, paragraph = paragraph, None
        if at < skip:
            lines[n] = " " * len(line)
            continue
        heading = None
        if fence or (opened := _fence(line)):
            fence = _after(line, fence) if fence else opened
            lines[n] = "`" * len(line)
        elif heading := _marked(line, at):
            main.append(heading)
        elif match := _ASKED.match(line) or _BOLD_ASKED.match(line) or _FOLDED.match(line):
            found.append(Heading(at, 6, match[match.lastindex or 1]))
        elif alone and (match := _SETEXT.match(line)):
            main.append(Heading(alone[0], 1 if match[1][0] == "=" else 2, alone[1]))
            line = ""
        elif (match := _BOLD.match(line)) and not before.strip():
            below, one = "".join(lines[n + 1 : n + 2]), (at, match[2].strip(), main[-1] if main else None)
            bold += [one] * (not below.strip())
            leads += [one] * bool(_POINT.match(below))
        elif line.strip() and not before.strip() and not _NOT_A_PARAGRAPH.match(line):
            paragraph = at, line.strip()
        before = "" if heading else line
    few = not main or (len(main) == 1 and main[0].level == 1)
    found += main + _in_bold(sorted([*bold, *_leading(leads)], key=lambda one: one[0]), text, few)
    if few:
        found += _loose(lines, found, short=len(bold) < 2, markdown=True)
    found += _counted(lines, found, alone=not few)
    return _without_calls(lines, found + answered(lines, found))


def _marked(line: str, at: int) -> Heading | None:
    """The heading that a line says to be one."""
    if match := _ATX.match(line):
        return Heading(at, len(match[1]), _CLOSING.sub("", _ANCHOR.sub("", match[2])).strip())
    if match := _HTML.match(line):
        return Heading(at, int(match[1]), re.sub(r"<[^<>]*>", "", match[2]).strip())
    match = _ASCIIDOC.match(line)
    return Heading(at, len(match[1]), match[2]) if match else None


def _fence(line: str) -> str:
    """The mark that a line opens a code fence with; "" when it opens none."""
    match = _FENCE.match(line)
    return (match[1] or match[3]) if match else ""


def _after(line: str, fence: str) -> str:
    """The open fence after `line`: it is closed by its own character, at least as many, and nothing else."""
    mark = line.strip()
    return "" if len(mark) >= len(fence) and set(mark) == {fence[0]} else fence


def front_matter(text: str) -> tuple[int, str]:
    """(characters, title) of a YAML block between two --- lines at the very beginning; its title where it has one."""
    match = _FRONT.match(text)
    titled = re.search(r"^title:[ \t]*([\"']?)(\S.*?)\1[ \t]*$", match[0], re.M) if match else None
    return match.end() if match else 0, titled[2] if titled else ""


def _manual(lines: list[str], i: int) -> bool:
    """Whether a line in capitals is a heading of a manual page: at the margin, and all below it is indented."""
    below = next((line for line in lines[i + 1 : i + 3] if line.strip()), "")
    fits = re.fullmatch(r"[A-Z]{3}[A-Z0-9 /-]*", lines[i].rstrip()) and (i == 0 or not lines[i - 1].strip())
    return bool(fits and below.startswith("   "))


def text_headings(text: str) -> tuple[Heading, ...]:
    """Headings of plain text: a line underlined with = (level 1), -, ~ or ^ (level 2), or in capitals (level 2).

    A word in capitals is one where the text below it is indented, as in a manual page. So are questions ("Q: ...",
    or before their answers, level 6) and those of AsciiDoc. Where none is underlined, so are lines that stand alone
    (`_loose`).
    """
    lines = text.split("\n")
    found, start = [], 0
    for i, line in enumerate(lines):
        title = line.strip()
        below = lines[i + 1] if i + 1 < len(lines) else ""
        if title and len(title) <= 100 and not _UNDERLINE.match(line):
            if match := _ASKED.match(line):
                found.append(Heading(start, 6, match[1]))
            elif match := _ASCIIDOC.match(line):
                found.append(Heading(start, len(match[1]), match[2]))
            elif _UNDERLINE.match(below):
                found.append(Heading(start, 1 if below[0] == "=" else 2, title))
            elif title.isupper() and ((_alone(lines, i) and len(title.split()) > 1) or _manual(lines, i)):
                found.append(Heading(start, 2, title))
        start += len(line) + 1
    if not any(_UNDERLINE.match(line) for line in lines):
        found += _loose(lines, found, short=True, markdown=False)
    found += _counted(lines, found, alone=False)
    return _without_calls(lines, found + answered(lines, found))


def _in_bold(bold: Sequence[tuple[int, str, Heading | None]], text: str, few: bool) -> list[Heading]:
    """Those lines in bold, each a paragraph, that are titles; `few` says that nothing but the title is marked as one.

    A warning, a part such as "Request", what stands there several times, and short labels of procedures are none. A
    part such as "Errors" is one beside three other titles. They are below the heading above them, or where none is
    below the first of them that begins the document.
    """
    told = _titles(bold) if few else _without_ways(_titles(bold), text)
    begins, ends = len(text) - len(text.lstrip()), len(text.rstrip())
    beside = Counter(above for _, title, above in told if not is_part(title))
    found, labels = [], []
    for at, title, above in told:
        below = _BELOW.search(text, at, ends)
        if not below or re.match(r"(?!1[.)])\d+[.)] ", below[1]) or is_part(title, surely=few or beside[above] > 2):
            continue
        number = re.match(r"\d+(?:\.\d+)*", title)
        level = max(2, (above.level if above else 0) + 1 + (number[0].count(".") if number else 0))
        found.append(Heading(at, 1 if at == begins else min(6, level), title))
        labels += found[-1:] if not few and re.match(r"1[.)] ", below[1]) and len(title.split()) < 3 else []
    return [heading for heading in found if heading not in labels or len(labels) == 1]


def _titles(bold: Sequence[tuple[int, str, Heading | None]]) -> list[tuple[int, str, Heading | None]]:
    """Those in bold that neither warn nor say something, and stand there once."""
    count = Counter(title for _, title, _ in bold)
    told = [one for one in bold if count[one[1]] == 1 and not (_NO_TITLE.match(one[1]) or STEP.match(one[1]))]
    return [one for one in told if not _SAYS.match(one[1]) or _troubled(one, told)]


def _leading(leads: Sequence[tuple[int, str, Heading | None]]) -> list[tuple[int, str, Heading | None]]:
    """Those right above a list that are titles: two and more below one heading, and nothing else there leads so."""
    count = Counter(above for _, _, above in leads)
    told = Counter(above for _, title, above in _titles(leads) if not title[0].islower())  # such names a thing
    return [one for one in leads if told[one[2]] == count[one[2]] > 1]


def _troubled(one: tuple[int, str, Heading | None], told: Sequence[tuple[int, str, Heading | None]]) -> bool:
    """Whether a sentence in bold is a title: a question, or one of several that are quoted or below "Troubleshooting".

    "Account needs a handshake" is what a message says.
    """
    _, title, above = one
    if _ORDERS.match(title):
        return False
    beside = [other for other in told if other[2] == above and other[1] != title]
    quoted = title[0] in "\"“„«" and title[-1] in "\"”“»"
    return bool(title[0] in "❓❔" or (beside and (quoted or (above and _TROUBLES.match(above.title)))))


def _without_ways(told: Sequence[tuple[int, str, Heading | None]], text: str) -> list[tuple[int, str, Heading | None]]:
    """Titles without those of the ways to do one thing: the text before them names all, and steps stand below one."""
    ways: list[tuple[int, str, Heading | None]] = []
    for above in dict.fromkeys(above for _, _, above in told if above):
        same = [one for one in told if one[2] == above]
        before = text[text.find("\n", above.start) : same[0][0]].lower()
        named = all(re.search(rf"(?<!\w){re.escape(title.lower())}(?!\w)", before) for _, title, _ in same)
        steps = any((below := _BELOW.search(text, at)) and re.match(r"1[.)] ", below[1]) for at, _, _ in same)
        ways += same if len(same) > 1 and named and steps and "\n#" not in before else []
    return [one for one in told if one not in ways]


def _loose(lines: Sequence[str], known: Sequence[Heading], short: bool, markdown: bool) -> list[Heading]:
    """Lines at the margin between blank ones that are headings: two and more with numbers, or, if wanted, `short` ones.

    Below one with number 2.1 (level 4) are those without; without numbers they have level 3. The first line is the
    title (level 1) where another follows at once. A question above text is one (level 6) where several are asked.
    """
    taken = {heading.start for heading in known}
    titles: list[Heading] = []
    asked: list[Heading] = []
    full = [line for line in lines if line.strip()]
    start, level, nth = 0, 3, -1
    for i, line in enumerate(lines):
        at, start, nth = start, start + len(line) + 1, nth + bool(line.strip())
        if at in taken or not line.strip() or nth == len(full) - 1 or (i > 0 and lines[i - 1].strip()):
            continue
        if _QUESTION.match(line):
            asked.append(Heading(at, 6, line.strip()))
        elif _alone(lines, i) and (number := _NUMBERED.match(line)):
            near = [*full[max(0, nth - 1) : nth], full[nth + 1]]
            mark = re.escape(line[number.end(1)].strip())  # "6. Open it" counts otherwise than "7 Lids"
            same = re.compile(r"\d+" + r"\.\d+" * number[1].count(".") + rf"{mark} ")  # of a list
            if not any(map(same.match, near)) and not (markdown and near[-1][0] == " "):
                level = 3 + number[1].count(".")
                titles.append(Heading(at, level, line.strip()))
                level += 1
        elif short and _alone(lines, i) and _TITLED.match(line) and not _NO_LINE.match(line):
            titles.append(Heading(at, level, line.strip()))
    first = [line.strip() for line in full[:2]]
    if len(titles) > 2 and first == [heading.title for heading in titles[:2]] and not _NUMBERED.match(first[0]):
        titles[0] = Heading(titles[0].start, 1, titles[0].title)
    several = len(asked) > 1 or (asked and any(heading.level == 6 for heading in known))
    return (titles if len(titles) > 1 else []) + (asked if several else [])


def _counted(lines: Sequence[str], known: Sequence[Heading], alone: bool) -> list[Heading]:
    """Lines such as "1.1 Nurse", two and more, below a heading with the number before: "1 Roles".

    They stand right above their text, and their numbers go on from one to the next, or they stand `alone`.
    """
    above = {heading.start: heading for heading in known}
    levels, last, out = dict[str, int](), Counter[str](), list[Heading]()  # by number: its level, the last one below it
    start = 0
    for n, line in enumerate(lines):
        at, start = start, start + len(line) + 1
        heading, before, below = above.get(at), "".join(lines[max(0, n - 1) : n]), "".join(lines[n + 1 : n + 2])
        number = re.match(r"(\d+(?:\.\d+)*)", heading.title) if heading else _NUMBERED.match(line)
        whole, _, count = number[1].rpartition(".") if number else ("", "", "")
        if number and not heading and whole in levels:
            told = re.match(r"\s*[^\sa-z|#]", below) and not (_NUMBERED.match(below) or _SAYS.match(line))
            follows = int(count) == last[whole] + 1 and before[:1] in ("", " ", "\t") and len(line.split()) < 8
            if (alone and _alone(lines, n)) or (told and follows):
                heading = Heading(at, min(6, levels[whole] + 1), line.strip())
                out.append(heading)
        if heading:
            levels = {name: level for name, level in levels.items() if level < heading.level}
        if heading and number:
            levels[number[1]], last[whole] = heading.level, int(count)
    return out if len(out) > 1 else []


def _alone(lines: Sequence[str], i: int) -> bool:
    """Whether a line stands between blank ones."""
    return not "".join([*lines[max(0, i - 1) : i], *lines[i + 1 : i + 2]]).strip()


def _without_calls(lines: Sequence[str], found: Sequence[Heading]) -> tuple[Heading, ...]:
    """The headings in order, without a call right below another that it is the call of, unless more calls follow."""
    text, out = "\n".join(lines), list[Heading]()
    marks = sorted(found, key=lambda heading: heading.start)
    for n, heading in enumerate(marks):
        after = marks[n + 1] if n + 1 < len(marks) else None
        above = text[marks[n - 1].start : heading.start].strip() if n else ""
        is_call = _CALL.match(heading.title) and not _marked(text[heading.start : text.find("\n", heading.start)], 0)
        if not (is_call and above and "\n" not in above) or (after and _CALL.match(after.title)):
            out.append(heading)
    return tuple(out)
