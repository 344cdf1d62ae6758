"""How the stages speak to a person: lines and progress in; what a terminal, a test or nobody makes of them, out."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Console(Protocol):
    """How the stages speak to a person; everything goes to stderr."""

    def say(self, text: str) -> None:
        """One line."""
        ...

    def progress(self, title: str, total: int) -> AbstractContextManager[Callable[..., None]]:
        """A bar; the function it yields is told of n more done, and of a note to show."""
        ...


class Silent:
    """A Console for processes beside the first."""

    def say(self, text: str) -> None:
        """Nothing."""

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Callable[..., None]]:
        """Nothing."""
        yield lambda n, note="": None
