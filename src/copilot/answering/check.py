"""An answer with its passages and its question in, findings out: what it says that they do not hold.

It is the same for every runtime, also for a remote model, which no grammar can hold. It reads what can be compared as
text: names, addresses, paths and numbers. That a sentence is true it cannot tell.
"""

import re
from collections.abc import Iterator, Sequence

from copilot.answering.identifiers import KEY, in_text, supported
from copilot.answering.numbers import Amount, amounts, unheld
from copilot.config import AnswerPart
from copilot.prompt.grammar import VERBS
from copilot.prompt.sections import explain, parse
from copilot.types import Finding, Hit, Section

_URL = re.compile(r"(?:\bhttps?://|\bwww\.)[^\s`<>()\[\]\"'*]+|\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.I)
_FILE = re.compile(r"(?<![\w/.~:-])[\w.-]+(?:/[\w.-]+)+\.[A-Za-z]\w{0,4}\b")  # docs/setup.yaml
# Retry-After, --dry-run, md-5
_KEBAB = r"[A-Z][a-z]*(?:-[A-Z][A-Za-z]*)+(?!-?\w)|--[a-z][\w-]+|(?=[a-z-]*\d)[a-z]\w*(?:-\w+)+"
_BARE = re.compile(
    rf"(?<![\w./{{@-])([a-z]{{2,}}[A-Z]\w*|[A-Za-z0-9]+(?:_[A-Za-z0-9]+)+|[a-z]\w+(?:\.[a-z]\w+)+|{_KEBAB})(?!\w)"
)


def passes(text: str, hits: Sequence[Hit], question: str, config: AnswerPart) -> bool:
    """Whether a part of an answer has no finding; it has no headings, so its shape does not count."""
    return all(f.kind == "structure" for f in check(text, [Section("", text)], hits, question, config))


def check(
    text: str, sections: Sequence[Section], hits: Sequence[Hit] | None, question: str, config: AnswerPart
) -> tuple[Finding, ...]:
    """What is wrong with `text`, whose parts are `sections`; `hits` None (no retrieval) checks its shape alone.

    Structure: not exactly the configured sections. Identifiers: in backticks, keys of JSON, and words in camelCase,
    snake_case, dot.case or Header-Case, options such as --dry-run, and words with hyphens and digits (words with
    hyphens alone are English more often than names). URLs (mail addresses among them), paths, and numbers with a unit
    or in a default or limit.
    """
    found: list[Finding] = []
    if parse(text, config.sections) is None:
        found.append(Finding("structure", explain(text, config.sections), ""))
    if hits is not None:
        context = "\n".join([*(hit.chunk.passage for hit in hits), question])
        given = list(amounts(context))
        for section in sections:
            body = section.text if section.title in config.sections else f"{section.title}\n{section.text}"
            found += _unheld(body, section.title, context, given)
    return tuple(found)


def _unheld(body: str, title: str, context: str, given: Sequence[Amount]) -> Iterator[Finding]:
    """Findings of one section, each once; a name inside another finding is not told again."""
    urls = [_trim(match[0]) for match in _URL.finditer(body)]
    for url in dict.fromkeys(url for url in urls if not _has_url(url, context)):
        yield Finding("url", url, title)
    rest = _URL.sub(" ", body)
    names = [*in_text(rest), *(m[1] for m in _BARE.finditer(rest.replace("`", " "))), *KEY.findall(rest)]
    names += [match[0] for match in _FILE.finditer(rest)]
    wrong = [name for name in dict.fromkeys(names) if not _URL.search(name) and not supported(name, context)]
    for name in wrong:
        if not any(name != other and supported(name, other) for other in wrong):
            yield Finding("path" if _is_path(name) else "identifier", name, title)
    for amount in unheld(rest, given):
        yield Finding("number", amount, title)


def _trim(url: str) -> str:
    return url.rstrip(".,;:!?/")


def _has_url(url: str, context: str) -> bool:
    """Whether `context` has this address, or one that goes on below it."""
    return re.search(rf"(?<![\w.]){re.escape(url)}(?![\w@-]|\.\w)", context, re.I) is not None


def _is_path(name: str) -> bool:
    *verb, last = name.split()
    endpoint = last.startswith("/") and (not verb or re.fullmatch(VERBS, " ".join(verb)) is not None)
    return endpoint or _FILE.fullmatch(name) is not None
