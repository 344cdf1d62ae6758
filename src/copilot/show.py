"""A Config and the number of a training row in; the row on stdout exactly as the model reads it, its loss marked."""

from pathlib import Path

from copilot.config import Config
from copilot.errors import CopilotError, Exit
from copilot.knowledge.retriever import Retrieve
from copilot.model.dataset import build_rows, read_examples
from copilot.model.load import load_tokenizer, model_folder, quiet_libraries
from copilot.opened import open_retriever
from copilot.terminal import Terminal


def show_training_example(config: Config, terminal: Terminal, flags: str, number: int) -> None:
    """Print row `number` (1 is the first) with special tokens, and how many of its tokens carry loss.

    Raises CopilotError when there is no such row, StaleError when the row needs an index and there is none that fits.
    """
    if config.model.extractive:
        message = "model.backend=extractive has no language model that could read a row"
        raise CopilotError(message, "name another backend: --set model.backend=auto", Exit.USAGE)
    examples = read_examples(Path(config.train.data), config.answer.sections)
    if not 1 <= number <= len(examples):
        raise CopilotError(
            f"there is no row {number} in {config.train.data}: it has {len(examples)}",
            f"give --show-example a number from 1 to {len(examples)}",
            Exit.USAGE,
        )
    example = examples[number - 1]
    quiet_libraries()
    tokenizer = load_tokenizer(model_folder(config.model), config.model.chat_template)
    retrieve: Retrieve = open_retriever(config, flags) if example.context is None else lambda question: []
    row = build_rows([example], retrieve, tokenizer, config.prompt, config.answer)[0]
    ids, start = list(row.input_ids), row.prompt_length
    terminal.example(tokenizer.decode(ids[:start]), tokenizer.decode(ids[start:]))
    total, loss = len(ids), len(ids) - start
    print(f"\nrow {number} of {len(examples)} ({config.train.data}:{row.line})")
    print(f"{total} tokens: {start} of the prompt without loss, {loss} of the answer with loss ({loss / total:.1%})")
    if total > config.model.max_length:
        print(f"too long: model.max_length is {config.model.max_length}")
