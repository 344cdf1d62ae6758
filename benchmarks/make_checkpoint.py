"""A folder and a shape in; a random-weight checkpoint of that shape out, with a tokenizer of 128,256 entries.

    python benchmarks/make_checkpoint.py FOLDER                  # the exact shape of Llama-3.2-1B, 2.5 GB
    python benchmarks/make_checkpoint.py FOLDER --tokenizer tokenizer.json
    python benchmarks/make_checkpoint.py FOLDER --layers 2 --hidden 64 --heads 4 --kv-heads 2 --head-dim 16 --ffn 128
    python benchmarks/make_checkpoint.py FOLDER --tokenizer-only

Everything but the wording of answers is the real thing: names, shapes, types and files are those of Llama-3.2-1B as
the hub has it, special tokens and their ids are Llama-3's, and there is no chat template (a base model).
Shape and special tokens: the model's own config.json and Grattafiori et al. 2024 (The Llama 3 Herd of Models).
"""

import argparse
import json
import shutil
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NAMED = (  # Llama-3's special tokens that have a name, by their place after the last ordinary token
    (0, "<|begin_of_text|>"),
    (1, "<|end_of_text|>"),
    (4, "<|finetune_right_pad_id|>"),
    (6, "<|start_header_id|>"),
    (7, "<|end_header_id|>"),
    (8, "<|eom_id|>"),
    (9, "<|eot_id|>"),
    (10, "<|python_tag|>"),
)
SPECIALS = 256  # tokens, at the end of the vocabulary
BOS, EOS, PAD = NAMED[0][1], NAMED[1][1], NAMED[2][1]
# Words with the sign before them, numbers of up to three digits, signs with the lines after them, line ends, spaces.
PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PACKAGES = ("numpy", "transformers", "torch", "huggingface_hub", "pip")  # whose docstrings and code are read
STD = 0.02  # of the weights; norms are 1


@dataclass(frozen=True, slots=True)
class Shape:
    """What makes a Llama: the defaults are Llama-3.2-1B's."""

    vocab: int = 128256
    hidden: int = 2048
    layers: int = 16
    heads: int = 32
    kv_heads: int = 8
    head_dim: int = 64
    ffn: int = 8192


def main() -> None:
    """Write the folder, and say how long each part took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer.json made before; else one is trained")
    parser.add_argument("--tokenizer-only", action="store_true", help="no weights")
    parser.add_argument("--text", type=float, default=40, metavar="MB", help="text that the tokenizer is trained on")
    for name, value in Shape.__dataclass_fields__.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value.default)
    args = parser.parse_args()
    shape = Shape(**{name: getattr(args, name) for name in Shape.__dataclass_fields__})
    args.folder.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    save_tokenizer(args.folder, shape.vocab, args.tokenizer, int(args.text * 1e6))
    say(f"tokenizer: {shape.vocab:,} entries in {time.perf_counter() - began:.1f} s")
    if not args.tokenizer_only:
        began = time.perf_counter()
        count = save_model(args.folder, shape, args.seed)
        say(f"model: {count / 1e6:,.1f} M parameters in {time.perf_counter() - began:.1f} s → {args.folder}")


def say(text: str) -> None:
    """One line to stderr."""
    print(text, file=sys.stderr, flush=True)


# The tokenizer


def special_tokens() -> list[str]:
    """Llama-3's 256 special tokens in the order of their ids; those without a use are numbered."""
    named = dict(NAMED)
    free = iter(range(SPECIALS))
    return [named.get(i) or f"<|reserved_special_token_{next(free)}|>" for i in range(SPECIALS)]


def save_tokenizer(folder: Path, vocab: int, made: Path | None, limit: int) -> None:
    """Write tokenizer.json (trained on about `limit` characters, or the one that was `made` before) and its config."""
    if made is None:
        train_tokenizer(vocab, limit).save(str(folder / "tokenizer.json"), pretty=False)
    elif made.resolve() != (folder / "tokenizer.json").resolve():
        shutil.copyfile(made, folder / "tokenizer.json")
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": PAD,
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": 131072,
    }
    write_json(folder / "tokenizer_config.json", config)
    write_json(folder / "special_tokens_map.json", {"bos_token": BOS, "eos_token": EOS, "pad_token": PAD})


def train_tokenizer(vocab: int, limit: int) -> Any:
    """A byte-level BPE of `vocab` entries, the special ones last; ids are dense whatever the text gives."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    ordinary = vocab - SPECIALS
    if ordinary < 256:
        sys.exit(f"--vocab: {vocab} entries do not hold 256 bytes and {SPECIALS} special tokens")
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(PIECES), "isolated")
    raw = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, raw])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=ordinary, initial_alphabet=alphabet, max_token_length=32, show_progress=False
    )
    tokenizer.train_from_iterator(texts(limit), trainer)
    fill(tokenizer, ordinary)
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in special_tokens()])
    bos = (BOS, tokenizer.token_to_id(BOS))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B:1", special_tokens=[bos]
    )
    return tokenizer


def fill(tokenizer: Any, ordinary: int) -> None:
    """Entries up to `ordinary` where the text gave fewer merges, each two words of the vocabulary together.

    No merge makes them and no piece of text is looked up whole, so text is tokenised as it was before.
    """
    from tokenizers import models

    if tokenizer.get_vocab_size() >= ordinary:
        return
    state = json.loads(tokenizer.to_str())["model"]
    vocab, merges = state["vocab"], [tuple(pair) for pair in state["merges"]]
    words = [text for text in vocab if text[0] == "Ġ" and len(text) > 3]
    pairs = (first + second for first in words for second in words)
    numbers = (f"ĠĠĠ{i}" for i in range(ordinary))  # for a text too short for words
    for text in chain(pairs, numbers):
        if len(vocab) == ordinary:
            break
        vocab.setdefault(text, len(vocab))
    tokenizer.model = models.BPE(vocab=vocab, merges=merges)


def texts(limit: int) -> Iterator[str]:
    """About `limit` characters of English with technical names, in a fixed order: this repository's and Python's."""
    read = 0
    for path in text_files():
        text = path.read_text(encoding="utf-8", errors="ignore")
        read += len(text)
        yield text
        if read >= limit:
            return


def text_files() -> Iterator[Path]:
    """The repository's own text first, then the standard library, then the packages that every machine here has."""
    for folder, kinds in ((ROOT / "data", (".md", ".txt", ".jsonl")), (ROOT / "docs", (".md",))):
        yield from sorted(p for p in folder.rglob("*") if p.suffix in kinds)
    library, site = Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("purelib"))
    left_out = {"site-packages", "dist-packages", "test", "tests"}
    yield from sorted(p for p in library.rglob("*.py") if not left_out & set(p.relative_to(library).parts))
    for name in PACKAGES:
        yield from sorted((site / name).rglob("*.py"))


# The model


def config_of(shape: Shape) -> dict[str, Any]:
    """config.json as the hub has it for Llama-3.2-1B."""
    ordinary = shape.vocab - SPECIALS
    rope = {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0}
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": ordinary,
        "eos_token_id": ordinary + 1,
        "pad_token_id": ordinary + 4,
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "hidden_size": shape.hidden,
        "initializer_range": STD,
        "intermediate_size": shape.ffn,
        "max_position_embeddings": 131072,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_scaling": {**rope, "original_max_position_embeddings": 8192, "rope_type": "llama3"},
        "rope_theta": 500000.0,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.45.0",
        "use_cache": True,
        "vocab_size": shape.vocab,
    }


def weight_shapes(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """(name, shape) of every weight; the output layer is the embedding, so it has none of its own."""
    yield "model.embed_tokens.weight", (shape.vocab, shape.hidden)
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    for layer in range(shape.layers):
        start = f"model.layers.{layer}"
        yield f"{start}.input_layernorm.weight", (shape.hidden,)
        yield f"{start}.self_attn.q_proj.weight", (queries, shape.hidden)
        yield f"{start}.self_attn.k_proj.weight", (keys, shape.hidden)
        yield f"{start}.self_attn.v_proj.weight", (keys, shape.hidden)
        yield f"{start}.self_attn.o_proj.weight", (shape.hidden, queries)
        yield f"{start}.post_attention_layernorm.weight", (shape.hidden,)
        yield f"{start}.mlp.gate_proj.weight", (shape.ffn, shape.hidden)
        yield f"{start}.mlp.up_proj.weight", (shape.ffn, shape.hidden)
        yield f"{start}.mlp.down_proj.weight", (shape.hidden, shape.ffn)
    yield "model.norm.weight", (shape.hidden,)


def save_model(folder: Path, shape: Shape, seed: int) -> int:
    """Write config.json, generation_config.json and model.safetensors (bfloat16); the number of parameters."""
    import torch
    from safetensors.torch import save_file

    device = "cuda" if torch.cuda.is_available() else "cpu"
    source = torch.Generator(device).manual_seed(seed)
    weights, count = {}, 0
    for name, size in weight_shapes(shape):
        made = torch.ones(size, dtype=torch.bfloat16, device=device)
        weights[name] = made if len(size) == 1 else made.normal_(0.0, STD, generator=source)
        count += made.numel()
    save_file({name: made.cpu() for name, made in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    config = config_of(shape)
    write_json(folder / "config.json", config)
    ids = {name: config[f"{name}_token_id"] for name in ("bos", "eos", "pad")}
    sampling = {"do_sample": True, "temperature": 0.6, "top_p": 0.9}
    write_json(folder / "generation_config.json", {**{f"{k}_token_id": v for k, v in ids.items()}, **sampling})
    return count


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write `data`, one key a line."""
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
