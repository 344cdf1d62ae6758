"""A model, its tokenizer and training rows in; a refusal out when a template's token was never trained.

A base model's vocabulary holds the tokens of its later chat template, with embeddings that no text ever moved: zero,
or all alike. An adapter on the linear layers does not move them either, so turns would begin and end with noise.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from copilot.errors import ConfigError
from copilot.model.dataset import Row

_RESERVED = re.compile(r"reserved|unused|<\|?extra|placeholder|<\|?dummy", re.IGNORECASE)  # names of spare tokens
_SAMPLE = 4096  # ordinary tokens looked at
_ZERO = 0.01  # of the usual norm
_TWIN = 0.02  # of the usual distance between tokens
_ENOUGH = 8  # spare tokens that make a cluster


def check_template(model: Any, rows: Sequence[Row], tokenizer: Any) -> None:
    """Raises ConfigError when the rows hold an added token that was never trained to be read, or to be written.

    Read is every token that another follows, by the input embeddings; written is every token of an answer, by the
    output layer. Where both are one matrix it is looked at once.
    """
    added = tokenizer.added_tokens_decoder  # id → token, special or not
    read = {token for row in rows for token in row.input_ids[:-1] if token in added}
    written = {token for row in rows for token in row.input_ids[row.prompt_length :] if token in added}
    ends = [model.get_input_embeddings().weight, model.get_output_embeddings().weight]
    tied = ends[0] is ends[1]
    asked = [(ends[0], read | written)] if tied else [(ends[0], read), (ends[1], written)]
    bad: set[int] = set()
    for weight, used in asked:
        if weight.is_floating_point():  # not where a quantised head holds its rows in another shape
            spare = [token for token, known in added.items() if _RESERVED.search(str(known))]
            spare += range(len(tokenizer), weight.shape[0])  # rows that only round up the matrix
            known = [token for token in (*added, *spare) if token < weight.shape[0]]
            bad |= set(untrained(weight, sorted(used), [s for s in spare if s < weight.shape[0]], known))
    if bad:
        names = ", ".join(str(added[token]) for token in sorted(bad))
        raise ConfigError(
            f"the chat template uses {names}, and this model never learnt "
            f"{'it: its embedding is' if len(bad) == 1 else 'them: their embeddings are'} untrained",
            "set model.chat_template=plain, or name the Instruct model in model.name",
        )


def untrained(weight: Any, used: Sequence[int], spare: Sequence[int], added: Iterable[int]) -> list[int]:
    """Those of the tokens `used` whose row of the matrix (vocabulary, dim) shows no training.

    Such a row is nearly zero; or nearly equal to that of another added token; or as near to the mean of the spare
    tokens as these are themselves, where they stand apart from ordinary tokens (without training, rows keep their
    starting value, or are all pushed the same way when the output layer shares them). Where ordinary tokens look
    like spare ones too, as in a model of random weights, nothing can be told and nothing is said. After Land and
    Bartolo 2024 (under-trained tokens), who use the output layer and the spare tokens' mean in the same way.
    """
    import torch

    if not used:
        return []

    def rows(ids: Sequence[int]) -> Any:
        return weight[torch.tensor(list(ids), device=weight.device)].detach().float().cpu()

    known = {*added, *spare}
    ordinary = [token for token in range(weight.shape[0]) if token not in known]
    step = max(len(ordinary) // _SAMPLE, 1)
    usual, asked = rows(ordinary[::step]), rows(used)
    norm = usual.norm(dim=1).median()
    apart = (usual - usual.mean(0)).norm(dim=1).median() * 2**0.5  # between two ordinary tokens
    others = sorted(known)
    gaps = torch.cdist(asked, rows(others))  # (used, others)
    for i, token in enumerate(used):
        gaps[i, others.index(token)] = torch.inf
    bad = (asked.norm(dim=1) <= _ZERO * norm) | (gaps.min(dim=1).values <= _TWIN * apart)
    pure = [token for token in spare if token not in set(used)]
    if len(pure) >= _ENOUGH:
        cluster = rows(pure)
        centre = cluster.median(0).values
        reach = 1.1 * torch.quantile((cluster - centre).norm(dim=1), 0.99)
        if 2 * reach <= torch.quantile((usual - centre).norm(dim=1), 0.05):
            bad |= (asked - centre).norm(dim=1) <= reach
    return [token for token, flag in zip(used, bad.tolist(), strict=True) if flag]
