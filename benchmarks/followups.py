"""A trained run and written conversations in; what is found for follow-ups, and what a kept prompt spares, out.

    copilot pipeline -c configs/tiny.yaml
    python benchmarks/followups.py [-c configs/tiny.yaml] [--limit 28]

Two tables. Finding: of each conversation in data/eval/followups.jsonl, how well the gold sections of its last question
are found when that is searched alone, joined with all before it, or as `copilot chat` does (joined where it leans on
them); questions that lean and questions that stand alone are counted apart. Reading: the conversations whose last
question leans are asked one after the other on ONNX, with what was read of the last prompt kept, and again with it
forgotten before each question, in turns. Answers must be the same, text for text, or the script fails. `order` is that
of the passages in a follow-up's prompt: by rank, or those of the question before first, in their old order.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from copilot.answering.answer import Answerer
from copilot.config_file import load_config
from copilot.evaluation.metrics import recall_at_k, reciprocal_rank
from copilot.model.onnx import OnnxGenerator
from copilot.opened import open_answerer
from copilot.serving.conversation import standing
from copilot.types import Answer, Hit

FILE = Path(__file__).resolve().parents[1] / "data/eval/followups.jsonl"
Row = dict[str, Any]
Retrieve = Callable[[str], list[Hit]]


def finding(rows: Sequence[Row], retrieve: Retrieve) -> str:
    """MRR, first place and recall of each way to search, as markdown."""
    ways: dict[str, Callable[[Row], str]] = {
        "alone": lambda row: row["question"],
        "joined with all before": lambda row: " ".join([*row["before"], row["question"]]),
        "joined where it leans (`chat`)": lambda row: standing([*row["before"], row["question"]]),
    }
    lines = ["| last question | searched | MRR | first | among the hits |", "|---|---|---|---|---|"]
    for title, leaning in (("leans", True), ("stands alone", False)):
        part = [row for row in rows if row["leans"] is leaning]
        for name, way in ways.items():
            found = [found_of(retrieve(way(row)), row) for row in part]
            mrr, first, recall = np.mean(found, axis=0)
            lines.append(f"| {title} ({len(part)}) | {name} | {mrr:.2f} | {first:.2f} | {recall:.2f} |")
    return "\n".join(lines)


def found_of(hits: Sequence[Hit], row: Row) -> tuple[float, float, float]:
    """(reciprocal rank, whether the gold is first, recall)."""
    gold = [(g["document"], g["heading"]) for g in row["gold"]]
    places = [(hit.chunk.document, hit.chunk.heading) for hit in hits]
    reciprocal = reciprocal_rank(places, gold) or 0.0
    return reciprocal, float(reciprocal == 1), recall_at_k(places, gold) or 0.0


def known_first(retrieve: Retrieve) -> Retrieve:
    """The same hits, those of the last question first and in their old order."""
    last: list[Hit] = []

    def ordered(question: str) -> list[Hit]:
        hits = retrieve(question)
        places = {hit.chunk: n for n, hit in enumerate(last)}
        hits.sort(key=lambda hit: places.get(hit.chunk, len(places)))
        last[:] = hits
        return hits

    return ordered


def asked(answerer: Answerer, generator: OnnxGenerator, row: Row, keep: bool) -> Answer:
    """The answer to the last question of a conversation; what was read before it is forgotten unless `keep`."""
    questions = [*row["before"], row["question"]]
    for n in range(len(questions)):
        if not keep or n == 0:
            generator.known.clear()
        answer = answerer.ask(standing(questions[: n + 1]))
    return answer


def reading(rows: Sequence[Row], answerer: Answerer, generator: OnnxGenerator) -> str:
    """Tokens read for a follow-up, time to its first word, and whether its answer cites the gold, as markdown."""
    assert answerer.retrieve is not None
    orders = {"by rank": answerer.retrieve, "known first": known_first(answerer.retrieve)}
    lines = ["| order | kept | tokens of the prompt | read | first word, s | cites gold |", "|---|---|---|---|---|---|"]
    for order, retrieve in orders.items():
        using = replace(answerer, retrieve=retrieve)
        ways: dict[bool, list[Answer]] = {True: [], False: []}
        for row in rows:
            for keep in ways:
                ways[keep].append(asked(using, generator, row, keep))
        for kept, forgot in zip(ways[True], ways[False], strict=True):
            if kept.text != forgot.text:
                raise SystemExit(f"{kept.question}: not the same answer\n\n{kept.text}\n\n{forgot.text}")
        for keep, answers in ways.items():
            prompt = median(a.usage.prompt_tokens for a in answers)
            read = median(a.usage.prompt_tokens - a.usage.prompt_tokens_reused for a in answers)
            first = median(a.usage.seconds_to_first_token for a in answers)
            cites = np.mean([cited(answer, row) for answer, row in zip(answers, rows, strict=True)])
            kept_or_not = "yes" if keep else "no"
            lines.append(f"| {order} | {kept_or_not} | {prompt:,.0f} | {read:,.0f} | {first:.2f} | {cites:.2f} |")
    return "\n".join(lines)


def cited(answer: Answer, row: Row) -> bool:
    """Whether the passage that supports the first section is a gold one."""
    first = answer.citations[0] if answer.citations else None
    return first is not None and found_of([answer.hits[first.hit]], row)[1] == 1


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-c", "--config", default="configs/tiny.yaml")
    parser.add_argument("--limit", type=int, default=28, help="conversations that are answered")
    options = parser.parse_args()
    rows = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    answerer = open_answerer(load_config(options.config, ["model.runtime=onnx"]))
    assert answerer.retrieve is not None and isinstance(answerer.generator, OnnxGenerator)
    print(finding(rows, answerer.retrieve), flush=True)
    print("\n" + reading([row for row in rows if row["leans"]][: options.limit], answerer, answerer.generator))


if __name__ == "__main__":
    main()
