"""An answer piece by piece in, the same without what it says again out.

A small model that has nothing more to say says a sentence again. Held to other words it writes nonsense, so it may
say it, and the reader is not shown it twice.
"""

import re

from copilot.prompt.sections import MARK

LONG = 6  # words of a sentence that is not shown again in any section
SHORT = 3  # words of one that is not shown again in the same section
NOTHING_NEW = "Nothing beyond what is said above."  # under a heading that is left without text
_MARKER = re.compile(r" *+(?:[-*] |\d{1,2}[.)] )?+")
_UNSURE = re.compile(r"#.*| *[-*\d.)]* *")  # may begin a heading or be a marker
_PART = re.compile(rf"\n|{_MARKER.pattern}[^\n]*?[.!?](?=[ \n])|[^\n]+(?=\n)")  # a line's end, or a sentence


class Once:
    """Passes text on as soon as it differs from every sentence before."""

    def __init__(self) -> None:
        self.waiting, self.passed = "", ""  # of the sentence at hand: what is not shown yet, and what is
        self.space = ""  # line ends before it
        self.begins = True  # whether nothing of its line is shown
        self.marker: str | None = None  # of its line, when the sentences so far were left out
        self.ever: set[str] = set()  # sentences of all sections
        self.here: set[str] = set()  # of this one
        self.empty = False  # whether this section has no text yet
        self.left_out = False  # whether something of it was

    def feed(self, piece: str) -> str:
        """What may be shown after the next piece of the answer."""
        self.waiting += piece
        out = ""
        while match := _PART.match(self.waiting):
            self.waiting = self.waiting[match.end() :]
            out += self._line_end() if match[0] == "\n" else self._sentence(match[0])
        key = _key(self.passed + self.waiting)
        unsure = not self.passed and _UNSURE.fullmatch(self.waiting)
        if key and not unsure and not any(old.startswith(key) for old in (*self.ever, *self.here)):
            shown = self.waiting.rstrip(".!?")  # what follows tells whether they end the sentence
            out += self._show(shown)
            self.passed, self.waiting = self.passed + shown, self.waiting[len(shown) :]
        return out

    def end(self) -> str:
        """What is left to show; the answer is complete."""
        rest, self.waiting = self.waiting, ""
        out = self._sentence(rest) if self.passed + rest else ""
        return out + self._filled()

    def _sentence(self, rest: str) -> str:
        """The end of a sentence, unless it was said before."""
        whole = self.passed + rest
        if whole.startswith(MARK):
            out = self._filled() + self._show(rest)
            self.here, self.empty, self.left_out, self.passed = set(), True, False, ""
            return out
        key = _key(whole)
        words = len(key.split())
        if not self.passed and ((words >= LONG and key in self.ever) or (words >= SHORT and key in self.here)):
            self.left_out = True
            if self.begins and self.marker is None:
                self.marker = _MARKER.match(whole)[0]  # type: ignore[index]  # it matches anything
            return ""
        self.here.add(key)
        if words >= LONG:
            self.ever.add(key)
        out = self._show(rest)
        self.passed = ""
        return out

    def _line_end(self) -> str:
        out = self._sentence("") if self.passed else ""
        if self.marker is None:
            self.space += "\n"
        self.begins, self.marker = True, None  # the end of a line that was left out is left out too
        return out

    def _show(self, text: str) -> str:
        if self.marker is not None:
            text = self.marker + text.lstrip(" ")
        out, self.space, self.begins, self.marker, self.empty = self.space + text, "", False, None, False
        return out

    def _filled(self) -> str:
        """Text for a section that has none."""
        return f"\n{NOTHING_NEW}" if self.empty and self.left_out else ""


def once(text: str) -> str:
    """The whole answer without what it says again."""
    said = Once()
    return said.feed(text) + said.end()


def _key(sentence: str) -> str:
    return " ".join(re.findall(r"\w+", _MARKER.sub("", sentence, count=1).lower()))
