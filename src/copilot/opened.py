"""A configuration in; what its run has made, opened for use: the retriever, the adapter's manifest, the Answerer."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from copilot.abstention import open_doubt
from copilot.answering.answer import Answerer
from copilot.answering.extractive import extractive
from copilot.answering.filling import Filling
from copilot.answering.ranking import focused
from copilot.config import Config
from copilot.errors import ConfigError, StaleError
from copilot.knowledge.documents import find_files
from copilot.knowledge.embeddings import load_embeddings
from copilot.knowledge.index import Index
from copilot.knowledge.reranker import open_reranker
from copilot.knowledge.retriever import IndexRetriever
from copilot.knowledge.spelling import Spelling
from copilot.model.generator import Generator
from copilot.model.load import quiet_libraries
from copilot.model.remote import RemoteGenerator
from copilot.model.runtime import open_generator
from copilot.prompt.render import prompt_fingerprint
from copilot.reading.glossary import read_glossary
from copilot.types import Answer
from copilot.work import Work


def open_retriever(config: Config, flag: str, k: int | None = None) -> IndexRetriever:
    """The retriever of the run's index. Raises StaleError when the index is missing or does not fit."""
    work = Work(config, flag)
    _fitting_index(work)
    return _opened_index(work, k)


def _opened_index(work: Work, k: int | None) -> IndexRetriever:
    config, remedy = work.config, f"run {work.command('index')}"
    quiet_libraries()
    index, manifest = Index.load(work.artefact("index"), remedy)
    embeddings = load_embeddings(config.embeddings)
    if manifest.get("embedder") != embeddings.fingerprint:
        made = f"the weights of {config.embeddings.model} are not those that made the index"
        raise StaleError(made, f"{remedy} --force")
    section = config.retriever if k is None else config.retriever.model_copy(update={"k": k})
    reranker = open_reranker(section.reranker)
    spelling = Spelling(index.lexical.vocabulary, index.passages, reranker.is_word) if reranker else None
    return IndexRetriever(index, embeddings, section, focused, reranker=reranker, spelling=spelling)


def _fitting_index(work: Work) -> None:
    config, remedy = work.config, f"run {work.command('index')}"
    if (found := work.found("index")) and found.get("embeddings") != config.embeddings.model:
        made = found.get("embeddings")
        raise StaleError(f"the index was made with {made}, the configuration says {config.embeddings.model}", remedy)
    if (state := work.state("index")) != "fresh":
        raise StaleError(f"the index at {work.artefact('index')} is {state}", remedy)


def open_answerer(
    config: Config,
    flag: str = "",
    rag: bool = True,
    k: int | None = None,
    tuned: bool = True,
    seed: int | None = None,
    strict: bool = False,
    say: Callable[[str], None] = lambda text: None,
    detail: Callable[[str], None] = lambda text: None,
) -> Answerer:
    """What answers questions for this run; `k` and `seed` override the YAML for asking alone.

    Raises StaleError when the index or the adapter is missing or does not fit. An adapter that only saw an earlier
    index is told of by `say`, and refused when `strict`, which the stages of the pipeline are: they ask the
    base model too, which has no export, so transformers writes for them. `detail` is told which runtime writes.
    """
    if config.model.extractive and not rag:
        message = "model.backend=extractive has no general knowledge to answer from"
        raise ConfigError(message, "leave out --no-rag, or name another backend")
    work = Work(config, flag)
    if rag:
        _fitting_index(work)  # before a model is opened
    files = dict(find_files(config.documents)) if rag else {}
    batch, seed = config.evaluation.batch_size, config.seed if seed is None else seed
    name, adapter = config.model.name, work.artefact("train") if tuned and config.model.trainable else None
    if config.model.extractive:
        generator: Generator | None = None
    elif config.model.provider:
        generator = RemoteGenerator(config.model, config.answer, seed, batch)
    else:
        manifest = fitting_adapter(work, strict, say) if tuned else None
        if manifest and rag and k not in (None, manifest["k"]):
            say(f"note: asking with {k} chunks; the adapter was trained with {manifest['k']}")
        many, remedy = batch if strict else None, f"run {work.command('export')}"
        generator, template = open_generator(
            config.model, config.answer, work.artefact("export"), adapter, seed, many, remedy, detail
        )
        if manifest:
            _fitting_prompt(work, manifest["prompt"], template)
    retrieve = _opened_index(work, k) if rag else None  # while the model is being opened
    doubt = open_doubt(work, retrieve, say) if retrieve else None
    glossary = read_glossary(retrieve.index.chunks) if retrieve and config.answer.audience == "non-technical" else ()
    if generator is None:
        assert retrieve is not None
        return extractive(retrieve, config.answer, files, doubt, glossary)
    return Answerer(
        generator,
        retrieve,
        config.prompt,
        config.answer,
        name,
        str(adapter) if adapter else None,
        files,
        glossary,
        repair=bool(config.model.provider) and config.answer.enforce != "off",
        doubt=doubt,
        fill=Filling,
        judge=retrieve.judge if retrieve else None,
    )


def told_when_cut(answerer: Answerer, answer: Answer) -> Answer:
    """The answer that was just given, with a note where its model was stopped before it had said all."""
    cut = getattr(answerer.generator, "cut", "") if answer.usage.prompt_tokens else ""  # else no model wrote it
    if not cut:
        return answer
    note = f"The answer was cut short: {cut} left no room for more of it; raise that."
    return replace(answer, note=" ".join(filter(None, (answer.note, note))))


def _fitting_prompt(work: Work, trained: str, template: str) -> None:
    """Raise StaleError where the adapter was trained with another prompt; `trained` is the fingerprint of its own."""
    config = work.config
    if prompt_fingerprint(config.prompt, config.answer, config.retriever.k, template) != trained:
        made = "the adapter was trained with another prompt or chat template"
        raise StaleError(made, f"run {work.command('train')}")


def fitting_adapter(work: Work, strict: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """The manifest of the run's adapter. Raises StaleError when there is none that fits; see `open_answerer`."""
    remedy = f"run {work.command('train')}"
    manifest = work.found("train")
    if manifest is None:
        elsewhere = f", or set output_dir to the folder that holds run {work.lender}" if work.lender else ""
        raise StaleError(f"no trained adapter at {work.artefact('train')}", remedy + elsewhere)
    if manifest.get("base") != work.base():
        name = work.config.model.name
        raise StaleError(f"the adapter was trained on another model than {name}, or that has changed since", remedy)
    if work.lender:  # other documents, rows or settings made it; the prompt must still be the same
        return manifest
    if manifest.get("recipe") != work.recipe():
        raise StaleError("the adapter was trained with other settings or rows than the configuration names", remedy)
    if manifest["fingerprint"] != work.key("train"):
        if strict:
            raise StaleError("the adapter was trained on an earlier index", remedy)
        say(f"note: the adapter was trained on an earlier index; {work.command('train')} renews it")
    return manifest
