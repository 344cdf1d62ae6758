"""A trained run in; seconds and memory of a question by `copilot ask` on ONNX and transformers, and the notebook's way.

    copilot pipeline -c configs/tiny.yaml
    python benchmarks/ask.py [-c configs/tiny.yaml] [--rounds 5] [--plot docs/performance.png]

The notebook's way is its imports and calls: HuggingFaceEmbeddings and FAISS of langchain_community (where that is
installed; else langchain_core's own store), AutoModelForCausalLM with its PEFT adapter, `generate`. All three have the
same weights, chunks, number of passages, prompt around them and longest answer, and run in turns; the notebook's way
finds its passages by the untuned embeddings alone, so its prompt has another length (the table has it). Cold is a new
process, timed from outside: to the first byte on its standard output, to the first word below the first heading, and
to its end. The heading alone proves little: `copilot ask` on ONNX knows it from the grammar and prints it before the
prompt is read, the others write it after. Warm is a further question to a process that has answered one, timed inside,
to the first word below the heading; decoding is what follows that, the reading of the prompt left out where it comes
later than the first word. The notebook's way prints each word as it comes, which the notebook itself did not.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

QUESTIONS = [
    "How do I clear a range of cells?",
    "How do I add a contact to a list?",
    "How do I get a contact by phone number?",
    "How do I delete a row?",
]
NAMES = {"onnx": "copilot ask, onnx", "transformers": "copilot ask, transformers", "notebook": "the notebook's way"}


def notebook(facts: dict[str, Any], out: Path) -> None:
    """Answer all questions in this process, the first one to standard output; write what the others cost to `out`."""
    import torch
    from langchain_huggingface import HuggingFaceEmbeddings
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer, TextStreamer

    embeddings = HuggingFaceEmbeddings(model_name=facts["embeddings"], encode_kwargs={"normalize_embeddings": True})
    retriever = open_store(facts, embeddings).as_retriever(search_type="similarity", search_kwargs={"k": facts["k"]})
    tokenizer = AutoTokenizer.from_pretrained(facts["adapter"])
    model = AutoModelForCausalLM.from_pretrained(facts["model"], dtype=torch.float32)
    model = PeftModel.from_pretrained(model, facts["adapter"]).eval()
    spent = []
    for number, question in enumerate(QUESTIONS if facts["warm"] else QUESTIONS[:1]):
        began, times, said, below = time.monotonic(), [], "", 0.0

        class Words(TextStreamer):  # type: ignore[misc]
            """Transformers' streamer, with the time of each token."""

            def put(self, value: Any) -> None:
                times.append(time.monotonic())  # noqa: B023
                super().put(value)

            def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
                nonlocal said, below
                said += text
                if not below and has_begun(said):
                    below = time.monotonic()
                if number == 0:  # noqa: B023
                    sys.stdout.write(text)
                    sys.stdout.flush()

        found = retriever.invoke(question)
        context = "\n\n".join(f"[{n}] {document.page_content}" for n, document in enumerate(found, 1))
        user = facts["rag"].replace("{question}", question).replace("{context}", context)
        messages = [{"role": "system", "content": facts["system"]}, {"role": "user", "content": user}]
        inputs = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        with torch.no_grad():
            model.generate(
                **inputs,
                max_new_tokens=facts["max_new_tokens"],
                do_sample=False,
                use_cache=True,
                pad_token_id=tokenizer.pad_token_id,
                streamer=Words(tokenizer, skip_prompt=True),
            )
        first, last, tokens = (below or times[-1]) - began, times[-1] - began, len(times) - 1  # one is the prompt
        spent.append({"first": first, "last": last, "tokens": tokens, "prompt": inputs["input_ids"].shape[1]})
    out.write_text(json.dumps(spent[1:]))


def has_begun(text: str) -> bool:
    """Whether a text has a word below its heading."""
    return any(line.strip("# ") and not line.startswith("### ") for line in text.splitlines())


def open_store(facts: dict[str, Any], embeddings: Any) -> Any:
    """The saved store of the notebook's way."""
    if has_community():
        from langchain_community.vectorstores import FAISS

        return FAISS.load_local(facts["store"], embeddings, allow_dangerous_deserialization=True)
    from langchain_core.vectorstores import InMemoryVectorStore

    return InMemoryVectorStore.load(f"{facts['store']}.json", embeddings)


def save_store(facts: dict[str, Any], texts: list[str]) -> None:
    """Embed and save the passages, which no figure counts."""
    from langchain_huggingface import HuggingFaceEmbeddings

    embeddings = HuggingFaceEmbeddings(model_name=facts["embeddings"], encode_kwargs={"normalize_embeddings": True})
    if has_community():
        from langchain_community.vectorstores import FAISS

        FAISS.from_texts(texts, embeddings).save_local(facts["store"])
        return
    from langchain_core.vectorstores import InMemoryVectorStore

    InMemoryVectorStore.from_texts(texts, embeddings).dump(f"{facts['store']}.json")


def has_community() -> bool:
    """Whether langchain_community is installed."""
    import importlib.util

    return importlib.util.find_spec("langchain_community") is not None


def ours(config: str, runtime: str, out: Path) -> None:
    """Answer all questions in this process; write what those after the first cost to `out`."""
    from copilot.config_file import load_config
    from copilot.opened import open_answerer

    answerer = open_answerer(load_config(config, [f"model.runtime={runtime}"]))
    reading = timed_reading(answerer.generator)
    spent = []
    for question in QUESTIONS:
        before = sum(reading)
        usage = answerer.ask(question).usage
        read = sum(reading) - before
        spent.append(
            {
                "first": usage.seconds_to_first_token,
                "last": usage.seconds,
                "reading": read if read > usage.seconds_to_first_token else 0.0,
                "tokens": usage.completion_tokens,
                "prompt": usage.prompt_tokens,
                "reused": usage.prompt_tokens_reused,
            }
        )
    out.write_text(json.dumps(spent[1:]))


def timed_reading(generator: Any) -> list[float]:
    """Filled with the seconds that ONNX spends on each prompt, whose first word need not wait for that; else empty."""
    spent: list[float] = []
    if read := getattr(generator, "_prompt", None):

        def timed(*given: Any) -> Any:
            began = time.monotonic()
            yield from read(*given)
            spent.append(time.monotonic() - began)

        generator._prompt = timed
    return spent


def facts_of(config: str, folder: Path) -> dict[str, Any]:
    """What the notebook's way needs to ask the same model over the same passages with the same prompt."""
    from copilot.config_file import load_config
    from copilot.knowledge.index import Index
    from copilot.knowledge.minilm import offline_folder
    from copilot.prompt.render import render

    opened = load_config(config)
    index, _ = Index.load(opened.run_dir / "index", "run copilot pipeline")
    system = render("", [], opened.prompt, opened.answer)[0]["content"]
    facts = {
        "embeddings": str(offline_folder(opened.embeddings.name)),
        "model": opened.model.name,
        "adapter": str(opened.run_dir / "adapter"),
        "k": opened.retriever.k,
        "system": system,
        "rag": opened.prompt.rag,
        "max_new_tokens": opened.answer.max_new_tokens,
        "store": str(folder / "store"),
    }
    save_store(facts, [chunk.passage for chunk in index.chunks])
    return facts


def cold(command: list[str]) -> dict[str, float]:
    """Seconds to the first byte on standard output, to a word below its heading and to the end; s of a core, MB."""
    began = time.monotonic()
    process = subprocess.Popen(command, bufsize=0, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    heading = first = float("nan")
    said = b""
    while piece := os.read(process.stdout.fileno(), 1 << 16):
        now, begun = time.monotonic() - began, has_begun(said.decode(errors="ignore"))
        said += piece
        heading = heading if heading == heading else now
        first = now if not begun and has_begun(said.decode(errors="ignore")) else first
    errors = process.stderr.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed:\n{errors}")
    last, cpu = time.monotonic() - began, used.ru_utime + used.ru_stime
    return {"cold_heading": heading, "cold_first": first, "cold_last": last, "cpu": cpu, "peak": used.ru_maxrss / 1024}


def measure(config: str, rounds: int, folder: Path) -> dict[str, dict[str, float]]:
    """Medians over the rounds, all ways in turns."""
    me, python = str(Path(__file__).resolve()), sys.executable
    store = [python, me, "--child", "facts", "-c", config, "--out", str(folder / "facts.json")]
    subprocess.run(store, check=True, capture_output=True)  # not here: a child's peak begins with that of its parent
    facts = json.loads((folder / "facts.json").read_text())
    cli = [python, "-m", "copilot.cli"]
    files = {way: folder / f"{way}.facts.json" for way in ("cold", "warm")}
    for way, file in files.items():
        file.write_text(json.dumps({**facts, "warm": way == "warm"}))
    found: dict[str, dict[str, list[float]]] = {name: {} for name in (*NAMES, "import torch", "import typer", "--help")}

    def add(name: str, **figures: float) -> None:
        for figure, value in figures.items():
            found[name].setdefault(figure, []).append(value)

    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        for name in NAMES:
            warm = folder / f"{name}.json"
            if name == "notebook":
                ask = [python, me, "--child", name, "--out", str(warm), "--facts"]
                figures = cold([*ask, str(files["cold"])])
                subprocess.run([*ask, str(files["warm"])], check=True, capture_output=True)
            else:
                runtime = ["--set", f"model.runtime={name}"]
                figures = cold([*cli, "ask", "-q", "-c", config, *runtime, QUESTIONS[0]])
                subprocess.run([python, me, "--child", name, "-c", config, "--out", str(warm)], check=True)
            spent = json.loads(warm.read_text())
            add(name, **figures)
            for one in spent:
                rate = (one["tokens"] - 1) / (one["last"] - one["first"] - one.get("reading", 0))
                read = one["prompt"] - one.get("reused", 0)
                add(name, warm_first=one["first"], warm_last=one["last"], rate=rate, prompt=one["prompt"], read=read)
        for name in ("import torch", "import typer"):
            add(name, **cold([python, "-c", name]))
        add("--help", **cold([*cli, "--help"]))
    return {name: {figure: statistics.median(v) for figure, v in figures.items()} for name, figures in found.items()}


def table(found: dict[str, dict[str, float]]) -> str:
    """The figures as markdown, with the notebook's way divided by each."""
    rows = [
        ("cold, heading", "cold_heading", "s", 2),
        ("cold, first word below it", "cold_first", "s", 2),
        ("cold, whole answer", "cold_last", "s", 2),
        ("cold, processor time", "cpu", "s", 2),
        ("warm, first word", "warm_first", "s", 2),
        ("warm, whole answer", "warm_last", "s", 2),
        ("decoding", "rate", "tokens/s", 0),
        ("peak memory", "peak", "MB", 0),
        ("prompt tokens", "prompt", "", 0),
        ("of them read", "read", "", 0),
    ]
    lines = [f"| median | {' | '.join(NAMES.values())} | notebook / onnx |", "|---|---|---|---|---|"]
    for title, figure, unit, digits in rows:
        values = [found[name][figure] for name in NAMES]
        ratio = values[2] / values[0] if figure != "rate" else values[0] / values[2]
        shown = " | ".join(f"{value:,.{digits}f} {unit}".strip() for value in values)
        lines.append(f"| {title} | {shown} | {ratio:.1f} |")
    for name in ("import torch", "import typer", "--help"):
        lines.append(f"\n`{name}`: {found[name]['cold_last']:.2f} s, processor {found[name]['cpu']:.2f} s")
    return "\n".join(lines)


def plot(found: dict[str, dict[str, float]], path: str) -> None:
    """Time to the first word and to the end, and peak memory, as bars."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 2.6), layout="constrained", sharey=True)
    names = list(NAMES)
    last, first = ([found[name][key] for name in names] for key in ("cold_last", "cold_first"))
    left.barh(list(NAMES.values()), last, color="#b9cbe4", label="whole answer")
    left.barh(list(NAMES.values()), first, color="#2a5c9e", label="first word")
    left.set(xlabel="seconds of a new process")
    left.legend()
    left.invert_yaxis()
    right.barh(list(NAMES.values()), [found[name]["peak"] for name in names], color="#8a8a8a")
    right.set(xlabel="peak memory, MB")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-c", "--config", default="configs/tiny.yaml")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--plot", help="file for the bars")
    parser.add_argument("--child", choices=[*NAMES, "facts"], help=argparse.SUPPRESS)
    parser.add_argument("--facts", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child == "notebook":
        notebook(json.loads(options.facts.read_text()), options.out)
    elif options.child == "facts":
        options.out.write_text(json.dumps(facts_of(options.config, options.out.parent)))
    elif options.child:
        ours(options.config, options.child, options.out)
    else:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or our modules alone would be compiled at every start
        with tempfile.TemporaryDirectory() as folder:
            found = measure(options.config, options.rounds, Path(folder))
        store = "langchain_community's FAISS" if has_community() else "langchain_core's store"
        print(f"{os.cpu_count()} cores, {options.rounds} rounds, the notebook's way with {store}\n\n{table(found)}")
        if options.plot:
            plot(found, options.plot)


if __name__ == "__main__":
    main()
