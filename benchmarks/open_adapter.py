"""A saved adapter in; its answer to one prompt and its next-token scores out, opened without this program.

    python benchmarks/open_adapter.py ADAPTER SCORES.npy --by peft [--four-bit]   PeftModel
    python benchmarks/open_adapter.py ADAPTER SCORES.npy --by unsloth [--four-bit]  FastLanguageModel
    python benchmarks/open_adapter.py ADAPTER SCORES.npy --by merged                 merged, float32

Prints one JSON object. Exit code 1 where the adapter's weights are not those of its file, or where a merged model
answers otherwise than the adapter does (greedy, 32 tokens).
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

QUESTION = "How do I delete a contact, and can I get it back?"
TOKENS = 32


def main() -> None:
    """Open, compare, answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("scores", type=Path)
    parser.add_argument("--by", choices=("peft", "unsloth", "merged"), required=True)
    parser.add_argument("--four-bit", action="store_true")
    args = parser.parse_args()
    model, tokenizer = by_unsloth(args) if args.by == "unsloth" else by_peft(args)
    modules = compare_weights(model, args.adapter)
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": QUESTION}], tokenize=False, add_generation_prompt=True
    )
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"].to(model.device)
    answer, scores = answer_and_scores(model, ids)
    with_adapter = {"modules": modules, "prompt_tokens": ids.shape[1], "answer": tokenizer.decode(answer)}
    if args.by == "merged":
        merged, merged_scores = answer_and_scores(model.merge_and_unload(), ids)
        largest = float((merged_scores - scores).abs().max())
        print(json.dumps({**with_adapter, "merged": tokenizer.decode(merged), "largest_difference": largest}))
        if merged != answer:
            sys.exit("the merged weights answer otherwise than the adapter does")
        return
    import numpy as np

    np.save(args.scores, scores.cpu().numpy())
    with model.disable_adapter():
        _, without = answer_and_scores(model, ids)
    changed = float((without - scores).abs().max())
    print(json.dumps({**with_adapter, "adapter_changes_scores_by": changed}))
    if not changed > 0:
        sys.exit("the adapter changes nothing")


def by_unsloth(args: argparse.Namespace) -> tuple[Any, Any]:
    """The adapter folder by its path alone, as unsloth's own users open it."""
    from unsloth import FastLanguageModel

    model, tokenizer = FastLanguageModel.from_pretrained(
        str(args.adapter), max_seq_length=2048, load_in_4bit=args.four_bit, dtype=None
    )
    FastLanguageModel.for_inference(model)
    return model, tokenizer


def by_peft(args: argparse.Namespace) -> tuple[Any, Any]:
    """The base model that the adapter names, by transformers, with the adapter on it by peft."""
    import torch
    from peft import PeftConfig, PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    options: dict[str, Any] = {"dtype": torch.float32 if args.by == "merged" or not args.four_bit else torch.bfloat16}
    if args.four_bit:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    if torch.cuda.is_available():
        options["device_map"] = {"": 0}
    base = AutoModelForCausalLM.from_pretrained(
        PeftConfig.from_pretrained(args.adapter).base_model_name_or_path, **options
    )
    model = PeftModel.from_pretrained(base, args.adapter).eval()
    return model, AutoTokenizer.from_pretrained(args.adapter)


def compare_weights(model: Any, adapter: Path) -> int:
    """How many layers carry the adapter; every weight of the file must be in the model, unchanged."""
    from safetensors.torch import load_file

    held = {name.replace(".default.", "."): w for name, w in model.named_parameters() if "lora_" in name}
    saved = load_file(adapter / "adapter_model.safetensors")
    if held.keys() != saved.keys():
        sys.exit(
            f"{len(held)} adapter weights in the model, {len(saved)} in the file, {min(held.keys() ^ saved.keys())}"
        )
    for name, weight in saved.items():
        if not weight.to(held[name].dtype).equal(held[name].detach().cpu()):
            sys.exit(f"{name}: not as in the file")
    return len(saved) // 2


def answer_and_scores(model: Any, ids: Any) -> tuple[list[int], Any]:
    """Greedy token ids of the answer, and the float32 scores (vocab,) of its first token."""
    import torch

    mask = torch.ones_like(ids)
    greedy: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None}
    with torch.inference_mode():
        scores = model(input_ids=ids, attention_mask=mask).logits[0, -1].float()
        pad = model.generation_config.pad_token_id
        made = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=TOKENS, pad_token_id=pad, **greedy)
    return made[0, ids.shape[1] :].tolist(), scores


if __name__ == "__main__":
    main()
