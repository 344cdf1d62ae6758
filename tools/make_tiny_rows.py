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
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from tiny_sections import KNOWLEDGE, LONGEST, ROOT, Field, Section, chunks_of, cut, section, tick

TITLES = ("Summary", "How it works", "Key parameters / fields", "Common mistakes or troubleshooting tips")
HOW = re.compile(
    r"\bhow (?:do|can|would|should) (?:i|we)\b|^(?:which|what) (?:call|module|block|step|action)\b|"
    r"^what(?:'s| is) the (?:quickest|easiest|cheapest|best) way|\bHow\?$",
    re.I,
)
WHICH = re.compile(r"(?:which|what) \w+ (?:are|is|can|do)\b", re.I)
NAME = re.compile(r"[A-Z][a-z]+|[\w.:*{}#!?/-]*[A-Za-z][\w.:*{}#!?/-]*")
LEANS = re.compile(
    r"^(?:It|They|This|These|Those|That|Such|Otherwise|Then|Both|He|She|There|The way back|In that case)\b"
)
ALARM = re.compile(r"\b(?:refused|errors?|cannot|only|must|not|never|fails?|otherwise|at most|[45]\d\d)\b", re.I)
MOST_WORDS, LEAST_WORDS = 170, 40  # of a response


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


def listed(names: Iterable[str]) -> str:
    ticked = [tick(n) for n in names]
    return ticked[0] if len(ticked) == 1 else ", ".join(ticked[:-1]) + " and " + ticked[-1]


@cache
def proper() -> frozenset[str]:
    """Words that are always written with a capital, also inside sentences."""
    text = " ".join(c.text for p in sorted(KNOWLEDGE.rglob("*.*")) for c in chunks_of(str(p.relative_to(KNOWLEDGE))))
    plain = set(re.findall(r"(?<![\w./@-])[a-z]+(?![\w/@-]|\.\w)", text))
    return frozenset(w for w in re.findall(r"(?<=[a-z,] )[A-Z][a-z]+\b", text) if w.lower() not in plain)


def lower(text: str) -> str:
    """The first letter small, unless it belongs to a name or an acronym."""
    first = re.match(r"(?:[A-Z][a-z]+|A)(?![\w/.(])", text)
    return text[0].lower() + text[1:] if first and first[0] not in proper() else text


def upper(text: str) -> str:
    return text[0].upper() + text[1:] if re.match(r"[a-z]+(?![\w(.])", text) else text


def ended(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else text + "."


def meant(row: dict[str, Any], authored: list[str], found: Section, least: float) -> Field | None:
    """The one row of the table that answers the question better than any sentence does (`least`), if there is one."""
    wanted = want((1.0, authored[0]), (0.7, row["question"]), (0.5, " ".join([authored[1], *bulleted(authored)])))
    asked = want((1.0, row["question"]), (1.0, authored[0]))
    names, question = bulleted(authored), want((1.0, row["question"]))
    fits = {}
    for field in found.fields:
        leads = names[:1] == [field.name] and not tells_list(names, found)  # else the question must point at the row
        pointed = asked if leads else question
        shared = sum(weight(w) * pointed.get(w, 0) for w in set(words(f"{field.name} {field.text}")))
        if field.name in found.ticks and shared > 3.5 and len(field.text) < LONGEST - 40:
            fits[field] = likeness(f"{field.name} {field.text}", wanted)
    best = sorted(fits, key=lambda f: -fits[f])
    if not best or fits[best[0]] < 1.2 * least or (len(best) > 1 and fits[best[0]] < 1.1 * fits[best[1]]):
        return None
    return best[0]


def tells_list(names: list[str], found: Section) -> bool:
    """Whether the authored answer explains the names that the section lists."""
    return found.listing and {f.name for f in found.fields}.issuperset(names)


def summary(row: dict[str, Any], authored: list[str], found: Section) -> tuple[list[str], list[str]]:
    """(lines of the summary, sentences of the section that it uses)."""
    wanted = want((1.0, authored[0]), (0.7, row["question"]), (0.5, " ".join([authored[1], *bulleted(authored)])))
    order = list(found.sentences)
    scores = {s: likeness(s, wanted) for s in order}
    best = max(scores, key=lambda s: scores[s], default="")
    if found.call and HOW.search(row["question"]):
        best = order[0]  # it names the call and what it does
        if field := meant(row, authored, found, max((scores[s] for s in order[1:]), default=0)):
            return [best, f"{tick(field.name)} means: {ended(lower(field.text))}"], [best]
    elif field := meant(row, authored, found, scores.get(best, 0)):
        about = [f"It is used with {tick(found.call)}."] if found.call else []
        return [f"{tick(field.name)} means: {ended(lower(field.text))}", *about], []
    elif WHICH.match(row["question"]) and (
        tells_list(bulleted(authored), found) or 1.4 * scores[order[0]] > scores[best]
    ):
        best = order[0]
    at = order.index(best)
    if LEANS.match(best) and at:
        used = [order[at - 1], best]
    else:
        new = {w: value for w, value in wanted.items() if w not in words(best)}
        gains = {
            s: (likeness(s, new) + scores[s]) * (1.15 if abs(i - at) == 1 else 1) / 2
            for i, s in enumerate(order)
            if s != best and (i == at + 1 or not LEANS.match(s))
        }
        second = max(gains, key=lambda s: gains[s], default="")
        used = [best, second] if second and gains[second] > 0.55 * max(scores.values()) else [best]
    used.sort(key=order.index)
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
        if len(out) == 1 and (braces := re.findall(r"{(\w+)}", found.call)):
            out.append(f"Put {listed(braces)} in the path.")
        if len(out) > 1:
            return out
    order = list(found.sentences)
    after = max((order.index(s) for s in answering), default=-1) + 1
    free = [s for s in order if s not in used and s not in found.notes]
    nearby = [s for s in free if order.index(s) >= after] or free
    taken: list[str] = answering[-1:]
    for sentence in nearby:
        follows = order[order.index(sentence) - 1] in taken[-1:]
        if len(taken) < len(answering[-1:]) + (1 if found.call else 2) and (
            follows or not LEANS.match(sentence) or len(nearby) == 1
        ):
            taken.append(sentence)
    taken = taken[len(answering[-1:]) :]
    used += taken
    return out + [ended(upper(s)) for s in taken]


def describe(field: Field, reply: bool) -> str:
    """The first sentence of the description, what is the default, and whether it is required."""
    text = field.text
    first = next(cut(text)).rstrip(".")
    if len(first) > 110:
        first = re.split(r"; |: |, ", first)[0]
    default = re.search(r"[Dd]efault(?: is)? (`[^`]+`|[\w-]+)\.", text)
    first += f"; default {default[1]}" if default and "default" not in first.lower() else ""
    return lower(first) + ("; required" if field.required and not reply else "")


def clause(name: str, found: Section, said: Iterable[str]) -> str:
    """The words of the section around `name`, but no whole sentence that is said already; "" where there are none."""
    whole = re.compile(rf"(?<![\w/]){re.escape(name)}(?![\w/])")
    for sentence in sorted((s for s in found.sentences if whole.search(s)), key=lambda s: s in said):
        pieces = [p for p in re.split(r"; |: |, ", sentence) if whole.search(p)]
        pieces = [p for p in pieces if len(p.split()) > 5 and not re.match(r"(?i)(?:if|when|with|which) ", p)]
        piece = min(pieces, key=len, default=sentence)
        if piece == sentence and sentence in said:
            continue
        piece = re.sub(r"^(?:and|but|so|or) ", "", piece).rstrip(".")
        return lower(re.sub(rf"^(?:The \w+ )?`?{re.escape(name)}`? (?:is|are) ", "", piece))
    return ""


def bulleted(authored: list[str]) -> list[str]:
    """The names that the authored answer explains."""
    return re.findall(r"(?m)^- `([^`]+)`", authored[2])


def parameters(authored: list[str], found: Section, used: list[str]) -> list[str]:
    """The bullets: what the authored answer lists, then the rest of the table, else the words around a name."""
    names = bulleted(authored)
    out: dict[str, str] = {}
    for name in names:
        exact = [f for f in found.fields if f.name == name]
        for field in (exact or [f for f in found.fields if name in f.cells])[:1]:
            text = describe(field, found.reply)
            if text not in (name, *out.values()):
                out[name] = text
    regular = len({f.name for f in found.fields} & found.ticks) == len(found.fields) > 0
    for field in found.fields if regular else ():
        if len(out) < 4:
            out.setdefault(field.name, describe(field, found.reply))
    for said in (used, ()):
        for name in names if len(out) < 2 else ():
            text = clause(name, found, said)
            if name not in out and text and text not in out.values():
                out[name] = text
        for field in found.fields if len(out) < 2 else ():
            if len(out) < 4 and NAME.fullmatch(field.name):
                out.setdefault(field.name, describe(field, found.reply))
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


KEPT = 5  # every fifth refusal: with all of them the tiny model refuses nearly everything (docs/log.md)
UNKNOWN = (
    "Ask the people who own the product, or look for another document about this. Add that document and ask again."
)
NEAR = "A similar page may describe a different action. Do not use it in place of the missing one."


def make(train: Path) -> str:
    """The lines of tiny.jsonl."""
    out, refusals = [], 0
    for line in train.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        refusals += not row["answerable"]
        if "audience" in row or (not row["answerable"] and refusals % KEPT):  # those for technical readers are ours
            continue
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
