"""The source in; the order of its layers, lazy imports of heavy libraries, sizes and docstrings held."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "copilot"
MODULES = sorted(SOURCE.rglob("*.py"))

# From the bottom up. A module imports only what stands on its line or a lower one, and never in a circle.
LAYERS = (
    ("copilot", "copilot.types", "copilot.errors", "copilot.console", "copilot.placeholders", "copilot.plain"),
    ("copilot.config",),
    ("copilot.config_errors", "copilot.config_file", "copilot.hub", "copilot.provider", "copilot.runs"),
    ("copilot.knowledge",),
    ("copilot.prompt",),
    ("copilot.reading",),
    ("copilot.model",),
    ("copilot.answering",),
    ("copilot.evaluation",),
    ("copilot.work",),
    ("copilot.abstention",),
    ("copilot.opened",),
    ("copilot.pipeline",),
    ("copilot.export",),
    ("copilot.stream",),
    ("copilot.terminal",),
    ("copilot.chain", "copilot.show", "copilot.serving"),
    ("copilot.cli",),
    ("copilot.start",),
)
HEAVY = {
    "accelerate",
    "bitsandbytes",
    "datasets",
    "docx",
    "faiss",
    "fastapi",
    "langchain",
    "langchain_community",
    "langchain_core",
    "langchain_huggingface",
    "langchain_openai",
    "langchain_text_splitters",
    "llguidance",
    "jinja2",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "onnxruntime_genai",
    "openai",
    "peft",
    "pypdf",
    "safetensors",
    "sentence_transformers",
    "starlette",
    "tokenizers",
    "torch",
    "transformers",
    "trl",
    "unsloth",
    "uvicorn",
}


def name_of(file: Path) -> str:
    parts = ("copilot", *file.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(part for part in parts if part != "__init__")


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported somewhere in the tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only"
            module = node.module or ""
            yield from (f"{module}.{a.name}" if is_module(f"{module}.{a.name}") else module for a in node.names)


def is_module(name: str) -> bool:
    path = SOURCE.parent / Path(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def at_import(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements that run when the module is imported, without what only type checkers read."""
    waiting = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        yield node
        waiting += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]


def level(name: str) -> int:
    """The layer of a module, 0 at the bottom."""
    for i, names in enumerate(LAYERS):
        if any(name == n or (n.count(".") == 1 and name.startswith(n + ".")) for n in names):
            return i
    raise AssertionError(f"{name} has no place in the house: put it into LAYERS")


def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def ours(file: Path) -> list[str]:
    """The modules of this program that a file imports somewhere."""
    return sorted({other for other in imported(parsed(file)) if other.startswith("copilot")} - {name_of(file)})


def ids(file: Path) -> str:
    return name_of(file)


@pytest.mark.parametrize("file", MODULES, ids=ids)
def test_a_module_imports_only_what_stands_below_it(file: Path) -> None:
    name = name_of(file)
    for other in ours(file):
        assert level(other) <= level(name), f"{name} imports {other}, which stands above it"


def test_no_module_imports_itself_in_a_circle() -> None:
    waiting = {name_of(file): set(ours(file)) for file in MODULES}
    while waiting:
        free = {name for name, needed in waiting.items() if not needed & waiting.keys()}
        assert free, f"these import each other: {', '.join(sorted(waiting))}"
        waiting = {name: needed for name, needed in waiting.items() if name not in free}


@pytest.mark.parametrize("file", MODULES, ids=ids)
def test_heavy_libraries_are_imported_where_they_are_needed(file: Path) -> None:
    for node in at_import(parsed(file)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found = {other.partition(".")[0] for other in imported(node)}
            assert not found & HEAVY, f"{file}:{node.lineno} imports {found & HEAVY} when the module is imported"


@pytest.mark.parametrize("file", MODULES, ids=ids)
def test_a_module_is_short_and_says_what_goes_in_and_out(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 350
    assert text.startswith('"""'), "line 1 is a docstring"


@pytest.mark.parametrize("file", MODULES, ids=ids)
def test_functions_are_short(file: Path) -> None:
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= 60, f"{file}:{node.lineno} {node.name} has {length} lines"


@pytest.mark.parametrize("file", MODULES, ids=ids)
def test_public_functions_and_classes_have_a_docstring(file: Path) -> None:
    waiting: list[ast.stmt] = list(parsed(file).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{file}:{node.lineno} {node.name} has no docstring"
            waiting += node.body if isinstance(node, ast.ClassDef) else []


def test_nothing_is_pickled() -> None:
    for file in MODULES:
        found = {other.partition(".")[0] for other in imported(parsed(file))}
        assert not found & {"pickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}, file
        assert "allow_pickle" not in file.read_text(encoding="utf-8"), file


def test_values_are_frozen() -> None:
    for file in MODULES:
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.ClassDef):
                for made in node.decorator_list:
                    text = ast.unparse(made)
                    frozen = "frozen=True" in text and "slots=True" in text
                    assert "dataclass" not in text or frozen, f"{file}:{node.lineno} {text}"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["pipeline", "--help"], ["config", "show"]])
def test_a_quick_command_loads_no_heavy_library(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom copilot.cli import app\n"
        "try: app(sys.argv[1:])\nexcept SystemExit: pass\n"
        "print('LOADED', *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=SOURCE.parent.parent)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.rpartition("LOADED")[2].split())
    assert "copilot" in loaded
    assert not loaded & (HEAVY | {"numpy"})
