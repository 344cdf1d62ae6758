"""The errors people read: what is wrong and where, what to type next, and the exit code that goes with it."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of the program."""

    DONE = 0
    FAILED = 1
    USAGE = 2  # wrong flags or config
    STALE = 3  # an artefact is missing or was made from something else
    GATE = 4  # a quality gate failed
    INTERRUPTED = 130  # Ctrl-C


class CopilotError(Exception):
    """A failure that a user can mend: `message` says what and where, `hint` what to do next."""

    def __init__(self, message: str, hint: str = "", code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


class ConfigError(CopilotError):
    """The YAML or a flag is wrong (exit 2)."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint, Exit.USAGE)


class StaleError(CopilotError):
    """An artefact is missing or does not fit the config (exit 3)."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint, Exit.STALE)


class TooLongError(CopilotError):
    """A question with its passages is more than the model reads."""


def first_line(error: Exception) -> str:
    """What an error of a library says, in one line; its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
