"""Passages and questions about them in; an adapter for all-MiniLM-L6-v2 that ranks and judges them better, out.

    python tools/embedder/train.py MINILM passages.json tools/embedder/questions.jsonl OUT     # one H100, 10 minutes

MINILM is the sentence-transformers folder. A LoRA adapter and a projection of token vectors are taught three things at
once: a question's vector is nearer to that of its passage than to others (InfoNCE with hard negatives: Karpukhin and
others 2020, Dense Passage Retrieval); so is what late interaction finds (Khattab and Zaharia 2020, ColBERT); and of a
near miss nothing is found, so that a constant, `null`, outweighs every passage, as it does where a question's own
passage is left out. Negatives are passages that the untuned model takes for near. What is kept is the average of three
runs from the same start over the rows in another order (Wortsman and others 2022, Model soups): runs differ by 0.03 in
MRR, their average does not. Every tenth product is left out; its figures are printed for each pass.
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
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy, normalize, pad, softplus
from transformers import BertModel

from copilot.knowledge.late import ABOUT
from copilot.knowledge.lexical import Lexical
from copilot.knowledge.onnx_encoder import TOKENS
from copilot.knowledge.retriever import WEIGHTS, ranked

WINDOW = 254  # tokens of a passage that are read at once, as the product reads them
WINDOWS = 2  # of a passage, at most
RANK, RATE, PASSES, BATCH, NEGATIVES, NEAREST = 32, 5e-4, 2, 48, 6, 8
RUNS = 3  # that are averaged
WIDTH = 32  # of a token's vector
TEMPERATURE, POOLED = 0.05, 0.5  # of the whole texts' loss, and what it weighs
FORGOTTEN, GONE = 0.04, 0.1  # share of a question's tokens, and of right passages, that are left out, anew each time
HELD = 3  # products whose number ends in it are left out

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
Ids = list[int]
Encoded = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def states(model: Any, windows: list[Ids]) -> tuple[torch.Tensor, torch.Tensor]:
    """The vectors of each window's tokens, (n, t, dim), and where there are any, (n, t)."""
    order = sorted(range(len(windows)), key=lambda n: len(windows[n]))
    longest = _room(windows[order[-1]])
    found, masks = [], []
    for part in filter(len, np.array_split(np.array(order), 2)):  # the short ones apart: half of them is padding else
        ids = np.zeros((len(part), _room(windows[part[-1]])), dtype=np.int64)
        for row, n in enumerate(part):
            ids[row, : len(windows[n]) + 2] = [101, *windows[n], 102]
        given = torch.from_numpy(ids).to(DEVICE)
        with torch.autocast(DEVICE, dtype=torch.bfloat16, enabled=DEVICE == "cuda"):
            said = model(input_ids=given, attention_mask=(given != 0).long()).last_hidden_state
        found.append(pad(said, (0, 0, 0, longest - ids.shape[1])))
        masks.append(pad(given != 0, (0, longest - ids.shape[1])))
    back = torch.tensor(np.argsort(order), device=DEVICE)
    return torch.cat(found)[back].float(), torch.cat(masks)[back]


def _room(window: Ids) -> int:
    return -(-(len(window) + 2) // 16) * 16


def cut(text: Ids) -> list[Ids]:
    """The windows of a text."""
    return [text[at : at + WINDOW] for at in range(0, max(len(text), 1), WINDOW)]


@torch.no_grad()
def embed(model: Any, texts: list[Ids]) -> np.ndarray:
    """As `copilot index` embeds: the windows of a text added up."""
    model.eval()
    parts = sorted(((n, window) for n, text in enumerate(texts) for window in cut(text)), key=lambda part: len(part[1]))
    total = torch.zeros(len(texts), 384, device=DEVICE)
    for at in range(0, len(parts), 512):
        some = parts[at : at + 512]
        found, mask = states(model, [window for _, window in some])
        total.index_add_(0, torch.tensor([n for n, _ in some], device=DEVICE), (found * mask[..., None]).sum(1))
    model.train()
    return normalize(total, dim=-1).cpu().numpy()


class Late(torch.nn.Module):
    """The encoder with an adapter, the projection, and the two numbers that turn a score into a logit."""

    def __init__(self, bert: Any) -> None:
        super().__init__()
        lora = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=["query", "key", "value", "dense"])
        self.bert = get_peft_model(bert, lora)
        self.projection = torch.nn.Linear(384, WIDTH + 1, bias=False)  # its last row says how much a token weighs
        torch.nn.init.orthogonal_(self.projection.weight)
        torch.nn.init.zeros_(self.projection.weight[-1])
        self.scale = torch.nn.Parameter(torch.tensor(math.log(25.0)))
        self.null = torch.nn.Parameter(torch.tensor(0.5))

    def encode(self, texts: list[Ids]) -> Encoded:
        """Token vectors and mask of each window, their weights, whole texts' vectors, each text's windows."""
        windows = [cut(text)[:WINDOWS] for text in texts]
        found, mask = states(self.bert, [window for some in windows for window in some])
        said = self.projection(found)
        weights = softplus(said[..., -1] + 0.5413) * mask
        owner = torch.tensor([n for n, some in enumerate(windows) for _ in some], device=DEVICE)
        whole = torch.zeros(len(texts), 384, device=DEVICE).index_add(0, owner, (found * mask[..., None]).sum(1))
        ends = np.cumsum([len(some) for some in windows])
        places = torch.tensor([(end - len(some), end - 1) for some, end in zip(windows, ends, strict=True)])
        weights = weights / weights.sum(1, keepdim=True)
        return normalize(said[..., :-1], dim=-1), mask, weights, normalize(whole, dim=-1), places.to(DEVICE)

    def compare(self, questions: Encoded, passages: Encoded) -> tuple[torch.Tensor, torch.Tensor]:
        """(what tokens and whole texts find, the whole texts' cosines), each (questions, passages)."""
        like = torch.einsum("aid,bjd->abij", questions[0].bfloat16(), passages[0].bfloat16())
        best = like.masked_fill(~passages[1][None, :, None, :], -1).amax(-1).float()  # (questions, windows, tokens)
        first, last = passages[4].T
        cosines = questions[3] @ passages[3].T
        return (torch.maximum(best[:, first], best[:, last]) * questions[2][:, None]).sum(-1) + ABOUT * cosines, cosines


def auc(good: list[float], bad: list[float]) -> float:
    """The share of pairs in which the good one is higher."""
    a, b = np.array(good)[:, None], np.array(bad)
    return float(((a > b) + 0.5 * (a == b)).mean())


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("minilm", "passages", "questions", "out"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(given.minilm / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def encode(texts: list[str]) -> list[Ids]:
        return [encoding.ids[1:-1] for encoding in tokenizer.encode_batch(texts)]

    products = json.loads(given.passages.read_text(encoding="utf-8"))
    headings = [[heading for heading, _ in passages] for _, _, passages in products]
    passages = [[f"{heading}\n{text}" for heading, text in some] for _, _, some in products]
    rows: list[tuple[int, int | None, str]] = []  # product, right passage, question
    for line in given.questions.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        product, place = row["passage"]
        if headings[product][place] != row["heading"]:
            raise SystemExit(
                f"passage {product}.{place} is not {row['heading']!r}: other pools than those of the questions"
            )
        rows += [(product, place, question) for question in row["questions"]]
        rows += [(product, None, question) for question in row["near_misses"]]
    asked = encode([question for _, _, question in rows])
    texts = {product: encode(passages[product]) for product in sorted({product for product, _, _ in rows})}

    def bert() -> Any:
        return BertModel.from_pretrained(given.minilm, add_pooling_layer=False, dtype=torch.float32).to(DEVICE)

    untuned = bert()
    right: list[list[int]] = [[] for _ in rows]  # its passage, and others of that section which a search finds
    wrong: list[list[int]] = [[] for _ in rows]
    for product, own in texts.items():
        mine = [n for n, row in enumerate(rows) if row[0] == product]
        lexical = Lexical(passages[product])
        cosines = embed(untuned, [asked[n] for n in mine]) @ embed(untuned, own).T
        for n, line in zip(mine, cosines, strict=True):
            _, place, question = rows[n]
            section = None if place is None else headings[product][place]
            order = [int(i) for i in ranked(line, lexical.scores(question), WEIGHTS["hybrid"])[:12]]
            if place is not None:
                right[n] = [i for i in order if headings[product][i] == section] or [place]
            wrong[n] = [i for i in order if headings[product][i] != section][:10]
    taught = [n for n, (product, _, _) in enumerate(rows) if product % 10 != HELD]
    held = [n for n, (product, _, _) in enumerate(rows) if product % 10 == HELD]

    @torch.no_grad()
    def say(model: Late, what: str) -> None:
        model.eval()
        good, bad, first = [], [], []
        for n in held[::10]:
            product = rows[n][0]
            places = [*right[n][:1], *wrong[n]][:5]
            found, _ = model.compare(model.encode([asked[n]]), model.encode([texts[product][i] for i in places]))
            (good if right[n] else bad).append(float(found.max()))
            if right[n]:
                first.append(int(found.argmax()) == 0)
        model.train()
        print(f"{what}: first of five {np.mean(first):.3f}, AUC {auc(good, bad):.3f}", flush=True)

    def learn(seed: int) -> Late:
        """One run: the same start, the rows in the order of `seed`."""
        torch.manual_seed(1)
        rng, order = random.Random(seed), list(taught)
        model = Late(bert()).to(DEVICE).train()
        weights = [p for p in model.parameters() if p.requires_grad]
        groups = [{"params": [p for p in weights if p.ndim]}, {"params": [model.scale, model.null]}]
        optimizer = torch.optim.AdamW(groups, lr=RATE, weight_decay=0.0)
        steps, step = PASSES * (len(taught) // BATCH), 0
        for turn in range(PASSES):
            rng.shuffle(order)
            for at in range(0, len(order) - BATCH + 1, BATCH):
                rate = RATE * min(1, (step + 1) / (0.08 * steps)) * 0.5 * (1 + math.cos(math.pi * step / steps))
                optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"] = rate, 5 * rate
                some = order[at : at + BATCH]
                read: list[Ids] = []
                owner: list[int] = []
                label: list[int] = []  # the right passage's place among all, -1 without one
                for j, n in enumerate(some):
                    near = rng.sample(wrong[n][:NEAREST], min(NEGATIVES, len(wrong[n][:NEAREST])))
                    own = [rng.choice(right[n])] if right[n] and (not near or rng.random() >= GONE) else []
                    label.append(len(read) if own else -1)
                    read += [texts[rows[n][0]][i] for i in (*own, *near)]
                    owner += [j] * (len(own) + len(near))
                questions = [[t for t in asked[n] if rng.random() > FORGOTTEN] or asked[n] for n in some]
                score, cosines = model.compare(model.encode(questions), model.encode(read))
                scale = model.scale.exp()
                product = np.array([rows[n][0] for n in some])
                mine = torch.tensor(np.array(owner)[None] == np.arange(len(some))[:, None], device=DEVICE)
                alien = torch.tensor(product[owner][None] != product[:, None], device=DEVICE)
                target = torch.tensor(label, device=DEVICE)
                has = target >= 0
                null = (model.null * scale).expand(len(some), 1)
                verdict = torch.cat([(score * scale).masked_fill(~mine, -1e4), null], 1)
                loss = cross_entropy(verdict, torch.where(has, target, len(read)))
                for logits, weight in ((score * scale, 1.0), (cosines / TEMPERATURE, POOLED)):
                    loss = loss + weight * cross_entropy(logits.masked_fill(~(mine | alien), -1e4)[has], target[has])
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(weights, 1.0)
                optimizer.step()
                step += 1
            say(model, f"pass {turn + 1}, null {model.null.item():.3f}")
        return model

    runs = [learn(seed) for seed in range(1, RUNS + 1)]
    model, parts = runs[0], [run.state_dict() for run in runs]
    model.load_state_dict({name: sum(part[name] for part in parts) / RUNS for name in parts[0]})
    say(model, "their average")
    model.bert.half().save_pretrained(given.out)
    save_file({"projection": model.projection.weight.detach().half().contiguous()}, given.out / TOKENS)


if __name__ == "__main__":
    main()
