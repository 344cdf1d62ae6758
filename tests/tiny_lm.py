"""A folder in; a Llama of two layers with a tokenizer trained on a few sentences out, and rows to teach it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from copilot.config import SECTIONS, AnswerPart, Model, Prompt, Train
from copilot.model.dataset import Row, build_rows, read_examples
from copilot.types import Chunk, Hit

TEXT = "send a text to one contact by its phone number then read the list of errors and try once more later"
WORDS = TEXT.split()


def response(n: int) -> str:
    body = " ".join(WORDS[(n * 3 + i) % len(WORDS)] for i in range(4))
    order = ("first", "then", "also", "lastly")  # so that no section repeats another
    parts = zip(SECTIONS, order, strict=True)
    return "\n\n".join(f"### {title}\nThe `field_{n}` {how} says {body}." for title, how in parts)


def question(n: int) -> str:
    return f"How do I {WORDS[n % len(WORDS)]} the contact number {n}?"


def hit(text: str, document: str = "guide.md", heading: str = "Contacts", page: int | None = None) -> Hit:
    return Hit(Chunk(document, "Guide", heading, page, 0, len(text), text), 0.5)


def retrieve(asked: str) -> list[Hit]:
    """Two passages that depend on the question."""
    return [hit(f"Passage about {asked}"), hit("A `contact` has a `phone`.", "other.pdf", "", 3)]


def tokenizer(texts: Sequence[str] = (), template: str | None = None, ascii_only: bool = False) -> Any:
    """Of bytes and what is often beside one another in `texts`; `ascii_only`: other characters cannot be written."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bare = Tokenizer(models.BPE())
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    specials = ["<pad>", "<s>", "</s>"]
    alphabet = [*filter(str.isascii, pre_tokenizers.ByteLevel.alphabet()), *"ĠĊ"]  # these are space and line end
    alphabet = alphabet if ascii_only else pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    bare.train_from_iterator([response(1), question(1), *texts], trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=bare, pad_token="<pad>", bos_token="<s>", eos_token="</s>")
    if template:
        made.chat_template = template
    return made


def save_model(
    folder: Path,
    seed: int = 0,
    template: str | None = None,
    texts: Sequence[str] = (),
    head_dim: int = 8,
    positions: int = 1024,
    ascii_only: bool = False,
) -> Path:
    """A model folder as a user has it: config, safetensors, tokenizer (trained on `texts` besides)."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)  # nothing here is large enough to share, and waiting for the other threads costs most
    tok = tokenizer(texts, template, ascii_only)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tok),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=head_dim,
        max_position_embeddings=positions,
        pad_token_id=tok.pad_token_id,
        bos_token_id=tok.bos_token_id,
        eos_token_id=tok.eos_token_id,
        initializer_range=0.2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tok.save_pretrained(folder)
    return folder


def model_config(folder: Path, **changes: Any) -> Model:
    options = {"backend": "transformers", "load_in_4bit": False, "dtype": "float32", "max_length": 1024}
    return Model(name=str(folder), **{**options, **changes})


def train_config(**changes: Any) -> Train:
    options = {
        "learning_rate": 1e-2,
        "num_train_epochs": 2,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "min_steps": 1,
        "packing": False,
        "lora": {"r": 4, "alpha": 8},
    }
    return Train(**{**options, **changes})


def write_rows(path: Path, count: int) -> Path:
    lines = [json.dumps({"question": question(n), "response": response(n)}) for n in range(count)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def rows_of(path: Path, tok: Any, prompt: Prompt | None = None) -> list[Row]:
    answer = AnswerPart()
    prompt = prompt or Prompt(system="Answer in {count} parts: {sections}.")
    return build_rows(read_examples(path, answer.sections), retrieve, tok, prompt, answer)
