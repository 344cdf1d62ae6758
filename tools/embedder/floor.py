"""Configurations with evaluation questions in; the floor that ships with the reranker, out.

    python tools/embedder/floor.py data/models/reranker/abstention.json configs/development.yaml configs/blind-2.yaml

It serves documents for which there are no rows to learn refusals from. So it is learnt on real documentation that the
reranker was not taught on, with questions of another hand, and not on the rows of the demo, which are easier: a floor
that was learnt on those refused twice as many questions wrongly as it promised. After it the refusals of these sets are
no independent figures. Two minutes on a CPU.
"""

import argparse
from pathlib import Path

from copilot.abstention import evidence, keep_floor
from copilot.answering.floor import learn
from copilot.config_file import load_config
from copilot.model.dataset import read_questions
from copilot.opened import open_retriever


def main() -> None:
    """Learn and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("configs", type=Path, nargs="+")
    given = parser.parse_args()
    found, answerable = [], []
    for path in given.configs:
        config = load_config(path)
        retrieve = open_retriever(config, "")
        for question in read_questions(Path(config.evaluation.questions)):
            found.append(evidence(question.question, retrieve))
            answerable.append(question.answerable)
    floor = learn(found, answerable)
    keep_floor(given.out, floor)
    print(floor.describe())


if __name__ == "__main__":
    main()
