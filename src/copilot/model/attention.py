"""What a CPU needs to generate fast: attention of one token without copies, and prompts that are read one by one.

transformers repeats the keys and values of grouped heads for every token, and its growing cache copies all of them.
Here the query is grouped instead, over a cache of fixed size. Source: Ainslie et al. 2023 (grouped-query attention).
A batch of padded prompts needs a mask, with which every token looks at all others; a prompt alone looks back only.
"""

from collections.abc import Sequence
from typing import Any

NAME = "grouped"


def use_grouped_attention(model: Any) -> bool:
    """Switch a transformers model to it; False where the model does not take other attention functions."""
    from transformers import AttentionInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask

    if not getattr(model, "_supports_attention_backend", False):
        return False
    AttentionInterface.register(NAME, grouped_attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
    return True


def grouped_attention(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, scaling: float | None = None, **options: Any
) -> tuple[Any, None]:
    """Scaled dot-product attention of query (b, heads, n, dim) over key and value (b, groups, t, dim).

    Returns (b, n, heads, dim). More than one token at a time (a prompt, training) goes to transformers' own function.
    """
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    batch, heads, tokens, dim = query.shape
    if tokens > 1 or options.get("dropout") or options.get("position_bias") is not None:
        return sdpa_attention_forward(  # type: ignore[no-any-return]
            module, query, key, value, attention_mask, scaling=scaling, **options
        )
    groups = key.shape[1]
    grouped = query.view(batch, groups, heads // groups, dim) * (dim**-0.5 if scaling is None else scaling)
    scores = torch.matmul(grouped, key.transpose(2, 3)).float()  # (b, groups, heads / groups, t)
    if attention_mask is not None:
        if attention_mask.dtype == torch.bool:
            scores = scores.masked_fill(~attention_mask, float("-inf"))
        else:
            scores = scores + attention_mask
    weights = torch.softmax(scores, -1).to(value.dtype)
    return torch.matmul(weights, value).view(batch, 1, heads, dim), None


def read_prompts(model: Any, prompts: Sequence[Sequence[int]], size: int, known: dict[Any, Any] | None = None) -> Any:
    """A StaticCache for `size` tokens that holds all of each prompt but its last token, aligned at their ends.

    `known` keeps what was read, for the same prompts the next time; it holds no more than the last batch.
    """
    import torch
    from transformers import DynamicCache, StaticCache

    rows, known = [], {} if known is None else known
    for ids in prompts:
        own = known.get(tuple(ids))
        if own is None:
            own = DynamicCache(config=model.config)
            if len(ids) > 1:
                model(input_ids=torch.tensor([ids[:-1]]), past_key_values=own, use_cache=True, logits_to_keep=1)
        rows.append(own)
    known.clear()
    known.update(zip(map(tuple, prompts), rows, strict=True))
    longest = max(len(ids) for ids in prompts) - 1
    cache = StaticCache(config=model.config, max_cache_len=size)
    for i, layer in enumerate(cache.layers if longest else ()):
        layers = [own.layers[i] for own in rows]
        layer.update(*(_aligned([getattr(own, name) for own in layers], longest) for name in ("keys", "values")))
    return cache


def _aligned(parts: Sequence[Any], longest: int) -> Any:
    """(1, groups, t, dim) each, as (rows, groups, longest, dim) with zeros before the shorter ones."""
    known = next(part for part in parts if part is not None and part.shape[2] == longest)
    out = known.new_zeros(len(parts), known.shape[1], longest, known.shape[3])
    for row, part in enumerate(parts):
        if part is not None:
            out[row, :, longest - part.shape[2] :] = part[0]
    return out
