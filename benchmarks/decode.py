"""Answers of the tiny model on a CPU: transformers' own generate beside ours, and what the grammar costs, in one run.

    python benchmarks/decode.py [--batch 16] [--tokens 128]

Prints seconds to read the prompts, milliseconds a decoding step, tokens/s, and the ratios. The prompts are held-out
questions with the passages that the shipped index would bring; all three write the same number of tokens.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from copilot.config import AnswerPart
from copilot.config_file import load_config
from copilot.model.attention import read_prompts
from copilot.model.constrain import Constraint, Vocabulary
from copilot.model.dataset import prompt_tokens, read_questions
from copilot.model.load import load_model, quiet_libraries
from copilot.opened import open_retriever
from copilot.pipeline import run_index
from copilot.prompt.grammar import answer_grammar
from copilot.prompt.render import render
from copilot.terminal import Terminal

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Measure and print."""
    quiet_libraries()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=128)
    args = parser.parse_args()
    config = load_config(ROOT / "configs" / "tiny.yaml")
    run_index(config, Terminal(quiet=True))
    retrieve, loaded = open_retriever(config, ""), load_model(config.model)
    questions = read_questions(Path(config.evaluation.questions))[: args.batch]
    ids = []
    for row in questions:
        passages = [hit.chunk.passage for hit in retrieve(row.question)]
        ids.append(prompt_tokens(render(row.question, passages, config.prompt, config.answer), loaded.tokenizer))
    longest, pad = max(map(len, ids)), loaded.tokenizer.pad_token_id
    inputs = torch.tensor([[pad] * (longest - len(row)) + row for row in ids])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in ids])
    from transformers import AutoModelForCausalLM  # after quiet_libraries

    plain = AutoModelForCausalLM.from_pretrained(config.model.name, dtype=torch.float32).eval()
    fixed = {"input_ids": inputs, "attention_mask": mask, "do_sample": False, "pad_token_id": pad}

    def theirs(count: int) -> Any:
        return plain.generate(**fixed, max_new_tokens=count, min_new_tokens=count)

    def ours(count: int, **more: Any) -> Any:
        cache = read_prompts(loaded.model, ids, longest + count)
        options = {"past_key_values": cache, "disable_compile": True, "max_new_tokens": count, "min_new_tokens": count}
        return loaded.model.generate(**fixed, **options, **more)

    vocabulary = Vocabulary(loaded.tokenizer, loaded.model.config.vocab_size, {loaded.tokenizer.eos_token_id})

    def held(count: int) -> Any:
        grammars = [answer_grammar(AnswerPart().sections, [f"name{i}Id" for i in range(400)])] * len(ids)
        return ours(count, logits_processor=[Constraint(vocabulary, grammars, 4, longest, 10 * count)])

    average = sum(map(len, ids)) / len(ids)
    print(f"{len(ids)} prompts, {average:.0f} tokens on average; {torch.get_num_threads()} threads")
    with torch.inference_mode():
        same = bool((theirs(32) == ours(32)).all())
        first = report("transformers", theirs, len(ids), args.tokens)
        second = report("ours", ours, len(ids), args.tokens)
        third = report("ours, held to a grammar", held, len(ids), args.tokens)
    print(f"ratio: reading {first[0] / second[0]:.1f}x, decoding {first[1] / second[1]:.1f}x sooner")
    print(f"a grammar of 400 names costs {third[1] / second[1] - 1:.0%} of a step")
    print(f"first 32 tokens the same: {same}")


def report(name: str, run: Callable[[int], Any], rows: int, tokens: int) -> tuple[float, float]:
    """(seconds to read, seconds a step), printed; best of two."""
    reading = min(timed(run, 1) for _ in range(2))
    step = (min(timed(run, tokens + 1) for _ in range(2)) - reading) / tokens
    print(f"{name:26} reading {reading:6.2f} s, step {step * 1e3:6.1f} ms, {rows / step:7.0f} tokens/s")
    return reading, step


def timed(run: Callable[[int], Any], count: int) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    run(count)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
