"""Command lines in; exit codes, what goes to stdout and what to stderr held."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tiny_project import DOCUMENTS, make_project
from typer.testing import CliRunner

from copilot import __version__
from copilot.cli import app
from copilot.errors import CopilotError, Exit, StaleError
from copilot.terminal import Terminal
from copilot.types import Answer, Usage

runner = CliRunner()
KEYS = ["question", "answer", "sections", "hits", "model", "adapter", "usage", "sources", "findings"]
KEYS += ["abstained", "glossary", "asked_as", "note"]


def copilot(*arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """The program as people run it."""
    command = [sys.executable, "-c", "from copilot.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120, check=False)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with an index and an adapter, and the YAML's name; made by the commands themselves."""
    file = make_project(tmp_path_factory.mktemp("cli"))
    for command in ("index", "train"):
        done = runner.invoke(app, [command, "-c", str(file), "-q"])
        assert done.exit_code == 0, done.exception
    return file


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which nothing has run."""
    return make_project(tmp_path_factory.mktemp("empty"))


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_and_version(flag: str) -> None:
    done = runner.invoke(app, [flag])
    assert done.exit_code == 0
    for command in ("index", "train", "ask", "pipeline", "config"):
        assert command in done.stdout
    assert "..." not in done.stdout.partition("Commands:")[2], "what a command does is told whole in a line"
    assert runner.invoke(app, ["--version"]).stdout == f"copilot {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["ask"],
        ["ask", "x", "--bogus"],
        ["ask", "x", "-k", "0"],
        ["ask", "x", "--temperature", "3"],
        ["pipeline", "--only", "nothing"],
        ["nonsense"],
        ["train", "--show-example", "three"],
    ],
)
def test_wrong_usage_is_exit_2_on_stderr(arguments: Sequence[str]) -> None:
    done = runner.invoke(app, list(arguments))
    assert done.exit_code == 2
    assert done.stdout == "" and "Error" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pipeline", "--from", "train", "--only", "demo"], "exclude each other"),
        (["ask", "  "], "the question is empty"),
        (["ask", "-"], "the question is empty"),
        (["ask", "x", "--no-rag", "-k", "3"], "--no-rag brings no chunks"),
        (["ask", "x", "--set", "retriever.kk=3"], "did you mean"),
        (["ask", "x", "--set", "retriever.k=none"], "retriever.k"),
        (["index", "-c", "nowhere.yaml"], "no configuration file at nowhere.yaml"),
        (["train", "--show-example", "99"], "no row 99"),
    ],
)
def test_a_users_mistake_is_exit_2_with_a_hint(empty: Path, arguments: list[str], said: str) -> None:
    if "-c" not in arguments:
        arguments = [*arguments, "-c", str(empty)]
    done = runner.invoke(app, arguments, input="")
    assert isinstance(done.exception, CopilotError)
    assert said in done.exception.message and done.exception.hint
    assert done.exception.code == Exit.USAGE
    assert done.stdout == ""


def test_main_prints_a_sentence_and_never_a_traceback(empty: Path) -> None:
    done = copilot("ask", "hi", "-c", "copilot.yaml", "--set", "seed=4", "--output-dir", "my out", cwd=empty.parent)
    assert done.returncode == 3 and done.stdout == ""
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: the index at ") and error.endswith("my out/small/index is missing")
    assert hint == "  → run copilot index -c copilot.yaml --set seed=4 --output-dir 'my out'"
    nowhere = copilot("ask", "hi", "-c", "copilot.yaml", "--output-dir", "", cwd=empty.parent)
    assert nowhere.returncode == 2 and "`output_dir` is ''" in nowhere.stderr


def test_the_command_that_is_named_works(empty: Path) -> None:
    """What the error says to type makes the index that `ask` then finds."""
    folder = empty.parent
    flags = ["-c", "copilot.yaml", "--output-dir", "other out"]
    assert copilot("ask", "hi", *flags, cwd=folder).returncode == 3
    made = copilot("index", *flags, cwd=folder)
    assert made.returncode == 0 and made.stdout == "" and "index: 5 chunks of 3 documents" in made.stderr
    again = copilot("ask", "hi", *flags, cwd=folder)
    assert again.returncode == 3
    assert again.stderr.splitlines()[-1] == "  → run copilot train -c copilot.yaml --output-dir 'other out'"


def test_a_second_index_does_nothing_and_says_so(project: Path) -> None:
    done = runner.invoke(app, ["index", "-c", str(project)])
    assert done.exit_code == 0 and done.stdout == ""
    assert "index: unchanged, nothing to do (5 chunks of 3 documents)" in done.stderr
    assert runner.invoke(app, ["index", "-c", str(project), "-q"]).stderr == ""


def test_json_is_one_object_with_the_documented_keys(project: Path) -> None:
    done = runner.invoke(app, ["ask", "How do I light the lamp?", "-c", str(project), "--json"])
    assert done.exit_code == 0, done.exception
    assert done.stdout.count("\n") == 1
    answer = json.loads(done.stdout)
    assert list(answer) == KEYS
    assert answer["question"] == "How do I light the lamp?" and isinstance(answer["answer"], str)
    assert all(list(section) == ["title", "text", "citations", "filled"] for section in answer["sections"])
    assert [list(hit) for hit in answer["hits"]] == [
        ["document", "heading", "page", "start", "end", "score", "text"] for _ in range(2)
    ]
    assert answer["hits"][0]["document"] == "lamps.md"
    usage = ["prompt_tokens", "completion_tokens", "seconds_to_first_token", "seconds", "prompt_tokens_reused"]
    assert list(answer["usage"]) == usage
    assert answer["model"].endswith("/model") and answer["adapter"].endswith("small/adapter")


def test_the_question_comes_from_stdin_and_k_is_followed(project: Path) -> None:
    arguments = ["ask", "-", "-c", str(project), "--json", "-k", "1"]
    done = runner.invoke(app, arguments, input="How do I open\nthe door?\n")
    assert done.exit_code == 0, done.exception
    answer = json.loads(done.stdout)
    assert answer["question"] == "How do I open\nthe door?" and len(answer["hits"]) == 1
    assert "note: asking with 1 chunks; the adapter was trained with 2" in done.stderr


def test_an_answer_ends_with_its_sources_and_its_context_if_wanted(project: Path) -> None:
    done = runner.invoke(app, ["ask", "How do I light the lamp?", "-c", str(project), "--show-context", "-v"])
    assert done.exit_code == 0, done.exception
    _, _, after = done.stdout.partition("\nSources\n")
    listed = re.findall(r"^\[(\d)\] (.+?)(?: \(not cited\))?$", after, re.M)
    assert sorted(listed) == [("1", listed[0][1]), ("2", listed[1][1])]
    assert {place for _, place in listed} == {"lamps.md › Lamps › line 1", "lamps.md › Lamps › Switch on › line 5"}
    start = DOCUMENTS["lamps.md"].index("## Switch on")
    assert re.search(rf"--- \[\d\] Lamps › Switch on \(lamps.md, characters {start}–\d+, 0\.\d+\)\n## Switch on", after)
    assert "`PUT /lamps/on` lights it" in after and "\x1b" not in done.stdout
    assert "tokens read" in done.stderr and "tokens read" not in done.stdout


def test_strict_is_exit_4_after_the_answer(project: Path) -> None:
    """One token holds no four sections."""
    free = ["ask", "What is a lamp?", "-c", str(project), "--set", "answer.enforce=off", "--max-new-tokens", "1"]
    done = runner.invoke(app, [*free, "--json"])
    assert done.exit_code == 0 and json.loads(done.stdout)["findings"][0]["kind"] == "structure"
    strict = runner.invoke(app, [*free, "--strict"])
    assert isinstance(strict.exception, CopilotError) and strict.exception.code == Exit.GATE
    assert "the check after the answer has 1 finding" in strict.exception.message and strict.exception.hint
    assert "\nSources\n" in strict.stdout and "Check:" not in strict.stdout
    assert "Check: not the shape asked for: missing " in strict.stderr


def test_without_rag_there_are_no_sources(project: Path) -> None:
    done = runner.invoke(app, ["ask", "What is a lamp?", "-c", str(project), "--no-rag", "--json"])
    assert done.exit_code == 0, done.exception
    assert json.loads(done.stdout)["hits"] == []


def test_a_question_without_quotes_is_one_question(project: Path) -> None:
    done = runner.invoke(app, ["ask", "How", "do", "I", "light", "the lamp?", "-c", str(project), "--json"])
    assert json.loads(done.stdout)["question"] == "How do I light the lamp?"


def test_max_new_tokens_and_temperature(project: Path) -> None:
    arguments = ["ask", "What is a lamp?", "-c", str(project), "--json", "--max-new-tokens", "3"]
    cold = json.loads(runner.invoke(app, arguments).stdout)
    assert cold["usage"]["completion_tokens"] <= 3
    cut = "The answer was cut short: answer.max_new_tokens (3) left no room for more of it; raise that."
    assert cold["note"] == cut
    assert cut in runner.invoke(app, [text for text in arguments if text != "--json"]).stderr
    hot = [*arguments, "--max-new-tokens", "8", "--temperature", "2"]
    texts = {runner.invoke(app, [*hot, "--seed", seed]).stdout.partition('"sections"')[0] for seed in "123"}
    assert len(texts) > 1, "the seed changes what is sampled"
    first, again = (json.loads(runner.invoke(app, [*hot, "--seed", "1"]).stdout)["answer"] for _ in range(2))
    assert first == again


def test_pipeline_dry_run_is_plain_text(project: Path) -> None:
    done = runner.invoke(app, ["pipeline", "-c", str(project), "--dry-run"])
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[1].split() == ["index", "skipped", "fresh"] and lines[3].split() == ["evaluate", "runs", "missing"]
    assert lines[-1] == "Contacts no remote endpoint."


def test_config_show_masks_secrets_and_check_lists_every_file(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "very-secret")
    arguments = ["config", "show", "-c", str(empty), "--set", "embeddings.api_key=${MY_KEY}"]
    done = runner.invoke(app, arguments)
    assert done.exit_code == 0 and "very-secret" not in done.stdout and "name: small" in done.stdout
    wrong = empty.parent / "wrong.yaml"
    wrong.write_text("retriver: {k: 3}\n", encoding="utf-8")
    checked = copilot("config", "check", str(empty), str(wrong))
    assert checked.returncode == 2
    assert checked.stdout == f"{empty}: ok\n"
    assert "wrong.yaml:1: unknown key `retriver`; did you mean `retriever`?" in checked.stderr
    assert "Traceback" not in checked.stderr
    wrong.write_text("evaluation: {gates: {served.structre: 0.9}}\n", encoding="utf-8")
    checked = copilot("config", "check", str(wrong))
    assert checked.returncode == 2 and "there is no figure `structre`" in checked.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("KeyboardInterrupt()", 130),
        ("BrokenPipeError(32, 'Broken pipe')", 1),
        ("StaleError('m', 'h')", 3),
        ("CopilotError('m', 'h', Exit.GATE)", 4),
        ("CopilotError('m')", 1),
    ],
)
def test_exit_codes_of_main(error: str, code: int) -> None:
    program = (
        "import copilot.cli as cli\nfrom copilot.errors import *\n"
        f"@cli.app.command()\ndef boom():\n    raise {error}\n"
        "cli.main()"
    )
    command = [sys.executable, "-c", program, "boom"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code
    assert "Traceback" not in done.stderr and done.stdout == ""
    assert ("error: m" in done.stderr) == ("'m'" in error)


def test_a_reader_that_goes_away_is_no_traceback(empty: Path) -> None:
    command = f"{sys.executable} -c 'from copilot.cli import main; main()' config show -c {empty} | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""


def in_a_terminal(arguments: Sequence[str], **env: str) -> str:
    """What the program writes when its stdout is a terminal."""
    main, side = pty.openpty()
    command = [sys.executable, "-c", "from copilot.cli import main; main()", *arguments]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "200", **env}
    if "NO_COLOR" not in env:
        environment.pop("NO_COLOR", None)
    process = subprocess.Popen(command, stdout=side, stderr=subprocess.DEVNULL, env=environment)
    os.close(side)
    written = b""
    while True:
        try:
            piece = os.read(main, 4096)
        except OSError:  # Linux says that a terminal has closed with EIO
            break
        if not piece:
            break
        written += piece
    os.close(main)
    assert process.wait(60) == 0
    return written.decode("utf-8").replace("\r\n", "\n")


def test_show_example_is_coloured_on_a_terminal_alone(project: Path) -> None:
    arguments = ["train", "--show-example", "1", "-c", str(project)]
    coloured = in_a_terminal(arguments)
    assert "\x1b[1;32m### Summary" in coloured and "⟦" not in coloured
    plain = in_a_terminal(arguments, NO_COLOR="1")
    assert "\x1b[" not in plain and "⟦### Summary" in plain


def test_an_answer_is_streamed_to_a_terminal(project: Path) -> None:
    terminal = in_a_terminal(["ask", "How do I light the lamp?", "-c", str(project)])
    lamps = (project.parent / "docs" / "lamps.md").as_uri()
    assert re.search(
        rf"\x1b\]8;[^;]*;{re.escape(lamps)}#L5\x1b\\lamps.md › Lamps › Switch on › line 5\x1b\]8;;", terminal
    )
    streamed = re.sub(r"\x1b\]8;[^\x1b]*\x1b\\", "", terminal)
    piped = runner.invoke(app, ["ask", "How do I light the lamp?", "-c", str(project)]).stdout
    answer, _, sources = piped.partition("\nSources\n")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", streamed)
    assert shown.endswith(f"\nSources\n{sources}")
    assert answer.startswith("### Summary") and "#" not in shown  # markdown, drawn
    last = shown[shown.rindex("Summary") :]  # drawn again with each piece
    at = -1
    for word in answer.replace("#", "").split():
        at = last.index(word, at + 1)


def test_off_a_terminal_there_is_no_colour(capsys: pytest.CaptureFixture[str]) -> None:
    answer = Answer("q", "### Summary\n**bold**", (), (), "m", None, Usage(1, 2, 0.1, 0.2))
    Terminal().answer(answer, streamed=False, show_context=False)
    assert capsys.readouterr().out == "### Summary\n**bold**\n"


def test_errors_carry_their_exit_codes() -> None:
    assert StaleError("m").code == 3 and CopilotError("m").code == 1
    assert [int(code) for code in Exit] == [0, 1, 2, 3, 4, 130]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full")
def test_an_output_that_cannot_be_written_is_a_sentence() -> None:
    command = f"{sys.executable} -c 'from copilot.cli import main; main()' --help"
    done = subprocess.run(["bash", "-c", f"{command} > /dev/full"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.startswith("error: the output cannot be written: No space")
    closed = subprocess.run(["bash", "-c", f"{command} >&-"], capture_output=True, text=True, check=False)
    assert "Traceback" not in closed.stderr


def test_a_question_and_a_terminal_of_another_encoding_are_read_and_written(project: Path) -> None:
    """Half a character in a question, an output without the signs of the sources."""
    given = f"['ask', 'How \\udcff?', '-c', {str(project)!r}]"
    code = f"import sys; sys.argv[1:] = {given}; from copilot.cli import main; main()"
    for encoding in ("utf-8", "latin-1"):
        command, environment = [sys.executable, "-c", code], {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run(command, capture_output=True, env=environment, check=False)
        assert done.returncode == 0 and b"### Summary" in done.stdout, done.stderr
