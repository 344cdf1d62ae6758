"""Text in, its headings out: where each stands, its level and its title."""

import re

from copilot.types import Heading

_ATX = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.+?)(?:[ \t]+#+)?[ \t]*$")
_ASKED = re.compile(r"^(?:\*\*|__)?(?:Q|Question)(?: ?\d+)?[:.](?:\*\*|__)? *(\S.*\?)(?:\*\*|__)?[ \t]*$")
_BOLD = re.compile(r"^(?:\*\*|__)([^*_\n]{2,120}\?)(?:\*\*|__)[ \t]*$")
_FOLDED = re.compile(  # what a reader unfolds
    r"^(?:<summary>(?:<\w+>)?([^<]{3,120}?)(?:</\w+>)?</summary>|\?\?\?\+? \w+ \"([^\"]{3,120}\?)\")[ \t]*$"
)
_ANCHOR = re.compile(r"[ \t]*\{[:\s]*[#.][^{}]*\}$")
_SETEXT = re.compile(r"^ {0,3}(=+|-+)[ \t]*$")
_NOT_A_PARAGRAPH = re.compile(r"^ {0,3}(?:[-+*>|]|\d+[.)][ \t])|^ {4}|^\t")
_FENCE = re.compile(r"^[ \t]*(?:(`{3,})([^`]*)|(~{3,})(.*))$")
_TITLED = re.compile(r"(?:\d+(?:\.\d+)*\.? {1,3})?[A-Z][\w'’()/-]*(?: [\w'’()/&,-]+){0,8}$")  # at the margin
_FRONT = re.compile(r"---[ \t]*\n(?:[\w.-]+[ \t]*:.*\n|[ \t]+\S.*\n|- .*\n|#.*\n|[ \t]*\n)*---[ \t]*(?:\n|$)")
_UNDERLINE = re.compile(r"^(=|-|~)\1{2,}\s*$")


def markdown_headings(text: str) -> tuple[Heading, ...]:
    """ATX headings and underlined lines, outside code fences and front matter (CommonMark 4.2, 4.3, 4.5).

    So are questions ("Q: ...", or in bold on a line of their own) and what unfolds (level 6). An underlined heading is
    taken where it is a paragraph of one line.
    """
    found: list[Heading] = []
    start, fence, before = 0, "", ""  # offset of the line; the open fence's mark; the line above
    paragraph: tuple[int, str] | None = None  # (start, title) of a paragraph that has one line so far
    skip, _ = front_matter(text)
    for line in text.split("\n"):
        at, start = start, start + len(line) + 1
        alone, paragraph = paragraph, None
        if at < skip:
            continue
        if fence or (opened := _fence(line)):
            fence = _after(line, fence) if fence else opened
        elif match := _ATX.match(line):
            found.append(Heading(at, len(match[1]), _ANCHOR.sub("", match[2]).strip()))
        elif match := _ASKED.match(line) or _BOLD.match(line) or _FOLDED.match(line):
            found.append(Heading(at, 6, match[match.lastindex or 1]))
        elif alone and (match := _SETEXT.match(line)):
            found.append(Heading(alone[0], 1 if match[1][0] == "=" else 2, alone[1]))
            line = ""
        elif line.strip() and not before.strip() and not _NOT_A_PARAGRAPH.match(line):
            paragraph = at, line.strip()
        before = line if not _ATX.match(line) else ""
    return tuple(found)


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
    """Headings of plain text: a line underlined with = (level 1), - or ~ (level 2), or in capitals (level 2).

    A word in capitals is one where the text below it is indented, as in a manual page. So are questions ("Q: ...",
    level 6). Where none is underlined, a short line between blank ones that text follows is one too (level 3).
    """
    lines = text.split("\n")
    found, loose, start = [], [], 0
    for i, line in enumerate(lines):
        title = line.strip()
        below = lines[i + 1] if i + 1 < len(lines) else ""
        alone = not below.strip() and (i == 0 or not lines[i - 1].strip())
        if title and len(title) <= 100 and not _UNDERLINE.match(line):
            if match := _ASKED.match(line):
                found.append(Heading(start, 6, match[1]))
            elif _UNDERLINE.match(below):
                found.append(Heading(start, 1 if below[0] == "=" else 2, title))
            elif title.isupper() and ((alone and len(title.split()) > 1) or _manual(lines, i)):
                found.append(Heading(start, 2, title))
            elif alone and _TITLED.match(line) and any(rest.strip() for rest in lines[i + 1 :]):
                loose.append(Heading(start, 3, title))
        start += len(line) + 1
    if any(_UNDERLINE.match(line) for line in lines) or len(loose) < 2:
        return tuple(found)
    return tuple(sorted([*found, *loose], key=lambda heading: heading.start))
