"""Text in, its reading grade out."""

import re
from functools import lru_cache
from typing import Any


def grade(text: str) -> float | None:
    """School years that reading takes, by Flesch and Kincaid, without markup and marks like [1]; None without a word.

    0.39 words / sentences + 11.8 syllables / words - 15.59 (Kincaid, Fishburne, Rogers, Chissom 1975). Syllables are
    the places where English words may be hyphenated, as the `textstat` package counts them without its dictionary.
    """
    plain = re.sub(r"`([^`\n]*)`|\[\d+\]|^\s*(?:[-*]|\d+[.)])\s|\*\*", r" \1 ", text, flags=re.M)
    sentences = [part for part in re.split(r"(?<=[.!?])\s+|\n+", plain) if re.search(r"[^\W\d_]", part)]
    words = re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)?", plain)
    if not words:
        return None
    syllables = sum(len(_english().positions(word.lower())) + 1 for word in words)
    return float(0.39 * len(words) / len(sentences) + 11.8 * syllables / len(words) - 15.59)


@lru_cache(maxsize=1)
def _english() -> Any:
    from pyphen import Pyphen

    return Pyphen(lang="en_US")
