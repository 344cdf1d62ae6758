"""Section titles and the names that may be written in; the Lark grammar of an answer out (llguidance's dialect).

One text serves every runtime that takes Lark grammars. It is built for each question, since the names come from the
passages that were found.
"""

import json
from collections.abc import Sequence

from copilot.prompt.sections import MARK

LINES = 6  # of a section, at most
LINE = 200  # characters of a stretch of prose, at most
SPANS = 8  # backtick spans of a line, at most
NO_ANSWER = "The documents"  # how a refusal begins, in the examples and so in the answers: "... do not say ..."

_HIDDEN = r"\x00-\x1f\x7f"  # control characters, line ends among them


def answer_grammar(titles: Sequence[str], names: Sequence[str] | None = None, may_refuse: bool = True) -> str:
    """Exactly these headings in order, each over 1 to LINES lines, with a blank line between sections.

    A line holds prose and backtick spans. With `names` a span holds one of them and nothing else; None lets it hold
    anything. `may_refuse` False keeps the first line from beginning with NO_ANSWER.
    """
    sections = ' "\\n\\n" '.join(f"section{i}" for i in range(len(titles)))
    rules = [f"start: {sections}"]
    for i, title in enumerate(titles):
        first = "opening" if i == 0 and not may_refuse else "line"
        rules.append(f'section{i}: {json.dumps(MARK + title)} "\\n" {first} ("\\n" line){{0,{LINES - 1}}}')
    rules += _line("line", "BEGIN", names)
    rules.append(rf"BEGIN: /[^`#\s{_HIDDEN}][^`{_HIDDEN}]{{0,{LINE - 1}}}/")
    rules.append(rf"PROSE: /[^`{_HIDDEN}]{{1,{LINE}}}/")
    if not may_refuse:
        rules += _line("opening", "ANSWER", names)
        rules.append(f"ANSWER: BEGIN & ~/{NO_ANSWER}(?s:.*)/")
    if names is None:
        rules.append(rf"NAME: /[^`{_HIDDEN}]{{1,80}}/")
    elif names:
        rules.append("NAME: " + " | ".join(json.dumps(name, ensure_ascii=False) for name in names))
    return "\n".join(rules) + "\n"


def _line(rule: str, begin: str, names: Sequence[str] | None) -> list[str]:
    """A line that begins with prose of its own kind, or with a span."""
    if names is not None and not names:
        return [f"{rule}: {begin}"]
    span = '"`" NAME "`"'
    after = f"(PROSE {span}){{0,{SPANS - 1}}} PROSE?"
    return [f"{rule}: {begin} ({span} {after})? | {span} {after}"]
