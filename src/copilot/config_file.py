"""YAML files and `--set` flags in, a checked Config out, or every mistake at once with file and line."""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from copilot.config import REMOTE, Config
from copilot.config_errors import Key, dotted, explain
from copilot.errors import ConfigError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_PATHS = {
    ("documents", "paths"),
    ("train", "data"),
    ("evaluation", "questions"),
    ("output_dir",),
    ("answer", "abstain_rows"),
    ("embeddings", "adapter"),
    ("retriever", "reranker"),
}


def load_config(path: str | Path | None, sets: list[str] | None = None) -> Config:
    """Read the YAML at `path` (None: `copilot.yaml` here, else `configs/default.yaml`) with `a.b=c` overrides.

    Raises ConfigError that lists every unknown key and wrong value with file, line and what was expected.
    """
    file = _find(path)
    reader = _Reader(project_root(file))
    data = reader.read(file, seen=())
    for text in sets or []:
        data = _merge(data, reader.override(text))
    data = reader.expand(data, ())
    reader.resolve_paths(data)
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        reader.problems += explain(error.errors(), reader.where)
    if reader.problems:
        lines = "\n".join(f"  {p}" for p in reader.problems)
        count = len(reader.problems)
        raise ConfigError(
            f"{file}: {count} mistake{'s' if count > 1 else ''} in the configuration\n{lines}",
            "mend them and run `copilot config check` on the file; docs/config.md lists every key",
        )
    return config


def project_root(file: Path) -> Path:
    """The folder that holds `configs/`, or the YAML's own folder when it does not stand in one."""
    folder = file.resolve().parent
    return folder.parent if folder.name == "configs" else folder


def _find(path: str | Path | None) -> Path:
    if path is not None:
        if not Path(path).is_file():
            raise ConfigError(f"no configuration file at {path}", "name a YAML with -c, e.g. -c configs/tiny.yaml")
        return Path(path)
    for candidate in (Path("copilot.yaml"), Path("configs/default.yaml")):
        if candidate.is_file():
            return candidate
    raise ConfigError(
        "no copilot.yaml here and no configs/default.yaml", "name a YAML with -c, e.g. -c configs/tiny.yaml"
    )


class _Reader:
    """Collects where each key was written (`places`) and what is wrong (`problems`)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.places: dict[Key, tuple[str, Path]] = {}  # key -> ("file:line", project root its paths are relative to)
        self.problems: list[str] = []
        self.scalars = yaml.SafeLoader("")  # gives a node of one value its type

    def read(self, file: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
        """The mapping in `file`, laid over what it `extends`."""
        if file.resolve() in seen:
            raise ConfigError(f"{file}: extends itself through {seen[-1]}", "remove one `extends`")
        places: dict[Key, tuple[str, Path]] = {}
        try:
            node = _compose(file.read_text(encoding="utf-8-sig"))
            data = {} if node is None else self._plain(node, (), file, places)
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise ConfigError(f"{file}:{line}: not UTF-8 text", "save the file as UTF-8") from None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{file}:{mark.line + 1}" if mark else str(file)
            raise ConfigError(f"{where}: not valid YAML: {getattr(error, 'problem', error)}", "mend the line") from None
        except RecursionError:
            raise ConfigError(f"{file}: a YAML anchor that holds itself", "remove the anchor") from None
        except OSError as error:
            raise ConfigError(f"{file}: {error.strerror}", "check the name and its permissions") from None
        if not isinstance(data, dict):
            raise ConfigError(f"{file}:1: expected `key: value` lines", "see configs/tiny.yaml for an example")
        parent = data.pop("extends", None)
        base: dict[str, Any] = {}
        if parent is not None:
            self.places.update(places)
            target = file.resolve().parent / Path(self.expand(str(parent), ("extends",))).expanduser()
            if not target.is_file():
                raise ConfigError(f"{places[('extends',)][0]}: extends {parent}, which is not there", "mend the path")
            base = self.read(target, (*seen, file.resolve()))
        self.places.update(places)
        return _merge(base, data)

    def _plain(self, node: yaml.Node, key: Key, file: Path, places: dict[Key, tuple[str, Path]]) -> Any:
        where = f"{file}:{node.start_mark.line + 1}"
        places.setdefault(key, (where, project_root(file)))
        if isinstance(node, yaml.MappingNode):
            result: dict[str, Any] = {}
            for name_node, value in node.value:
                name = str(name_node.value)
                at = f"{file}:{name_node.start_mark.line + 1}"
                if name in result:
                    self.problems.append(f"{at}: `{dotted((*key, name))}` is written twice")
                places[(*key, name)] = (at, project_root(file))
                result[name] = self._plain(value, (*key, name), file, places)
            return result
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(item, (*key, i), file, places) for i, item in enumerate(node.value)]
        try:
            return self.scalars.construct_object(node, deep=True)
        except ValueError as error:  # e.g. !!int abc
            raise yaml.MarkedYAMLError(problem=str(error), problem_mark=node.start_mark) from None

    def override(self, text: str) -> dict[str, Any]:
        """`a.b=c` as a nested mapping; the value is read as YAML."""
        dotted, equals, value = text.partition("=")
        if not equals or not dotted.strip():
            raise ConfigError(f"--set {text}: expected key=value", "for example --set retriever.k=3")
        try:
            result: Any = yaml.safe_load(value)
        except yaml.YAMLError:
            result = value
        key = tuple(dotted.strip().split("."))
        self.places = {at: place for at, place in self.places.items() if at[: len(key)] != key}
        for length in range(1, len(key) + 1):
            self.places[key[:length]] = (f"--set {dotted}", self.root)
        for name in reversed(key):
            result = {name: result}
        return dict(result)

    def expand(self, value: Any, key: Key) -> Any:
        """Replace `${NAME}` and `${NAME:-default}` in every string by the environment's values."""
        if isinstance(value, dict):
            return {name: self.expand(item, (*key, name)) for name, item in value.items()}
        if isinstance(value, list):
            return [self.expand(item, (*key, i)) for i, item in enumerate(value)]
        if not isinstance(value, str):
            return value

        def fill(match: re.Match[str]) -> str:
            name, default = match.groups()
            found = os.environ.get(name)
            if default is not None:
                found = found or default
            if found is None:
                self.problems.append(
                    f"{self.where(key)}: `{dotted(key)}` needs the environment variable {name}, which is not set"
                )
            return found or ""

        return _VARIABLE.sub(fill, value)

    def resolve_paths(self, data: dict[str, Any]) -> None:
        """Make path values absolute: relative to the project root of the YAML that wrote them, in place.

        `output_dir` alone belongs to the YAML that was named, also when it was inherited.
        """
        defaults = Config().model_dump()
        for key in _PATHS:
            parent = data if len(key) == 1 else data.setdefault(key[0], {})
            if not isinstance(parent, dict):
                continue
            value = parent.get(key[-1], defaults[key[0]] if len(key) == 1 else defaults[key[0]][key[-1]])
            root = self.root if key == ("output_dir",) else self._root(key)
            if isinstance(value, str) and value:
                parent[key[-1]] = str(root / Path(value).expanduser())
            elif isinstance(value, list) and all(isinstance(v, str) and v for v in value):
                parent[key[-1]] = [str(root / Path(v).expanduser()) for v in value]
        for section, field, prefix in (("model", "name", ""), ("embeddings", "model", "huggingface:")):
            part = data.get(section)
            name = part.get(field) if isinstance(part, dict) else None
            if isinstance(part, dict) and isinstance(name, str) and name.startswith(prefix):
                part[field] = prefix + _folder_or_name(name.removeprefix(prefix), self._root((section, field)))

    def _root(self, key: Key) -> Path:
        return self.places[key][1] if key in self.places else self.root

    def where(self, key: Key) -> str:
        """`file:line` of the deepest part of `key` that was written somewhere."""
        for length in range(len(key), 0, -1):
            if key[:length] in self.places:
                return self.places[key[:length]][0]
        return "configuration"


def _compose(text: str) -> yaml.Node | None:
    """The nodes of a YAML text: by libyaml, which is ten times faster, its mistakes by yaml's own code."""
    with suppress(yaml.YAMLError):
        return yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return yaml.compose(text, Loader=yaml.SafeLoader)


def _folder_or_name(name: str, root: Path) -> str:
    """An absolute folder when `name` is one or looks like one, else the hub or remote name as it is."""
    if name.partition(":")[0] in REMOTE:
        return name
    folder = root / Path(name).expanduser()
    looks_like_path = name.startswith((".", "/", "~")) or name.count("/") > 1
    return str(folder) if looks_like_path or folder.is_dir() else name


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Mappings are merged key by key, everything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
