"""The pages people read: generated ones up to date, links that lead somewhere, commands and YAML that work."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from copilot.cli import app
from copilot.config_file import load_config

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "data/models/tiny/README.md")]
PAGES += [ROOT / "docs" / "serving.md"]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_generated_pages_are_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "tools" / "make_docs.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_generated_pages_show_no_python_types() -> None:
    for page in ("config.md", "cli.md"):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        assert not re.search(r"Literal\[|Union\[|SecretStr|NoneType|\bNone\b", text), page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


def commands() -> list[str]:
    """Every line of README's code blocks that calls the program."""
    lines = re.findall(r"^    (?:\.venv/bin/)?(copilot .+)$", README, re.MULTILINE)
    assert len(lines) >= 7
    return [line.partition("  #")[0] for line in lines]


@pytest.mark.parametrize("line", commands())
def test_commands_of_the_readme_exist(line: str) -> None:
    _, name, *words = shlex.split(line)
    shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).stdout
    for word in words:
        if word.startswith("-") and word != "-":
            assert re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", shown), f"{word} of `{line}`"
        if word.endswith(".yaml"):
            assert (ROOT / word).is_file(), word


def test_make_targets_of_the_pages_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in PAGES[:3]:
        named = set(re.findall(r"(?:`|^    )make ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
        assert named <= targets, page


def test_the_readmes_yaml_works(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    file = tmp_path / "copilot.yaml"
    file.write_text(block.replace("path/to/this/repository", str(ROOT)), encoding="utf-8")
    config = load_config(file)
    assert config.documents.paths == [str(tmp_path / "documents")]
    assert config.train.data == str(tmp_path / "train.jsonl")
    assert config.evaluation.questions == str(tmp_path / "questions.jsonl")
    assert config.run_dir == tmp_path / "outputs" / "handbook"
    assert config.model.name == str(ROOT / "data" / "models" / "tiny")


@pytest.mark.parametrize("file", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda file: file.name)
def test_every_shipped_yaml_is_right_and_says_its_command(file: Path) -> None:
    assert load_config(file).run.name == file.stem
    assert f"copilot pipeline -c configs/{file.name}" in file.read_text(encoding="utf-8").partition("\nrun:")[0]


def test_make_names_a_missing_python(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "constraints.txt").touch()
    (tmp_path / "pyproject.toml").touch()
    command = ["make", "PYTHON=/no/python3.11", "demo"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    assert done.returncode != 0
    assert "error: /no/python3.11 is missing here or is not Python 3.11 or 3.12" in done.stderr
    assert "make PYTHON=/path/to/python demo" in done.stderr


def test_nothing_names_a_place_of_one_machine() -> None:
    for page in [*PAGES, ROOT / "Makefile", ROOT / "pyproject.toml"]:
        assert not re.search(r"/(?:home|work|opt|root|Users)/", page.read_text(encoding="utf-8")), page
