"""A text in tokens in; how it may go on out, read off from where it said the same before.

An answer over documents quotes them: half of its tokens follow what stands in the prompt before them too. Reading a few
guessed tokens takes hardly longer than reading one, so they are checked at once, and kept where the model agrees.
Source: Yang et al. 2023, Inference with Reference; Saxena 2023, Prompt Lookup Decoding.
"""

from collections.abc import Sequence

LONGEST, SHORTEST = 3, 2  # tokens that must have stood before a guess
MOST = 4  # tokens of a guess


class Lookup:
    """What followed the latest occurrence of each few tokens of one growing text."""

    def __init__(self) -> None:
        self.after: dict[tuple[int, ...], int] = {}  # tokens → index of what followed them last
        self.seen = 0  # tokens of the text that are in `after`

    def guess(self, text: Sequence[int]) -> list[int]:
        """At most MOST tokens; [] where its end never stood before. `text` only grows from call to call."""
        for end in range(max(self.seen, 1), len(text)):
            for length in range(SHORTEST, LONGEST + 1):
                self.after[tuple(text[max(end - length, 0) : end])] = end
        self.seen = len(text)
        for length in range(LONGEST, SHORTEST - 1, -1):
            if (at := self.after.get(tuple(text[-length:]))) is not None:
                return list(text[at : at + MOST])
        return []
