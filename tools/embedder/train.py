"""Passages and questions about them in; a LoRA adapter for all-MiniLM-L6-v2 that ranks them better, out. One GPU, 20 s.

    python tools/embedder/train.py MINILM passages.json tools/embedder/questions.jsonl OUT

MINILM is the sentence-transformers folder. A question should be nearer to its passage than to those of the other
questions of its batch and to four other sections of the same product that the untuned model takes for near (InfoNCE
with hard negatives: Karpukhin and others 2020, Dense Passage Retrieval). Every tenth product is left out; its figures
are printed for each pass: MRR, first right, recall at 5 among the product's own passages.
"""

import argparse
import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy, normalize
from transformers import BertModel

WINDOW = 254  # tokens of a passage that are read at once, as the product reads them
RANK, RATE, PASSES, BATCH, NEGATIVES, TEMPERATURE = 16, 1e-3, 4, 64, 4, 0.05
FORGOTTEN = 0.05  # share of a question's tokens that are left out, anew each time
HELD = 3  # products whose number ends in it are left out

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
Ids = list[int]


def summed(model: Any, windows: list[Ids]) -> torch.Tensor:
    """The sum of each window's token vectors, (n, dim)."""
    longest = max(map(len, windows)) + 2
    ids = torch.zeros(len(windows), longest, dtype=torch.long)
    for row, window in enumerate(windows):
        ids[row, : len(window) + 2] = torch.tensor([101, *window, 102])
    mask = (ids != 0).to(DEVICE)
    with torch.autocast(DEVICE, dtype=torch.bfloat16, enabled=DEVICE == "cuda"):
        states = model(input_ids=ids.to(DEVICE), attention_mask=mask.long()).last_hidden_state
    return (states.float() * mask[..., None]).sum(1)


@torch.no_grad()
def embed(model: Any, texts: list[Ids]) -> np.ndarray:
    """As `copilot index` embeds: the windows of a text added up."""
    model.eval()
    parts = sorted(
        ((n, t[at : at + WINDOW]) for n, t in enumerate(texts) for at in range(0, max(len(t), 1), WINDOW)),
        key=lambda part: len(part[1]),
    )
    total = torch.zeros(len(texts), 384, device=DEVICE)
    for at in range(0, len(parts), 512):
        some = parts[at : at + 512]
        total.index_add_(0, torch.tensor([n for n, _ in some], device=DEVICE), summed(model, [w for _, w in some]))
    model.train()
    return normalize(total, dim=-1).cpu().numpy()


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("minilm", "passages", "questions", "out"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    rng = random.Random(1)
    torch.manual_seed(1)
    tokenizer = Tokenizer.from_file(str(given.minilm / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def encode(texts: list[str]) -> list[Ids]:
        return [encoding.ids[1:-1] for encoding in tokenizer.encode_batch(texts)]

    products = json.loads(given.passages.read_text(encoding="utf-8"))
    headings = [[heading for heading, _ in passages] for _, _, passages in products]
    texts = [encode([f"{heading}\n{text}" for heading, text in passages]) for _, _, passages in products]
    rows: list[tuple[int, int, str]] = []
    for line in given.questions.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        product, place = row["passage"]
        if headings[product][place] != row["heading"]:
            raise SystemExit(
                f"passage {product}.{place} is not {row['heading']!r}: other pools than those of the questions"
            )
        rows += [(product, place, question) for question in row["questions"]]
    asked = encode([question for _, _, question in rows])
    taught = [n for n, (product, _, _) in enumerate(rows) if product % 10 != HELD]
    held = [n for n, (product, _, _) in enumerate(rows) if product % 10 == HELD]

    def others(model: Any, wanted: list[int]) -> dict[int, list[int]]:
        """The passages of each question's product, nearest first."""
        found = {}
        for product in sorted({rows[n][0] for n in wanted}):
            mine = [n for n in wanted if rows[n][0] == product]
            cosines = embed(model, [asked[n] for n in mine]) @ embed(model, texts[product]).T
            found |= {n: [int(i) for i in np.argsort(-line)] for n, line in zip(mine, cosines, strict=True)}
        return found

    def section(n: int) -> tuple[int, str]:
        return rows[n][0], headings[rows[n][0]][rows[n][1]]

    def say(model: Any, what: str) -> None:
        figures = []
        for n, order in others(model, held).items():
            right = [headings[rows[n][0]][i] == section(n)[1] for i in order[:5]]
            figures.append((1 / (1 + right.index(True)) if any(right) else 0.0, right[0], any(right)))
        print(what, " ".join(f"{value:.3f}" for value in np.mean(figures, axis=0)), flush=True)

    bert = BertModel.from_pretrained(given.minilm, add_pooling_layer=False, dtype=torch.float32).to(DEVICE)
    say(bert, "untuned")
    hard = {
        n: [i for i in order if headings[rows[n][0]][i] != section(n)[1]][:10]
        for n, order in others(bert, taught).items()
    }
    lora = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=["query", "key", "value", "dense"])
    model = get_peft_model(bert, lora).train()
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=0.0)
    steps, step = PASSES * (len(taught) // BATCH), 0
    for turn in range(PASSES):
        rng.shuffle(taught)
        for at in range(0, len(taught) - BATCH + 1, BATCH):
            some = taught[at : at + BATCH]
            for group in optimizer.param_groups:
                group["lr"] = RATE * min(1, (step + 1) / (0.1 * steps)) * 0.5 * (1 + math.cos(math.pi * step / steps))
            right = [texts[rows[n][0]][rows[n][1]] for n in some]
            wrong = [texts[rows[n][0]][i] for n in some for i in rng.sample(hard[n], min(NEGATIVES, len(hard[n])))]
            questions = [[t for t in asked[n] if rng.random() > FORGOTTEN] or asked[n] for n in some]
            mine = normalize(summed(model, [q[:WINDOW] for q in questions]), dim=-1)
            theirs = normalize(summed(model, [t[:WINDOW] for t in right + wrong]), dim=-1)
            scores = mine @ theirs.T / TEMPERATURE
            same = [[a != b and section(a) == section(b) for b in some] for a in some]  # right for both: no negative
            scores[:, :BATCH] = scores[:, :BATCH].masked_fill(torch.tensor(same, device=DEVICE), -1e4)
            labels = torch.arange(BATCH, device=DEVICE)
            loss = cross_entropy(scores, labels) + 0.3 * cross_entropy(scores[:, :BATCH].T, labels)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            step += 1
        say(model, f"pass {turn + 1}")
    model.half().save_pretrained(given.out)


if __name__ == "__main__":
    main()
