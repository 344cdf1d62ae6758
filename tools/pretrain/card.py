"""A model folder and the metrics of its runs in, the model card README.md of that folder out."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

CARD = """---
license: apache-2.0
library_name: transformers
tags: [llama, tiny, documentation]
---
# tiny: the embedded base model

A Llama-architecture language model of {parameters:.2f} M parameters, trained from random weights on generated
documentation only. It exists so that the whole chain (LoRA SFT, evaluation, answers) runs on two CPU cores. As a
base it answers in four parts under headings that were drawn anew for each example, and never under the four that the
system prompt asks for: those are what the SFT teaches. It is no general language model.

| | |
|---|---|
| shape | hidden 384, 7 layers, 6 heads of 64, 2 key-value heads, ffn 576, tied embeddings, context 3072, bf16 |
| tokenizer | byte-level BPE, 6,144 tokens; spaces, digits and case parts stand alone, so a name has one tokenisation |
| prompt | `<bos>{{system}}\\n\\n{{user}}\\n\\nAnswer:\\n{{answer}}<eos>` (chat_template.jinja) |
| sha256 of model.safetensors | `{digest}` |
| licence | Apache-2.0 |

## Data
Invented products, endpoints, modules, commands, settings, error pages, guides and topics with invented names, made by
`tools/pretrain/generator.py`, and questions with 2 to 5 passages; about a quarter cannot be answered from them. Some
sentences inside the passages come from docstrings of the Python standard library (PSF licence) and of numpy, scipy,
pandas and scikit-learn (BSD), and in run 3 also from the manuals of PostgreSQL 15 (PostgreSQL licence), Python 3.11
(PSF), SQLite (public domain) and the Apache HTTP server (Apache-2.0), as `tools/pretrain/pool.py` reads them. No
document, question or answer of this repository was trained on; but the generator's
layouts and some of its sentence patterns were chosen after reading part of the sample documentation under
`data/knowledge_base`, so figures on that documentation are not those of a style never seen.

## Training
{runs}

Loss on the answers alone, by tokens seen (in run 3 mostly the headings, which nobody can guess):

| run | tokens | answer loss |
|---|---|---|
{curve}

Made on one GPU with

    python tools/pretrain/tokenizer.py --out data/models/tiny --samples 8000
{commands}

The tree holds generator 1.4. Versions 1.1 and 1.2, which made the tokenizer and the first runs, had more guessable
paths, one set of headings and fewer everyday words, and are not kept: these commands repeat the model in kind, not to
the bit. Each run goes on from the weights of the one before. Each is bounded by time, so its number of steps depends
on the machine.

## Figures
Greedy answers to {samples} questions of generator 1.4, seed {eval_seed}; invented words unseen, common nouns shared:
`python tools/pretrain/evaluate.py data/models/tiny --n {samples} --seed {eval_seed}`

| figure | share |
|---|---|
{figures}

## Limits
English only. Outside the generator's style it finds the right entry more often than it words it well: sentences can
break off into invented wording, a path parameter or an error can be made up, neighbouring entries can mix. It refuses
or answers wrongly when a question shares few words with the right passage: on the 75 held-out questions of this
repository its readiness to refuse says next to nothing about whether there is an answer (AUC 0.58). Check its names
against the context, as the product does.
"""
COMMANDS = (
    "    python tools/pretrain/train.py --seconds 450 --seed 1 --out outputs/tiny-1   # generator 1.1",
    "    python tools/pretrain/train.py --seconds 390 --seed 2 --muon-lr 0.015 --adam-lr 0.002 \\\n"
    "        --init outputs/tiny-1/model.safetensors --out outputs/tiny-2             # generator 1.2",
    "    python tools/pretrain/pool.py DOC-FOLDERS --out pool.json\n"
    "    python tools/pretrain/train.py --seconds 190 --seed 4 --muon-lr 0.015 --adam-lr 0.002 --pool pool.json \\\n"
    "        --init outputs/tiny-2/model.safetensors --out outputs/tiny-3             # generator 1.4",
)


def curve(folder: Path, run: int, points: int = 6) -> list[str]:
    """Rows of the card's curve: means over ten readings."""
    rows = [r.split(",") for r in (folder / "curve.csv").read_text().splitlines()[1:]]
    out = []
    for i in range(1, points + 1):
        end = len(rows) * i // points
        part = rows[max(0, end - 10) : end]
        out.append(
            f"| {run} | {int(rows[end - 1][1]) / 1e6:.0f} M | {sum(float(r[4]) for r in part) / len(part):.4f} |"
        )
    return out


def main(folder: Path, runs: list[Path]) -> None:
    """Write folder/README.md."""
    metrics = [json.loads((r / "train_metrics.json").read_text()) for r in runs]
    figures = json.loads((runs[-1] / "eval.json").read_text())["figures"]
    lines = [
        f"- run {i}: generator {m['generator']}, seed {m['seed']}, {m['steps']:,} steps, {m['tokens'] / 1e6:,.0f} M "
        f"tokens in {m['seconds']:.0f} s ({m['tokens_per_second'] / 1e6:.2f} M tokens/s, "
        f"{m['share_waiting_for_data']:.2%} of the time waiting for data)"
        for i, m in enumerate(metrics, 1)
    ]
    text = CARD.format(
        parameters=metrics[-1]["parameters"] / 1e6,
        digest=hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        runs="\n".join(lines),
        curve="\n".join(row for i, r in enumerate(runs, 1) for row in curve(r, i)),
        commands="\n".join(COMMANDS[: len(runs)]),
        samples=figures["samples"],
        eval_seed=figures["seed"],
        figures="\n".join(
            f"| {k} | {v} |" for k, v in figures.items() if "/" not in k and k not in ("samples", "seed", "seconds")
        ),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(a) for a in sys.argv[2:]])
