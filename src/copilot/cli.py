"""Flags in, one call, printed result out."""

import gc
import json
import os
import shlex
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from copilot import __version__
from copilot.errors import CopilotError, Exit
from copilot.plain import clean, escaped

if TYPE_CHECKING:
    from copilot.config import Config

app = typer.Typer(
    name="copilot",
    help="Turns technical documentation into an assistant that answers non-technical people clearly.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help, in half the time
)
config_app = typer.Typer(help="Look at a configuration, or check it.", no_args_is_help=True)
app.add_typer(config_app, name="config", short_help="Look at a configuration, or check it.")

ConfigPath = Annotated[
    str | None, typer.Option("-c", "--config", help="YAML file; else copilot.yaml here, else configs/default.yaml.")
]
Sets = Annotated[list[str] | None, typer.Option("--set", help="Override a key, e.g. --set retriever.k=3 (repeatable).")]
OutputDir = Annotated[str | None, typer.Option("--output-dir", help="Same as --set output_dir=...")]
Seed = Annotated[int | None, typer.Option("--seed", help="Same as --set seed=...")]
Force = Annotated[bool, typer.Option("--force", help="Do it again although nothing has changed.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Say more about what is done and why.")]
Stage = Literal["index", "train", "evaluate", "demo"]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Errors and results only.")]


def _open(
    config: str | None,
    sets: list[str] | None,
    output_dir: str | None = None,
    seed: int | None = None,
    more: list[str] | None = None,
) -> tuple["Config", str]:
    """The configuration, and the flags that name it again in the commands that errors tell one to type."""
    from copilot.config_file import load_config

    every = list(sets or [])
    flags = f" -c {shlex.quote(config)}" if config else ""
    flags += "".join(f" --set {shlex.quote(text)}" for text in every)
    if output_dir is not None:
        folder = str(Path(output_dir).expanduser().resolve()) if output_dir else ""
        every.append(f"output_dir={json.dumps(folder)}")
        flags += f" --output-dir {shlex.quote(output_dir)}"
    if seed is not None:
        every.append(f"seed={seed}")
        flags += f" --seed {seed}"
    return load_config(config, every + (more or [])), flags


def _version(value: bool) -> None:
    if value:
        print(f"copilot {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Turns technical documentation into an assistant that answers non-technical people clearly."""


@app.command(short_help="Read the documents and make a search index of them.")
def index(
    config: ConfigPath = None,
    set_: Sets = None,
    output_dir: OutputDir = None,
    force: Force = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Read the knowledge base, cut it into chunks, embed them, and save a FAISS index."""
    from copilot.pipeline import run_index
    from copilot.terminal import Terminal

    opened, flags = _open(config, set_, output_dir)
    run_index(opened, Terminal(quiet, verbose), flags, force)


@app.command(short_help="Fine-tune the model on your examples with LoRA.")
def train(
    config: ConfigPath = None,
    set_: Sets = None,
    output_dir: OutputDir = None,
    seed: Seed = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the last whole checkpoint.")] = False,
    show_example: Annotated[
        int | None,
        typer.Option("--show-example", metavar="N", help="Print row N as the model reads it, its loss marked."),
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Fine-tune the model with LoRA on examples whose context comes from the index."""
    from copilot.export import export_after_training
    from copilot.pipeline import run_train
    from copilot.terminal import Terminal

    (opened, flags), terminal = _open(config, set_, output_dir, seed), Terminal(quiet, verbose)
    if show_example is not None:
        from copilot.show import show_training_example

        show_training_example(opened, terminal, flags, show_example)
        return
    run_train(opened, terminal, flags, force, resume, terminal.training_plan)
    export_after_training(opened, terminal, flags)


@app.command(short_help="Write the tuned model as ONNX, for quick answers on a CPU.")
def export(
    config: ConfigPath = None,
    set_: Sets = None,
    output_dir: OutputDir = None,
    format_: Annotated[Literal["onnx"], typer.Option("--format", help="onnx: for asking without torch.")] = "onnx",
    precision: Annotated[
        Literal["fp32", "int8", "int4"],
        typer.Option("--precision", help="Of the weights: fp32 writes what transformers does, the others differ."),
    ] = "fp32",
    prompts: Annotated[
        int, typer.Option("--prompts", min=1, help="Held-out prompts that transformers answers too, to compare.")
    ] = 4,
    force: Force = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write the tuned model as ONNX, which `ask` starts with in about a second on a CPU."""
    from copilot.export import run_export
    from copilot.terminal import Terminal

    opened, flags = _open(config, set_, output_dir)
    run_export(opened, Terminal(quiet, verbose), flags, precision, prompts, force)


@app.command(short_help="Answer one question in four sections, with sources.")
def ask(
    question: Annotated[list[str], typer.Argument(help="The question; - reads it from standard input.")],
    config: ConfigPath = None,
    set_: Sets = None,
    output_dir: OutputDir = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Of sampling, where the temperature is above 0.")
    ] = None,
    k: Annotated[int | None, typer.Option("-k", min=1, help="Chunks brought to the prompt.")] = None,
    no_rag: Annotated[bool, typer.Option("--no-rag", help="Answer from general knowledge, not the documents.")] = False,
    show_context: Annotated[bool, typer.Option("--show-context", help="Print the retrieved chunks too.")] = False,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="Longest answer, tokens.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, max=2, help="0: the likeliest token each time.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    no_stream: Annotated[bool, typer.Option("--no-stream", help="Print the answer when it is complete.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 4 when the answer holds what its passages do not, after printing it.")
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Answer a question in four sections from the documents, with its sources."""
    from copilot.opened import open_answerer, told_when_cut
    from copilot.terminal import Terminal

    text = clean(sys.stdin.read() if question == ["-"] else " ".join(question))  # words without quotes are one question
    if not text.strip():
        raise CopilotError("the question is empty", 'for example: copilot ask "How do I ...?"', Exit.USAGE)
    if no_rag and (k is not None or show_context):
        message = "--no-rag brings no chunks, so -k and --show-context mean nothing"
        raise CopilotError(message, "leave one out", Exit.USAGE)
    more = [f"answer.max_new_tokens={max_new_tokens}"] if max_new_tokens is not None else []
    more += [f"answer.temperature={temperature}"] if temperature is not None else []
    terminal = Terminal(quiet, verbose)
    opened, flags = _open(config, set_, output_dir, more=more)
    answerer = open_answerer(opened, flags, rag=not no_rag, k=k, seed=seed, say=terminal.say, detail=terminal.detail)
    stream = not (as_json or no_stream)
    with terminal.streaming() if stream else nullcontext(lambda piece: None) as on_text:
        answer = told_when_cut(answerer, answerer.ask(text.strip(), on_text))
    if as_json:
        print(escaped(json.dumps(answer.to_json(), ensure_ascii=False)))
    else:
        terminal.answer(answer, streamed=stream, show_context=show_context)
    terminal.usage(answer)
    if strict and answer.findings:
        count = len(answer.findings)
        message = f"--strict: the check after the answer has {count} finding{'s' if count > 1 else ''}"
        raise CopilotError(message, "do not pass this answer on; look the question up in its sources", Exit.GATE)


@app.command(short_help="Answer one question after the other.")
def chat(
    config: ConfigPath = None,
    set_: Sets = None,
    output_dir: OutputDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object an answer.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Answer one question after the other; "and its limit?" is asked with the question before it.

    On a terminal /sources shows the passages of the last answer and /quit ends; Ctrl-C stops an answer, then the chat.
    From a pipe each line is a question.
    """
    from copilot.opened import open_answerer
    from copilot.serving.chat import run_chat
    from copilot.terminal import Terminal

    (opened, flags), terminal = _open(config, set_, output_dir), Terminal(quiet, verbose)
    run_chat(open_answerer(opened, flags, say=terminal.say, detail=terminal.detail), terminal, as_json)


@app.command(short_help="Answer over HTTP: a page to ask on, and an API.")
def serve(
    config: ConfigPath = None,
    set_: Sets = None,
    output_dir: OutputDir = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to answer at; one that other machines reach needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free one.")] = 8000,
    token: Annotated[
        str, typer.Option("--token", envvar="COPILOT_TOKEN", help="What clients must send; better set COPILOT_TOKEN.")
    ] = "",
    queue: Annotated[int, typer.Option("--queue", min=0, help="Questions that may wait; more are told to retry.")] = 8,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Answer over HTTP: a page to ask on, POST /ask, and the chat completions protocol of OpenAI (the serve extra)."""
    from copilot.serving.serve import run_serve
    from copilot.terminal import Terminal

    opened, flags = _open(config, set_, output_dir)
    run_serve(opened, flags, Terminal(quiet, verbose), host, port, token, queue)


@app.command(short_help="All of it: index, train, evaluate, answer the demo.")
def pipeline(
    config: ConfigPath = None,
    set_: Sets = None,
    output_dir: OutputDir = None,
    seed: Seed = None,
    from_: Annotated[Stage | None, typer.Option("--from", help="Start at index, train, evaluate or demo.")] = None,
    only: Annotated[Stage | None, typer.Option("--only", help="One stage: index, train, evaluate or demo.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Training goes on after its last whole checkpoint.")] = False,
    force: Force = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print plan and remote endpoints; do nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print run.json at the end.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """All of it: index, train, evaluate base and tuned model, answer the demo questions."""
    from copilot.chain import Options, run_pipeline
    from copilot.terminal import Terminal

    opened, flags = _open(config, set_, output_dir, seed)
    run_pipeline(opened, Terminal(quiet, verbose), flags, Options(from_, only, resume, force, dry_run, as_json))


@config_app.command("show")
def config_show(config: ConfigPath = None, set_: Sets = None) -> None:
    """Print the resolved YAML, secrets masked."""
    print(_open(config, set_)[0].to_yaml(), end="")


@config_app.command("check")
def config_check(files: Annotated[list[str], typer.Argument(help="YAML files.")]) -> None:
    """Check YAML files; every mistake is listed with its line."""
    from copilot.config_file import load_config
    from copilot.evaluation.gates import check_names

    failed = []
    for file in files:
        try:
            config = load_config(file)
            check_names(config.evaluation, config.model)
            print(f"{file}: ok")
        except CopilotError as error:
            failed.append(error)
    if failed:
        raise CopilotError("\n".join(e.message for e in failed), failed[0].hint, Exit.USAGE)


def main() -> None:
    """Run the program; a mistake of the user's becomes a sentence and an exit code, never a traceback."""
    gc.set_threshold(100_000)  # collecting what imports make, which stays, takes a tenth of the time to a first word
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with suppress(AttributeError):  # one of a program that calls this
            stream.reconfigure(errors="backslashreplace" if stream is sys.stderr else "replace")
    try:
        try:
            app()
        finally:
            if sys.stdout:
                sys.stdout.flush()
    except CopilotError as error:
        print(clean(f"error: {error.message}"), file=sys.stderr)
        if error.hint:
            print(clean(f"  → {error.hint}"), file=sys.stderr)
        sys.exit(int(error.code))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(int(Exit.INTERRUPTED))
    except SystemExit as left:
        if left.code == int(Exit.INTERRUPTED):  # typer has taken the Ctrl-C
            print("interrupted", file=sys.stderr)
        raise
    except OSError as error:  # the output cannot be written: a full disk, or whoever read it has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print(clean(f"error: the output cannot be written: {error.strerror or error}"), file=sys.stderr)
        sys.exit(int(Exit.FAILED))


if __name__ == "__main__":
    main()
