"""The product on one page: index, train, ask, evaluate, and the chain of them, keyed by fingerprints."""

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from copilot.answering.answer import Answerer, sources
from copilot.config import Config
from copilot.errors import CopilotError, StaleError
from copilot.knowledge.chunks import split
from copilot.knowledge.documents import find_files, load_document
from copilot.knowledge.embeddings import load_embeddings, remote_endpoints
from copilot.knowledge.index import Index
from copilot.knowledge.retriever import Retrieve, make_retriever
from copilot.model import artefact
from copilot.model.dataset import Row, build_rows, held_out_split, read_examples, read_questions
from copilot.model.generator import TransformersGenerator
from copilot.model.load import load_model, load_tokenizer, model_folder, prepare
from copilot.model.trainer import Plan, Trained, last_checkpoint, plan, train_adapter
from copilot.prompt.render import prompt_fingerprint
from copilot.runs import fingerprint, locked, now, read_manifest, sha256_file, write_json, write_text
from copilot.types import Answer, Question

STAGES = ("index", "train", "evaluate", "demo")


class Console(Protocol):
    """How the stages speak to a person; everything goes to stderr."""

    def say(self, text: str) -> None:
        """One line."""
        ...

    def progress(self, title: str, total: int) -> AbstractContextManager[Callable[..., None]]:
        """A bar; the function it yields is told of n more done, and of a note to show."""
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """What each stage was made from, and so whether what stands on the disk is still right."""

    config: Config
    c: str  # the -c flag, for the commands that errors name

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.config.run_dir

    def key(self, stage: str) -> str:
        """Fingerprint of everything that makes a stage's artefact, the earlier stages included."""
        config = self.config
        match stage:
            case "index":
                files = [(name, sha256_file(path)) for name, path in find_files(config.documents)]
                embedder = config.embeddings.model_dump(include={"model", "endpoint"})
                return fingerprint("index-1", files, config.chunks.model_dump(), embedder)
            case "train":
                parts = [config.prompt, config.model, config.train]
                sha = _sha_or_none(config.train.data)
                dumped = [part.model_dump() for part in parts]
                return fingerprint(self.key("index"), sha, dumped, config.answer.sections, config.retriever.k, config.seed)
            case "evaluate":
                sha = _sha_or_none(config.evaluation.questions)
                return fingerprint("evaluate-1", self.key("train"), sha, config.evaluation.limit, config.answer.model_dump())
            case _:
                return fingerprint("demo-1", self.key("train"), config.demo.questions, config.answer.model_dump())

    def artefact(self, stage: str) -> Path:
        """Where a stage leaves its result."""
        names = {"index": "index", "train": "adapter", "evaluate": "evaluation.json", "demo": "demo.json"}
        return self.folder / names[stage]

    def found(self, stage: str) -> str | None:
        """The fingerprint that the stage's result on the disk carries; None when there is none."""
        path = self.artefact(stage)
        if stage in ("index", "train"):
            manifest = read_manifest(path)
            return manifest["fingerprint"] if manifest else None
        if not path.is_file():
            return None
        return str(json.loads(path.read_text(encoding="utf-8")).get("fingerprint"))

    def state(self, stage: str) -> str:
        """`fresh`, or why the stage must run."""
        try:
            found = self.found(stage)
        except StaleError as error:
            return f"stale: {error.message}"
        if found is None:
            return "missing"
        return "fresh" if found == self.key(stage) else "stale: made from other settings, files or earlier stages"


def _sha_or_none(path: str) -> str | None:
    return sha256_file(Path(path)) if Path(path).is_file() else None


def run_index(config: Config, console: Console, flag: str = "", force: bool = False) -> dict[str, Any]:
    """Documents → chunks → vectors → `index/`; nothing is done when the files and settings are unchanged."""
    work = Work(config, flag)
    with locked(work.folder, "index", console.say):
        key = work.key("index")
        if not force and work.state("index") == "fresh":
            manifest = read_manifest(work.artefact("index"))
            assert manifest is not None
            count = f"{manifest['chunks']} chunks of {len(manifest['documents'])} documents"
            console.say(f"index: unchanged, nothing to do ({count})")
            return manifest
        prepare_quietly(config)
        documents = [load_document(name, file) for name, file in find_files(config.documents)]
        chunks = []
        for document in documents:
            made = list(split(document, config.chunks))
            if not made:
                raise CopilotError(f"{document.source}: no text in it", "remove it, or name it in `documents.exclude`")
            chunks += made
        embeddings = load_embeddings(config.embeddings)
        with console.progress("embedding", len(chunks)) as step:
            index = Index.build(chunks, embeddings, config.embeddings.batch_size, step)
        manifest = {
            "fingerprint": key,
            "made": now(),
            "embeddings": config.embeddings.model,
            "splitter": config.chunks.model_dump(),
            "documents": {d.path: d.sha256 for d in documents},
        }
        index.save(work.artefact("index"), manifest)
        long = getattr(embeddings, "long_texts", 0)
        note = f"; {long} longer than the embedder's window, embedded in parts" if long else ""
        console.say(f"index: {len(chunks)} chunks of {len(documents)} documents{note} → {work.artefact('index')}")
        return manifest


def prepare_quietly(config: Config) -> None:
    """Set the environment of heavy libraries before the first of them is imported."""
    from copilot.model.load import quiet_libraries

    quiet_libraries()


def open_retriever(config: Config, flag: str, k: int | None = None) -> Retrieve:
    """The retriever of the run's index. Raises StaleError when the index is missing or does not fit."""
    work = Work(config, flag)
    remedy = f"run copilot index{flag}"
    index, manifest = Index.load(work.artefact("index"), remedy)
    if manifest["embeddings"] != config.embeddings.model:
        raise StaleError(
            f"the index was made with {manifest['embeddings']}, the configuration says {config.embeddings.model}", remedy
        )
    if manifest["fingerprint"] != work.key("index"):
        raise StaleError("the documents or their settings have changed since the index was made", remedy)
    section = config.retriever if k is None else config.retriever.model_copy(update={"k": k})
    return make_retriever(index, load_embeddings(config.embeddings), section)


def training_rows(config: Config, console: Console, flag: str, tokenizer: Any) -> tuple[list[Row], list[Row]]:
    """(train, held out) rows as the model will read them."""
    examples = read_examples(Path(config.train.data), config.answer.sections)
    retrieve = open_retriever(config, flag)
    with console.progress("retrieving contexts", len(examples)) as step:
        rows = build_rows(examples, retrieve, tokenizer, config.prompt, config.answer, step)
    return held_out_split(rows, config.train.held_out)


def run_train(
    config: Config,
    console: Console,
    flag: str = "",
    force: bool = False,
    resume: bool = False,
    show: Callable[[Plan], None] = lambda p: None,
) -> None:
    """Rows → LoRA adapter in `adapter/`, with its log, curve and model card."""
    work = Work(config, flag)
    with locked(work.folder, "train", console.say):
        backend = prepare(config.model)
        tokenizer = load_tokenizer(model_folder(config.model))
        if not force and not resume and work.state("train") == "fresh":
            console.say("train: unchanged, nothing to do")
            return
        rows, held_out = training_rows(config, console, flag, tokenizer)
        planned = plan(rows, held_out, config.train, config.model)
        show(planned)
        key, checkpoints = work.key("train"), work.folder / "checkpoints"
        start = last_checkpoint(checkpoints, key) if resume else None
        if resume:
            console.say(f"train: going on after {start.name}" if start else "train: no whole checkpoint, from the start")
        loaded = load_model(config.model)
        console.say(f"train: {backend} on {loaded.device}, {loaded.dtype}, {planned.steps} steps")
        trained, done = _train_with_bar(config, console, loaded, rows, held_out, planned, checkpoints, key, resume)
        template = prompt_fingerprint(config.prompt, config.answer, config.retriever.k, tokenizer.chat_template)
        index_key = work.key("index")
        manifest = {"fingerprint": key, "prompt": template, "index": index_key, "base": config.model.name, "made": now()}
        artefact.save_adapter(work.artefact("train"), trained, planned, done, config, manifest)
        shutil.rmtree(checkpoints, ignore_errors=True)
        console.say(f"train: {_loss_sentence(done)} → {work.artefact('train')}")


def _train_with_bar(
    config: Config,
    console: Console,
    loaded: Any,
    rows: list[Row],
    held_out: list[Row],
    planned: Plan,
    checkpoints: Path,
    key: str,
    resume: bool,
) -> tuple[Any, Trained]:
    with console.progress("training", planned.steps) as step:
        seen = 0

        def on_step(at: int, total: int, loss: float) -> None:
            nonlocal seen
            step(at - seen, note=f"loss {loss:.3f}")
            seen = at

        return train_adapter(
            loaded, rows, held_out, config.train, config.model, config.seed, checkpoints, key, resume, on_step
        )


def _loss_sentence(done: Trained) -> str:
    if done.loss_before is None or done.loss_after is None:
        return f"{done.steps} steps; no held-out rows"
    return f"{done.steps} steps, held-out loss {done.loss_before:.3f} → {done.loss_after:.3f}"


def open_answerer(
    config: Config, flag: str = "", rag: bool = True, k: int | None = None, tuned: bool = True, loaded: Any = None
) -> Answerer:
    """What answers questions for this run. Raises StaleError when the index or the adapter is missing or does not fit."""
    work = Work(config, flag)
    remedy = f"run copilot train{flag}"
    adapter = work.artefact("train") if tuned else None
    manifest = artefact.load_manifest(adapter, remedy) if adapter else None
    if manifest and manifest["base"] != config.model.name:
        raise StaleError(f"the adapter was trained on {manifest['base']}, the configuration says {config.model.name}", remedy)
    prepare(config.model)
    retrieve = open_retriever(config, flag, k) if rag else None
    loaded = loaded or load_model(config.model, adapter)
    template = prompt_fingerprint(config.prompt, config.answer, config.retriever.k, loaded.tokenizer.chat_template)
    if manifest and manifest["prompt"] != template:
        raise StaleError("the adapter was trained under another prompt, sections, k or chat template", remedy)
    batch = config.evaluation.batch_size
    generator = TransformersGenerator(loaded, config.answer, config.model.max_length, config.seed, batch)
    return Answerer(
        generator, retrieve, config.prompt, config.answer, config.model.name, str(adapter) if adapter else None
    )


def run_evaluate(config: Config, console: Console, flag: str = "") -> dict[str, Any]:
    """The held-out questions to base and tuned model → `evaluation.json`."""
    from copilot.evaluation.metrics import score
    from copilot.evaluation.report import to_dict

    work = Work(config, flag)
    questions = spread(read_questions(Path(config.evaluation.questions)), config.evaluation.limit)
    scored = {}
    for name in ("base", "tuned"):
        answerer = open_answerer(config, flag, tuned=name == "tuned")
        with console.progress(f"asking the {name} model", len(questions)) as step:
            answers = answerer.ask_all([q.question for q in questions], step)
        scored[name] = [(a, score(q, a, config.answer.sections)) for q, a in zip(questions, answers, strict=True)]
    result = {"fingerprint": work.key("evaluate"), "made": now(), **to_dict(questions, scored["base"], scored["tuned"])}
    write_json(work.artefact("evaluate"), result)
    return result


def spread(questions: Sequence[Question], limit: int | None) -> list[Question]:
    """At most `limit` questions, evenly over the file."""
    count = len(questions)
    if limit is None or limit >= count:
        return list(questions)
    return [questions[int((i + 0.5) * count / limit)] for i in range(limit)]


def run_demo(config: Config, console: Console, flag: str = "") -> list[Answer]:
    """The demo questions to the tuned model → `demo.json` and `demo.md`."""
    work = Work(config, flag)
    answerer = open_answerer(config, flag)
    with console.progress("demo questions", len(config.demo.questions)) as step:
        answers = answerer.ask_all(config.demo.questions, step)
    text = "\n\n".join(demo_markdown(answer) for answer in answers)
    write_text(work.folder / "demo.md", text + "\n")
    write_json(work.artefact("demo"), {"fingerprint": work.key("demo"), "answers": [a.to_json() for a in answers]})
    return answers


def demo_markdown(answer: Answer) -> str:
    """A question, its answer and its sources as markdown."""
    listed = "\n".join(f"{n}. {line}" for n, line in enumerate(sources(answer.hits), 1))
    return f"## {answer.question}\n\n{answer.text}\n\nSources:\n\n{listed}"


def record(config: Config, flag: str = "") -> Path:
    """Write `run.json`: what ties answers to adapter to index to file hashes."""
    work = Work(config, flag)
    data: dict[str, Any] = {"run": config.run.name, "written": now(), "config": config.model_dump(mode="json")}
    index, adapter = read_manifest(work.artefact("index")), read_manifest(work.artefact("train"))
    data["stages"] = {stage: work.found(stage) for stage in STAGES}
    if index:
        data["documents"] = index["documents"]
    if adapter:
        data["adapter"] = {name: adapter.get(name) for name in ("base", "index", "prompt", "loss_before", "loss_after")}
    write_json(work.folder / "run.json", data)
    return work.folder / "run.json"


def describe(config: Config, flag: str, stages: Sequence[str], force: bool) -> list[tuple[str, str, str]]:
    """(stage, what happens, why) of a dry run; a stage after one that runs runs too."""
    work, rows, stale = Work(config, flag), [], False
    for stage in STAGES:
        if stage not in stages:
            rows.append((stage, "left out", "--from or --only"))
            continue
        state = work.state(stage)
        stale = stale or force or state != "fresh"
        why = "--force" if force else state if state != "fresh" else "an earlier stage runs" if stale else "fresh"
        rows.append((stage, "runs" if stale else "skipped", why))
    return rows


def contacted(config: Config) -> list[str]:
    """Every remote endpoint that a run of this configuration would contact."""
    found = remote_endpoints(config.embeddings)
    if not Path(config.model.name).is_absolute():
        found.append(f"https://huggingface.co/{config.model.name} (unless it is in the local cache)")
    return found
