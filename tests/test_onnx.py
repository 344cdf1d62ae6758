"""A small project exported to ONNX: the same answers as transformers' without it, and what refuses to be exported."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tiny_lm import question, retrieve, save_model
from tiny_project import DOCUMENTS, make_project, rows
from typer.testing import CliRunner

from copilot.answering.answer import Answerer
from copilot.cli import app
from copilot.config import AnswerPart, Model, Prompt
from copilot.errors import CopilotError, StaleError
from copilot.model.generator import TransformersGenerator
from copilot.model.load import Loaded, load_model, load_tokenizer
from copilot.model.lookup import MOST, Lookup
from copilot.model.onnx import OnnxGenerator
from copilot.model.onnx_export import SCORED, NotExported, export_onnx, refuse_difference, replay
from copilot.model.runtime import choose_runtime, has_gpu, unfit
from copilot.model.tokens import Tokens, render_template
from copilot.prompt.grammar import answer_grammar
from copilot.prompt.render import PLAIN_TEMPLATE, render
from copilot.runs import read_manifest
from copilot.types import Message

HEAVY = ("torch", "transformers", "sentence_transformers", "langchain_community", "langchain_core", "datasets")
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}{% generation %}"
    "{{ m['content'] | trim }}{% endgeneration %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LOOSE = (
    "{{ bos_token }}\n    {% for m in messages %}\n  {%- if m.role == 'tool' %}"
    "{{ raise_exception('no tools') }}{% endif %}\n"
    "{% if loop.index > 9 %}{% break %}{% endif %}[{{ m.role }}] {{ m | tojson }} {{ strftime_now('%Y') }}\n"
    "    {% endfor %}\n{% if tools %}never{% endif %}"
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its YAML, indexed, trained and exported."""
    root = tmp_path_factory.mktemp("onnx")
    file = make_project(root)
    said = [row["question"] + "\n" + row["response"] for row in rows()]
    save_model(root / "model", 7, texts=[*DOCUMENTS.values(), *said], head_dim=16)  # what the kernels ask for
    text = file.read_text(encoding="utf-8").replace("runtime: transformers", "runtime: auto")
    file.write_text(text.replace("max_new_tokens: 8", "max_new_tokens: 60"), encoding="utf-8")
    for command in ("index", "train"):
        done = CliRunner().invoke(app, [command, "-c", str(file)])
        assert done.exit_code == 0, done.exception
    assert " tokens of 2 answers as transformers writes them" in done.output and "export: fp32, all" in done.output
    return file


@pytest.fixture(scope="module")
def run(project: Path) -> Path:
    return project.parent / "outputs" / "small"


@pytest.fixture(scope="module")
def loaded(project: Path, run: Path) -> Loaded:
    name = str(project.parent / "model")
    return load_model(Model(name=name, load_in_4bit=False, dtype="float32"), run / "adapter")


def opened(run: Path, max_length: int = 1024, seed: int = 1, **answer: Any) -> OnnxGenerator:
    manifest = read_manifest(run / "onnx")
    assert manifest is not None
    return OnnxGenerator(run / "onnx", manifest, AnswerPart(**{"max_new_tokens": 40, **answer}), max_length, seed)


def messages(n: int, asked: str = "") -> list[Message]:
    passages = [hit.chunk.passage for hit in retrieve(question(n))] * (n + 1)
    return render(asked or question(n), passages, Prompt(), AnswerPart())


LOADED = (
    "import sys, json\nfrom copilot.cli import main\n"
    "try: main()\n"
    "finally: print('LOADED', *{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
)


def ask(project: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", LOADED, "ask", "What must be sent for the lamp?", "-c", str(project), *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_ask_needs_no_torch_and_answers_as_transformers_does(project: Path) -> None:
    done = ask(project, "--json", "-v")
    assert done.returncode == 0, done.stderr
    said, _, names = done.stderr.rpartition("LOADED")
    assert not set(names.split()) & set(HEAVY)
    assert {"onnxruntime", "faiss"} <= set(names.split())
    assert "onnxruntime_genai" not in names.split()  # it has an onnxruntime of its own
    assert "runtime: onnx (the export fits, and there is no GPU)" in said
    theirs = CliRunner().invoke(
        app,
        ["ask", "What must be sent for the lamp?", "-c", str(project), "--json", "--set", "model.runtime=transformers"],
    )
    first, second = json.loads(done.stdout), json.loads(theirs.stdout)
    for answer in (first, second):
        del answer["usage"]["seconds"], answer["usage"]["seconds_to_first_token"]
    assert first == second
    assert first["usage"]["completion_tokens"] > 20


def test_chat_needs_no_torch_and_reads_what_is_new_alone(project: Path) -> None:
    command = [sys.executable, "-c", LOADED, "chat", "-c", str(project), "--json"]
    asked = "What must be sent for the lamp?\nAnd for what?\nWhat must be sent for the lamp?\n"
    done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not set(done.stderr.rpartition("LOADED")[2].split()) & set(HEAVY)
    first, second, third = map(json.loads, done.stdout.splitlines())
    assert second["asked_as"] == "What must be sent for the lamp? And for what?"
    usages = [answer["usage"] for answer in (first, second, third)]
    assert usages[0]["prompt_tokens_reused"] == 0
    assert usages[1]["prompt_tokens"] - 30 < usages[1]["prompt_tokens_reused"] < usages[1]["prompt_tokens"]
    alone = json.loads(ask(project, "--json").stdout)
    assert first["answer"] == third["answer"] == alone["answer"]


def test_serve_needs_no_torch_and_ends_with_ctrl_c(project: Path) -> None:
    for name in ("starlette", "uvicorn"):
        pytest.importorskip(name, reason="the serve extra")
    command = [sys.executable, "-c", LOADED, "serve", "-c", str(project), "--port", "0", "-v"]
    listens = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=listens) as process:
        assert process.stderr is not None
        said = next(line for line in process.stderr if "answering at " in line)
        address = said.removeprefix("answering at ").partition(" ")[0] + "ask"
        body = json.dumps({"question": "What must be sent for the lamp?"}).encode()
        asked = urllib.request.Request(address, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=60) as got:
            answer = json.loads(got.read())
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in said
    assert not set(said.rpartition("LOADED")[2].split()) & set(HEAVY)
    assert answer["answer"] == json.loads(ask(project, "--json").stdout)["answer"]


def test_help_and_a_refusal_stay_light(project: Path) -> None:
    done = ask(project, "--set", "run.name=nothing")
    assert done.returncode == 3 and "the index at" in done.stderr
    assert not set(done.stderr.rpartition("LOADED")[2].split()) & {*HEAVY, "faiss", "onnxruntime", "llguidance"}


def test_a_pipe_gets_the_text_as_it_is_written(project: Path) -> None:
    whole, streamed = ask(project, "--no-stream"), ask(project)
    assert whole.stdout == streamed.stdout != ""


def test_ctrl_c_ends_with_130(project: Path) -> None:
    """Nobody reads the full pipe that the answer goes to, so it cannot have ended when Ctrl-C comes."""
    command = [sys.executable, "-m", "copilot.cli", "ask", "What is a lamp?", "-c", str(project)]
    read, write = os.pipe()
    os.set_blocking(write, False)
    with suppress(BlockingIOError):
        while os.write(write, b"." * 512):
            pass
    os.set_blocking(write, True)
    listens = partial(signal.signal, signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
    with subprocess.Popen(command, stdout=write, stderr=subprocess.PIPE, preexec_fn=listens) as process:
        os.close(write)
        time.sleep(5)  # it has begun to answer, and waits
        process.send_signal(signal.SIGINT)
        while os.read(read, 1 << 16):
            pass
        _, said = process.communicate(timeout=60)
    os.close(read)
    assert process.returncode == 130
    assert "Traceback" not in said.decode()


def test_streamed_batched_and_transformers_answers_are_equal(run: Path, loaded: Loaded) -> None:
    made = opened(run)
    theirs = TransformersGenerator(loaded, made.config, 1024, 1)
    grammar = answer_grammar(["One", "Two"], ["a", "b"])
    for held, sections in ((None, ["One", "Two"]), (grammar, ["One", "Two"]), (grammar, [{"One": 40}, {"Two": 40}])):
        made.config = theirs.config = AnswerPart(max_new_tokens=140 if held else 60, sections=sections)
        (expected,) = theirs.batch([messages(1)], lambda n: None, [held] if held else None)
        (done,) = made.batch([messages(1)], lambda n: None, [held] if held else None)
        assert done.text == expected.text and done.completion_tokens == expected.completion_tokens
        assert "".join(made.stream(messages(1), held)).strip() == done.text
    assert done.text.startswith("### One\n") and "\n\n### Two\n" in done.text
    assert made.count(messages(1)) == theirs.count(messages(1))
    assert made.count_text("`x_y` is é") == theirs.count_text("`x_y` is é")


def test_what_prompts_share_is_read_once(run: Path) -> None:
    made, prompts = opened(run), [messages(2), messages(2, "And another?"), messages(0), messages(2)]
    done = made.batch(prompts)
    assert [g.text for g in done] == [opened(run).batch([p])[0].text for p in prompts]
    assert done[0].reused == 0
    assert done[0].prompt_tokens - 40 < done[1].reused < done[0].prompt_tokens  # system message and passages
    assert 0 < done[2].reused < done[2].prompt_tokens
    again = made.batch([messages(2)])[0]
    assert again.reused == again.prompt_tokens - 1 and again.text == done[3].text


def test_budgets_hold_as_they_do_on_transformers(run: Path, loaded: Loaded) -> None:
    answer = {"max_new_tokens": 160, "sections": ["One", "Two"], "budgets": [40, None]}
    made, free = opened(run, **answer), opened(run, **{**answer, "budgets": []})
    theirs = TransformersGenerator(loaded, made.config, 1024, 1)
    prompts, grammar = [messages(n) for n in range(6)], answer_grammar(["One", "Two"], ["a", "b"])
    short, long, other = (
        [one.text for one in generator.batch(prompts, lambda n: None, [grammar] * len(prompts))]
        for generator in (made, free, theirs)
    )
    assert short == other
    first = [[made.count_text(text.partition("\n\n### Two")[0]) for text in texts] for texts in (short, long)]
    assert max(first[0]) <= 40 < max(first[1])


def test_who_leaves_while_a_prompt_is_read_stops_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("copilot.model.onnx.AT_ONCE", 16)
    made, pieces = opened(run), list[str]()

    def leave_at_the_third(piece: str) -> None:
        pieces.append(piece)
        if len(made.known) == 48:  # three parts are read
            raise ConnectionError

    with pytest.raises(ConnectionError):
        Answerer(made, retrieve, Prompt(), made.config, "m", None).ask(question(1), leave_at_the_third)
    assert "".join(pieces).strip() == "### Summary" and len(made.known) == 48  # the heading waits for no prompt
    assert pieces[-3:] == ["", "", ""]
    assert made.batch([messages(3)])[0].text == opened(run).batch([messages(3)])[0].text


def test_leaving_while_a_prompt_is_read_does_no_harm(run: Path) -> None:
    made, expected = opened(run), opened(run).batch([messages(3)])[0].text
    decoder = made.decoder.result()

    class Interrupted:
        """Ctrl-C after the tokens were read, before that was noted."""

        def __getattr__(self, name: str) -> Any:
            return getattr(decoder, name)

        def read_on(self, ids: Sequence[int], before: int) -> None:
            decoder.read_on(ids, before)
            raise KeyboardInterrupt

        def read(self, ids: Sequence[int], before: int) -> None:
            self.read_on(ids, before)

    made.decoder = Future()
    made.decoder.set_result(Interrupted())
    with pytest.raises(KeyboardInterrupt):
        made.batch([messages(1)])
    made.decoder = Future()
    made.decoder.set_result(decoder)
    assert made.batch([messages(3)])[0].text == expected


class Wild(Lookup):
    """Guesses what no model would write: every one of them is to be taken back."""

    def guess(self, text: Sequence[int]) -> list[int]:
        return [(text[-1] + n) % 7 + 5 for n in range(MOST)]


def test_guesses_change_no_answer(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = []
    for lookup in (None, Lookup, Wild):
        if lookup is None:
            monkeypatch.setattr(Lookup, "guess", lambda self, text: [])
        else:
            monkeypatch.undo()
            monkeypatch.setattr("copilot.model.onnx.Lookup", lookup)
        held = answer_grammar(["One", "Two"], ["a", "b"])
        made = opened(run, max_new_tokens=90, sections=["One", "Two"])
        answers.append([*made.batch([messages(1), messages(2)]), *made.batch([messages(1)], lambda n: None, [held])])
    assert answers[0] == answers[1] == answers[2]


def test_the_last_tokens_of_a_step_have_scores(run: Path) -> None:
    made = opened(run)
    decoder, ids = made.decoder.result(), made.tokens.prompt(messages(1))[: 2 * SCORED]
    scores = decoder.read(ids, 0)
    assert len(scores) == 2 * SCORED and not scores[:SCORED].any() and scores[SCORED:].any(axis=1).all()
    for n, row in enumerate(scores[-MOST:]):
        assert abs(decoder.read(ids[: len(ids) - MOST + n + 1], 0)[-1] - row).max() < 1e-4


def test_leaving_in_the_middle_does_no_harm(run: Path) -> None:
    made = opened(run)
    for _ in made.stream(messages(1)):
        break
    assert made.batch([messages(3)])[0].text == opened(run).batch([messages(3)])[0].text


def test_sampling_repeats_by_seed(run: Path) -> None:
    texts = ["".join(opened(run, seed=seed, temperature=1.0).stream(messages(1))) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_a_prompt_too_long_is_refused(run: Path) -> None:
    count = opened(run).count(messages(1))
    with pytest.raises(CopilotError, match=f"the prompt has {count} tokens, and the model reads {count}"):
        opened(run, max_length=count).batch([messages(1)])


@pytest.mark.parametrize("template", [PLAIN_TEMPLATE, CHATML, LOOSE])
def test_templates_are_filled_in_as_by_transformers(template: str, run: Path) -> None:
    tokenizer, tokens = load_tokenizer(run / "adapter"), Tokens(run / "onnx")
    tokenizer.chat_template = template
    asked: list[Message] = [*messages(0), {"role": "user", "content": ' <é> "x" & {{ 1 }}\n '}]
    text = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    assert render_template(template, asked, tokens.special) == text
    assert tokens.tokenizer.encode(text, add_special_tokens=False).ids == tokenizer.encode(
        text, add_special_tokens=False
    )
    ids = tokens.prompt(messages(1))
    assert tokens.decode(ids) == load_tokenizer(run / "adapter").decode(ids, skip_special_tokens=True)


def test_a_template_cannot_reach_python(run: Path) -> None:
    from jinja2.exceptions import SecurityError

    with pytest.raises(SecurityError):
        render_template("{{ messages.__class__.__mro__[1].__subclasses__() }}", messages(0), {})
    with pytest.raises(ValueError, match="no tools"):
        render_template(LOOSE, [{"role": "tool", "content": "x"}], {"bos_token": ""})  # type: ignore[typeddict-item]


def test_which_runtime(run: Path, tmp_path: Path) -> None:
    export, adapter = run / "onnx", run / "adapter"

    def chosen(runtime: str, export: Path = export, gpu: bool = False, adapter: Path | None = adapter) -> str:
        return choose_runtime(Model(runtime=runtime), export, adapter, gpu, "run copilot export")[0]

    assert unfit(export, adapter) == ""
    assert [chosen("auto"), chosen("onnx"), chosen("onnx", gpu=True)] == ["onnx"] * 3
    assert chosen("transformers") == chosen("auto", gpu=True) == chosen("auto", tmp_path) == "transformers"
    assert chosen("auto", adapter=None) == "transformers"
    other = tmp_path / "adapter"
    other.mkdir()
    (other / "adapter_model.safetensors").write_bytes(b"other weights")
    assert chosen("auto", adapter=other) == "transformers"
    for wrong in ({"export": tmp_path}, {"adapter": other}):
        with pytest.raises(StaleError, match=r"model.runtime=onnx cannot be used") as caught:
            chosen("onnx", **wrong)
        assert caught.value.hint == "run copilot export"


def test_no_gpu_where_none_may_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not has_gpu()


def test_an_export_that_is_there_is_left_and_another_width_says_how_it_differs(project: Path, run: Path) -> None:
    def export(*flags: str) -> str:
        done = CliRunner().invoke(app, ["export", "-c", str(project), *flags])
        assert done.exit_code == 0, done.exception
        return done.output

    assert "export: unchanged, nothing to do" in export()
    try:
        said = export("--precision", "int4", "--prompts", "1")
        assert "export: int4, " in said and "also says how its answers score" in said
        done = CliRunner().invoke(app, ["pipeline", "--only", "evaluate", "-c", str(project), "-q"])
        assert done.exit_code == 0, done.exception
        said = export("--precision", "int8", "--prompts", "1")
        assert "export: 2 questions, transformers → this export: four sections " in said
        export("--precision", "int4", "--prompts", "1")
        manifest = read_manifest(run / "onnx")
        assert manifest is not None
        assert manifest["precision"] == "int4" and manifest["replay"]["tokens"] >= manifest["replay"]["equal"]
    finally:
        assert "export: fp32, all" in export()


def test_a_difference_is_shown_and_refused(run: Path, tmp_path: Path, loaded: Loaded) -> None:
    other = load_model(Model(name=str(save_model(tmp_path / "m", 3, head_dim=16)), load_in_4bit=False, dtype="float32"))
    manifest = read_manifest(run / "onnx")
    assert manifest is not None
    prompts: Sequence[Sequence[int]] = [[1, 9, 30, 41], [1, 8]]
    same = replay(loaded, run / "onnx", manifest, prompts)
    assert same.difference == "" and same.equal == same.tokens > 0
    refuse_difference(same, "fp32")
    found = replay(other, run / "onnx", manifest, prompts)
    assert found.equal < found.tokens
    refuse_difference(found, "int4")
    with pytest.raises(NotExported, match=r"at token 1 of an answer, transformers: .*, onnx: "):
        refuse_difference(found, "fp32")


def test_a_model_that_cannot_be_exported_leaves_nothing(run: Path, tmp_path: Path) -> None:
    """Heads of 8 numbers: the kernels want a multiple of 16."""
    from peft import LoraConfig, get_peft_model

    config = Model(name=str(save_model(tmp_path / "m")), load_in_4bit=False, dtype="float32")
    base = load_model(config)
    get_peft_model(base.model, LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(tmp_path / "adapter")
    base.tokenizer.save_pretrained(tmp_path / "adapter")
    with pytest.raises(NotExported, match=r"onnxruntime cannot run the export: .*multiple of 16"):
        export_onnx(tmp_path / "onnx", config, tmp_path / "adapter", [[1, 9, 30]], "fp32", {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["adapter", "m"]


def test_a_damaged_export_is_one_sentence(run: Path, tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    manifest = {"stops": [2], "vocabulary": 10, "context": 10}
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "onnx" / name).write_bytes((run / "onnx" / name).read_bytes())
    broken = OnnxGenerator(tmp_path / "onnx", manifest, AnswerPart(), 10, 0)
    with pytest.raises(StaleError, match="cannot be opened") as caught:
        broken.greedy([1, 2], 3)
    assert "copilot export" in caught.value.hint
    (tmp_path / "onnx" / "tokenizer.json").write_text("{")
    with pytest.raises(StaleError, match="no usable tokenizer"):
        OnnxGenerator(tmp_path / "onnx", manifest, AnswerPart(), 10, 0)
