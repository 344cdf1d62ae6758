"""A trained run and written conversations in; what is found for follow-ups, and what a kept prompt spares, out.

    copilot pipeline -c configs/tiny.yaml
    python benchmarks/followups.py [-c configs/tiny.yaml] [--limit 28] [--known-first]

Two tables. Finding: of each conversation in data/eval/followups.jsonl, how well the gold sections of its last question
are found when that is searched alone, joined with all before it, or as `copilot chat` does (joined where it leans on
them); questions that lean and questions that stand alone are counted apart. Reading: the conversations whose last
question leans are asked one after the other on ONNX, with what was read of the last prompt kept, and again with it
forgotten before each question, in turns. Answers must be the same, text for text, or the script fails. `--known-first`
also puts the passages of the question before first, in their old order: more is spared, and answers get worse.
"""

import argparse
import json
import time
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


def asked(answerer: Answerer, generator: OnnxGenerator, row: Row, keep: bool) -> tuple[Answer, float]:
    """The answer to the last question of a conversation, and its s of a core; what was read is known if `keep`."""
    questions = [*row["before"], row["question"]]
    for n in range(len(questions)):
        if not keep or n == 0:
            generator.known.clear()
        began = time.process_time()
        answer = answerer.ask(standing(questions[: n + 1]))
    return answer, time.process_time() - began


def reading(rows: Sequence[Row], answerer: Answerer, generator: OnnxGenerator, also_known_first: bool) -> str:
    """Medians over the follow-ups, and the share that cites the gold, as markdown; the ratios of forgotten to kept."""
    assert answerer.retrieve is not None
    orders = {"by rank": answerer.retrieve}
    orders |= {"known first": known_first(answerer.retrieve)} if also_known_first else {}
    titles = ("passages", "kept", "tokens of the prompt", "read", "first word, s", "answer, s of a core", "cites gold")
    lines = [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    for order, retrieve in orders.items():
        using = replace(answerer, retrieve=retrieve)
        pairs = [[asked(using, generator, row, keep) for keep in (True, False)] for row in rows]
        for (kept, _), (forgot, _) in pairs:
            if kept.text != forgot.text:
                raise SystemExit(f"{kept.question}: not the same answer\n\n{kept.text}\n\n{forgot.text}")
        figures = []
        for n, keep in enumerate(("yes", "no")):
            usages = [pair[n][0].usage for pair in pairs]
            read = median(u.prompt_tokens - u.prompt_tokens_reused for u in usages)
            first, core = median(u.seconds_to_first_token for u in usages), median(pair[n][1] for pair in pairs)
            figures.append((read, first, core))
            cites = np.mean([cited(pair[n][0], row) for pair, row in zip(pairs, rows, strict=True)])
            prompt = median(u.prompt_tokens for u in usages)
            lines.append(f"| {order} | {keep} | {prompt:,.0f} | {read:,.0f} | {first:.2f} | {core:.2f} | {cites:.2f} |")
        ratios = " | ".join(f"{forgot / kept:.2f}" for kept, forgot in zip(*figures, strict=True))
        lines.append(f"| {order} | no / yes | | {ratios} | |")
    return "\n".join(lines) + f"\n\n{len(orders) * len(rows)} answers are the same, kept and forgotten."


def cited(answer: Answer, row: Row) -> bool:
    """Whether the passage that supports the first section is a gold one."""
    first = answer.citations[0] if answer.citations else None
    return first is not None and found_of([answer.hits[first.hit]], row)[1] == 1


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-c", "--config", default="configs/tiny.yaml")
    parser.add_argument("--limit", type=int, default=28, help="conversations that are answered")
    parser.add_argument("--known-first", action="store_true", help="try that order of the passages too")
    options = parser.parse_args()
    rows = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    answerer = open_answerer(load_config(options.config, ["model.runtime=onnx"]))
    assert answerer.retrieve is not None and isinstance(answerer.generator, OnnxGenerator)
    print(finding(rows, answerer.retrieve), flush=True)
    leaning = [row for row in rows if row["leans"]][: options.limit]
    print("\n" + reading(leaning, answerer, answerer.generator, options.known_first))


if __name__ == "__main__":
    main()
