"""The lines of an entry in; the same with code of one line in the sentence that is about it, out.

"Run:" above it ends in it, "This runs ..." below it begins with it, and a command alone, or below a label, is what to
run.
"""

import re
from collections.abc import Sequence

from copilot.prompt.grammar import VERBS
from copilot.reading.markup import FENCE
from copilot.reading.prose import ACTS
from copilot.reading.rows import label

_LEADS = re.compile(  # leads over to a command, in few words
    r"(?:\*\*)?(?:(?:(?:then|now|next),? )?(?:run|type|enter|execute|use|call|start|install|add|build|write|try)\b.*|"
    r"to [a-z]+ .*|.*\b(?:like this|this|following|command|line|as follows))\W*:\**$",
    re.I,
)
_SHOWS = re.compile(r"\W*(?:examples?|outputs?|results?|samples?|usage|syntax|before|after)\b", re.I)
_LABEL = re.compile(r"(?:\*\*|__)([A-Z][^*_:\n]{2,40}?):?(?:\*\*|__):?$|([A-Z][\w ]{2,40}):$")
_THIS = re.compile(
    r"This (?:(?:command|line|entry|expression|rule|pattern) )?(?=(?:runs|starts|stops|creates|makes|copies|uploads|"
    r"downloads|prints|shows|lists|deletes|removes|installs|builds|sends|opens|sets|adds|writes|reads|matches|finds|"
    r"returns|gives|moves|renames|restarts|updates|keeps|turns|allows|blocks|lets|changes|converts|schedules|executes|"
    r"checks|gets|saves|stores|selects|fetches)\b)"
)
_TASK = re.compile(rf"(?:how (?:to|do|can)\b|{ACTS.pattern})", re.I)  # a title that tells what to do
_CALL = re.compile(rf"(?:{VERBS}|curl)\b")
LONGEST = 100  # characters of the code


def in_sentences(lines: Sequence[str], title: str = "") -> list[str]:
    """The lines; the code stays as well. `title` is the last part of the heading path."""
    out: list[str] = []
    at = 0
    while at < len(lines):
        end = _end(lines, at)
        if not end:
            out.append(lines[at])
            at += 1
            continue
        block = list(lines[at:end])
        code = _code(block)
        above = next((n for n in range(len(out) - 1, max(-1, len(out) - 6), -1) if out[n].strip()), -1)
        below = next((n for n in range(end, min(end + 2, len(lines))) if lines[n].strip()), -1)
        lead = out[above].strip() if above >= 0 else ""
        named = _LABEL.match(lead)
        if code and lead[:1].isalpha() | lead.startswith("**") and _leads(lead):
            out[above] = f"{lead if ' ' in lead else lead.strip(':*')} `{code}`."
        elif code and below >= 0 and (this := _THIS.match(lines[below])):
            out += [*block, "", f"`{code}` {lines[below][this.end() :]}"]
            at = below + 1
            continue
        elif code and named and _prompt(block) and not label(lead) and not _SHOWS.match(lead):
            out = [*out[: above + 1], "", f"1. Run `{code}`.", ""]
        elif code and _prompt(block) and block[0].strip() in FENCE and _TASK.match(title):
            block[0] += "bash"
        out += block
        at = end
    return out


def _end(lines: Sequence[str], at: int) -> int:
    """The line after a block of code at the margin that begins at `at`; 0 where none does."""
    if not lines[at].startswith(FENCE):
        return 0
    close = next((n for n in range(at + 1, len(lines)) if lines[n].strip().startswith(FENCE)), len(lines) - 1)
    return close + 1


def _code(block: Sequence[str]) -> str:
    """The only line of a block, without a prompt; "" where there are more, or it is a call or data."""
    found = [line.strip() for line in block[1:-1] if line.strip()]
    code = re.sub(r"^(?:\$|>>>) ", "", found[0]) if len(found) == 1 else ""
    return "" if len(code) > LONGEST or "`" in code or code[:1] in "{[<#\"" or _CALL.match(code) else code


def _prompt(block: Sequence[str]) -> bool:
    return any(line.strip().startswith("$ ") for line in block[1:-1])


def _leads(line: str) -> bool:
    """Whether a short line leads over to what is to be run; `entries` knows longer ones."""
    return len(line.split()) < 7 and _LEADS.match(line) is not None and not _SHOWS.match(line)
