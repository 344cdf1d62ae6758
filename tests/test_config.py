"""The one YAML: read, laid over each other, expanded, checked, and every mistake named with its line."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from copilot.config import Config, Embeddings
from copilot.config_file import load_config
from copilot.errors import ConfigError, Exit

SHIPPED = ("default", "original", "tiny", "development", "blind")


def write(folder: Path, text: str, name: str = "configs/mine.yaml") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def refused(file: Path | str, *sets: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_config(file, list(sets))
    assert caught.value.code is Exit.USAGE and caught.value.hint
    return caught.value


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "# nothing\n"))
    assert (config.chunks.size, config.chunks.overlap, config.retriever.k) == (1200, 150, 5)
    assert config.run_dir == tmp_path / "outputs/default"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("retriver: {k: 3}", "mine.yaml:1: unknown key `retriver`; did you mean `retriever`?"),
        ("retriever:\n  kk: 3", "mine.yaml:2: unknown key `retriever.kk`; did you mean `retriever.k`?"),
        ("learning_rate: 1", "mine.yaml:1: unknown key `learning_rate`; did you mean `train.learning_rate`?"),
        ("train: {lora: {rank: 4}}", "unknown key `train.lora.rank`; known here: r, alpha, dropout, target_modules"),
        ("seed: 1\nchunks:\n  size: big", "mine.yaml:3: `chunks.size` is 'big': expected a valid integer"),
        ("chunks: {size: 10, overlap: 10}", "mine.yaml:1: `chunks`: overlap (10) must be smaller than size (10)"),
        ("chunks:", "mine.yaml:1: `chunks` is empty: expected a section of `key: value` lines"),
        ("chunks: 3", "`chunks` is 3: expected a section of `key: value` lines"),
        ("retriever: {k: 0}", "`retriever.k` is 0: expected greater than or equal to 1"),
        (
            "model: {backend: gpu}",
            "`model.backend` is 'gpu': expected 'auto', 'unsloth', 'transformers' or 'extractive'",
        ),
        ("embeddings: {model: minilm}", "expected provider:name with a provider of azure_openai, openai, huggingface"),
        ("train: {learning_rate: .inf}", "`train.learning_rate` is inf: expected a finite number"),
        ("train: {lora: {target_modules: 3}}", "is 3: expected a list such as [one, two] or expected 'all-linear'"),
        ("answer: {sections: [A, A]}", "`answer.sections` is ['A', 'A']: expected different titles of one line"),
        ("prompt: {rag: '{question}'}", "`prompt.rag` is '{question}': must contain {context}"),
        (
            "seed: 1\nprompt:\n  rag: '{context} {foo} {question}'",
            "mine.yaml:3: `prompt.rag` is '{context} {foo} {question}': {foo} stands for nothing; "
            "known here: {context}, {question}; write {{foo}} for the text {foo}",
        ),
        ("prompt: {system: '{context}'}", "{context} stands for nothing; known here: {sections}, {count}"),
        ("prompt: {no_rag: '{{question}}'}", "`prompt.no_rag` is '{{question}}': must contain {question}"),
        ("answer: {budgets: 80}", "`answer.budgets` is 80: expected a list such as [one, two]"),
        ("documents: {paths: []}", "`documents.paths` is []: expected"),
        ("documents: {paths: [a, 5]}", "`documents.paths[1]` is 5: expected a valid string"),
        ("train: {data: ''}", "`train.data` is '': expected at least 1 character"),
        ("run: {name: a/b}", "`run.name` is 'a/b': expected text of the form"),
        ("run: {name: ..}", "`run.name` is '..': expected text of the form"),
        ("train: {adapter_from: .}", "`train.adapter_from` is '.': expected text of the form"),
        ("seed: 1\nseed: 2", "mine.yaml:2: `seed` is written twice"),
        ("demo: {questions: [1]}", "`demo.questions[0]` is 1: expected a valid string"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_what_was_expected(tmp_path: Path, text: str, sentence: str) -> None:
    error = refused(write(tmp_path, text))
    assert sentence in error.message
    assert "1 mistake in" in error.message and len(error.message.splitlines()) == 2


def test_all_mistakes_come_at_once_each_with_its_own_file_and_line(tmp_path: Path) -> None:
    write(tmp_path, "retriever:\n  k: none\n", "configs/base.yaml")
    file = write(tmp_path, "extends: base.yaml\nchunks:\n  sizes: 10\nseed: x\nembeddings: {api_key: '${NOT_SET_7}'}\n")
    message = refused(file, "model.bckend=auto").message
    lines = message.splitlines()[1:]
    assert "5 mistakes" in message and len(lines) == 5
    for part in (
        "base.yaml:2: `retriever.k` is 'none'",
        "mine.yaml:3: unknown key `chunks.sizes`; did you mean `chunks.size`?",
        "mine.yaml:4: `seed` is 'x'",
        "mine.yaml:5: `embeddings.api_key` needs the environment variable NOT_SET_7, which is not set",
        "--set model.bckend: unknown key `model.bckend`; did you mean `model.backend`?",
    ):
        assert sum(part in line for line in lines) == 1, part


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [1\nb: 2", "not valid YAML"),
        ("a:\n\tb: 1", "mine.yaml:2: not valid YAML"),
        ("seed: !!int x", "mine.yaml:1: not valid YAML"),
        ("seed: 1\nrun: !!python/name:os.system", "mine.yaml:2: not valid YAML"),
        ("a: &a [*a]", "an anchor that holds itself"),
        ("- 1", "mine.yaml:1: expected `key: value` lines"),
        ("just words", "mine.yaml:1: expected `key: value` lines"),
        ("seed: 1\nextends: gone.yaml", "mine.yaml:2: extends gone.yaml, which is not there"),
        ("extends: mine.yaml", "extends itself"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, text: str, sentence: str) -> None:
    assert sentence in refused(write(tmp_path, text)).message.replace("a YAML anchor", "an anchor")


def test_not_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    file = write(tmp_path, "")
    file.write_bytes(b"seed: 1\nrun: {name: \xff}\n")
    assert "mine.yaml:2: not UTF-8" in refused(file).message


def test_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no configuration file at gone.yaml" in refused("gone.yaml").message
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"no copilot.yaml here and no configs/default.yaml"):
        load_config(None)
    write(tmp_path, "seed: 2", "configs/default.yaml")
    assert load_config(None).seed == 2
    write(tmp_path, "seed: 3", "copilot.yaml")
    assert load_config(None).seed == 3


def test_set_overrides_what_the_file_says(tmp_path: Path) -> None:
    file = write(tmp_path, "retriever: {k: 2}\ntrain: {lora: {r: 2, alpha: 3}}")
    sets = ["retriever.k=7", "train.lora.r=8", "train.learning_rate=2e-4", "run.name=a", "prompt.system=a=b"]
    config = load_config(file, [*sets, "demo.questions=['Why?', 'How?']"])
    assert (config.retriever.k, config.train.lora.r, config.train.lora.alpha) == (7, 8, 3)
    assert config.train.learning_rate == 2e-4 and config.prompt.system == "a=b"
    assert config.demo.questions == ["Why?", "How?"] and config.run.name == "a"
    assert "--set retriever.k: `retriever.k` is 'many'" in refused(file, "retriever.k=many").message
    assert "--set retriever.k: `retriever.k` is empty" in refused(file, "retriever.k=").message
    assert "--set k: expected key=value" in refused(file, "k").message
    assert "--set seed.x: `seed`" in refused(file, "seed.x=1").message
    listed = write(tmp_path, "demo: {questions: [A]}", "listed.yaml")
    assert "--set demo.questions: `demo.questions[0]` is ''" in refused(listed, "demo.questions=['']").message


def test_extends_is_merged_key_by_key_and_lists_are_replaced(tmp_path: Path) -> None:
    write(tmp_path, "seed: 1\nchunks: {size: 90, overlap: 9}\ndemo: {questions: [A, B]}", "configs/a.yaml")
    write(tmp_path, "extends: a.yaml\nchunks: {size: 80}", "configs/b.yaml")
    config = load_config(write(tmp_path, "extends: b.yaml\ndemo: {questions: [C]}"))
    assert (config.seed, config.chunks.size, config.chunks.overlap, config.demo.questions) == (1, 80, 9, ["C"])


def test_environment_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COPILOT_T_NAME", "night")
    monkeypatch.setenv("COPILOT_T_EMPTY", "")
    monkeypatch.delenv("COPILOT_T_NONE", raising=False)
    text = """
run: {name: "${COPILOT_T_NAME}-${COPILOT_T_NONE:-run}"}
seed: ${COPILOT_T_NONE:-7}
demo: {questions: ["${COPILOT_T_EMPTY:-full}${COPILOT_T_EMPTY}", "$5 ${} {x}"]}
"""
    config = load_config(write(tmp_path, text))
    assert (config.run.name, config.seed, config.demo.questions) == ("night-run", 7, ["full", "$5 ${} {x}"])


def test_what_is_extended_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "base.yaml").write_text("seed: 7\n")
    (tmp_path / "mine.yaml").write_text("extends: ${BASE_FOLDER}/base.yaml\n")
    monkeypatch.setenv("BASE_FOLDER", str(tmp_path))
    assert load_config(tmp_path / "mine.yaml").seed == 7
    (tmp_path / "mine.yaml").write_text("extends: ~/base.yaml\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_config(tmp_path / "mine.yaml").seed == 7
    (tmp_path / "mine.yaml").write_text("extends: ${NOT_THERE}/base.yaml\n")
    with pytest.raises(ConfigError, match="extends"):
        load_config(tmp_path / "mine.yaml")


def test_secrets_are_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COPILOT_T_KEY", "sk-very-secret")
    file = write(tmp_path, "embeddings: {api_key: '${COPILOT_T_KEY}'}")
    config = load_config(file)
    assert config.embeddings.api_key is not None
    assert config.embeddings.api_key.get_secret_value() == "sk-very-secret"
    assert "very-secret" not in config.to_yaml() + repr(config) + str(config.model_dump(mode="json"))
    assert "**" in config.to_yaml()
    assert "very-secret" not in refused(file, "embeddings.api_key=[sk-very-secret]").message
    assert "very-secret" not in refused(file, "embeddings.model=none").message


def test_paths_are_relative_to_the_project_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models/own").mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    text = "documents: {paths: [kb, /abs/kb]}\nmodel: {name: models/own}\nembeddings: {model: 'huggingface:./emb'}"
    config = load_config(write(tmp_path, text))
    assert config.documents.paths == [str(tmp_path / "kb"), "/abs/kb"]
    assert config.train.data == str(tmp_path / "data/sft/train.jsonl")
    assert config.evaluation.questions == str(tmp_path / "data/eval/questions.jsonl")
    assert config.output_dir == str(tmp_path / "outputs")
    assert config.model.name == str(tmp_path / "models/own")
    assert config.embeddings.model == f"huggingface:{tmp_path / 'emb'}"
    at_root = load_config(write(tmp_path, "train: {data: rows.jsonl}", "copilot.yaml"), ["documents.paths=[notes]"])
    assert at_root.train.data == str(tmp_path / "rows.jsonl") and at_root.documents.paths == [str(tmp_path / "notes")]
    assert load_config(write(tmp_path, "seed: 1"), ["model.name=org/model"]).model.name == "org/model"


def test_an_inherited_path_belongs_to_the_file_that_wrote_it(tmp_path: Path) -> None:
    write(tmp_path, "documents: {paths: [kb]}\ntrain: {data: rows.jsonl}", "one/configs/base.yaml")
    file = write(tmp_path, "extends: ../../one/configs/base.yaml\ntrain: {data: mine.jsonl}", "two/configs/mine.yaml")
    config = load_config(file)
    assert config.documents.paths == [str(tmp_path / "one/kb")]
    assert config.train.data == str(tmp_path / "two/mine.jsonl")
    assert config.output_dir == str(tmp_path / "two/outputs")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files_are_valid_from_anywhere(
    name: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config(root / f"configs/{name}.yaml")
    assert config.run.name == name and config.output_dir == str(root / "outputs")
    for path in (*config.documents.paths, config.train.data, config.evaluation.questions):
        assert Path(path).exists() and Path(path).is_relative_to(root)
    again = write(tmp_path, config.to_yaml(), "configs/again.yaml")
    assert load_config(again).model_dump(exclude={"run"}) == config.model_dump(exclude={"run"})


@pytest.mark.parametrize("name", SHIPPED)
def test_every_key_of_a_shipped_file_is_commented(name: str, root: Path) -> None:
    text = (root / f"configs/{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("#") and f"copilot pipeline -c configs/{name}.yaml" in text
    bare = [line for line in text.splitlines() if re.match(r"\s*\w+: \S", line) and "  # " not in line]
    assert [line for line in bare if not line.startswith("extends:")] == []


def test_original_is_the_notebooks_recipe(root: Path) -> None:
    config = load_config(root / "configs/original.yaml")
    lora, train = config.train.lora, config.train
    assert (lora.r, lora.alpha, lora.target_modules) == (4, 8, ["q_proj", "k_proj", "v_proj"])
    assert (train.learning_rate, train.num_train_epochs, train.min_steps) == (2e-5, 0.3, 1)
    assert (train.per_device_train_batch_size, train.gradient_accumulation_steps) == (2, 6)
    assert (config.model.name, config.model.load_in_4bit, config.model.max_length) == (
        "unsloth/Llama-3.2-1B",
        True,
        2048,
    )
    assert (config.retriever.k, config.chunks.size, config.chunks.overlap) == (5, 1200, 150)
    assert (config.embeddings.provider, config.embeddings.name) == ("azure_openai", "text-embedding-3-small")


def test_default_and_tiny_as_the_readme_says(root: Path) -> None:
    default, tiny = (load_config(root / f"configs/{name}.yaml") for name in ("default", "tiny"))
    assert (default.model.name, default.model.load_in_4bit) == ("unsloth/Llama-3.2-1B", True)
    assert default.embeddings.provider == "huggingface" and default.train.min_steps == 8
    assert tiny.model.name == str(root / "data/models/tiny") and not tiny.model.load_in_4bit
    assert tiny.embeddings.provider == "offline"
    written = yaml.safe_load((root / "configs/tiny.yaml").read_text(encoding="utf-8"))
    assert written["extends"] == "default.yaml"


def fields(model: type[BaseModel], at: str = "") -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = []
    for name, field in model.model_fields.items():
        found.append((at + name, field.description))
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += fields(field.annotation, f"{at}{name}.")
    return found


def test_every_key_is_described() -> None:
    described = fields(Config)
    assert len(described) > 50
    assert [name for name, text in described if not text or len(text) < 8] == []


def test_top_level_keys_stand_in_the_order_data_flows() -> None:
    order = "run output_dir seed documents chunks embeddings retriever prompt model train answer evaluation demo"
    assert [name for name in Config.model_fields if name in order.split()] == order.split()


def test_a_config_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Embeddings().model = "x"
