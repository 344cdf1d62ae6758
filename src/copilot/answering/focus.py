"""A question and its hits in; the call of the entry that fits best, and what an answer may name beside it, out.

A small model that copies well still takes the endpoint of a neighbouring entry. The entry is chosen as the extractive
baseline chooses it; its call is written by the program, as the headings are, and calls of other entries are left out of
the lock.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from copilot.answering.identifiers import is_pair, supported
from copilot.answering.ranking import best_entry, read_question
from copilot.answering.wording import calling
from copilot.prompt.grammar import VERBS
from copilot.types import Hit

HOW = 1  # place of the section that begins with the call
_PATH = re.compile(rf"(?:(?:{VERBS}) )?(?:https?://[^/\s]+)?/\S+")


@dataclass(frozen=True, slots=True)
class Focus:
    """The entry that an answer is held to."""

    call: str  # a sentence, "Call `GET /v2/contacts`."
    context: str  # its passages

    def own(self, names: Sequence[str]) -> list[str]:
        """The names without endpoints that the entry does not hold."""
        return [n for n in names if not _PATH.fullmatch(n.replace("`", "")) or supported(n, self.context)]


def call_of(question: str, hits: Sequence[Hit]) -> Focus | None:
    """The entry with its call; None where no endpoint is known of it."""
    asked = read_question(question, hits)
    found = best_entry(asked, hits)
    if found is None or not any(is_pair(call) for call in found.entry.calls):
        return None
    called = calling(found.entry, asked, found.context, "\n".join(hit.chunk.passage for hit in hits))
    return Focus(called[0], found.context) if called else None
