"""Passages, questions and an adapter in; what a retriever finds for each question, out: examples for tools/pretrain.

    python tools/embedder/ranked.py MINILM ADAPTER passages.json tools/embedder/questions.jsonl asked.json

Each row is [question, places of the right passages (none for a near miss), passages as [heading path, text]]: eight of
the question's own product, as cosine and words rank them, those of the best entry first.
"""

import argparse
import json
import multiprocessing
import sys
from itertools import groupby
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from train import DEVICE, embed

from copilot.answering.ranking import focused
from copilot.knowledge.lexical import Lexical
from copilot.knowledge.retriever import WEIGHTS, ranked
from copilot.types import Hit

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "pretrain"))
from asked import APART, chunk

FOUND, READ = 8, 5  # passages of a row; those that `focused` orders

Row = tuple[str, list[int], list[list[str]]]
Job = tuple[list[list[str]], list[tuple[str, int | None]], np.ndarray]  # passages, (question, right passage), cosines


def found(job: Job) -> list[Row]:
    """The rows of one product."""
    passages, questions, cosines = job
    lexical = Lexical([f"{heading}\n{text}" for heading, text in passages])
    rows = []
    for (question, right), line in zip(questions, cosines, strict=True):
        order = [int(i) for i in ranked(line, lexical.scores(question), WEIGHTS["hybrid"])[:FOUND]]
        hits = [Hit(chunk(i, *passages[i]), float(line[i])) for i in order[:READ]]
        order = [hit.chunk.start // APART for hit in focused(question, hits, lambda _, own=hits: own)] + order[READ:]
        if right is not None and all(passages[i][0] != passages[right][0] for i in order):
            order.append(right)
        places = [n for n, i in enumerate(order) if right is not None and passages[i][0] == passages[right][0]]
        rows.append((question, places, [passages[i] for i in order]))
    return rows


def main() -> None:
    """Write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("minilm", "adapter", "passages", "questions", "out"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    from peft import PeftModel
    from transformers import BertModel

    tokenizer = Tokenizer.from_file(str(given.minilm / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    bert = BertModel.from_pretrained(given.minilm, add_pooling_layer=False).float()
    model = PeftModel.from_pretrained(bert, given.adapter).merge_and_unload().to(DEVICE)

    def vectors(texts: list[str]) -> np.ndarray:
        return embed(model, [encoding.ids[1:-1] for encoding in tokenizer.encode_batch(texts)])

    products = json.loads(given.passages.read_text(encoding="utf-8"))
    written = [json.loads(line) for line in given.questions.read_text(encoding="utf-8").splitlines()]
    jobs: list[Job] = []
    for product, rows in groupby(sorted(written, key=lambda row: row["passage"]), key=lambda row: row["passage"][0]):
        asked: list[tuple[str, int | None]] = []
        for row in rows:
            asked += [(question, row["passage"][1]) for question in row["questions"]]
            asked += [(question, None) for question in row["near_misses"]]
        passages = products[product][2]
        texts = vectors([f"{heading}\n{text}" for heading, text in passages])
        jobs.append((passages, asked, vectors([question for question, _ in asked]) @ texts.T))
    with multiprocessing.get_context("spawn").Pool() as pool:
        made = [row for rows in pool.imap(found, jobs, chunksize=8) for row in rows]
    given.out.write_text(json.dumps(made, ensure_ascii=False), encoding="utf-8")
    right = [places for _, places, _ in made if places]
    first, some = (sum(min(places) < n for places in right) / len(right) for n in (1, READ))
    print(f"{len(made)} rows, {len(right)} with an answer: the first passage right {first:.2f}, one of five {some:.2f}")


if __name__ == "__main__":
    main()
