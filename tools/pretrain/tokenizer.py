"""Generated text in, a transformers tokenizer folder out: byte-level BPE; spaces, digits, case parts stand alone."""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

from generator import HEADINGS, SYSTEM, Sample, stream
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from words import english

BOS, EOS, PAD = "<|begin_of_text|>", "<|end_of_text|>", "<|pad|>"
PIECES = r"\n+| +|\d|\p{Lu}+(?!\p{Ll})|\p{Lu}?[\p{Ll}\p{M}\p{Lo}\p{Lt}\p{Lm}]+|#{1,6}|\*\*|-{3,}|```|[^\s\p{L}\d]"
TEMPLATE = (
    "{{- bos_token }}{%- set ns = namespace(sep='') %}{%- for message in messages %}"
    "{%- if message['role'] == 'assistant' %}"
    "{{- '\\n\\nAnswer:\\n' + message['content'] + eos_token }}{%- set ns.sep = '' %}"
    "{%- else %}{{- ns.sep + message['content'] }}{%- set ns.sep = '\\n\\n' %}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '\\n\\nAnswer:\\n' }}{%- endif %}"
)
PRODUCT_HEADINGS = (
    "### Summary\n\n### How it works\n\n### Key parameters / fields\n\n### Common mistakes or troubleshooting tips\n"
)


def render(sample: Sample) -> tuple[str, str]:
    """Prompt and completion as the model sees them, special tokens included."""
    return BOS + sample.prompt, sample.answer + EOS


def build(out: Path, vocab: int, samples: int, seed: int) -> PreTrainedTokenizerFast:
    """Train and save the tokenizer."""
    tok = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(PIECES), behavior="isolated")
    tok.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=[PAD, BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [s.context + "\n" + s.question + "\n" + s.answer for s in islice(stream(seed), samples)]
    tok.train_from_iterator(
        [*texts, *english(), *english(), *[SYSTEM, PRODUCT_HEADINGS, "\n".join(HEADINGS)] * 50], trainer
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tok,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        model_max_length=3072,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )
    fast.chat_template = TEMPLATE
    out.mkdir(parents=True, exist_ok=True)
    fast.save_pretrained(out)
    return fast


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("data/models/tiny"))
    parser.add_argument("--vocab", type=int, default=8192)
    parser.add_argument("--samples", type=int, default=12000)
    args = parser.parse_args()
    build(args.out, args.vocab, args.samples, seed=7)
