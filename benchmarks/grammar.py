"""What holding answers to a grammar costs: to build one of 400 names, and of a step of the tiny model on a CPU.

The grammar is built over free prose, and over prose that is held to plain words and 400 others.

    python benchmarks/grammar.py [--tokens 128] [--batch 1 16]

Both sides in one run: the same prompts are answered freely and held, by the same decoding. The share is what the
masks took of the held run, the ratio what both runs took. All is time of the processor, by one thread (OMP_NUM_THREADS
set to 1), so that it can be read on a busy machine.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from copilot.answering.identifiers import quotable, sayable
from copilot.config import SECTIONS
from copilot.config_file import load_config
from copilot.knowledge.chunks import split
from copilot.knowledge.documents import load_documents
from copilot.model.attention import read_prompts
from copilot.model.constrain import Constraint, Masks, Vocabulary
from copilot.model.dataset import prompt_tokens, read_questions
from copilot.model.load import load_model, quiet_libraries
from copilot.prompt.grammar import answer_grammar
from copilot.prompt.render import render

ROOT = Path(__file__).parent.parent
NAMES = 400


class Timed(Constraint):
    """The logits processor, which knows how long it took."""

    seconds = 0.0

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """As the Constraint."""
        began = time.process_time()
        out = super().__call__(input_ids, scores)
        self.seconds += time.process_time() - began
        return out


def main() -> None:
    """Measure and print."""
    quiet_libraries()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 16])
    args = parser.parse_args()
    config = load_config(ROOT / "configs" / "tiny.yaml")
    documents = list(load_documents(config.documents))
    passages = [chunk.passage for document in documents for chunk in split(document, config.chunks)]
    context = "\n".join(passages)
    names, words = list(quotable(context))[:NAMES], list(sayable(context)[0])[:NAMES]
    names += [f"name{i}Id" for i in range(NAMES - len(names))]
    loaded = load_model(config.model)
    vocabulary = Vocabulary(loaded.tokenizer, loaded.model.config.vocab_size, {loaded.tokenizer.eos_token_id})
    build(vocabulary, names, None)
    grammar = build(vocabulary, names, words)
    questions = read_questions(Path(config.evaluation.questions))
    for batch in args.batch:
        ids = []
        for i, row in enumerate(questions[:batch]):
            messages = render(row.question, passages[i : i + 5], config.prompt, config.answer)
            ids.append(prompt_tokens(messages, loaded.tokenizer))
        compare(loaded, vocabulary, ids, grammar, args.tokens)


def build(vocabulary: Vocabulary, names: list[str], words: list[str] | None) -> str:
    """The grammar, and what its text, its reading and its first mask take; the best of five."""
    import numpy as np

    bits = np.zeros((1, -(-vocabulary.size // 32)), np.int32)
    seconds = []
    for _ in range(5):
        began = time.process_time()
        grammar = answer_grammar(SECTIONS, names, True, words)
        written = time.process_time()
        Masks(vocabulary, [grammar], len(SECTIONS), [512]).fill([(0, 0)], bits)
        seconds.append((written - began, time.process_time() - written))
    text, first = min(seconds, key=sum)
    sizes = f"{len(names)} names" + (f" and {len(words)} words of prose" if words else " and free prose")
    print(f"a grammar of {sizes}: {text * 1e3:.1f} ms to write, {first * 1e3:.1f} ms to read")
    return grammar


def compare(loaded: Any, vocabulary: Vocabulary, ids: list[list[int]], grammar: str, tokens: int) -> None:
    """Print a free and a held run of so many tokens."""
    longest, pad = max(map(len, ids)), loaded.tokenizer.pad_token_id
    inputs = torch.tensor([[pad] * (longest - len(row)) + row for row in ids])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in ids])

    def run(*processors: Any) -> float:
        cache = read_prompts(loaded.model, ids, longest + tokens)  # grammars are read meanwhile, as in the product
        began = time.process_time()
        loaded.model.generate(
            input_ids=inputs, attention_mask=mask, do_sample=False, pad_token_id=pad, max_new_tokens=tokens,
            min_new_tokens=tokens, past_key_values=cache, disable_compile=True, logits_processor=list(processors),
        )
        return time.process_time() - began

    with torch.inference_mode():
        run()
        free, held, inside = [], [], []
        for _ in range(3):
            free.append(run())
            timed = Timed(vocabulary, [grammar] * len(ids), len(SECTIONS), longest, 10 * tokens)
            held.append(run(timed))
            inside.append(timed.seconds)
    best = held.index(min(held))
    step, longer = min(free) / tokens, held[best] / tokens  # s
    print(f"batch {len(ids)}: {step * 1e3:.2f} ms of CPU a step freely, {longer * 1e3:.2f} held, {longer / step:.3f}x")
    print(f"  the masks take {inside[best] / held[best]:.1%} of it")


if __name__ == "__main__":
    main()
