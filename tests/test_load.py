"""Model folders and hub names, good and bad, against what is loaded or said."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from tiny_lm import model_config, save_model, train_config

from copilot.config import Model
from copilot.errors import CopilotError, StaleError
from copilot.model.load import (
    add_adapter,
    backend_for,
    choose_backend,
    load_model,
    load_tokenizer,
    model_folder,
)
from copilot.prompt.render import PLAIN_TEMPLATE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("lm") / "model")


GPU, UNSLOTH, BITS = "gpu", "unsloth", "bitsandbytes"


@pytest.mark.parametrize(
    ("backend", "four_bit", "has", "expected"),
    [
        ("auto", False, (), "transformers"),
        ("auto", False, (UNSLOTH, BITS), "transformers"),
        ("auto", False, (GPU,), "transformers"),
        ("auto", False, (GPU, UNSLOTH), "unsloth"),
        ("auto", True, (GPU, BITS), "transformers"),
        ("auto", True, (GPU, UNSLOTH, BITS), "unsloth"),
        ("transformers", False, (), "transformers"),
        ("transformers", False, (GPU, UNSLOTH), "transformers"),
        ("transformers", True, (GPU, UNSLOTH, BITS), "transformers"),
        ("unsloth", False, (GPU, UNSLOTH), "unsloth"),
    ],
)
def test_backend_table(backend: Any, four_bit: bool, has: tuple[str, ...], expected: str) -> None:
    config = Model(name="m", backend=backend, load_in_4bit=four_bit)
    there = [thing in has for thing in (GPU, UNSLOTH, BITS)]
    assert backend_for(config, *there, whole_rows=True) == expected
    if backend == "auto":  # packs and answers are transformers' own
        assert backend_for(config, *there) == "transformers"


@pytest.mark.parametrize(
    ("backend", "four_bit", "has", "said"),
    [
        ("auto", True, (), "load_in_4bit needs an NVIDIA GPU"),
        ("transformers", True, (UNSLOTH, BITS), "load_in_4bit needs an NVIDIA GPU"),
        ("transformers", True, (GPU,), "load_in_4bit needs bitsandbytes"),
        ("unsloth", False, (UNSLOTH,), "backend=unsloth needs an NVIDIA GPU"),
        ("unsloth", False, (GPU,), "backend=unsloth needs the `gpu` extra"),
    ],
)
def test_backend_that_cannot_run_here(backend: Any, four_bit: bool, has: tuple[str, ...], said: str) -> None:
    config = Model(name="m", backend=backend, load_in_4bit=four_bit)
    with pytest.raises(CopilotError, match=said) as caught:
        backend_for(config, *(thing in has for thing in (GPU, UNSLOTH, BITS)))
    if GPU not in has:
        assert "configs/tiny.yaml" in caught.value.hint and "model.backend=transformers" in caught.value.hint
    else:
        assert caught.value.hint


def test_no_gpu_for_4bit_says_how_to_go_on(folder: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    for attempt in (choose_backend, load_model):
        with pytest.raises(CopilotError, match="needs an NVIDIA GPU") as caught:
            attempt(model_config(folder, load_in_4bit=True))
        assert "configs/tiny.yaml" in caught.value.hint and "model.backend=transformers" in caught.value.hint


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(CopilotError, match="no model folder at") as caught:
        model_folder(model_config(tmp_path / "none"))
    assert "model.name" in caught.value.hint


def without(folder: Path, copy: Path, *names: str) -> Path:
    shutil.copytree(folder, copy)
    for name in names:
        (copy / name).unlink()
    return copy


def test_folder_without_weights(folder: Path, tmp_path: Path) -> None:
    bare = without(folder, tmp_path / "m", "model.safetensors")
    (bare / "pytorch_model.bin").write_bytes(b"a pickle is not opened")
    with pytest.raises(CopilotError, match="no safetensors weights") as caught:
        load_model(model_config(bare))
    assert "model.safetensors" in caught.value.hint


def test_folder_without_config_or_tokenizer(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CopilotError, match="cannot be opened as a language model"):
        load_model(model_config(without(folder, tmp_path / "a", "config.json")))
    with pytest.raises(CopilotError, match="no usable tokenizer") as caught:
        load_model(model_config(without(folder, tmp_path / "b", "tokenizer.json", "tokenizer_config.json")))
    assert "tokenizer.json" in caught.value.hint


def test_damaged_weights(folder: Path, tmp_path: Path) -> None:
    copy = without(folder, tmp_path / "m")
    with (copy / "model.safetensors").open("r+b") as file:
        file.truncate(2000)
    with pytest.raises(CopilotError, match="cannot be opened as a language model"):
        load_model(model_config(copy))


def test_weights_that_lack_a_layer_are_not_made_up(folder: Path, tmp_path: Path) -> None:
    copy = without(folder, tmp_path / "m")
    config = json.loads((copy / "config.json").read_text("utf-8"))
    (copy / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}), "utf-8")
    with pytest.raises(CopilotError, match=r"weights are missing, model\.layers\.2"):
        load_model(model_config(copy))


def test_adapter_of_another_model_is_stale(folder: Path, tmp_path: Path) -> None:
    made = add_adapter(load_model(model_config(folder)), train_config().lora, 1, False)
    made.model.save_pretrained(tmp_path / "adapter")
    made.tokenizer.save_pretrained(tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text("utf-8"))
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps({**config, "r": 2}), "utf-8")
    with pytest.raises(StaleError, match="does not fit this model") as caught:
        load_model(model_config(folder), tmp_path / "adapter")
    assert caught.value.code == 3 and "copilot train" in caught.value.hint


def test_tokenizer_without_template_gets_the_plain_one(folder: Path, tmp_path: Path) -> None:
    tok = load_tokenizer(folder)
    assert tok.chat_template == PLAIN_TEMPLATE and tok.padding_side == "left"
    own = "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}{% endfor %}"
    assert load_tokenizer(save_model(tmp_path / "own", template=own)).chat_template == own
    assert load_tokenizer(tmp_path / "own", "plain").chat_template == PLAIN_TEMPLATE


def test_tokenizer_without_padding_pads_with_its_end(folder: Path, tmp_path: Path) -> None:
    copy = without(folder, tmp_path / "m")
    config = json.loads((copy / "tokenizer_config.json").read_text("utf-8"))
    config.pop("pad_token")
    (copy / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    tok = load_tokenizer(copy)
    assert tok.pad_token == tok.eos_token == "</s>"


# Hub names. The hub is a server of this test, or nobody: the library reads its address once, so a process each.

ASK = """
import sys
from copilot.errors import CopilotError
from copilot.hub import download
try:
    print(download("somebody/some-model", ["*.json"], patience=1.0))
except CopilotError as error:
    print(error.message, error.hint, sep="\\n")
"""


def ask_hub(endpoint: str, home: Path) -> tuple[str, float]:
    """What is said, and after how many seconds."""
    offline = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    here = {name: value for name, value in os.environ.items() if name not in offline}
    here |= {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", ASK], env=here, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout, time.monotonic() - began


def test_hub_name_without_network(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        said, seconds = ask_hub(f"http://127.0.0.1:{free.getsockname()[1]}", tmp_path)
    assert "somebody/some-model: not in the local cache, and the hub cannot be reached" in said
    assert "configs/tiny.yaml" in said and seconds < 30


def test_hub_that_never_answers_is_not_waited_for(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        said, seconds = ask_hub(f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path)
    assert "the hub cannot be reached" in said and seconds < 30


class NotFound(BaseHTTPRequestHandler):
    """A hub that knows no model."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def hub_without_models() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), NotFound)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_hub_name_that_does_not_exist(hub_without_models: str, tmp_path: Path) -> None:
    said, _ = ask_hub(hub_without_models, tmp_path)
    assert "somebody/some-model: the hub answers 404" in said and "check the name" in said


def test_name_that_is_neither_folder_nor_hub_name() -> None:
    with pytest.raises(CopilotError, match="neither a folder nor a hub name"):
        model_folder(model_config(Path("a/b/c/d")))
