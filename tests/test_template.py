"""Which tokens of a chat template were never trained: base weights, instruct weights, random ones, our own model."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_lm import model_config, rows_of, tokenizer, write_rows

from copilot.errors import ConfigError
from copilot.model.dataset import Row
from copilot.model.load import load_model
from copilot.model.template import check_template, untrained
from copilot.prompt.render import PLAIN_TEMPLATE

VOCAB, DIM, ORDINARY = 3000, 64, 2700
TURN, USED = [2700, 2701, 2702], [2698, 2700, 2701, 2702]  # 2698 is BOS, which every text begins with
SPARE = list(range(2703, VOCAB))
ADDED = set(range(2698, VOCAB))


def trained(seed: int = 0) -> Any:
    """An embedding matrix after training: each row its own direction, norms of a wide spread."""
    import torch

    torch.manual_seed(seed)
    weight = torch.randn(VOCAB, DIM) * torch.empty(VOCAB, 1).uniform_(0.5, 1.5) * 0.02
    return weight + 0.01 * torch.randn(DIM)  # what all tokens share


def base(kind: str) -> Any:
    """The same with rows of turn and spare tokens as a base model leaves them."""
    import torch

    weight = trained()
    never = slice(TURN[0], VOCAB)
    count = VOCAB - TURN[0]
    match kind:
        case "zero":
            weight[never] = 0
        case "nearly zero":
            weight[never] = 1e-6 * torch.randn(count, DIM)
        case "same":
            weight[never] = 0.004 * torch.randn(DIM)
        case "small start":  # started small, never moved
            weight[never] = 0.002 * torch.randn(count, DIM)
        case _:  # tied to the output layer: all pushed the same way from small starts
            weight[never] = 0.05 * torch.randn(DIM) + 0.004 * torch.randn(count, DIM)
    return weight


@pytest.mark.parametrize("kind", ["zero", "nearly zero", "same", "small start", "pushed"])
@pytest.mark.parametrize("precise", [True, False])
def test_base_weights_are_known(kind: str, precise: bool) -> None:
    weight = base(kind) if precise else base(kind).bfloat16()
    assert untrained(weight, USED, SPARE, ADDED) == TURN


@pytest.mark.parametrize("kind", ["zero", "small start", "pushed"])
def test_instruct_weights_pass(kind: str) -> None:
    """The turns' rows are trained, a little or much; the spare ones still are not."""
    weight, learnt = base(kind), trained(1)
    for size in (0.5, 1.0):
        weight[TURN] = base(kind)[TURN] + size * learnt[TURN]
        assert untrained(weight, USED, SPARE, ADDED) == []


def test_zero_and_twin_rows_are_known_without_spare_tokens() -> None:
    weight = trained()
    weight[2700], weight[2702] = 0, weight[2701]
    assert untrained(weight[:2703], USED, [], set(range(2698, 2703))) == TURN


@pytest.mark.parametrize("seed", range(5))
def test_random_weights_say_nothing(seed: int) -> None:
    import torch

    torch.manual_seed(seed)
    assert untrained(0.02 * torch.randn(VOCAB, DIM), USED, SPARE, ADDED) == []


def test_small_vocabulary_of_trained_tokens_passes() -> None:
    assert untrained(trained()[:40], [38, 39], [], {37, 38, 39}) == []


TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|turn|>{{ m['content'] }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>{% endif %}"
)


def small(tmp_path: Path, template: str | None) -> tuple[Any, list[Row], Any, int]:
    """A model of two matrices, spare tokens untrained in both; rows by the template; the first untrained row."""
    import torch

    tok = tokenizer(template=template or PLAIN_TEMPLATE)
    size = len(tok)
    tok.add_special_tokens({"additional_special_tokens": ["<|turn|>", *(f"<|reserved_{n}|>" for n in range(20))]})
    torch.manual_seed(0)
    ends = [torch.nn.Embedding(len(tok) + 11, 32), torch.nn.Linear(32, len(tok) + 11)]
    for end in ends:
        end.weight.data[size:] *= 0.001
    model = SimpleNamespace(get_input_embeddings=lambda: ends[0], get_output_embeddings=lambda: ends[1])
    return model, rows_of(write_rows(tmp_path / "train.jsonl", 2), tok), tok, size


@pytest.mark.parametrize(("template", "refused"), [(TEMPLATE, True), (None, False)])
def test_refusal_names_the_token_and_the_remedy(tmp_path: Path, template: str | None, refused: bool) -> None:
    """The same base weights: a template with turn tokens is refused, the plain one is not."""
    model, rows, tok, _ = small(tmp_path, template)
    if not refused:
        check_template(model, rows, tok)
        return
    with pytest.raises(ConfigError, match=r"uses <\|turn\|>, and this model never learnt it") as caught:
        check_template(model, rows, tok)
    assert caught.value.code == 2 and "Instruct" in caught.value.hint and "\n" not in caught.value.message


def test_what_is_read_and_what_is_written(tmp_path: Path) -> None:
    """A token that opens turns must be known as input, one that ends answers as output."""
    model, rows, tok, turn = small(tmp_path, TEMPLATE)
    ends = [model.get_input_embeddings().weight, model.get_output_embeddings().weight]
    ends[0].data[turn] = ends[0].data[turn - 1].flip(0)
    check_template(model, rows, tok)  # written by nobody: its output row does not matter
    eos = tok.eos_token_id
    last = [Row(1, (), (tok.bos_token_id, 300, 301, eos), 2)]
    ends[0].data[eos] = 0  # a row of padding: nothing follows it, so nothing reads it
    check_template(model, last, tok)
    ends[1].data[eos] = 0
    with pytest.raises(ConfigError, match="uses </s>"):
        check_template(model, last, tok)


def test_our_own_model_passes(root: Path) -> None:
    """Every added token of the tiny model, most of which its template does not use; BOS and EOS, which it does."""
    folder = root / "data/models/tiny"
    loaded = load_model(model_config(folder))
    added = loaded.tokenizer.added_tokens_decoder
    used = [loaded.tokenizer.bos_token_id, loaded.tokenizer.eos_token_id]
    check_template(loaded.model, [Row(1, (), tuple(used), 0)], loaded.tokenizer)
    assert untrained(loaded.model.get_input_embeddings().weight, used, [], added.keys()) == []
