"""Passages and questions about them in; an adapter for all-MiniLM-L6-v2 that ranks and judges them better, out.

    python tools/embedder/train.py MINILM passages.json tools/embedder/questions.jsonl OUT     # one H100, 9 minutes

MINILM is the sentence-transformers folder. A LoRA adapter and a projection of token vectors are taught three things at
once: a question's vector is nearer to that of its passage than to others (InfoNCE with hard negatives: Karpukhin and
others 2020, Dense Passage Retrieval); so is what late interaction finds (Khattab and Zaharia 2020, ColBERT); and of a
near miss nothing is found, so that a constant, `null`, outweighs every passage, as it does where a question's own
passage is left out. Negatives are passages that the untuned model takes for near. Near misses that give themselves away
by their wording are read less often. What is kept is the average of three runs, side by side, from the same start over
the rows in another order (Wortsman and others 2022, Model soups): runs differ by 0.03 in MRR, their average does not.
Every tenth product is left out; its figures are printed for each run.
"""

import argparse
import json
import math
import multiprocessing
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, PeftModel
from safetensors.torch import load_file, save_file
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from tokenizers import Tokenizer
from torch.func import functional_call
from torch.nn.functional import cross_entropy, normalize, pad, softplus
from transformers import BertModel

from copilot.knowledge.late import ABOUT
from copilot.knowledge.lexical import Lexical
from copilot.knowledge.onnx_encoder import TOKENS
from copilot.knowledge.retriever import WEIGHTS, ranked

WINDOW = 254  # tokens of a passage that are read at once, as the product reads them
WINDOWS = 2  # of a passage, at most
RANK, RATE, PASSES, BATCH, NEGATIVES, NEAREST = 32, 5e-4, 2, 48, 5, 8
WIDTH = 32  # of a token's vector
ADAPTER = "adapter_model.safetensors"
TEMPERATURE, POOLED = 0.05, 0.5  # of the whole texts' loss, and what it weighs
FORGOTTEN, GONE = 0.04, 0.1  # share of a question's tokens, and of right passages, that are left out, anew each time
RUNS = 3  # that are averaged
HELD = 3  # products whose number ends in it are left out

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
Ids = list[int]
Row = tuple[int, int | None, str]  # product, right passage, question
Encoded = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def states(model: Any, windows: list[Ids]) -> tuple[torch.Tensor, torch.Tensor]:
    """The vectors of each window's tokens, (n, t, dim), and where there are any, (n, t)."""
    order = sorted(range(len(windows)), key=lambda n: len(windows[n]))
    longest = room(len(windows[order[-1]]) + 2)
    found, masks = [], []
    for part in filter(len, np.array_split(np.array(order), 2)):  # the short ones apart: half of them is padding else
        ids = np.zeros((len(part), room(len(windows[part[-1]]) + 2)), dtype=np.int64)
        for row, n in enumerate(part):
            ids[row, : len(windows[n]) + 2] = [101, *windows[n], 102]
        given = torch.from_numpy(ids).to(DEVICE)
        said = model(input_ids=given, attention_mask=(given != 0).long()).last_hidden_state
        found.append(pad(said, (0, 0, 0, longest - ids.shape[1])))
        masks.append(pad(given != 0, (0, longest - ids.shape[1])))
    back = torch.tensor(np.argsort(order), device=DEVICE)
    return torch.cat(found)[back].float(), torch.cat(masks)[back]


def room(tokens: int) -> int:
    """What so many tokens are padded to."""
    return -(-tokens // 16) * 16


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


class Encoder(torch.nn.Module):
    """MiniLM with LoRA. `merge` adds its product to the weights once a step, and all that is read then goes fast."""

    def __init__(self, bert: Any, rank: int = RANK) -> None:
        super().__init__()
        self.rank = rank
        self.bert = [bert.requires_grad_(False)]  # in a list, since its weights are not learnt
        base = dict(bert.named_parameters())
        self.names = [name for name, weight in base.items() if weight.ndim == 2 and name.startswith("encoder.")]
        self.weights = [base[name] for name in self.names]
        self.a = torch.nn.ParameterList(torch.empty(rank, weight.shape[1]) for weight in self.weights)
        self.b = torch.nn.ParameterList(torch.zeros(weight.shape[0], rank) for weight in self.weights)
        for part in self.a:
            torch.nn.init.kaiming_uniform_(part, a=math.sqrt(5))  # as PEFT begins
        self.kind = torch.bfloat16 if DEVICE == "cuda" else torch.float32
        self.fixed = {name: weight.to(self.kind) for name, weight in base.items() if name not in self.names}
        self.merged: dict[str, torch.Tensor] = {}

    def train(self, mode: bool = True) -> "Encoder":
        """With MiniLM's own dropout, or without."""
        self.bert[0].train(mode)
        return super().train(mode)

    def merge(self) -> None:
        """Take what the adapter is now."""
        sums = [weight + 2 * (b @ a) for weight, a, b in zip(self.weights, self.a, self.b, strict=True)]
        self.merged = {name: weight.to(self.kind) for name, weight in zip(self.names, sums, strict=True)}

    def forward(self, **given: torch.Tensor) -> Any:
        """As `BertModel`."""
        return functional_call(self.bert[0], {**self.fixed, **self.merged}, (), given)

    def save(self, folder: Path) -> None:
        """A folder that PEFT opens."""
        parts = {}
        for name, a, b in zip(self.names, self.a, self.b, strict=True):
            module = f"base_model.model.{name.removesuffix('.weight')}"
            parts[f"{module}.lora_A.weight"], parts[f"{module}.lora_B.weight"] = a, b
        save_lora(folder, self.rank, parts)


def save_lora(folder: Path, rank: int, parts: dict[str, torch.Tensor]) -> None:
    """A PEFT folder of A and B of each weight, their product times 2 being what is added to it."""
    targets = ["query", "key", "value", "dense"]
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets, inference_mode=True)
    config.base_model_name_or_path = "sentence-transformers/all-MiniLM-L6-v2"
    config.save_pretrained(folder)
    save_halves(parts, folder / ADAPTER)


def save_halves(parts: dict[str, torch.Tensor], file: Path) -> None:
    """The weights in half precision."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: part.detach().half().cpu().contiguous() for name, part in parts.items()}, file)


class Late(torch.nn.Module):
    """The encoder with an adapter, the projection, and the two numbers that turn a score into a logit."""

    def __init__(self, bert: Any) -> None:
        super().__init__()
        self.bert = Encoder(bert)
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


def shares(rows: list[Row]) -> list[float]:
    """How often each row is read in a pass: always, but a near miss the less, the more its wording alone says so.

    The odds that a question of its words has an answer, by a model that has not seen its product; 1 for the quarter of
    the near misses that is told worst. So a pass reads near misses whose words are spread more as those of questions.
    """
    near = np.array([place is None for _, place, _ in rows])
    words = CountVectorizer(binary=True, ngram_range=(1, 2), min_df=5, token_pattern=r"\^|[a-z']+|[?;,.]")
    seen = words.fit_transform([f"^ {question}" for *_, question in rows])
    products, model = [product for product, *_ in rows], LogisticRegression(C=0.3, solver="liblinear")
    told = cross_val_predict(model, seen, near, groups=products, cv=GroupKFold(5), method="decision_function", n_jobs=5)
    odds = np.exp(-told)
    read = np.where(near, np.minimum(odds / np.quantile(odds[near], 0.75), 1), 1.0)
    area = auc(list(told[near]), list(told[~near]))
    print(f"wording tells near misses with an AUC of {area:.3f}; {read[near].mean():.2f} read a pass", flush=True)
    return [float(share) for share in read]


@dataclass
class Rows:
    """What all runs read."""

    rows: list[Row]
    asked: list[Ids]  # the questions' tokens
    texts: dict[int, list[Ids]]  # product -> its passages' tokens
    right: list[list[int]]  # of each row: its passage, and others of that section which a search finds
    wrong: list[list[int]]  # and what else it finds
    shares: list[float]


def bert(minilm: Path, adapter: Path | None = None) -> Any:
    """The encoder, untuned or with an adapter merged into it."""
    found: Any = BertModel.from_pretrained(minilm, add_pooling_layer=False, dtype=torch.float32)
    if adapter:
        found = PeftModel.from_pretrained(found, str(adapter)).merge_and_unload()
    return found.to(DEVICE)


def open_tokenizer(minilm: Path) -> Callable[[list[str]], list[Ids]]:
    """What takes texts to their tokens, without those of beginning and end."""
    tokenizer = Tokenizer.from_file(str(minilm / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda texts: [encoding.ids[1:-1] for encoding in tokenizer.encode_batch(texts)]


def read_rows(minilm: Path, products_file: Path, questions: Path, adapter: Path | None = None) -> Rows:
    """The rows with what a search by the encoder, untuned without an adapter, finds for each."""
    encode = open_tokenizer(minilm)
    products = json.loads(products_file.read_text(encoding="utf-8"))
    headings = [[heading for heading, _ in passages] for _, _, passages in products]
    passages = [[f"{heading}\n{text}" for heading, text in some] for _, _, some in products]
    rows: list[Row] = []
    for line in questions.read_text(encoding="utf-8").splitlines():
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
    encoder = bert(minilm, adapter)
    vectors, found = embed(encoder, asked), iter(embed(encoder, [text for own in texts.values() for text in own]))
    right: list[list[int]] = [[] for _ in rows]
    wrong: list[list[int]] = [[] for _ in rows]
    of: dict[int, list[int]] = {product: [] for product in texts}
    for n, (product, _, _) in enumerate(rows):
        of[product].append(n)
    for product, own in texts.items():
        lexical = Lexical(passages[product])
        cosines = vectors[of[product]] @ np.stack([next(found) for _ in own]).T
        for n, line in zip(of[product], cosines, strict=True):
            _, place, question = rows[n]
            section = None if place is None else headings[product][place]
            order = [int(i) for i in ranked(line, lexical.scores(question), WEIGHTS["hybrid"])[:12]]
            if place is not None:
                right[n] = [i for i in order if headings[product][i] == section] or [place]
            wrong[n] = [i for i in order if headings[product][i] != section][:10]
    return Rows(rows, asked, texts, right, wrong, shares(rows))


def taught_rows(data: Rows) -> list[int]:
    """The rows of the products that are not left out."""
    return [n for n, (product, _, _) in enumerate(data.rows) if product % 10 != HELD]


def batches(data: Rows, taught: list[int], passes: int, rng: random.Random) -> Iterator[list[int]]:
    """BATCH rows each, shuffled anew in each pass, a row as often as its share says."""
    for _ in range(passes):
        rng.shuffle(taught)
        order = [n for n in taught if rng.random() < data.shares[n]]
        for at in range(0, len(order) - BATCH + 1, BATCH):
            yield order[at : at + BATCH]


def side_by_side(learn: Callable[..., None], out: Path, settings: tuple[Any, ...]) -> list[Path]:
    """`learn` run RUNS times at once, each in a process of its own; the folders in `out` that the runs have written."""
    context = multiprocessing.get_context("spawn")
    runs = [context.Process(target=learn, args=(n, *settings, out)) for n in range(1, RUNS + 1)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    return [out / f"run{n}" for n in range(1, RUNS + 1)]


def learn(run: int, minilm: Path, data: Rows, out: Path) -> None:
    """One run: the same start as the others, the rows in another order; its adapter goes to a folder in `out`."""
    torch.manual_seed(1)
    model = Late(bert(minilm)).to(DEVICE).train()
    torch.manual_seed(run)
    rng = random.Random(run)
    rows, asked, right, wrong = data.rows, data.asked, data.right, data.wrong
    taught = taught_rows(data)
    weights = list(model.parameters())
    groups = [{"params": [p for p in weights if p.ndim]}, {"params": [model.scale, model.null]}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, weight_decay=0.0)
    steps, step = int(PASSES * sum(data.shares[n] for n in taught)) // BATCH, 0
    for some in batches(data, taught, PASSES, rng):
        rate = RATE * min(1, (step + 1) / (0.08 * steps)) * 0.5 * (1 + math.cos(math.pi * min(1, step / steps)))
        optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"] = rate, 5 * rate
        read: list[Ids] = []
        owner: list[int] = []
        label: list[int] = []  # the right passage's place among all, -1 without one
        for j, n in enumerate(some):
            near = rng.sample(wrong[n][:NEAREST], min(NEGATIVES, len(wrong[n][:NEAREST])))
            own = [rng.choice(right[n])] if right[n] and (not near or rng.random() >= GONE) else []
            label.append(len(read) if own else -1)
            read += [data.texts[rows[n][0]][i] for i in (*own, *near)]
            owner += [j] * (len(own) + len(near))
        questions = [[t for t in asked[n] if rng.random() > FORGOTTEN] or asked[n] for n in some]
        model.bert.merge()
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
    print(f"run {run}, {step} steps, null {model.null.item():.3f}: {measure(model, data)}", flush=True)
    model.bert.save(out / f"run{run}")
    save_halves({"projection": model.projection.weight}, out / f"run{run}" / TOKENS)


@torch.no_grad()
def measure(model: Late, data: Rows) -> str:
    """How it does on every fiftieth question of the products that are left out."""
    model.eval()
    model.bert.merge()
    good, bad, first = [], [], []
    for n in [n for n, (product, _, _) in enumerate(data.rows) if product % 10 == HELD][::50]:
        places = [*data.right[n][:1], *data.wrong[n]][:5]
        passages = [data.texts[data.rows[n][0]][i] for i in places]
        found, _ = model.compare(model.encode([data.asked[n]]), model.encode(passages))
        (good if data.right[n] else bad).append(float(found.max()))
        if data.right[n]:
            first.append(int(found.argmax()) == 0)
    model.train()
    return f"first of five {np.mean(first):.3f}, AUC of near misses {auc(good, bad):.3f}"


def mean(files: list[Path]) -> dict[str, torch.Tensor]:
    """Of the same weights in each file, number by number."""
    parts = [load_file(file) for file in files]
    return {key: torch.stack([part[key].float() for part in parts]).mean(0) for key in parts[0]}


def average(runs: list[Path], out: Path) -> None:
    """The mean of the runs."""
    for name in (ADAPTER, TOKENS):
        save_halves(mean([run / name for run in runs]), out / name)
    shutil.copy(runs[0] / "adapter_config.json", out)


def main() -> None:
    """Train, average and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("minilm", "passages", "questions", "out"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    data = read_rows(given.minilm, given.passages, given.questions)
    average(side_by_side(learn, given.out, (given.minilm, data)), given.out)


if __name__ == "__main__":
    main()
