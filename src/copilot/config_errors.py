"""Pydantic's errors in, one line per mistake out: file:line, key, what was expected, "did you mean"."""

import difflib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeGuard

from pydantic import BaseModel

from copilot.config import Config

Key = tuple[str | int, ...]


def dotted(key: Key) -> str:
    """`a.b[0]` of ("a", "b", 0)."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def explain(errors: Sequence[Any], where: Callable[[Key], str]) -> list[str]:
    """One sentence per key: a value that fits no member of a union is one mistake with several expectations."""
    wrong: dict[Key, list[Any]] = {}
    for error in errors:
        wrong.setdefault(_yaml_key(error["loc"]), []).append(error)
    return [f"{where(key)}: {_sentence(key, found)}" for key, found in wrong.items()]


def _sentence(key: Key, errors: Sequence[Any]) -> str:
    name, first = dotted(key), errors[0]
    if first["type"] == "extra_forbidden":
        return f"unknown key `{name}`; {_did_you_mean(key)}"
    expected = " or ".join(_expected(error) for error in errors)
    given = first["input"]
    hidden = isinstance(given, dict) or "api_key" in name
    return f"`{name}`: {expected}" if hidden else f"`{name}` is {_shown(given)}: {expected}"


def _expected(error: Any) -> str:
    if error["type"] in ("model_type", "model_attributes_type"):
        return "expected a section of `key: value` lines"
    if error["type"] == "list_type":
        return "expected a list such as [one, two]"
    text = str(error["msg"]).replace("Input should be", "expected").replace("Value error, ", "")
    text = text.replace("String should match pattern", "expected text of the form")
    return text.replace("String should have", "expected").replace("List should have", "expected")


def _shown(value: Any) -> str:
    """The value as it is; a long one by its beginning; what YAML reads from an empty value, in words."""
    text = "empty" if value is None else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _did_you_mean(key: Key) -> str:
    """The nearest key of the same section, else the same name in another section, else what is known there."""
    known, last = _fields_at(key[:-1]), str(key[-1])
    if close := difflib.get_close_matches(last, known, n=1, cutoff=0.5):
        return f"did you mean `{dotted((*key[:-1], close[0]))}`?"
    if elsewhere := [path for path in _all_keys(Config, ()) if path[-1] == last]:
        return f"did you mean `{dotted(elsewhere[0])}`?"
    return f"known here: {', '.join(known)}"


def _all_keys(model: type[BaseModel], at: Key) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        yield (*at, name)
        if _is_section(field.annotation):
            yield from _all_keys(field.annotation, (*at, name))


def _is_section(annotation: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _yaml_key(loc: Key) -> Key:
    """A pydantic location without the names of union members, which are no keys of the YAML."""
    key: list[str | int] = []
    model: Any = Config
    for part in loc:
        if isinstance(part, int):
            key.append(part)
        elif _is_section(model):
            key.append(part)
            field = model.model_fields.get(part)
            model = field.annotation if field else None
    return tuple(key)


def _fields_at(key: Key) -> list[str]:
    model: Any = Config
    for part in key:
        field = model.model_fields.get(str(part)) if _is_section(model) else None
        model = field.annotation if field else None
    if key == ():
        return [*Config.model_fields, "extends"]
    return list(model.model_fields) if _is_section(model) else []
