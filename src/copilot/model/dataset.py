"""JSONL rows and a retriever in; tokenised prompt/completion rows out, with loss on the completion alone."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from copilot.config import AnswerPart, Prompt
from copilot.errors import CopilotError
from copilot.model.formats import FORMS, question_and_response
from copilot.model.tokens import APART, parted
from copilot.prompt.render import render
from copilot.prompt.sections import explain, parse
from copilot.types import Example, Hit, Message, Question

MAX_LINE = 1 << 20  # bytes
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    """A tokenised example."""

    line: int  # of the data file
    messages: tuple[Message, ...]
    input_ids: tuple[int, ...]  # prompt and completion
    prompt_length: int  # tokens without loss


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of each line. Raises CopilotError with file and line for one that is not a JSON object."""
    if not path.is_file():
        raise CopilotError(f"no file at {path}", "mend its path in the YAML")
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE + 1), b""), 1):
            where = f"{path}:{number}"
            if len(line) > MAX_LINE:
                raise CopilotError(f"{where}: a line of more than 1 MiB", "one JSON object a line, under 1 MiB each")
            if line.strip():
                yield number, _object(line, where)


_HALF = re.compile(rb"\\u[dD][89a-fA-F]")  # of a character beyond the first 65,536, as JSON writes it


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise CopilotError(f"{where}: not UTF-8 at byte {error.start + 1}", "save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        raise CopilotError(f"{where}: not JSON at column {error.colno}: {error.msg}", "mend that line") from None
    except RecursionError:
        raise CopilotError(f"{where}: brackets nested too deeply", "mend that line") from None
    if _HALF.search(line):
        try:
            json.dumps(row, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise CopilotError(f"{where}: a surrogate without its other half", "mend that line") from None
    if not isinstance(row, dict):
        raise CopilotError(f"{where}: expected a JSON object", 'for example {"question": "...", "response": "..."}')
    return row


def read_examples(path: Path, sections: Sequence[str]) -> list[Example]:
    """Training rows. Raises CopilotError for a row without question or response, or a response in another shape."""
    examples = []
    for number, row in read_jsonl(path):
        where = f"{path}:{number}"
        question, response = question_and_response(row)
        if not question or not response:
            missing = "response" if question else "question"
            raise CopilotError(f"{where}: a row without `{missing}`", f"give it as text, in one of the forms {FORMS}")
        if parse(response, sections) is None:
            raise CopilotError(
                f"{where}: the response does not have the {len(sections)} sections: {explain(response, sections)}",
                "write it as in data/sft/train.jsonl; `answer.sections` names the headings",
            )
        audience = row.get("audience", "non-technical")
        if audience not in ("non-technical", "technical"):
            raise CopilotError(f"{where}: `audience` must be non-technical or technical", "mend it, or leave it out")
        examples.append(Example(question, response, _context(row.get("retrieved_context"), where), number, audience))
    if not examples:
        raise CopilotError(f"{path}: no rows in it", 'one JSON object a line: {"question": "...", "response": "..."}')
    return examples


def _context(given: Any, where: str) -> tuple[str, ...] | None:
    """The passages of a row; None where it has none, so that the retriever is asked."""
    passages = [given] if isinstance(given, str) else given or []
    if not isinstance(passages, list) or not all(isinstance(p, str) for p in passages):
        raise CopilotError(
            f"{where}: `retrieved_context` must be a text or a list of texts", "mend it, or leave it out to retrieve it"
        )
    return tuple(p for p in passages if p.strip()) or None


def read_questions(path: Path) -> list[Question]:
    """Evaluation rows; `user_input` is accepted for `question`."""
    rows = []
    for number, row in read_jsonl(path):
        where = f"{path}:{number}"
        question, _ = question_and_response(row)
        if not question:
            raise CopilotError(f"{where}: a row without `question`", "give it as text; `user_input` is accepted too")
        gold = row.get("gold") or []
        wanted = {"document", "heading"}
        if not isinstance(gold, list) or not all(isinstance(g, dict) and wanted <= g.keys() for g in gold):
            raise CopilotError(f"{where}: `gold` must list objects with document and heading", "mend that row")
        names, answerable = row.get("identifiers") or [], row.get("answerable", True)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise CopilotError(f"{where}: `identifiers` must list texts", 'for example ["DELETE /v1/accounts"]')
        if not isinstance(answerable, bool):
            raise CopilotError(f"{where}: `answerable` must be true or false, without quotes", "mend that row")
        rows.append(
            Question(
                id=str(row.get("id", number)),
                question=question,
                reference=str(row.get("reference") or row.get("response") or ""),
                gold=tuple((str(g["document"]), str(g["heading"])) for g in gold),
                identifiers=tuple(names),
                answerable=answerable,
            )
        )
    if not rows:
        raise CopilotError(f"{path}: no questions in it", 'one JSON object a line: {"question": "..."}')
    return rows


def build_rows(
    examples: Sequence[Example],
    retrieve: Callable[[str], list[Hit]],
    tokenizer: Any,
    prompt: Prompt,
    answer: AnswerPart,
    step: Callable[[int], None] = lambda n: None,
) -> list[Row]:
    """Each example as the model will read it: the same renderer and the same retriever as `ask`."""
    rows = []
    for example in examples:
        passages = example.context
        if passages is None:
            passages = tuple(hit.chunk.passage for hit in retrieve(example.question))
        reader = answer.model_copy(update={"audience": example.audience})
        messages = render(example.question, passages, prompt, reader)
        rows.append(tokenize(messages, example.response, tokenizer, example.line))
        step(1)
    return rows


def tokenize(messages: Sequence[Message], response: str, tokenizer: Any, line: int) -> Row:
    """Token ids of prompt and completion. Raises CopilotError when the template does not keep the prompt."""
    full = [*messages, Message(role="assistant", content=response)]
    prompt_ids = prompt_tokens(messages, tokenizer)
    ids = _encode(full, tokenizer, False)
    if ids[: len(prompt_ids)] != prompt_ids:
        raise CopilotError(
            "the chat template changes the prompt once an answer follows it, so training and asking would differ",
            "use a model whose template ends the prompt where the answer begins",
        )
    return Row(line, tuple(full), tuple(ids), len(prompt_ids))


def prompt_tokens(messages: Sequence[Message], tokenizer: Any) -> list[int]:
    """Token ids of a prompt up to where the answer begins."""
    return _encode(messages, tokenizer, True)


def _encode(messages: Sequence[Message], tokenizer: Any, answer_follows: bool) -> list[int]:
    """Token ids of a chat; what only spells a special token becomes ordinary tokens."""
    apart = parted(messages, [str(token) for token in tokenizer.added_tokens_decoder.values()])
    text = tokenizer.apply_chat_template(apart, tokenize=False, add_generation_prompt=answer_follows)
    return [token for part in text.split(APART) for token in tokenizer.encode(part, add_special_tokens=False)]


def held_out_split(rows: Sequence[T], share: float) -> tuple[list[T], list[T]]:
    """(train, held out): rows spread evenly over the file are held out, the same ones each time."""
    count = min(round(len(rows) * share), len(rows) - 1) if share else 0
    chosen = {int((i + 0.5) * len(rows) / count) for i in range(count)} if count > 0 else set()
    return [r for i, r in enumerate(rows) if i not in chosen], [rows[i] for i in sorted(chosen)]


def to_lists(rows: Sequence[Row]) -> list[list[Any]]:
    """Rows as JSON holds them."""
    return [[row.line, row.messages, row.input_ids, row.prompt_length] for row in rows]


def from_lists(made: Sequence[Sequence[Any]]) -> list[Row]:
    """Rows of `to_lists`."""
    return [Row(line, tuple(messages), tuple(ids), prompt) for line, messages, ids, prompt in made]
