"""The grammar that an answer is held to in, read by onnxruntime-genai's own decoding; what a random model writes out.

The product decodes ONNX by itself (`model/onnx_decoder.py`); this shows that one grammar text serves that engine too.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_answer import answerer
from test_lock import worded
from tiny_lm import hit, save_model

from copilot.answering.check import check
from copilot.answering.identifiers import quotable
from copilot.config import SECTIONS
from copilot.model.onnx_export import create, silent
from copilot.model.tokens import Tokens
from copilot.prompt.sections import parse

QUESTION = "How many hours does `graceHours` keep the old token?"
HITS = [
    hit("Set `graceHours` to keep the old token for 24 hours. Send POST /v2/tokens/{tokenId}/rotate.", "a.md"),
    hit("Version 2.1 answers 409 where `tokenId` names no token.", "b.md"),
]
POSITIONS = 16384  # nobody ends an answer in time here, so it must have room
# A process of its own: onnxruntime-genai has an onnxruntime of its own.
SAMPLE = """
import json, sys
import onnxruntime_genai as genai

asked = json.load(sys.stdin)
model = genai.Model(asked["folder"])
options = genai.GeneratorParams(model)
options.set_search_options(do_sample=True, temperature=1.5, random_seed=asked["seed"], max_length=asked["length"])
if asked["grammar"]:
    options.set_guidance("lark_grammar", asked["grammar"])
generator = genai.Generator(model, options)
generator.append_tokens(asked["prompt"])
while not generator.is_done():
    generator.generate_next_token()
print(json.dumps([int(token) for token in generator.get_sequence(0)]))
"""


def sampled(**asked: Any) -> list[int]:
    """The tokens after the prompt."""
    done = subprocess.run(
        [sys.executable, "-c", SAMPLE], input=json.dumps(asked), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    made: list[int] = json.loads(done.stdout)[len(asked["prompt"]) :]
    return made


@pytest.mark.parametrize(
    ("ascii_only", "before"),
    [
        (True, ""),
        # Where a character takes several tokens and the grammar leaves no choice, version 0.18 takes a wrong one
        # ("Error committing tokens"), unless it is told not to write by itself what has no choice.
        (False, '%llguidance {"no_forcing": true}\n'),
    ],
)
def test_onnxruntime_genai_holds_a_random_model_to_the_same_grammar(
    ascii_only: bool, before: str, tmp_path: Path
) -> None:
    folder = tmp_path / "onnx"
    model = save_model(tmp_path / "model", 7, head_dim=16, positions=POSITIONS, ascii_only=ascii_only)
    with silent():
        create(model, folder, "fp32", tmp_path / "cache", [])
    asked, said = answerer("", HITS)
    assert asked.config.enforce == "structure+identifiers"
    asked.ask(QUESTION)
    (grammar,), tokens = said.grammars, Tokens(folder)
    prompt = {"folder": str(folder), "prompt": tokens.prompt(said.prompts[0]), "seed": 1}
    free = tokens.decode(sampled(**prompt, grammar="", length=len(prompt["prompt"]) + 200))
    assert parse(free, SECTIONS) is None
    made = sampled(**prompt, grammar=before + grammar, length=POSITIONS)
    text = tokens.decode(made)
    assert len(prompt["prompt"]) + len(made) < POSITIONS, "it has ended by itself"
    sections = parse(text, SECTIONS)
    assert sections, text
    context = "\n".join([*(one.chunk.passage for one in HITS), QUESTION])
    names = set(re.findall(r"`([^`\n]+)`", text))
    assert names and names <= set(quotable(context))
    assert not [f for f in check(text, sections, HITS, QUESTION, asked.config) if not worded(f.text)]
