"""data/sft/train.jsonl and the documents it names in; data/sft/tiny.jsonl out: answers made of copied sentences.

The tiny model copies well and writes badly. So each question keeps its row, and its answer is put together from the
words of its source section as the loader reads it; the authored answer only tells which sentences and fields to take.

    python tools/make_tiny_rows.py [--out data/sft/tiny.jsonl]
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from copilot.config import Chunks
from copilot.knowledge.chunks import split
from copilot.knowledge.documents import load_document

ROOT = Path(__file__).resolve().parents[1]
KNOWLEDGE, SOURCES = ROOT / "data" / "knowledge_base", ROOT / "tools" / "documents"
TITLES = ("Summary", "How it works", "Key parameters / fields", "Common mistakes or troubleshooting tips")
ENDPOINT = re.compile(r"`?\b((?:GET|POST|PUT|PATCH|DELETE) /[\w/{}.-]*[\w}])`?")
MODULE = re.compile(r"(?:The (?:module|trigger) |Use )?`?([a-z]+[A-Z]\w*)`?(?![\w(.])")
NAME = re.compile(r"[\w./:*{}'!-]*[A-Za-z][\w./:*{}'!-]*")
HOW = re.compile(
    r"^(?:how (?:do|can|would|should) (?:i|we)\b|(?:which|what) (?:call|module|block|step|action)\b|what(?:'s| is) the "
    r"(?:quickest|easiest|cheapest|best) way)",
    re.I,
)
LEANS = re.compile(r"^(?:It|They|This|These|Those|That|Such|Otherwise|Then|Both|He|She|There|The way back)\b")
ALARM = re.compile(r"\b(?:refused|errors?|cannot|only|must|not|never|fails?|otherwise|at most|[45]\d\d)\b", re.I)
MEANS = ("description", "meaning", "what it covers", "sent when", "starts the flow when", "effect", "used for")
LONGEST, MOST_WORDS, LEAST_WORDS = 200, 170, 40  # characters of a sentence, words of a response


@dataclass(frozen=True)
class Field:
    """A row of a section's table."""

    cells: tuple[str, ...]  # without backticks
    name: str
    text: str  # the description, as it stands
    required: bool


@dataclass(frozen=True)
class Section:
    """A section as the loader reads it, taken apart."""

    text: str  # with single spaces
    sentences: tuple[str, ...]  # in order, those of bullets and notes too
    notes: frozenset[str]
    fields: tuple[Field, ...]
    call: str  # `VERB /path` or a module's name; "" where the section is about something else
    placeholders: tuple[str, ...]  # fields of the table that stand in the path
    reply: bool  # the table lists what comes back
    ticks: frozenset[str]  # what the authors of the document mark as a name


def squeeze(text: str) -> str:
    return " ".join(text.split())


@cache
def chunks_of(document: str) -> tuple[Any, ...]:
    return tuple(split(load_document(document, KNOWLEDGE / document), Chunks()))


@cache
def marked(document: str) -> frozenset[str]:
    """What stands between backticks in the document, or in the source that it was made from."""
    source = SOURCES / f"{document}.md"
    text = (source if source.is_file() else KNOWLEDGE / document).read_text(encoding="utf-8")
    return frozenset(re.findall(r"`([^`\n]+)`", re.sub(r"(?ms)^```.*?^```$", "", text)))


@cache
def section(document: str, heading: str) -> Section:
    """The section under `heading`. A PDF has lost the shape of its tables: its source tells it, the PDF the words."""
    loaded = "\n\n".join(c.text for c in chunks_of(document) if c.heading.split(" › ")[-1] == heading)
    if not loaded:
        raise SystemExit(f"{document}: no section is called {heading!r}")
    text, lines = squeeze(loaded), loaded.splitlines()[1:]
    if document.endswith(".pdf"):
        source = (SOURCES / f"{document}.md").read_text(encoding="utf-8")
        part = re.split(rf"(?m)^#+ {re.escape(heading)}$", source)[1]
        lines = re.sub(r"`|\*\*", "", re.split(r"(?m)^#+ ", re.sub(r"(?ms)^```.*?^```$", "", part))[0]).splitlines()
    paragraphs, table = read_txt(lines) if document.endswith(".txt") else read_markdown(lines)
    sentences: dict[str, bool] = {}
    for paragraph in paragraphs:
        note = re.match(r"(?:\*\*)?(?:Note|Warning|Caution|Tip):(?:\*\*)? *", paragraph)
        for sentence in cut(paragraph[note.end() :] if note else paragraph):
            if sentence in text and len(sentence) <= LONGEST and not sentence.endswith(":"):
                sentences.setdefault(sentence, bool(note))
    first = next(iter(sentences), "")
    found = ENDPOINT.search(first) or MODULE.match(first)
    call = found[1] if found else ""
    fields = tuple(f for f in read_fields(table, marked(document)) if all(squeeze(c) in text.replace("`", "") for c in f.cells))
    path = re.findall(r"{(\w+)}", call)
    reply = call.startswith("GET ") and any(f.required and f.name not in path for f in fields)
    names = tuple(f.name for f in fields if f.name in path)
    notes = frozenset(s for s, is_note in sentences.items() if is_note)
    return Section(text, tuple(sentences), notes, fields, call, names, reply, marked(document))


def cut(paragraph: str) -> Iterator[str]:
    """The sentences of a paragraph."""
    yield from (s for s in re.split(r"(?<=[.!?])\s+|(?<=[.!?][\"')])\s+", squeeze(paragraph)) if s)


def read_markdown(lines: list[str]) -> tuple[list[str], list[list[str]]]:
    """(paragraphs and bullets, rows of the table) without code and examples."""
    paragraphs, table, fenced, fresh = [], [], False, True
    for line in lines:
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or re.match(r"[{}\[]|curl |\s+(?:-[HdX] |[\"{}])", line):
            fresh = True
        elif line.startswith("|"):
            cells = [squeeze(c) for c in line.strip().strip("|").split("|")]
            if not all(re.fullmatch(r":?-+:?", c) for c in cells):
                table.append(cells)
            fresh = True
        elif not line.strip() or re.fullmatch(r"[-=]{3,}", line):
            fresh = True
        else:
            item = re.match(r"\s*(?:[-*•]|\d+\.) +", line)
            if fresh or item:
                paragraphs.append(line[item.end() :] if item else line)
            else:
                paragraphs[-1] += " " + line
            fresh = False
    return paragraphs, table


def read_txt(lines: list[str]) -> tuple[list[str], list[list[str]]]:
    """The same for a text file: an indented line with a gap is a row, a deeper one goes on with it."""
    paragraphs: list[str] = []
    table: list[list[str]] = []
    fresh = True
    for line in lines:
        if re.match(r"\s+[\"{}]", line) or re.fullmatch(r"[-=~*]{3,}", line) or not line.strip():
            fresh = True
        elif re.match(r"  \S.*?(?:  +\S|$)", line):
            table.append(re.split(r"  +", line.strip()))
            fresh = True
        elif line.startswith("   ") and table:
            table[-1][-1] += " " + line.strip()
        elif fresh:
            paragraphs.append(line)
            fresh = False
        else:
            paragraphs[-1] += " " + line
    wide = any(len(row) > 2 for row in table)
    return paragraphs, table if wide else [["Field", "Description"], *table] if table else []


def read_fields(table: list[list[str]], ticks: frozenset[str]) -> Iterator[Field]:
    """The rows under the table's head; without a column of descriptions, the value goes with the word above it."""
    if not table:
        return
    head = [squeeze(h).lower().replace("`", "") for h in table[0]]
    column = next((i for i, h in enumerate(head) if h in MEANS or (i and h.startswith("what "))), 0)
    for row in table[1:]:
        if len(row) != len(head):
            continue
        cells = tuple(c.replace("`", "") for c in row)
        name = next((c for c in cells if c in ticks), cells[0]) if head[0] not in ("field", "header") else cells[0]
        text = row[column] if column else row[1] if len(row) == 2 else f"{head[1]} {row[1]}"
        yield Field(cells, name, text, "required" in head and row[head.index("required")].lower() == "yes")


# --- which words of the section say the same as the authored answer ---


def words(text: str) -> list[str]:
    """Lower-case words without common endings; an identifier stays whole."""
    found = []
    for word in re.findall(r"[A-Za-z0-9_]+(?:[.:/-][A-Za-z0-9_]+)*", text):
        if re.fullmatch(r"[A-Z]?[a-z]+", word):
            word = re.sub(r"(?<=\w{3})(?:ing|ed|es|s|e|ly)$", "", word.lower())
        found.append(word)
    return found


@cache
def rarity() -> Counter[str]:
    """In how many passages of the knowledge base a word stands."""
    count: Counter[str] = Counter()
    for path in sorted(p.relative_to(KNOWLEDGE).as_posix() for p in KNOWLEDGE.rglob("*") if p.is_file()):
        for chunk in chunks_of(path):
            count.update(set(words(chunk.text)))
    return count


def weight(word: str) -> float:
    """Rare words count more, identifiers twice."""
    plain = re.fullmatch(r"[a-z]+", word)
    return math.log(150 / (1 + min(rarity()[word], 140))) * (1 if plain else 2)


def likeness(text: str, wanted: dict[str, float]) -> float:
    """How much of what is wanted `text` says, for its length."""
    own = set(words(text))
    return sum(weight(w) * wanted.get(w, 0) for w in own) / math.sqrt(4 + sum(map(weight, own)))


def want(*parts: tuple[float, str]) -> dict[str, float]:
    wanted: dict[str, float] = {}
    for value, text in parts:
        wanted |= {w: max(value, wanted.get(w, 0)) for w in words(text)}
    return wanted


# --- the four parts ---


def tick(name: str) -> str:
    return f"`{name}`"


def listed(names: Iterable[str]) -> str:
    ticked = [tick(n) for n in names]
    return ticked[0] if len(ticked) == 1 else ", ".join(ticked[:-1]) + " and " + ticked[-1]


@cache
def proper() -> frozenset[str]:
    """Words that are always written with a capital, also inside sentences."""
    text = " ".join(c.text for p in sorted(KNOWLEDGE.rglob("*.*")) for c in chunks_of(str(p.relative_to(KNOWLEDGE))))
    plain = set(re.findall(r"[a-z]+", text))
    return frozenset(w for w in re.findall(r"(?<=[a-z,] )[A-Z][a-z]+\b", text) if w.lower() not in plain)


def lower(text: str) -> str:
    """The first letter small, unless it belongs to a name or an acronym."""
    first = re.match(r"(?:[A-Z][a-z]+|A)(?![\w/.(])", text)
    return text[0].lower() + text[1:] if first and first[0] not in proper() else text


def upper(text: str) -> str:
    return text[0].upper() + text[1:] if re.match(r"[a-z]+(?![\w(.])", text) else text


def ended(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else text + "."


def summary(row: dict[str, Any], authored: list[str], found: Section) -> tuple[list[str], list[str]]:
    """(lines of the summary, sentences of the section that it uses)."""
    wanted = want((1.0, authored[0]), (0.7, row["question"]), (0.5, authored[1]))
    scores = {s: likeness(s, wanted) for s in found.sentences}
    if HOW.match(row["question"]) and found.call:
        scores[found.sentences[0]] *= 1.5
    best = max(scores, key=lambda s: scores[s], default="")
    asked = want((1.0, row["question"]), (1.0, authored[0]))
    rows = {f: likeness(f"{f.name} {f.text}", wanted) for f in found.fields if f.name in found.ticks}
    rows = {f: n for f, n in rows.items() if sum(weight(w) * asked.get(w, 0) for w in set(words(f.text))) > 5}
    top = max(rows, key=lambda f: rows[f], default=None)
    if top and rows[top] > 1.2 * scores.get(best, 0) and len(top.text) < LONGEST - 40:
        about = [f"It is used with {tick(found.call)}."] if found.call else []
        return [f"{tick(top.name)} means: {ended(lower(top.text))}", *about], []
    order = list(found.sentences)
    used = [best]
    at = order.index(best)
    if LEANS.match(best) and at:
        used = [order[at - 1], best]
    else:
        others = {s: scores[s] for s in order if s != best and not (LEANS.match(s) and s != order[min(at + 1, len(order) - 1)])}
        second = max(others, key=lambda s: others[s], default="")
        if second and others[second] > 0.6 * scores[best]:
            used = sorted([best, second], key=order.index)
    lines = [ended(upper(s)) for s in used]
    if found.call and not any(found.call in line for line in lines):
        lines.append(f"This is about {tick(found.call)}.")
    return lines, used


def how(authored: list[str], found: Section, answering: list[str], used: list[str]) -> list[str]:
    """The steps; sentences that it takes are added to `used`."""
    out = []
    if found.call:
        rest = [f for f in found.fields if f.name not in found.placeholders]
        given = [f.name for f in rest if f.required] or [f.name for f in rest if tick(f.name) in "".join(authored)][:2]
        out.append(f"{'Call' if ' ' in found.call else 'Use'} {tick(found.call)}.")
        if found.placeholders:
            out.append(f"Put {listed(found.placeholders)} in the path.")
        if given:
            out.append(f"{'The answer holds' if found.reply else 'Give'} {listed(given[:4])}.")
        if len(out) > 1:
            return out
    order = list(found.sentences)
    after = max((order.index(s) for s in answering), default=-1) + 1
    nearby = [s for s in order[after:] + order[:after] if s not in used and s not in found.notes]
    for sentence in sorted(nearby[: 1 if found.call else 2], key=order.index):
        used.append(sentence)
        out.append(ended(upper(sentence)))
    return out


def describe(field: Field, name: str, reply: bool) -> str:
    """The first sentence of the description, what is the default, and whether it is required."""
    text = field.text
    first = next(cut(text)).rstrip(".")
    if len(first) > 110:
        first = re.split(r"; |: |, ", first)[0]
    default = re.search(r"[Dd]efault(?: is)? (`[^`]+`|[\w-]+)\.", text)
    first += f"; default {default[1]}" if default and default[1] not in first else ""
    return lower(first) + ("; required" if field.required and not reply else "")


def clause(name: str, found: Section, used: list[str]) -> str:
    """The words of the section around `name`, rather of a sentence that is not used; "" where it stands in none."""
    whole = re.compile(rf"(?<![\w/]){re.escape(name)}(?![\w/])")
    for sentence in sorted((s for s in found.sentences if whole.search(s)), key=lambda s: s in used):
        pieces = [p for p in re.split(r"; |: |, (?=and |but |which |so |or )", sentence) if whole.search(p)]
        piece = min((p for p in pieces if len(p.split()) > 3), key=len, default=sentence)
        piece = re.sub(r"^(?:and|but|so|or) ", "", piece).rstrip(".")
        return lower(re.sub(rf"^(?:The \w+ )?`?{re.escape(name)}`? (?:is |are )?", "", piece))
    return ""


def parameters(authored: list[str], found: Section, used: list[str]) -> list[str]:
    """The bullets: what the authored answer lists, then the rest of the table, else the words around a name."""
    names = re.findall(r"(?m)^- `([^`]+)`", authored[2])
    out: dict[str, str] = {}
    for name in names:
        field = next((f for f in found.fields if f.name == name), None) or next(
            (f for f in found.fields if name in f.cells), None
        )
        if field and describe(field, name, found.reply) not in out.values():
            out.setdefault(name, describe(field, name, found.reply))
    for field in found.fields:
        if len(out) < 4 and field.name in found.ticks:
            out.setdefault(field.name, describe(field, field.name, found.reply))
    for name in names if len(out) < 2 else []:
        text = clause(name, found, used)
        if name not in out and text and text not in out.values():
            out[name] = text
    return [f"- {tick(name)}: {text}" for name, text in list(out.items())[:5]]


def mistakes(authored: list[str], found: Section, used: list[str]) -> list[str]:
    """Sentences that warn, none of them said before; they are added to `used`."""
    order = list(found.sentences)
    left = [s for s in order if s not in used]
    room = 3 if found.call else len(left) - 1  # one is kept for how it works
    whole = {s: s for s in left}
    for sentence, before in zip(order[1:], order, strict=False):
        if sentence in whole and LEANS.match(sentence):
            if before in left and len(before + sentence) < LONGEST:
                whole[sentence] = f"{before} {sentence}"
                whole.pop(before, None)
            elif len(whole) > 1:
                whole.pop(sentence)
    wanted = want((1.0, authored[3]))
    scores = {s: likeness(text, wanted) for s, text in whole.items()}
    top = max(scores.values(), default=0)
    chosen = [s for s in whole if top > 2 and scores[s] > 0.45 * top]
    chosen = chosen or [s for s in whole if s in found.notes] or [s for s in whole if ALARM.search(s)]
    chosen = sorted(sorted(chosen, key=lambda s: -scores[s])[: max(0, min(3, room))], key=order.index)
    used += [s for s in order if any(s in whole[c] for c in chosen) and s not in used]
    return [ended(upper(whole[s])) for s in chosen] or ["The documents name no special warning for this."]


def join(parts: list[list[str]]) -> str:
    """The response: steps in one paragraph, a single warning without a dash."""
    warnings = "\n".join(f"- {w}" for w in parts[3]) if len(parts[3]) > 1 else parts[3][0]
    bodies = (" ".join(parts[0]), " ".join(parts[1]), "\n".join(parts[2]), warnings)
    return "\n\n".join(f"### {title}\n{body}" for title, body in zip(TITLES, bodies, strict=True))


def respond(row: dict[str, Any]) -> str | None:
    """The response for a row of train.jsonl; None where the section does not give enough."""
    authored = [p.strip() for p in re.split(r"(?m)^### .*$", row["response"])[1:]]
    if not row["answerable"]:
        return join([[next(cut(authored[0]))], [UNKNOWN], ["- No fields are documented for this question."], [NEAR]])
    found = section(row["source"]["document"], row["source"]["heading"])
    first, answering = summary(row, authored, found)
    used = list(answering)
    warnings = mistakes(authored, found, used)
    steps = how(authored, found, answering, used)
    bullets = parameters(authored, found, used)
    if len(bullets) < 2 or not steps:
        return None
    while len((response := join([first, steps, bullets, warnings])).split()) > MOST_WORDS:
        (warnings if len(warnings) > 1 else bullets).pop()
    return response if len(response.split()) >= LEAST_WORDS else None


UNKNOWN = (
    "Ask the people who own the product, or look for another document about this. Add that document and ask again."
)
NEAR = "A similar page may describe a different action. Do not use it in place of the missing one."


def make(train: Path) -> str:
    """The lines of tiny.jsonl."""
    out = []
    for line in train.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if response := respond(row):
            out.append(json.dumps({**row, "response": response}, ensure_ascii=False) + "\n")
    return "".join(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "sft" / "tiny.jsonl")
    args = parser.parse_args()
    args.out.write_text(make(ROOT / "data" / "sft" / "train.jsonl"), encoding="utf-8")


if __name__ == "__main__":
    main()
