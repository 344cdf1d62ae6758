"""A prompt with placeholders such as {question} in; the same filled in, or what is wrong with it, out."""

import re
from collections.abc import Mapping, Sequence

_PLACEHOLDER = re.compile(r"\{(?:([A-Za-z_]\w*)|(\{[A-Za-z_]\w*\}))\}")  # {name}; or {{name}}, the text {name}


def checked(text: str, known: Sequence[str], needed: bool) -> str:
    """`text` whose placeholders are all `known`; `needed` when it must hold each of them. Raises ValueError."""
    written = [match[1] for match in _PLACEHOLDER.finditer(text) if match[1]]
    if unknown := next((name for name in written if name not in known), None):
        may, wrong = ", ".join(f"{{{name}}}" for name in known), f"{{{unknown}}}"
        raise ValueError(f"{wrong} stands for nothing; known here: {may}; write {{{wrong}}} for the text {wrong}")
    if missing := [f"{{{name}}}" for name in known if needed and name not in written]:
        raise ValueError(f"must contain {' and '.join(missing)}")
    return text


def filled(text: str, values: Mapping[str, str]) -> str:
    """`text` with its placeholders replaced, in one pass: braces in what replaces them are never read."""
    return _PLACEHOLDER.sub(lambda match: match[2] or values.get(match[1], match[0]), text)
