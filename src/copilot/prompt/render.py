"""Question and passages in, chat messages out: the one renderer that training and asking share."""

from collections.abc import Sequence

from copilot.config import PLAIN_READER, TECHNICAL_READER, AnswerPart, Prompt
from copilot.placeholders import filled
from copilot.prompt.sections import headings
from copilot.runs import fingerprint
from copilot.types import Message

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# A base model never learnt a chat template's special tokens, so its turns are plain text between BOS and EOS.
PLAIN_TEMPLATE = (
    "{{- bos_token }}{%- set ns = namespace(sep='') %}{%- for message in messages %}"
    "{%- if message['role'] == 'assistant' %}{{- '\\n\\nAnswer:\\n' + message['content'] + eos_token }}"
    "{%- set ns.sep = '' %}{%- else %}{{- ns.sep + message['content'] }}{%- set ns.sep = '\\n\\n' %}{%- endif %}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '\\n\\nAnswer:\\n' }}{%- endif %}"
)


def render(question: str, passages: Sequence[str] | None, prompt: Prompt, answer: AnswerPart) -> list[Message]:
    """System and user message for a question; `passages` None asks from general knowledge."""
    template = prompt.system if passages is not None else prompt.system_no_rag
    count = len(answer.sections)
    number = _NUMBERS[count] if count < len(_NUMBERS) else str(count)
    system = filled(template, {"count": number, "sections": headings(answer.sections)})
    if answer.audience == "technical":
        system = f"{system.replace(PLAIN_READER, '')} {TECHNICAL_READER}"
    context = "\n\n".join(f"[{n}] {passage.strip()}" for n, passage in enumerate(passages or (), 1))
    around = prompt.no_rag if passages is None else prompt.rag
    user = filled(around, {"question": question.strip(), "context": context})
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def prompt_fingerprint(prompt: Prompt, answer: AnswerPart, k: int, chat_template: str) -> str:
    """What an adapter was trained to read; asking with another one is an error."""
    return fingerprint("prompt-1", prompt.model_dump(), answer.sections, k, chat_template)
