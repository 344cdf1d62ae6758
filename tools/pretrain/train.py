"""Seconds and a seed in, a trained base model folder out; worker processes generate the examples meanwhile."""

from __future__ import annotations

import argparse
import json
import multiprocessing as mp
import os
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from queue import Queue
from threading import Thread

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
import numpy as np
import torch
from generator import VERSION, stream
from model import Net, Shape, load, save
from pages import facts
from pages import pool as pages
from tokenizer import render
from tokenizers import Tokenizer
from words import sentences

DOCS = 256  # documents a pack can hold
CONTEXT_WEIGHT = 0.1
Row = tuple[int, int, float, float, float]  # step, tokens, seconds, loss, loss on the answers


def worker(seed: int, size: int, tokenizer: str, out: mp.Queue) -> None:
    """Put packs (ids, lengths, weights x 100) of `size` tokens into `out` for ever."""
    tok = Tokenizer.from_file(tokenizer)
    source = stream(seed)
    ids, lengths, marks = [], [], []
    while True:
        pairs = [render(next(source)) for _ in range(32)]
        prompts = tok.encode_batch_fast([p for p, _ in pairs], add_special_tokens=False)
        answers = tok.encode_batch_fast([a for _, a in pairs], add_special_tokens=False)
        for p, a in zip(prompts, answers, strict=True):
            n = len(p.ids) + len(a.ids)
            if n > 3072:
                continue
            if sum(lengths) + n > size or len(lengths) == DOCS - 2:
                pad = size - sum(lengths)
                while pad > 0:
                    lengths.append(min(pad, 3072))
                    ids += [0] * lengths[-1]
                    marks += [0] * lengths[-1]
                    pad -= lengths[-1]
                out.put((np.array(ids, np.uint16), np.array(lengths, np.int32), np.array(marks, np.uint8)))
                ids, lengths, marks = [], [], []
            ids += p.ids + a.ids
            lengths.append(n)
            marks += [int(CONTEXT_WEIGHT * 100)] * (len(p.ids) - 1) + [100] * len(a.ids) + [0]


def pools(out: Path, args: argparse.Namespace) -> int:
    """Put sentences of docstrings and of `args.pages` into out/english.json; name it and the pools for the workers."""
    paths = sysconfig.get_paths()
    std, site = Path(paths["stdlib"]), Path(np.__file__).parent.parent
    files = (
        sorted(std.glob("*.py"))
        + sorted(std.glob("*/*.py"))
        + [f for p in args.english for f in sorted((site / p).rglob("*.py")) if "tests" not in f.parts]
    )
    parts = [files[i :: args.workers] for i in range(args.workers)]
    with mp.get_context("spawn").Pool(args.workers) as pool:
        found = sorted({s for part in pool.map(sentences, parts) for s in part})
    for name, path in (("TINY_APIS", args.apis), ("TINY_PAGES", args.pages), ("TINY_ASKED", args.asked)):
        if path:
            os.environ[name] = str(path)
    found += sorted({said for page in pages() for _, text in page for said, quote, _ in facts(text) if said == quote})
    (out / "english.json").write_text(json.dumps(found))
    os.environ["TINY_ENGLISH"] = str(out / "english.json")
    return len(found)


def batches(queue: mp.Queue, device: str) -> Queue:
    """Tensors on `device`, copied by a thread."""
    ready: Queue = Queue(maxsize=6)

    def move() -> None:
        while True:
            raw, lengths, marks = queue.get()
            ids = torch.from_numpy(raw.astype(np.int64))
            targets = torch.cat((ids[1:], ids[:1]))
            cu = np.concatenate(([0], np.cumsum(lengths)))
            pos = np.arange(len(raw)) - np.repeat(cu[:-1], lengths)
            full = np.full(DOCS + 1, len(raw), np.int32)
            full[: len(cu)] = cu
            tensors = (
                ids,
                torch.from_numpy(pos),
                torch.from_numpy(full),
                targets,
                torch.from_numpy(marks.astype(np.float32) / 100),
            )
            if device == "cuda":
                tensors = tuple(x.pin_memory().to(device, non_blocking=True) for x in tensors)
            ready.put((tensors, int((marks > 0).sum())))

    Thread(target=move, daemon=True).start()
    return ready


def orthogonal(g: torch.Tensor) -> torch.Tensor:
    """Newton-Schulz iteration of Muon (K. Jordan 2024) on a stack of matrices (n, rows, cols)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.to(torch.bfloat16)
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        y = x @ x.mT
        x = a * x + (b * y + c * y @ y) @ x
    return (x.mT if tall else x).float()


class Optimizer:
    """Muon for the stacked matrices, AdamW for embedding and norms."""

    def __init__(self, net: Net, muon_lr: float, adam_lr: float) -> None:
        """Momentum buffers for the seven matrix kinds of `net`."""
        self.matrices = [net.q, net.k, net.v, net.o, net.gate, net.up, net.down]
        self.momentum = [torch.zeros_like(p) for p in self.matrices]
        self.muon_lr, self.adam_lr = muon_lr, adam_lr
        cuda = net.embed.is_cuda
        self.adam = torch.optim.AdamW(
            [{"params": [net.embed]}, {"params": [net.norm, net.norm1, net.norm2]}],
            lr=adam_lr,
            betas=(0.9, 0.95),
            weight_decay=0.0,
            fused=cuda,
        )

    @torch.no_grad()
    def step(self, scale: float, step: int) -> None:
        """One update with both learning rates times `scale`."""
        beta = min(0.85 + step / 300 * 0.1, 0.95)
        for p, m in zip(self.matrices, self.momentum, strict=True):
            m.lerp_(p.grad, 1 - beta)
            update = orthogonal(p.grad.lerp(m, beta))
            lr = self.muon_lr * scale
            p.mul_(1 - lr * 0.1).add_(update, alpha=-lr * max(1.0, p.shape[1] / p.shape[2]) ** 0.5)
            p.grad = None
        for group in self.adam.param_groups:
            group["lr"] = self.adam_lr * scale
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)


def schedule(done: float, warm: float) -> float:
    """Learning rate factor at the fraction `done` of the run: flat, then straight down over the last 60 %."""
    return min(1.0, warm) * min(1.0, max(0.0, (1 - done) / 0.6))


def check_attention() -> float:
    """Largest relative difference of the fast attention and its gradients from the dense one."""
    gen = torch.Generator("cuda").manual_seed(0)
    q, k, v = (
        torch.randn(600, h, 64, device="cuda", dtype=torch.bfloat16, generator=gen).requires_grad_() for h in (6, 2, 2)
    )
    cu = torch.tensor([0, 200, 333, 600, 600, 600], device="cuda", dtype=torch.int32)
    from model import dense, varlen

    got = varlen(q, k, v, cu, 3072)[0]
    g1 = torch.autograd.grad(got.float().pow(2).sum(), (q, k, v))
    qf, kf, vf = (x.detach().double().requires_grad_() for x in (q, k, v))
    ref = dense(qf, kf, vf, cu)
    g2 = torch.autograd.grad(ref.pow(2).sum(), (qf, kf, vf))
    return max(float((a.double() - b).norm() / b.norm()) for a, b in zip((got, *g1), (ref, *g2), strict=True))


def report(row: Row, wait: float) -> None:
    """Print one line of progress."""
    step, tokens, seconds, loss, own = row
    speed = f"{tokens / seconds / 1e3:.0f}k tok/s wait {wait / seconds:.2%}"
    print(
        f"step {step} {tokens / 1e6:.0f}M tokens {seconds:.0f} s loss {loss:.3f} answer {own:.4f} {speed}", flush=True
    )


def finish(
    args: argparse.Namespace, curve: list[Row], count: int, step: int, tokens: int, seconds: float, wait: float
) -> dict[str, object]:
    """Write curve.csv and train_metrics.json."""
    rows = ["step,tokens,seconds,loss,answer_loss", *(",".join(map(str, r)) for r in curve)]
    (args.out / "curve.csv").write_text("\n".join(rows) + "\n")
    last = [r[4] for r in curve[-10:]]
    out = {
        "command": " ".join(["python tools/pretrain/train.py", *sys.argv[1:]]),
        "generator": VERSION,
        "seed": args.seed,
        "parameters": count,
        "steps": step,
        "tokens": tokens,
        "seconds": round(seconds, 1),
        "tokens_per_second": round(tokens / seconds),
        "share_waiting_for_data": round(wait / seconds, 4),
        "answer_loss": round(sum(last) / max(1, len(last)), 4),
    }
    (args.out / "train_metrics.json").write_text(json.dumps(out, indent=2) + "\n")
    print(json.dumps(out), flush=True)
    return out


def start_workers(args: argparse.Namespace) -> tuple[mp.Queue, list[mp.Process]]:
    """The queue of packs and the processes that fill it."""
    spawn = mp.get_context("spawn")
    queue: mp.Queue = spawn.Queue(maxsize=64)
    jobs = [(args.seed * 1000 + i, args.tokens, str(args.tokenizer), queue) for i in range(args.workers)]
    procs = [spawn.Process(target=worker, args=job, daemon=True) for job in jobs]
    for p in procs:
        p.start()
    return queue, procs


def train(args: argparse.Namespace) -> dict[str, object]:
    """Run the loop; writes curve.csv, metrics.json and the model into args.out."""
    torch.manual_seed(args.seed)
    torch.set_float32_matmul_precision("high")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    args.out.mkdir(parents=True, exist_ok=True)
    if args.english:
        print(f"{pools(Path(tempfile.mkdtemp()), args)} English sentences", flush=True)
    queue, procs = start_workers(args)
    if device == "cuda":
        print(f"attention against dense reference: {check_attention():.2e}", flush=True)
    vocab = -(-Tokenizer.from_file(str(args.tokenizer)).get_vocab_size() // 64) * 64
    net = Net(Shape(vocab=vocab, layers=args.layers, ffn=args.ffn)).to(device)
    if args.init:
        load(net, args.init)
    count = sum(p.numel() for p in net.parameters())
    loss_fn = torch.compile(net.loss, dynamic=False) if device == "cuda" and args.compile else net.loss
    opt, ready = Optimizer(net, args.muon_lr, args.adam_lr), batches(queue, device)
    begin = started = time.perf_counter()
    wait, tokens, step, curve, saved = 0.0, 0, 0, [], 0.0
    while True:
        t0 = time.perf_counter()
        batch, real = ready.get()
        wait += time.perf_counter() - t0
        loss, own = loss_fn(*batch)
        loss.backward()
        elapsed = time.perf_counter() - started
        done = elapsed / args.seconds if step > 2 else 0.0
        if done >= 1:
            break
        opt.step(schedule(done, (step + 1) / 100), step)
        step += 1
        tokens += real
        if step == 3:  # compiled by now: the clock starts
            if device == "cuda":
                torch.cuda.synchronize()
            print(f"{count / 1e6:.2f} M parameters; first steps {time.perf_counter() - begin:.1f} s", flush=True)
            started, wait, tokens = time.perf_counter(), 0.0, 0
        if step % 50 == 0:
            curve.append((step, tokens, round(elapsed, 1), float(loss), float(own)))
            if step % 400 == 0 or device == "cpu":
                report(curve[-1], wait)
        if elapsed - saved > 150 and step > 3:
            saved = elapsed
            save(net, args.out, args.parts)
    for p in procs:
        p.terminate()
    save(net, args.out, args.parts)
    return finish(args, curve, count, step, tokens, time.perf_counter() - started, wait)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("outputs/tiny"))
    parser.add_argument("--tokenizer", type=Path, default=Path("data/models/tiny/tokenizer.json"))
    parser.add_argument("--seconds", type=float, default=450, help="training time after compilation")
    parser.add_argument("--tokens", type=int, default=98304, help="tokens in one step")
    parser.add_argument("--workers", type=int, default=14)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--ffn", type=int, default=768)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--muon-lr", type=float, default=0.02)
    parser.add_argument("--adam-lr", type=float, default=0.003)
    parser.add_argument("--parts", type=int, default=1, help="files the weights are split into")
    parser.add_argument("--init", type=Path, help="model.safetensors to go on from")
    parser.add_argument(
        "--english",
        nargs="*",
        default=["numpy", "scipy", "pandas", "sklearn"],
        help="installed packages whose docstrings lend sentences",
    )
    parser.add_argument("--apis", type=Path, help="JSON pool made by apis.py")
    parser.add_argument("--pages", type=Path, help="JSON pool made by pages.py")
    parser.add_argument("--asked", type=Path, help="JSON pool made by tools/embedder/ranked.py")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    train(parser.parse_args())
