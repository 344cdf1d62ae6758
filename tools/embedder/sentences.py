"""A reranker of passages, entries and labelled questions in; one that also tells which sentence answers, out.

    python tools/embedder/sentences.py MINILM passages.json tools/embedder data/models/embedder RERANKER OUT

RERANKER is what rerank.py wrote, MINILM and passages.json are as there, and in tools/embedder lie `questions.jsonl` and
`sentences.jsonl`: entries with what answers each of their questions, in a reader's words. Of an entry's texts, each
below its heading path, those that answer are to have a higher logit than its others, than the likeliest texts of other
entries, and than 0, which is what nothing has; of a near miss all are to be below it. A third of each step are whole
passages as in rerank.py, so that what it knows of them is not lost, and a sixth the passages of these entries. Further
LoRA goes on top; kept is the mean of three runs with what RERANKER adds, as one adapter of rank KEPT. Every tenth
document is left out; its figures are printed, before and after.
"""

import argparse
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rerank import FORGOTTEN, GONE, Judge, Pair, average
from rerank import measure as measure_passages
from safetensors.torch import load_file
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from train import DEVICE, HELD, Ids, Rows, auc, bert, open_tokenizer, read_rows, side_by_side, taught_rows

from copilot.answering.wording import leaning, row
from copilot.knowledge.lexical import Lexical
from copilot.knowledge.onnx_encoder import HEAD
from copilot.reading.entries import read_entry

RATE, PASSES, WARM, KEPT = 4e-4, 2.2, 0.06, 128
ASKED, WHOLE, REHEARSED = 48, 16, 24  # questions of a step: about texts, about passages of entries, of questions.jsonl
TEXTS, OTHERS, CHOICES = 12, 5, 6  # texts of the entry and of others, and passages, that a question is read with
LIKELY = 12  # others that a search finds


@dataclass
class Entries:
    """Questions about entries, as tokens."""

    texts: list[list[Ids]] = field(default_factory=list)  # of each entry, below its heading path
    passages: list[list[Ids]] = field(default_factory=list)  # of each entry
    document: list[int] = field(default_factory=list)  # of each entry
    asked: list[Ids] = field(default_factory=list)
    entry: list[int] = field(default_factory=list)  # of each question
    right: list[list[int]] = field(default_factory=list)  # what answers it; nothing for a near miss
    place: list[int] = field(default_factory=list)  # the passage that holds it, -1 for none
    others: list[list[tuple[int, int]]] = field(default_factory=list)  # (entry, text) of the likeliest elsewhere
    beside: list[list[tuple[int, int]]] = field(default_factory=list)  # (entry, passage) of the same


def texts_of(header: str, text: str) -> list[str]:
    """What the product reads in a passage, one by one."""
    entry = read_entry(text, True, header, True)
    rows = map(row, (*entry.fields, *entry.codes))
    return list(dict.fromkeys([*leaning(entry), *entry.notes, *entry.steps, *entry.items, *rows]))


def read_entries(minilm: Path, products: Path, file: Path) -> Entries:
    """The rows of `sentences.jsonl`, with what a search by words finds in the same document for each."""
    encode = open_tokenizer(minilm)
    pool: list[Any] = json.loads(products.read_text(encoding="utf-8"))
    found, documents = Entries(), dict[str, list[dict[str, Any]]]()
    for line in file.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        documents.setdefault(str(entry["document"]), []).append(entry)
    changed = 0
    for number, entries in enumerate(documents.values()):
        if "passage" in entries[0]:  # of a product of passages.json: all its passages are entries
            product = pool[entries[0]["passage"][0]][2]
            labelled = {entry["passage"][1]: entry for entry in entries}
            entries = []
            for place, (header, text) in enumerate(product):
                own = {"header": header, "texts": texts_of(header, text), "passages": [text], "asked": []}
                label = labelled.get(place, {})
                if label and (label["header"] != header or label["read"] != len(own["texts"])):
                    changed += 1  # it is read in another way now
                    label = {}
                entries.append({**own, "asked": label.get("asked", []), "near": label.get("near", [])})
        _add(found, number, entries, encode)
    print(f"{len(found.asked)} questions about {len(found.texts)} entries; {changed} entries are read anew, left out")
    return found


def _add(
    found: Entries, number: int, entries: Sequence[dict[str, Any]], encode: Callable[[list[str]], list[Ids]]
) -> None:
    """The entries of one document with their questions."""
    first = len(found.texts)
    for entry in entries:
        found.texts.append(encode([f"{entry['header']}\n{text}" for text in entry["texts"]]))
        found.passages.append(encode([f"{entry['header']}\n{text}" for text in entry["passages"]]))
        found.document.append(number)
    texts = [(n, k, text) for n, entry in enumerate(entries) for k, text in enumerate(entry["texts"])]
    passages = [(n, k, text) for n, entry in enumerate(entries) for k, text in enumerate(entry["passages"])]
    by_text, by_passage = (
        Lexical([f"{entries[n]['header']}\n{text}" for n, _, text in some]) if some else None
        for some in (texts, passages)
    )
    for n, entry in enumerate(entries):
        asked = [*((question, right) for question, right in entry["asked"]), *((q, []) for q in entry.get("near", []))]
        for (question, right), ids in zip(asked, encode([q for q, _ in asked]) if asked else [], strict=True):
            found.asked.append(ids)
            found.entry.append(first + n)
            found.right.append(right)
            held = [k for k, text in enumerate(entry["passages"]) if right and _holds(text, entry["texts"][right[0]])]
            found.place.append(held[0] if held else -1)
            for lexical, some, out in ((by_text, texts, found.others), (by_passage, passages, found.beside)):
                scores = lexical.scores(question) if lexical else np.zeros(0)
                order = [some[i] for i in np.argsort(-scores, kind="stable")]
                out.append([(first + m, k) for m, k, _ in order if m != n][:LIKELY])


def _holds(passage: str, text: str) -> bool:
    """Whether nearly all words of a text stand in a passage."""
    words = [word.strip(".,:;()`*") for word in text.split()]
    return sum(word in passage for word in words) >= 0.9 * len(words)


def learn(run: int, minilm: Path, reranker: Path, data: Rows, entries: Entries, out: Path) -> None:
    """One run: the same start as the others, the rows in another order; what it adds goes to a folder in `out`."""
    torch.manual_seed(1)
    model = Judge(bert(minilm, reranker)).to(DEVICE)
    model.load_state_dict({name: w.float() for name, w in load_file(reranker / HEAD).items()}, strict=False)
    if run == 1:
        print(f"before: {measure_passages(model, data)}; {measure(model, entries)}", flush=True)
    model.train()
    torch.manual_seed(run)
    rng = random.Random(run)
    head = [*model.dense.parameters(), *model.out.parameters()]
    groups: list[dict[str, Any]] = [{"params": [*model.bert.a, *model.bert.b]}, {"params": head}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, weight_decay=0.01)
    taught = [n for n in range(len(entries.asked)) if entries.document[entries.entry[n]] % 10 != HELD]
    rows = taught_rows(data)
    steps = int(PASSES * len(taught)) // ASKED
    left: list[int] = []
    for step in range(steps):
        rate = RATE * min(1, (step + 1) / (WARM * steps)) * max(0, 1 - step / steps)
        optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"] = rate, rate
        if len(left) < ASKED:
            left += rng.sample(taught, len(taught))
        some, left = left[:ASKED], left[ASKED:]
        model.bert.merge()
        loss = _texts(model, entries, some, rng)
        loss = loss + 0.5 * _passages(model, entries, rng.sample(taught, WHOLE), rng)
        loss = loss + 0.5 * _rehearsed(model, data, rng.sample(rows, REHEARSED), rng)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    print(f"run {run}, {steps} steps: {measure_passages(model, data)}; {measure(model, entries)}", flush=True)
    model.save(out / f"run{run}")


def _forgetful(asked: Ids, rng: random.Random) -> Ids:
    return [token for token in asked if rng.random() > FORGOTTEN] or asked


def _texts(model: Judge, entries: Entries, some: list[int], rng: random.Random) -> torch.Tensor:
    """The loss of questions with single texts."""
    pairs: list[Pair] = []
    ends: list[tuple[int, int, int]] = []  # where those that answer, the entry's others, and other entries' end
    for n in some:
        own, right = entries.texts[entries.entry[n]], entries.right[n]
        wrong = [k for k in range(len(own)) if k not in right]
        wrong = rng.sample(wrong, min(len(wrong), TEXTS - min(len(right), 4)))
        others = rng.sample(entries.others[n], min(OTHERS, len(entries.others[n])))
        asked = _forgetful(entries.asked[n], rng)
        pairs += [(asked, own[k]) for k in right]
        first = len(pairs)
        pairs += [(asked, own[k]) for k in wrong]
        second = len(pairs)
        pairs += [(asked, entries.texts[e][k]) for e, k in others]
        ends.append((first, second, len(pairs)))
    logits = model(pairs)
    loss, at = logits.new_zeros(()), 0
    for first, second, last in ends:
        right, own, every = logits[at:first], logits[at:second], torch.cat([logits[at:last], logits.new_zeros(1)])
        if first > at:
            answers = torch.logsumexp(right, 0)
            loss = loss + torch.logsumexp(every, 0) - answers + torch.logsumexp(own, 0) - answers
            loss = loss + binary_cross_entropy_with_logits(right, torch.ones_like(right))
        else:
            loss = loss + torch.logsumexp(every, 0)
        if second > first:
            wrong = logits[first:second]
            loss = loss + binary_cross_entropy_with_logits(wrong, torch.zeros_like(wrong))
        at = last
    return loss / len(some)


def _choose(model: Judge, choices: list[tuple[list[Pair], bool]]) -> torch.Tensor:
    """The loss of questions with passages, of which the first is right where there is a right one."""
    logits = model([pair for pairs, _ in choices for pair in pairs])
    loss, at = logits.new_zeros(()), 0
    for pairs, has in choices:
        own = logits[at : at + len(pairs)]
        at += len(pairs)
        every = torch.cat([own, own.new_zeros(1)])[None]
        loss = loss + cross_entropy(every, torch.tensor([0 if has else len(pairs)], device=own.device))
        if has:
            loss = loss + cross_entropy(own[None], torch.tensor([0], device=own.device))
    return loss / len(choices)


def _passages(model: Judge, entries: Entries, some: list[int], rng: random.Random) -> torch.Tensor:
    """The loss of the same questions with passages of their document."""
    choices = []
    for n in some:
        own = entries.passages[entries.entry[n]]
        has = entries.place[n] >= 0 and rng.random() >= GONE
        if entries.right[n] and entries.place[n] < 0:
            continue
        others = rng.sample(entries.beside[n], min(CHOICES - 1, len(entries.beside[n])))
        read = [*([own[entries.place[n]]] if has else []), *(entries.passages[e][k] for e, k in others)]
        read += [] if entries.right[n] or not own else [rng.choice(own)]
        if read:
            asked = _forgetful(entries.asked[n], rng)
            choices.append(([(asked, text) for text in read], has))
    return _choose(model, choices) if choices else torch.zeros((), device=DEVICE)


def _rehearsed(model: Judge, data: Rows, some: list[int], rng: random.Random) -> torch.Tensor:
    """The loss of questions of rerank.py."""
    choices = []
    for n in some:
        gone = not data.right[n] or (bool(data.wrong[n]) and rng.random() < GONE)
        own = [] if gone else [rng.choice(data.right[n])]
        others = rng.sample(data.wrong[n], min(8 - len(own), len(data.wrong[n])))
        asked = _forgetful(data.asked[n], rng)
        pairs = [(asked, data.texts[data.rows[n][0]][i]) for i in (*own, *others)]
        if pairs:
            choices.append((pairs, bool(own)))
    return _choose(model, choices)


@torch.no_grad()
def measure(model: Judge, entries: Entries) -> str:
    """How it does on the documents that are left out, with single texts: the entry's and the likeliest elsewhere."""
    model.eval()
    model.bert.merge()
    own, every, good, bad, kept = [], [], [], [], []
    for n in [n for n in range(len(entries.asked)) if entries.document[entries.entry[n]] % 10 == HELD]:
        texts, right = entries.texts[entries.entry[n]], entries.right[n]
        read = [*texts, *(entries.texts[e][k] for e, k in entries.others[n])]
        logits = model([(entries.asked[n], text) for text in read]).cpu()
        if right:
            own.append(int(logits[: len(texts)].argmax()) in right)
            every.append(int(logits.argmax()) in right)
            good.append(float(logits.max()))
            kept.append(float(max(logits[k] for k in right)) > 0)
        else:
            bad.append(float(logits.max()))
    model.train()
    return (
        f"{len(own)} held questions: of the entry's texts {np.mean(own):.3f} first, with others {np.mean(every):.3f}, "
        f"above 0 {np.mean(kept):.3f}; {len(bad)} near misses below 0 {np.mean(np.array(bad) < 0):.3f}, "
        f"AUC {auc(good, bad):.3f}"
    )


def main() -> None:
    """Train, average and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("minilm", "passages", "data", "embedder", "reranker", "out"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    rows = read_rows(given.minilm, given.passages, given.data / "questions.jsonl", given.embedder)
    entries = read_entries(given.minilm, given.passages, given.data / "sentences.jsonl")
    runs = side_by_side(learn, given.out, (given.minilm, given.reranker, rows, entries))
    average(runs, given.reranker, given.out, KEPT)


if __name__ == "__main__":
    main()
