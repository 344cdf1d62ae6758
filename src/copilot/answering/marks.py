"""An answer piece by piece in, the same with [n] at the end of each section out, as soon as a section has ended."""

from collections.abc import Callable

from copilot.prompt.sections import MARK
from copilot.types import Citation

FENCE = "```"


class Marker:
    """Passes text on without white space at its ends, and holds back no more than what may begin a heading.

    After the last character of a section comes ` [n]`, or a paragraph of its own where the section ends in a table or
    in code, which a marker would break.
    """

    def __init__(self, cite: Callable[[str], Citation | None], write: Callable[[str], None]) -> None:
        """`cite` is asked once for each section that has text, in order."""
        self.cite, self.write = cite, write
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
        citation = self.cite(body) if body else None
        if citation is not None:
            last = body.rpartition("\n")[2].lstrip()
            apart = "\n\n" if last.startswith((FENCE, "|")) else " "
            self.write(f"{apart}[{citation.number}]")


def marked(text: str, cite: Callable[[str], Citation | None]) -> str:
    """`text` with its markers."""
    pieces: list[str] = []
    marker = Marker(cite, pieces.append)
    marker.feed(text)
    marker.end()
    return "".join(pieces)
