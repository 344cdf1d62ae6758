"""A folder in; a whole small project out: documents, rows, questions, a random Llama with its own tokenizer, a YAML."""

import json
from pathlib import Path

from tiny_lm import save_model

from copilot.config import SECTIONS
from copilot.model.load import quiet_libraries

DOCUMENTS = {
    "lamps.md": "# Lamps\n\nA lamp gives light.\n\n## Switch on\n\n`PUT /lamps/on` lights it, given `lampId`.\n",
    "doors.md": "# Doors\n\nA door keeps the wind out.\n\n## Open\n\n`PUT /doors/open` opens it, given `doorId`.\n",
    "bells.txt": "Bells\n=====\n\nA bell rings.\n\n`POST /bells/ring` rings the bell. It needs `bellId`.\n",
}


def answer(name: str) -> str:
    """Four sections about one thing."""
    texts = (f"It is about the {name}.", "1. Send it.", f"- `{name}Id`: which one.", "- Name the right one.")
    return "\n\n".join(f"### {title}\n{text}" for title, text in zip(SECTIONS, texts, strict=True))


def rows() -> list[dict[str, str]]:
    """Training rows: twelve questions, one answer each."""
    verbs = {"lamp": "light", "door": "open", "bell": "ring"}
    asked = ("How do I {0} the {1}?", "What can {0} a {1}?", "Which call can {0} my {1}?", "Can I {0} a {1}?")
    pairs = [(text.format(verb, name), name) for text in asked for name, verb in verbs.items()]
    return [{"question": question, "response": answer(name)} for question, name in pairs]


def questions() -> list[dict[str, object]]:
    """Held-out questions with their gold."""
    gold = {"lamp": ("lamps.md", "Lamps › Switch on"), "door": ("doors.md", "Doors › Open")}
    gold["bell"] = ("bells.txt", "Bells")
    return [
        {
            "id": name,
            "question": f"What must be sent for the {name}?",
            "reference": answer(name),
            "gold": [{"document": document, "heading": heading}],
            "identifiers": [f"{name}Id"],
            "answerable": True,
        }
        for name, (document, heading) in gold.items()
    ]


def make_project(root: Path) -> Path:
    """Write the project and return its YAML."""
    (root / "docs").mkdir(parents=True)
    for name, text in DOCUMENTS.items():
        (root / "docs" / name).write_text(text, encoding="utf-8")
    for name, made in (("train.jsonl", rows()), ("questions.jsonl", questions())):
        (root / name).write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    quiet_libraries()
    said = [row["question"] + "\n" + row["response"] for row in rows()]
    save_model(root / "model", 7, texts=[*DOCUMENTS.values(), *said])
    (root / "copilot.yaml").write_text(YAML, encoding="utf-8")
    return root / "copilot.yaml"


YAML = """\
run: {name: small}
documents: {paths: [docs]}
embeddings: {model: "offline:all-MiniLM-L6-v2"}
retriever: {k: 2}
model: {name: ./model, runtime: transformers, load_in_4bit: false, dtype: float32, max_length: 1024}
train:
  data: train.jsonl
  held_out: 0.2
  max_steps: 8
  learning_rate: 0.05
  packing: false
  lora: {r: 4, alpha: 8}
answer: {max_new_tokens: 8}
evaluation: {questions: questions.jsonl, limit: 2}
demo: {questions: ["How do I light the lamp?"]}
"""
