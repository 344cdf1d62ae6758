"""Answers as they are served, beside the rules without a model, on every question of a configuration; a page of them.

    copilot index -c configs/development.yaml
    python benchmarks/answers.py configs/development.yaml [--raw 0] [--page docs/tiny-model.md]

Needs the adapter of the configuration (`make demo`) and its index. Prints the figures of both; `--raw 40` also lets the
tuned model write so many answers freely, spread over the questions. `--page` is written with ten whole answers, spread
too, and the five worst: those that name the smallest share of what is expected. A CPU: 2 s an answer.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from copilot.answering.answer import Answerer
from copilot.answering.extractive import extractive
from copilot.config_file import load_config
from copilot.evaluation.metrics import Score, score, summary
from copilot.evaluation.report import table
from copilot.model.dataset import read_questions
from copilot.model.load import quiet_libraries
from copilot.opened import open_answerer
from copilot.pipeline import spread
from copilot.types import Answer, Question

WHOLE, WORST = 10, 5
Asked = list[tuple[Question, Answer, Score]]


def ask(answerer: Answerer, questions: list[Question], titles: list[str], once: bool = False) -> Asked:
    """Every answer with its figures; `once`: all in batches, as a model that writes freely is asked."""
    if once:
        answers = answerer.ask_all([question.question for question in questions])
    else:
        answers = [answerer.ask(question.question) for question in questions]
    return [(q, a, score(q, a, titles)) for q, a in zip(questions, answers, strict=True)]


def shown(rows: Asked) -> str:
    """Answers as markdown, their headings two levels lower."""
    parts = []
    for question, answer, figures in rows:
        named = "nothing" if figures.identifier_recall is None else f"{figures.identifier_recall:.2f} of them"
        expected = ", ".join(f"`{name}`" for name in question.identifiers) or "nothing by name"
        text = answer.text.replace("### ", "#### ")
        kind = "" if question.answerable else " (the documents do not say)"
        parts.append(f"### {question.question}{kind}\n\nExpected: {expected}; named: {named}.\n\n{text}\n")
    return "\n".join(parts)


def main() -> None:
    """Ask, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--raw", type=int, default=0, help="answers of the tuned model left free")
    parser.add_argument("--page", type=Path)
    given = parser.parse_args()
    quiet_libraries()
    config = load_config(given.config)
    questions = list(read_questions(Path(config.evaluation.questions)))
    titles = config.answer.sections
    answerer = open_answerer(config)
    assert answerer.retrieve is not None
    began = time.monotonic()
    served = ask(answerer, questions, titles)
    seconds = (time.monotonic() - began) / len(questions)
    rules = extractive(answerer.retrieve, config.answer, answerer.files, answerer.doubt, answerer.glossary)
    columns = {"extractive": summary([s for *_, s in ask(rules, questions, titles)])}
    columns["served"] = summary([s for *_, s in served])
    if given.raw:
        free = config.answer.model_copy(update={"enforce": "off", "refuse": True})
        raw = replace(open_answerer(config, strict=True), config=free, doubt=None)
        columns["tuned"] = summary([s for *_, s in ask(raw, spread(questions, given.raw), titles, True)])
    console = Console(width=100)
    console.print(f"{given.config}: {len(questions)} questions, {seconds:.2f} s an answer")
    console.print(table(columns))
    if given.page:
        worst = sorted(
            (row for row in served if row[2].identifier_recall is not None), key=lambda row: row[2].identifier_recall
        )
        text = f"## Ten answers\n\n{shown(spread(served, WHOLE))}\n## The five worst\n\n{shown(worst[:WORST])}"
        given.page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
