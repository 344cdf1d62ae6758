"""A model folder in, figures out: greedy answers to generated questions with invented words the training never drew."""

from __future__ import annotations

import argparse
import json
import re
import time
from itertools import islice
from pathlib import Path

import torch
from generator import ABSTAIN, Sample, stream
from tokenizer import render
from transformers import AutoModelForCausalLM, AutoTokenizer


def generate(folder: Path, samples: list[Sample], batch: int) -> list[str]:
    """Greedy answers, in order."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tok = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).to(device).eval()
    order = sorted(range(len(samples)), key=lambda i: len(samples[i].prompt))
    out = [""] * len(samples)
    for i in range(0, len(order), batch):
        part = order[i : i + batch]
        enc = tok(
            [render(samples[j])[0] for j in part], return_tensors="pt", padding=True, add_special_tokens=False
        ).to(device)
        with torch.inference_mode():
            ids = model.generate(**enc, max_new_tokens=500, do_sample=False)
        for j, row in zip(part, ids[:, enc.input_ids.shape[1] :], strict=True):
            out[j] = tok.decode(row, skip_special_tokens=True)
    return out


def bodies(text: str) -> list[str]:
    """What stands under each heading, numbers of steps left out."""
    parts = [block.partition("\n")[2] for block in text.strip().split("\n\n")]
    return [re.sub(r"(?m)^\d\. ", "", part).replace("\n", " ") for part in parts]


def grade(s: Sample, text: str) -> dict[str, float]:
    """The figures of one answer; keys that do not apply are left out."""
    blocks = text.strip().split("\n\n")
    names = re.findall(r"`([^`\n]+)`", text)
    out = {"structure": float(len(blocks) == 4 and all("\n" in block for block in blocks))}
    lines = [x for x in re.split(r"(?<=[.])\s|\n", text) if len(x) > 12]
    out["no_repetition"] = float(len(lines) - len(set(lines)) <= 1)
    if names:
        out["identifiers_in_context"] = sum(n in s.context for n in names) / len(names)
    if s.answerable:
        if s.call:
            out["call_right"] = float(
                all(f"`{p}`" in text for p in ([s.call] if f"`{s.call}`" in s.answer else s.call.split(" ", 1)))
                if f"`{s.call.split(' ', 1)[-1]}`" in s.answer or f"`{s.call}`" in s.answer
                else True
            )
        if s.fields:
            out["field_recall"] = sum(f"`{f}`" in text for f in s.fields) / len(s.fields)
        out["answers_when_it_can"] = float(ABSTAIN not in text)
        got, want = bodies(text), bodies(s.answer)
        out["exact"] = float(got == want)
        out["overview_exact"] = float(got[:1] == want[:1])
    else:
        out["abstains"] = float(ABSTAIN in text and not names)
    return out


def evaluate(folder: Path, n: int, seed: int, batch: int) -> tuple[dict[str, float], list[dict[str, object]]]:
    """Mean figures over `n` samples, and every answer."""
    samples = list(islice(stream(seed), n))
    start = time.perf_counter()
    texts = generate(folder, samples, batch)
    sums: dict[str, list[float]] = {}
    for s, text in zip(samples, texts, strict=True):
        for key, value in grade(s, text).items():
            sums.setdefault(key, []).append(value)
            if key in ("call_right", "overview_exact"):
                sums.setdefault(f"{key}/{s.shape}", []).append(value)
    figures = {k: round(sum(v) / len(v), 4) for k, v in sums.items() if "/" not in k or len(v) >= 8}
    figures |= {"samples": n, "seed": seed, "seconds": round(time.perf_counter() - start, 1)}
    rows = [
        {"question": s.question, "shape": s.shape, "answer": text, "reference": s.answer}
        for s, text in zip(samples, texts, strict=True)
    ]
    return figures, rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--n", type=int, default=60)
    parser.add_argument("--seed", type=int, default=987654321)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    figures, rows = evaluate(args.folder, args.n, args.seed, args.batch)
    print(json.dumps(figures, indent=1))
    if args.out:
        args.out.write_text(json.dumps({"figures": figures, "answers": rows}, indent=1, ensure_ascii=False))
