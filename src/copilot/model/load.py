"""A model section in; a language model and its tokenizer out, by unsloth or transformers, adapter and all."""

import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from copilot.config import Lora, Model
from copilot.errors import CopilotError, StaleError, first_line
from copilot.model.attention import use_grouped_attention
from copilot.prompt.render import PLAIN_TEMPLATE

WITHOUT_GPU = "go on with -c configs/tiny.yaml, or set model.backend=transformers and model.load_in_4bit=false"
CHECK_NAME = "check `model.name`, or copy or download the model again"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready to train or to generate."""

    model: Any
    tokenizer: Any
    backend: str
    device: str
    dtype: str


def quiet_libraries() -> None:
    """Telemetry off, and the libraries' own chatter with it. Call before the first heavy import."""
    for name in ("HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK", "UNSLOTH_DISABLE_STATISTICS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")


def choose_backend(config: Model, whole_rows: bool = False) -> str:
    """`unsloth` or `transformers`; `whole_rows` when it is to train without packs, which unsloth is there for.

    Raises CopilotError when what the YAML asks for cannot run here.
    """
    import torch

    def there(package: str) -> bool:
        return importlib.util.find_spec(package) is not None

    has: dict[str, Any] = {"has_unsloth": there("unsloth"), "has_bitsandbytes": there("bitsandbytes")}
    patched = "unsloth" in sys.modules  # it changes transformers' own classes for all of the process
    return backend_for(config, torch.cuda.is_available(), **has, whole_rows=whole_rows or patched)


def backend_for(config: Model, gpu: bool, has_unsloth: bool, has_bitsandbytes: bool, whole_rows: bool = False) -> str:
    """The backend for a machine that has these things. Raises CopilotError when the YAML asks for what it lacks."""
    if config.load_in_4bit and not gpu:
        raise CopilotError("model.load_in_4bit needs an NVIDIA GPU, and none is found here", WITHOUT_GPU)
    if config.backend == "unsloth" and not (gpu and has_unsloth):
        missing = "the `gpu` extra (pip install 'tech-clarity-copilot[gpu]')" if gpu else "an NVIDIA GPU"
        raise CopilotError(f"model.backend=unsloth needs {missing}", WITHOUT_GPU)
    if config.load_in_4bit and not has_bitsandbytes:
        raise CopilotError("model.load_in_4bit needs bitsandbytes", "pip install 'tech-clarity-copilot[gpu]'")
    if config.backend != "auto":
        return config.backend
    return "unsloth" if gpu and has_unsloth and whole_rows else "transformers"


def prepare(config: Model, whole_rows: bool = False) -> str:
    """Import what must come first (unsloth before transformers) and name the backend."""
    quiet_libraries()
    backend = choose_backend(config, whole_rows)
    if backend == "unsloth":
        import unsloth  # noqa: F401
    import torch

    torch.backends.cuda.enable_cudnn_sdp(False)  # it plans anew for each length of a row: docs/training.md
    return backend


def model_folder(config: Model) -> Path:
    """The folder of the base model, downloaded from the hub once if it is a hub name."""
    if config.provider:
        raise CopilotError(f"{config.name} is a remote model, which has no files here", CHECK_NAME)
    folder = Path(config.name)
    if not folder.is_dir():
        if folder.is_absolute():
            raise CopilotError(f"no model folder at {folder}", "mend `model.name` in the YAML")
        from copilot.hub import download

        folder = download(config.name, ["*.json", "*.safetensors", "*.jinja", "tokenizer*"])
    if not any(folder.glob("*.safetensors")):
        raise CopilotError(
            f"{folder}: no safetensors weights in this model folder",
            "copy model.safetensors there, or name another folder in `model.name`",
        )
    return folder


def load_tokenizer(folder: Path, chat_template: str = "auto") -> Any:
    """The tokenizer; a model without a chat template gets the plain one, a model without padding pads with EOS."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        why = f"{folder}: no usable tokenizer: {first_line(error)}"
        raise CopilotError(why, "copy tokenizer.json there") from None
    if chat_template == "plain" or not tokenizer.chat_template:
        tokenizer.chat_template = PLAIN_TEMPLATE
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    return tokenizer


def choose_dtype(config: Model, training: bool = False) -> Any:
    """The torch dtype of the base weights; on a CPU that multiplies bfloat16 fast, training uses it."""
    import torch

    if config.dtype != "auto":
        return getattr(torch, config.dtype)
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if training and fast else torch.float32


def load_model(
    config: Model, adapter: Path | None = None, training: bool = False, whole_rows: bool = False, sharded: bool = False
) -> Loaded:
    """The base model, with the adapter on it where one is given, ready to generate or, if `training`, to be tuned.

    One that is to be `sharded` over GPUs is in main memory, since it may not fit one of them.
    """
    import torch

    backend = prepare(config, whole_rows)
    folder = model_folder(config)
    dtype = choose_dtype(config, training)
    gpu = torch.cuda.is_available()
    if backend == "unsloth":
        model = _unsloth(config, folder, dtype)
    else:
        model = _transformers(config, folder, dtype, gpu and not sharded)
    tokenizer = load_tokenizer(adapter or folder, config.chat_template)
    if adapter is not None:
        model = _with_adapter(model, adapter)
        if dtype.itemsize == 4 and not config.load_in_4bit:  # in fewer bits a merged weight would lose its change
            model = model.merge_and_unload()  # the same function, without two more products for each layer and token
    if not gpu:
        use_grouped_attention(model)
    model.eval()
    device = f"cuda:{torch.cuda.current_device()}" if gpu else "cpu"
    return Loaded(model, tokenizer, backend, device, str(dtype).removeprefix("torch."))


def describe(loaded: Loaded) -> str:
    """Where and how a model runs: library, device, width of the base weights, type it computes in."""
    import torch

    where = loaded.device if loaded.device == "cpu" else torch.cuda.get_device_name(loaded.device)
    four_bit = "4-bit base (nf4), " if getattr(loaded.model, "is_loaded_in_4bit", False) else ""
    return f"{loaded.backend} on {where}, {four_bit}{loaded.dtype}"


def add_adapter(loaded: Loaded, lora: Lora, seed: int, gradient_checkpointing: bool, packing: bool = False) -> Loaded:
    """The same model with a fresh LoRA adapter to train; with `packing` its other weights keep their type."""
    import torch

    torch.manual_seed(seed)
    target: Any = lora.target_modules
    if loaded.backend == "unsloth":
        from unsloth import FastLanguageModel

        if target == "all-linear":
            target = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
        model = FastLanguageModel.get_peft_model(
            loaded.model,
            r=lora.r,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=target,
            layers_to_transform=lora.layers_to_transform,
            bias="none",
            random_state=seed,
            use_gradient_checkpointing="unsloth" if gradient_checkpointing else False,
        )
    else:
        from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

        base = loaded.model
        if getattr(base, "is_loaded_in_4bit", False) and not packing:
            base = prepare_model_for_kbit_training(base, use_gradient_checkpointing=gradient_checkpointing)
        config = LoraConfig(
            r=lora.r,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=target,
            layers_to_transform=lora.layers_to_transform,
            bias="none",
            task_type="CAUSAL_LM",
        )
        try:
            model = get_peft_model(base, config)
        except ValueError as error:
            raise CopilotError(
                f"train.lora.target_modules: {first_line(error)}", "use all-linear, or layers of this model"
            ) from None
    return Loaded(model, loaded.tokenizer, loaded.backend, loaded.device, loaded.dtype)


def _transformers(config: Model, folder: Path, dtype: Any, on_gpu: bool) -> Any:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    options: dict[str, Any] = {"dtype": dtype}
    if config.load_in_4bit:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
        )
    if on_gpu:
        options["device_map"] = {"": torch.cuda.current_device()}
    try:
        model, found = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, **options)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        why = f"{folder}: cannot be opened as a language model: {first_line(error)}"
        raise CopilotError(why, CHECK_NAME) from None
    if missing := sorted(found["missing_keys"]):
        raise CopilotError(f"{folder}: {len(missing)} weights are missing, {missing[0]} among them", CHECK_NAME)
    return model


def _with_adapter(model: Any, adapter: Path) -> Any:
    from peft import PeftModel
    from safetensors import SafetensorError

    try:
        return PeftModel.from_pretrained(model, str(adapter))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        why = f"{adapter}: does not fit this model: {first_line(error)}"
        raise StaleError(why, "run copilot train again") from None


def _unsloth(config: Model, folder: Path, dtype: Any) -> Any:
    from unsloth import FastLanguageModel

    model, _ = FastLanguageModel.from_pretrained(
        model_name=str(folder), max_seq_length=config.max_length, dtype=dtype, load_in_4bit=config.load_in_4bit
    )
    return model
