"""A tokenizer's files in; chat messages as token ids, and tokens as text, out: what transformers gives, without it."""

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from copilot.errors import StaleError, first_line
from copilot.prompt.render import PLAIN_TEMPLATE
from copilot.types import Message

if TYPE_CHECKING:
    from jinja2 import Template

APART = "\ufdd0"  # a noncharacter: no document holds it
FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


class Tokens:
    """The tokenizer and chat template that transformers saved in a folder, read by `tokenizers` and jinja2."""

    def __init__(self, folder: Path, chat_template: str = "auto") -> None:
        """Raises StaleError when the folder's files cannot be read."""
        from tokenizers import Tokenizer

        try:
            self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
            file = folder / "chat_template.jinja"
            own = file.read_text(encoding="utf-8") if file.is_file() else config.get("chat_template")
        except Exception as error:  # tokenizers raises what its Rust code meets in a damaged file
            raise StaleError(f"{folder}: no usable tokenizer: {first_line(error)}", "run copilot export") from None
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.chat_template: str = own if own and chat_template != "plain" else PLAIN_TEMPLATE
        self.special = {name: _text(config[name]) for name in config if name.endswith("_token") and config[name]}

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a prompt up to where the answer begins."""
        added = [str(token) for token in self.tokenizer.get_added_tokens_decoder().values()]
        text = render_template(self.chat_template, parted(messages, added), self.special)
        return [i for part in text.split(APART) for i in self.tokenizer.encode(part, add_special_tokens=False).ids]

    def count_text(self, text: str) -> int:
        """Tokens of an answer."""
        return len(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens, without special ones."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True))


def parted(messages: Sequence[Message], special: Sequence[str]) -> list[Message]:
    """The messages with APART inside of whatever spells one of the `special` tokens, after its first character.

    So that it becomes ordinary tokens: the template is filled, and the parts between are read each by itself. Text
    that spells none is read as ever.
    """
    names = sorted((name for name in special if len(name) > 1), key=len, reverse=True)
    spelt = re.compile("|".join(rf"(?<={re.escape(n[0])})(?={re.escape(n[1:])})" for n in names) or "(?!)")
    return [Message(role=m["role"], content=spelt.sub(APART, m["content"].replace(APART, " "))) for m in messages]


def render_template(template: str, messages: Sequence[Message], special: dict[str, str]) -> str:
    """A chat template filled in as transformers does: sandboxed jinja2, trimmed blocks, the same helpers.

    Raises jinja2's errors, and ValueError for what a template refuses itself.
    """
    return _compiled(template).render(
        messages=list(messages), tools=None, documents=None, add_generation_prompt=True, **special
    )


@lru_cache(maxsize=4)  # a prompt is made to be read, and to be counted
def _compiled(template: str) -> "Template":
    from datetime import datetime

    from jinja2 import nodes
    from jinja2.ext import Extension
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}`, which only marks what the assistant wrote."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Parser) -> list[nodes.Node]:
            next(parser.stream)
            return list(parser.parse_statements(("name:endgeneration",), drop_needle=True))

    def refuse(message: str) -> None:
        raise ValueError(message)

    def to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)

    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    made.filters["tojson"] = to_json
    made.globals["raise_exception"] = refuse
    made.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return made.from_string(template)


def _text(token: Any) -> str:
    return str(token["content"]) if isinstance(token, dict) else str(token)
