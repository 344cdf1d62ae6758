"""An answer piece by piece in; on a terminal sections as markdown, redrawn while they grow, elsewhere plain text."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.live import Live

from copilot.plain import clean, inert
from copilot.prompt.sections import MARK

if TYPE_CHECKING:
    from rich.markdown import Markdown

REDRAW = 0.04  # s between two drawings


@contextmanager
def plain_pieces(out: TextIO) -> Iterator[Callable[[str], None]]:
    """Pieces go out as they come, without space at either end of the text, and with one line end after it."""
    waiting, begun = "", False

    def piece(text: str) -> None:
        nonlocal waiting, begun
        text = clean(text)
        text = waiting + text if begun else (waiting + text).lstrip()
        kept = text.rstrip()
        waiting, begun = text[len(kept) :], begun or bool(kept)
        out.write(kept)
        out.flush()

    yield piece
    out.write("\n")
    out.flush()


def drawn(text: str) -> "Markdown":
    """Markdown for a terminal in which nothing is active."""
    from rich.markdown import Markdown

    return Markdown(inert(text), hyperlinks=False)


class SectionView:
    """Whole sections stand still above; the one that is being written is drawn again with each piece."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.text = ""  # of the section being written
        self.drawn = 0.0  # s, when it was drawn last
        self.view = Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop")

    def piece(self, text: str) -> None:
        """Take the next piece of the answer."""
        self.text += text
        done, mark, rest = self.text.rpartition(f"\n{MARK}")
        if done.strip():
            self.text = mark.lstrip("\n") + rest
            self.view.update("", refresh=True)  # it is printed for good, not drawn below that once more
            self._settle(done)
        now = time.monotonic()
        if done.strip() or now - self.drawn > REDRAW:
            self.view.update(drawn(self.text), refresh=True)
            self.drawn = now

    def _settle(self, text: str) -> None:
        """Print a finished section for good, above the one that goes on."""
        self.view.console.print(drawn(text), "")

    def __enter__(self) -> "SectionView":
        self.view.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.view.update("")
        self.view.__exit__(kind, error, at)
        if self.text.strip():  # also what there was when somebody pressed Ctrl-C
            self.console.print(drawn(self.text))
