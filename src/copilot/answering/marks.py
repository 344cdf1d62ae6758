"""An answer piece by piece in, the same with [n] and explained terms at the end of each section out, once it ends.

What a model writes as [n] itself is left out before: it numbers passages as its prompt does, not as sources are.
"""

import re
from collections.abc import Callable, Iterable

from copilot.plain import clean
from copilot.prompt.sections import MARK
from copilot.types import Citation

Cite = Callable[[str], Citation | None]  # the text of a section -> what supports it
Explain = Callable[[str, Citation | None], Iterable[tuple[str, str]]]  # and its citation -> terms with their meanings

FENCE = "```"
_NUMBER = re.compile(r"(?: |(?<![\w`)}\]]))\[\d{1,2}(?:, ?\d{1,2})*\](?:\[\d{1,2}\])*(?![\w(:`\[])")
_MAY_NUMBER = re.compile(r" ?(?:\[[\d, \[\]]*)?$")


class Unnumbered:
    """Passes text on without the numbers of passages that stand in its prose."""

    def __init__(self, passages: int) -> None:
        """`passages` is how many the prompt had, numbered from 1."""
        self.passages = passages
        self.waiting, self.line = "", ""  # what may be a number; what of its line has been read before that
        self.fenced = False

    def feed(self, piece: str) -> str:
        """The next piece of the answer."""
        *whole, part = (self.waiting + piece).split("\n")
        out = "".join(self._line(line) for line in whole)
        sure = len(part) - len(_MAY_NUMBER.search(part)[0])  # type: ignore[index]  # it matches the empty end
        self.waiting = part[sure:]
        return out + self._read(part[:sure])

    def end(self) -> str:
        """What is left; the answer is complete."""
        rest, self.waiting = self.waiting, ""
        return self._read(rest)

    def whole(self, text: str) -> str:
        """A text that is there as a whole."""
        return self.feed(text) + self.end()

    def _line(self, rest: str) -> str:
        out = self._read(rest) + "\n"
        self.fenced ^= self.line.lstrip().startswith(FENCE)
        self.line = ""
        return out

    def _read(self, text: str) -> str:
        """A part of a line, after what was read of it."""
        at = len(self.line)
        self.line += text
        if self.fenced or self.line.lstrip().startswith(FENCE):
            return text
        out = ""
        for match in _NUMBER.finditer(self.line, at):
            prose = self.line.count("`", 0, match.start()) % 2 == 0
            if prose and all(1 <= int(n) <= self.passages for n in re.findall(r"\d+", match[0])):
                out, at = out + self.line[at : match.start()], match.end()
        return out + self.line[at:]


class Marker:
    """Passes text on without white space at its ends, and holds back no more than what may begin a heading.

    After the last character of a section comes ` [n]`, or a paragraph of its own where the section ends in a table or
    in code, which a marker would break; then a paragraph for each term that is explained there.
    """

    def __init__(self, cite: Cite, write: Callable[[str], None], explain: Explain = lambda text, citation: ()) -> None:
        """`cite` and `explain` are asked once for each section that has text, in order."""
        self.cite, self.write, self.explain = cite, write, explain
        self.waiting = ""  # the beginning of a line, as long as it may still be a heading
        self.inside = False  # a line whose kind is known
        self.heading = self.fenced = False  # kind of the line; whether code is open
        self.space = ""  # white space that has not been followed by text yet
        self.body = ""  # of the section so far
        self.begun = False  # whether anything was written

    def feed(self, piece: str) -> None:
        """The next piece of the answer."""
        *whole, part = (self.waiting + piece).split("\n")
        for line in whole:
            self._line(line + "\n")
        if part and not self.inside and len(part.strip()) <= len(MARK):
            self.waiting = part  # more may come
        else:
            self.waiting = ""
            if part:
                self._line(part)

    def end(self) -> None:
        """The answer is complete."""
        if self.waiting:
            self._line(self.waiting)
        self.waiting = ""
        self._close()

    def _line(self, text: str) -> None:
        """A line, or a part of one from the place where the part before ended."""
        if not self.inside:
            self.heading = text.startswith(MARK) and not self.fenced
            if self.heading:
                self._close()
            if text.lstrip().startswith(FENCE):
                self.fenced = not self.fenced
        self.inside = not text.endswith("\n")
        if not self.heading:
            self.body += text
        said = text.rstrip() if self.begun else text.strip()
        if said:
            self.write(self.space + said)
            self.space, self.begun = "", True
        if self.begun:
            self.space += text[len(text.rstrip()) :]

    def _close(self) -> None:
        """The end of a section."""
        body, self.body = self.body.strip(), ""
        if not body:
            return
        citation = self.cite(body)
        if citation is not None:
            last = body.rpartition("\n")[2].lstrip()
            apart = "\n\n" if last.startswith((FENCE, "|")) else " "
            self.write(f"{apart}[{citation.number}]")
        for term, meaning in self.explain(body, citation):
            self.write(f"\n\n{aside(term, meaning)}")


def aside(term: str, meaning: str) -> str:
    """The line that explains a term: a quote in markdown, which is no part of the text above it.

    Whatever documents hold, it stays one line without control characters, and has no [n], which only we set.
    """
    said = " ".join(clean(f"**{term}**: {meaning}").split())
    return f"> {Unnumbered(99).whole(said)}"


def marked(text: str, cite: Cite, explain: Explain = lambda text, citation: ()) -> str:
    """`text` with its markers and explanations."""
    pieces: list[str] = []
    marker = Marker(cite, pieces.append, explain)
    marker.feed(text)
    marker.end()
    return "".join(pieces)
