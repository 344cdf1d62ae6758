"""An answer piece by piece in, the same without what it says again out.

A small model that has nothing more to say says a sentence again. Held to other words it writes nonsense, so it may
say it, and the reader is not shown it twice. A section that is left without text is filled by rule (`filling.py`).
A sentence that was broken off (`endings.py`) ends in an ellipsis, or is left out where its section has said another.
"""

import re
from collections.abc import Callable, Sequence

from copilot.answering.endings import Endings
from copilot.prompt.sections import MARK

LONG = 4  # words of a sentence that is not shown again in any section
SHORT = 3  # words of one that is not shown again in the same section
ROW = 12  # words of one that is shown again where it says something of another name
HELD = 8  # words of one that is not shown before it has ended, where the section has said another; see `_sentence`
_MARKER = re.compile(r" *+(?:[-*] |\d{1,2}[.)] )?+")
_UNSURE = re.compile(r"#.*| *[-*\d.)]* *")  # may begin a heading or be a marker
_PART = re.compile(rf"\n|{_MARKER.pattern}[^\n]*?[.!?](?=[ \n])|[^\n]+(?=\n)")  # a line's end, or a sentence
_ITEM = re.compile(r" *[-*] ")
_BEGUN = re.compile(r" *(?:[-*]|\d{1,2}[.)]) *[`*\"'(\[]*")  # an item that was broken off before its first word
_LISTS = re.compile(r" *(?:[-*] |\d{1,2}[.)] )")
_DEFINES = re.compile(r" *(?:[-*] )?`([^`\n]+)`(?: \([^()\n]*\))?(?::| [-–—] )")  # a line that says what a name is
_MAY_DEFINE = re.compile(r" *(?:[-*] ?)?(?:`[^`\n]*(?:`(?: ?\([^()\n]*\)?)? ?[-–—]?)?)?")

Fill = Callable[[int, str], str]  # (place of a section, what is shown before it) → its text, "" where there is none


class Once:
    """Passes text on as soon as it differs from every sentence before."""

    def __init__(
        self, fill: Fill = lambda place, shown: "", context: str = "", titles: Sequence[str] = ()
    ) -> None:
        """`context` is what the answer was written from, `titles` are of the sections that it has to have."""
        self.fill, self.endings, self.titles = fill, Endings(context), titles
        self.filled: list[str] = []  # titles of the sections that hold no word of the model
        self.text = ""  # all that is shown
        self.waiting, self.passed = "", ""  # of the sentence at hand: what is not shown yet, and what is
        self.space = ""  # line ends before it
        self.begins = True  # whether nothing of its line is shown
        self.leads = True  # whether it is the first of its line to be shown
        self.marker: str | None = None  # of its line, when the sentences so far were left out
        self.skips = False  # whether the rest of its line is left out
        self.row: set[str] | None = None  # sentences of its line, where that says what a name is
        self.lists = False  # whether it is an item of a list, or says what a name is
        self.ever: set[str] = set()  # sentences of all sections
        self.items: set[str] = set()  # how their bullets begin
        self.here: set[str] = set()  # sentences of this section
        self.defined: set[str] = set()  # names that a line of this section says something of
        self.place, self.title = -1, ""  # of this section
        self.shown = False  # whether it has text
        self.left_out = False  # whether something of it is not shown

    def feed(self, piece: str) -> str:
        """What may be shown after the next piece of the answer."""
        self.waiting += piece
        out = ""
        while match := _PART.match(self.waiting):
            self.waiting = self.waiting[match.end() :]
            out += self._line_end() if match[0] == "\n" else self._sentence(match[0])
        if self._differs():
            shown = self.endings.visible(self.passed + self.waiting)[len(self.passed) :]
            out += self._show(shown) if shown else ""
            self.passed, self.waiting = self.passed + shown, self.waiting[len(shown) :]
        return out

    def end(self) -> str:
        """What is left to show; the answer is complete."""
        rest, self.waiting = self.waiting, ""
        missing = self.titles[self.place + 1 :]
        if missing and rest.startswith(MARK) and rest != f"{MARK}{missing[0]}":
            rest = ""  # a heading that the limit of tokens has cut
        out = self._sentence(rest) if self.passed + rest else ""
        out += self._filled()
        if self.place >= 0:  # what the limit has left no room for
            for title in self.titles[self.place + 1 :]:
                out = f"{out.rstrip()}\n\n{MARK}{title}"
                self.text = f"{self.text.rstrip()}\n\n{MARK}{title}"
                self.place, self.title, self.shown, self.left_out = self.place + 1, title, False, True
                out += self._filled()
        return out

    def whole(self, text: str) -> str:
        """A text that is there as a whole."""
        return self.feed(text) + self.end()

    def _differs(self) -> bool:
        """Whether the sentence at hand is none that was shown, however it goes on."""
        key = _key(self.passed + self.waiting)
        if not key or self.skips:
            return False
        if not self.passed:
            if self.shown and len(key.split()) <= HELD:
                return False
            defines = _DEFINES.match(self.waiting) if self.leads else None
            if _UNSURE.fullmatch(self.waiting) or (defines and defines[1] in self.defined):
                return False
            if self.leads and "`" in self.waiting and _MAY_DEFINE.fullmatch(self.waiting):
                return False
        return not any(old.startswith(key) for old in (*self.ever, *self.here, *self.items))

    def _sentence(self, rest: str) -> str:
        """The end of a sentence, unless it was said before or was broken off early.

        What is left out was never shown in part: a broken sentence of more than HELD words, and the first of a section,
        get an ellipsis. The text is the same however it comes in pieces.
        """
        whole = self.passed + rest
        if whole.startswith(MARK):
            out = self._filled() + self._show(rest)
            self.here, self.defined, self.shown, self.left_out, self.passed = set(), set(), False, False, ""
            self.place, self.title = self.place + 1, whole.removeprefix(MARK).strip()
            return out
        if not self.passed and (self._again(whole) or (self.leads and _BEGUN.fullmatch(whole))):
            return self._leave_out(whole)
        defines = self.leads and _DEFINES.match(whole)
        self.row = set() if defines else self.row
        self.lists = self.lists or bool(defines or (self.leads and _LISTS.match(whole)))
        if self.place >= 0 and self.endings.broken(whole, self.lists):
            early = self.shown and not self.passed and len(_key(whole).split()) <= HELD
            if early and (not defines or self.endings.says_little(whole)):
                return self._leave_out(whole)
            whole = self.endings.cut(whole)
            rest = whole[len(self.passed) :]
        self._keep(whole)
        out = self._show(rest)
        self.passed, self.leads = "", False
        return out

    def _again(self, whole: str) -> bool:
        """Whether a sentence is left out, nothing of it being shown yet."""
        defines = _DEFINES.match(whole) if self.leads else None
        if self.skips or (defines and defines[1] in self.defined):
            self.skips = True
            return True
        key = _key(whole)
        if self.row is not None and not self.leads and len(key.split()) < ROW and key not in self.row:
            return False  # it may be true of the name before, too: "Cannot be changed later."
        words, cut = len(key.split()), not whole.rstrip(" `*)\"'").endswith((".", "!", "?", ":"))
        begun = cut and words >= SHORT and any(old.startswith(key) for old in (*self.ever, *self.here))
        item = self.leads and _ITEM.match(whole) and key in self.items
        return begun or bool(item) or (words >= LONG and key in self.ever) or (words >= SHORT and key in self.here)

    def _leave_out(self, whole: str) -> str:
        """Nothing to show; what follows on the line begins it, with its marker."""
        self.left_out = True
        if self.begins and self.marker is None and not self.skips:
            self.marker = _MARKER.match(whole)[0]  # type: ignore[index]  # it matches anything
        return ""

    def _keep(self, whole: str) -> None:
        """Remember a sentence that is shown."""
        key = _key(whole)
        self.here.add(key)
        if self.row is not None:
            self.row.add(key)
        if len(key.split()) >= LONG:
            self.ever.add(key)
        if self.leads and (defines := _DEFINES.match(whole)):
            self.defined.add(defines[1])
        if self.leads and key and (_ITEM.match(whole) or self.marker):
            self.items.add(key)

    def _line_end(self) -> str:
        out = self._sentence("") if self.passed else ""
        if self.marker is None and not self.skips:
            self.space += "\n"
        # the end of a line that was left out is left out too
        self.begins, self.leads, self.marker, self.skips = True, True, None, False
        self.lists, self.row = False, None
        return out

    def _show(self, text: str) -> str:
        if self.marker is not None:
            text = self.marker + text.lstrip(" ")
        out, self.space, self.begins, self.marker, self.shown = self.space + text, "", False, None, True
        self.text += out
        return out

    def _filled(self) -> str:
        """Text for a section that has none left."""
        if not self.left_out or self.shown:
            return ""
        body = self.fill(self.place, self.text.strip()) or f"Nothing further is said under “{self.title}”."
        self.filled.append(self.title)
        for line in body.splitlines():
            self.leads = True
            for part in re.split(r"(?<=[.!?]) ", line):
                self._keep(part)
                self.leads = False
        self.left_out, self.leads = False, True
        self.text += f"\n{body}"
        return f"\n{body}"


def _key(sentence: str) -> str:
    return " ".join(re.findall(r"\w+", _MARKER.sub("", sentence, count=1).lower()))
