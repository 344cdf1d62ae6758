"""Passages, questions and the embedder's adapter in; an adapter and a head that make the same model a reranker, out.

    python tools/embedder/rerank.py MINILM passages.json tools/embedder/questions.jsonl data/models/embedder OUT

MINILM is the sentence-transformers folder; an H100 takes 15 minutes. LoRA goes on where the embedder's adapter ended: a
question is read together with its passage and seven others that a search takes for near, and the right one is to have
the highest logit of them (Nogueira and Cho 2019, Passage Re-ranking with BERT). It is also to be above 0, which is what
nothing has, and all others are to be below it, above all where a question's passage is left out or is a near miss: so
a logit is the log odds that the passage answers. What is kept is the mean of what three runs add to the weights and the
embedder's adapter, as one adapter of rank KEPT (by SVD). Every tenth product is left out; its figures are printed.
"""

import argparse
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy
from train import (
    ADAPTER,
    BATCH,
    DEVICE,
    HELD,
    Encoder,
    Ids,
    Rows,
    auc,
    batches,
    bert,
    mean,
    read_rows,
    room,
    save_halves,
    save_lora,
    side_by_side,
    taught_rows,
)

from copilot.knowledge.onnx_encoder import HEAD
from copilot.knowledge.reranker import ASKED, READ

RANK, KEPT, RATE, PASSES, CHOICES = 64, 96, 8e-4, 3, 8
FORGOTTEN, GONE = 0.04, 0.1  # share of a question's tokens, and of right passages, that are left out, anew each time
WARM = 0.06  # share of the steps until the rate is whole

Pair = tuple[Ids, Ids]  # tokens of a question and of a passage


class Judge(torch.nn.Module):
    """The embedder with further LoRA, and two layers over the first token's state."""

    def __init__(self, embedder: Any) -> None:
        super().__init__()
        self.bert = Encoder(embedder, RANK)
        self.dense, self.out = torch.nn.Linear(384, 384), torch.nn.Linear(384, 1)
        torch.nn.init.eye_(self.dense.weight)
        for zero in (self.dense.bias, self.out.weight, self.out.bias):
            torch.nn.init.zeros_(zero)

    def forward(self, pairs: list[Pair]) -> torch.Tensor:
        """The logit of each pair, (pairs,); those of one length are read together."""
        texts = []
        for question, passage in pairs:
            head = [101, *question[:ASKED], 102]
            texts.append((head, [*passage[: READ - len(head) - 1], 102]))
        order = sorted(range(len(texts)), key=lambda n: sum(map(len, texts[n])))
        found = []
        for part in filter(len, np.array_split(np.array(order), 4)):
            width = room(sum(map(len, texts[part[-1]])))
            ids, kinds = np.zeros((2, len(part), width), dtype=np.int64)
            for row, n in enumerate(part):
                head, tail = texts[n]
                ids[row, : len(head) + len(tail)] = head + tail
                kinds[row, len(head) : len(head) + len(tail)] = 1
            given, kind = torch.from_numpy(ids).to(DEVICE), torch.from_numpy(kinds).to(DEVICE)
            said = self.bert(input_ids=given, token_type_ids=kind, attention_mask=(given != 0).long())
            first = said.last_hidden_state[:, 0].float()
            found.append(self.out(torch.tanh(self.dense(first)))[:, 0])
        return torch.cat(found)[torch.tensor(np.argsort(order), device=DEVICE)]

    def save(self, folder: Path) -> None:
        """What was learnt: a folder that PEFT opens, with the head."""
        self.bert.save(folder)
        weights = {"dense.weight": self.dense.weight, "dense.bias": self.dense.bias}
        weights |= {"out.weight": self.out.weight, "out.bias": self.out.bias}
        save_halves(weights, folder / HEAD)


def learn(run: int, minilm: Path, adapter: Path, data: Rows, out: Path) -> None:
    """One run: the same start as the others, the rows in another order; what it adds goes to a folder in `out`."""
    torch.manual_seed(1)
    model = Judge(bert(minilm, adapter)).to(DEVICE).train()
    torch.manual_seed(run)
    rng = random.Random(run)
    taught = taught_rows(data)
    head = [*model.dense.parameters(), *model.out.parameters()]
    groups: list[dict[str, Any]] = [{"params": [*model.bert.a, *model.bert.b]}, {"params": head}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, weight_decay=0.01)
    steps, step = int(PASSES * sum(data.shares[n] for n in taught)) // BATCH, 0
    for some in batches(data, taught, PASSES, rng):
        rate = RATE * min(1, (step + 1) / (WARM * steps)) * max(0, 1 - step / steps)
        optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"] = rate, 5 * rate
        pairs: list[Pair] = []
        place = torch.full((BATCH, CHOICES + 1), -1)  # of each choice among the pairs; the last is that of nothing
        right = []
        for j, n in enumerate(some):
            left = not data.right[n] or (bool(data.wrong[n]) and rng.random() < GONE)
            own = [] if left else [rng.choice(data.right[n])]
            others = rng.sample(data.wrong[n], min(CHOICES - len(own), len(data.wrong[n])))
            right.append(0 if own else CHOICES)
            asked = [t for t in data.asked[n] if rng.random() > FORGOTTEN] or data.asked[n]
            for k, i in enumerate((*own, *others)):
                place[j, k] = len(pairs)
                pairs.append((asked, data.texts[data.rows[n][0]][i]))
        model.bert.merge()
        logits = torch.cat([model(pairs), torch.tensor([0.0, -1e4], device=DEVICE)])
        place[:, CHOICES] = len(pairs)
        place[place < 0] = len(pairs) + 1
        choices, target = logits[place.to(DEVICE)], torch.tensor(right, device=DEVICE)
        loss = cross_entropy(choices, target)
        if (has := target == 0).any():
            loss = loss + cross_entropy(choices[has, :CHOICES], target[has])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
    print(f"run {run}, {step} steps: {measure(model, data)}", flush=True)
    model.save(out / f"run{run}")


@torch.no_grad()
def measure(model: Judge, data: Rows) -> str:
    """How it does on every fifteenth question of the products that are left out."""
    model.eval()
    model.bert.merge()
    good: list[float] = []
    bad: list[float] = []
    gone: list[float] = []
    first: list[bool] = []
    for n in [n for n, (product, _, _) in enumerate(data.rows) if product % 10 == HELD and data.wrong[n]][::15]:
        places = [*data.right[n][:1], *data.wrong[n]][:6]
        logits = model([(data.asked[n], data.texts[data.rows[n][0]][i]) for i in places])
        (good if data.right[n] else bad).append(float(logits.max()))
        if data.right[n] and len(places) > 1:
            first.append(int(logits.argmax()) == 0)
            gone.append(float(logits[1:].max()))
    model.train()
    areas = f"AUC of near misses {auc(good, bad):.3f}, of passages left out {auc(good, gone):.3f}"
    return f"first of six {np.mean(first):.3f}, {areas}"


def average(runs: list[Path], adapter: Path, out: Path, kept: int = KEPT) -> None:
    """One adapter of rank `kept` for MiniLM: that of before, and the mean of what the runs add to it."""
    before, *added = (load_file(folder / ADAPTER) for folder in (adapter, *runs))
    parts = {}
    for name in [name for name in before if name.endswith("lora_A.weight")]:
        up = name.replace("lora_A", "lora_B")
        whole = before[up].float() @ before[name].float()
        whole += sum(run[up].float() @ run[name].float() for run in added) / len(runs)
        u, s, v = torch.linalg.svd(whole, full_matrices=False)
        root = s[:kept].sqrt()
        parts[up], parts[name] = u[:, :kept] * root, root[:, None] * v[:kept]
    save_lora(out, kept, parts)
    save_halves(mean([run / HEAD for run in runs]), out / HEAD)


def main() -> None:
    """Train, average and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("minilm", "passages", "questions", "adapter", "out"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    data = read_rows(given.minilm, given.passages, given.questions, given.adapter)
    average(side_by_side(learn, given.out, (given.minilm, given.adapter, data)), given.adapter, given.out)


if __name__ == "__main__":
    main()
