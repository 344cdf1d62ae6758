"""The one YAML, closed and checked: every key with its unit and effect, in the order data flows."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from copilot.placeholders import checked

SECTIONS = ("Summary", "How it works", "Key parameters / fields", "Common mistakes or troubleshooting tips")
SYSTEM = (
    "You explain technical documentation to non-technical people. Use only the context. Answer in exactly "
    "{count} markdown sections: {sections}. Write names in backticks exactly as the context writes them. "
    "If the context does not hold the answer, say so in the same {count} sections."
)
SYSTEM_NO_RAG = (
    "You explain technical topics to non-technical people from general knowledge. Answer in exactly {count} "
    "markdown sections: {sections}. Do not invent names of endpoints, fields or settings."
)
REMOTE = ("azure_openai", "openai")  # providers that texts are sent to
PLAIN_READER = " to non-technical people"  # of both system messages; left out for a technical reader
TECHNICAL_READER = "The reader is technical: use exact terms, names and values, and leave basics out."
PROVIDERS = (*REMOTE, "huggingface", "offline")

Positive = Annotated[int, Field(ge=1)]
RUN_NAME = r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$"  # of a folder below another: neither . nor ..


class Part(BaseModel):
    """A section of the YAML: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Run(Part):
    """Which run this is."""

    name: str = Field("default", pattern=RUN_NAME, description="folder of the run under `output_dir`")


class Documents(Part):
    """The knowledge base."""

    paths: list[str] = Field(["data/knowledge_base"], min_length=1, description="files and folders to read")
    include: list[str] = Field(
        ["**/*.md", "**/*.txt", "**/*.pdf", "**/*.docx"], min_length=1, description="globs inside the folders"
    )
    exclude: list[str] = Field([], description="globs left out, matched as `include` is")


class Chunks(Part):
    """How documents are cut."""

    size: Positive = Field(1200, description="longest chunk, characters")
    overlap: int = Field(150, ge=0, description="characters repeated from the chunk before, within one section")

    @model_validator(mode="after")
    def _overlap_fits(self) -> "Chunks":
        if self.overlap >= self.size:
            raise ValueError(f"overlap ({self.overlap}) must be smaller than size ({self.size})")
        return self


class Embeddings(Part):
    """What turns a chunk into a vector."""

    model: str = Field(
        "huggingface:sentence-transformers/all-MiniLM-L6-v2",
        description="`provider:name`; providers: azure_openai, openai, huggingface, offline",
    )
    adapter: str | None = Field(
        None,
        description="a LoRA adapter (PEFT folder) that is merged into a local BERT model: offline, or a folder; "
        "with `adapter_tokens.safetensors` in it passages are also looked at token by token (late interaction)",
    )
    batch_size: Positive = Field(32, description="texts embedded or sent at once")
    endpoint: str | None = Field(None, description="base URL of the provider; null: its own environment variable")
    api_version: str | None = Field(None, description="Azure API version; null: OPENAI_API_VERSION")
    api_key: SecretStr | None = Field(None, description="write ${NAME}, never the key; null: the provider's variable")

    @field_validator("model")
    @classmethod
    def _known_provider(cls, value: str) -> str:
        provider, colon, name = value.partition(":")
        if not colon or not name or provider not in PROVIDERS:
            raise ValueError(f"expected provider:name with a provider of {', '.join(PROVIDERS)}")
        return value

    @property
    def provider(self) -> str:
        """The part before the colon."""
        return self.model.partition(":")[0]

    @property
    def name(self) -> str:
        """The part after the colon."""
        return self.model.partition(":")[2]


class Retriever(Part):
    """What is brought to the model."""

    k: Positive = Field(5, description="chunks brought to the prompt")
    mode: Literal["hybrid", "dense", "lexical"] = Field("hybrid", description="dense: meaning; lexical: words (BM25)")
    reranker: str | None = Field(
        None, description="PEFT folder for the packaged MiniLM: a cross-encoder reads the question with each hit"
    )


class Prompt(Part):
    """The words around question and context; part of the adapter's fingerprint."""

    system: str = Field(SYSTEM, min_length=1, description="system message; may hold {sections} and {count}")
    system_no_rag: str = Field(SYSTEM_NO_RAG, min_length=1, description="system message of `ask --no-rag`")
    rag: str = Field("Context:\n\n{context}\n\nQuestion: {question}", description="message with context; {{a}} is {a}")
    no_rag: str = Field("Question: {question}", description="user message of `ask --no-rag`")

    @field_validator("*")
    @classmethod
    def _placeholders_fit(cls, value: str, info: Any) -> str:
        known = {"rag": ["context", "question"], "no_rag": ["question"]}
        return checked(value, known.get(info.field_name, ["sections", "count"]), needed=info.field_name in known)


class Model(Part):
    """The language model."""

    name: str = Field(
        "unsloth/Llama-3.2-1B",
        min_length=1,
        description="hub name or folder with safetensors weights; or `openai:name`, `azure_openai:deployment`: a "
        "remote chat model, which is asked but not trained",
    )
    backend: Literal["auto", "unsloth", "transformers", "extractive"] = Field(
        "auto",
        description="auto: transformers; unsloth for training without packs, where there is a GPU and the extra; "
        "extractive: no model, answers are put together from sentences of the passages",
    )
    runtime: Literal["auto", "onnx", "transformers"] = Field(
        "auto",
        description="what `ask` writes with: onnx starts in about a second on a CPU, once `copilot train` or `copilot "
        "export` has written it; transformers is what trains; auto: onnx on a CPU where that export is there and fits",
    )
    load_in_4bit: bool = Field(True, description="nf4 base weights; needs an NVIDIA GPU")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="auto: bfloat16 on a GPU and to train where a CPU multiplies it fast, else float32"
    )
    chat_template: Literal["auto", "plain"] = Field(
        "auto",
        description="auto: the model's own where it has one; plain: text between its BOS and EOS, for a base model",
    )
    max_length: Positive = Field(4096, description="longest prompt with its answer, tokens; nothing is cut silently")
    endpoint: str | None = Field(None, description="base URL of a remote model; null: its own environment variable")
    api_version: str | None = Field(None, description="Azure API version; null: OPENAI_API_VERSION")
    api_key: SecretStr | None = Field(None, description="write ${NAME}, never the key; null: the provider's variable")
    guided: bool = Field(False, description="the remote model runs in vLLM, which is sent each answer's grammar")

    @property
    def provider(self) -> str | None:
        """Who runs a remote model; None for one that runs here."""
        provider, colon, _ = self.name.partition(":")
        return provider if colon and provider in REMOTE else None

    @property
    def extractive(self) -> bool:
        """Whether there is no language model at all, and so nothing to train."""
        return self.backend == "extractive"

    @property
    def trainable(self) -> bool:
        """Whether there is a model here that can be trained."""
        return not self.extractive and self.provider is None


class Lora(Part):
    """Low-rank adapters (PEFT names)."""

    r: Positive = Field(16, description="rank of the update: more learns more and weighs more")
    alpha: float = Field(32, gt=0, description="scale; the update is multiplied by alpha / r")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of adapter inputs dropped in training")
    target_modules: list[str] | Literal["all-linear"] = Field("all-linear", description="layers that get an adapter")
    layers_to_transform: list[int] | None = Field(
        None, min_length=1, description="blocks that get one, from 0; null: all. Needs target_modules by name"
    )

    @model_validator(mode="after")
    def _blocks_need_names(self) -> "Lora":
        if self.layers_to_transform is not None and self.target_modules == "all-linear":
            raise ValueError("layers_to_transform needs target_modules as a list of names, e.g. [q_proj, v_proj]")
        return self


class Train(Part):
    """Supervised fine-tuning (TRL names)."""

    data: str = Field(
        "data/sft/train.jsonl", min_length=1, description="JSONL rows: question, response, retrieved_context optional"
    )
    adapter_from: str | None = Field(
        None,
        pattern=RUN_NAME,
        description="run under `output_dir` whose adapter answers, also on other documents; null: this run's own",
    )
    held_out: float = Field(0.1, ge=0, lt=1, description="share of rows kept out of training to measure the loss on")
    min_steps: Positive = Field(8, description="fewer optimizer steps than this are refused: nothing would be learnt")
    lora: Lora = Field(default_factory=Lora, description="the adapter")
    learning_rate: float = Field(2e-4, gt=0, description="peak learning rate")
    num_train_epochs: float = Field(3.0, gt=0, description="passes over the rows")
    max_steps: int = Field(-1, ge=-1, description="optimizer steps; -1: as the epochs give")
    per_device_train_batch_size: Positive = Field(2, description="rows at once on a device")
    gradient_accumulation_steps: Positive = Field(4, description="batches per optimizer step")
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = Field(
        "linear", description="how the learning rate falls"
    )
    warmup_steps: float = Field(0.1, ge=0, description="steps of rising learning rate; below 1: share of all steps")
    weight_decay: float = Field(0.0, ge=0, description="decay of adapter weights")
    max_grad_norm: float = Field(1.0, gt=0, description="gradients longer than this are shortened")
    optim: str = Field("adamw_torch", description="optimizer, by its transformers name")
    gradient_checkpointing: bool | Literal["auto"] = Field(
        "auto", description="less memory, about a third slower; auto: when the free memory asks for it"
    )
    packing: bool = Field(
        True, description="rows side by side in packs of one size, none reading another: several times faster on a GPU"
    )
    pack_tokens: Positive = Field(16384, description="most tokens of a pack; less is taken when memory is short")
    logging_steps: Positive = Field(1, description="steps between log lines")
    eval_steps: float = Field(
        0.1, gt=0, description="steps between measurements of the held-out loss; below 1: share of all steps"
    )
    early_stopping_patience: int | None = Field(
        None, description="end after so many measurements without a lower loss, and keep the best adapter; null: go on"
    )
    save_steps: Positive = Field(20, description="steps between checkpoints for `--resume`")
    save_total_limit: Positive = Field(2, description="checkpoints kept while training")
    report_to: Literal["none", "tensorboard", "wandb"] = Field("none", description="where TRL also sends its log")

    @field_validator("eval_steps")
    @classmethod
    def _whole_above_one(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError("must be a whole number of steps, or a share below 1")
        return value


class AnswerPart(Part):
    """The answer's shape."""

    sections: list[str] = Field(
        list(SECTIONS), min_length=1, description="headings of an answer, in order; `Title: 120` also gives its budget"
    )
    budgets: list[int | None] = Field(
        [], description="most tokens of each section, its heading included (40 at least); null: no limit"
    )
    max_new_tokens: Positive = Field(512, description="longest answer, tokens")
    temperature: float = Field(0.0, ge=0, le=2, description="0: the likeliest token each time")
    enforce: Literal["quotes", "structure+identifiers", "structure", "off"] = Field(
        "structure+identifiers",
        description="what the program holds the model to: the sections, and names in backticks that the passages hold; "
        "quotes, for a small model: it chooses sentences of the entry that fits best",
    )
    audience: Literal["non-technical", "technical"] = Field(
        "non-technical",
        description="whom the system message names as reader; who is not technical also gets terms of a glossary",
    )
    refuse: bool = Field(True, description="whether the model may begin by saying that the documents do not say")
    abstain: Literal["auto", "off"] = Field(
        "auto", description="auto: questions far from the documents are refused, where rows show that this helps"
    )
    abstain_rows: list[str] = Field([], description="JSONL rows beside train.data: question, answerable, source")

    @model_validator(mode="before")
    @classmethod
    def _budgets_beside_titles(cls, data: Any) -> Any:
        """`sections: [{Summary: 80}, Notes]` is two titles and the budgets 80 and none."""
        items = data.get("sections") if isinstance(data, dict) else None
        if not isinstance(items, list) or not any(isinstance(item, dict) for item in items):
            return data
        beside = [isinstance(item, dict) and len(item) == 1 for item in items]
        pairs = [next(iter(item.items())) if has else (item, None) for item, has in zip(items, beside, strict=True)]
        budgets = data.get("budgets") or [budget for _, budget in pairs]
        return {**data, "sections": [title for title, _ in pairs], "budgets": budgets}

    @model_validator(mode="after")
    def _keys_that_fit(self) -> "AnswerPart":
        if self.budgets and len(self.budgets) != len(self.sections):
            raise ValueError(f"{len(self.budgets)} budgets for {len(self.sections)} sections; give one each, or none")
        if any(budget is not None and budget < 40 for budget in self.budgets):
            raise ValueError("a budget of less than 40 tokens holds no heading and sentence; null sets no limit")
        if self.enforce == "quotes" and self.refuse:
            raise ValueError("enforce: quotes needs refuse: false, since the documents hold no refusal to quote")
        return self

    @field_validator("enforce", "abstain", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: Any) -> Any:
        return "off" if value is False else value  # YAML reads a bare off as false

    @field_validator("sections")
    @classmethod
    def _plain_titles(cls, value: list[str]) -> list[str]:
        if len(set(value)) < len(value) or any(not v.strip() or "\n" in v or v.startswith("#") for v in value):
            raise ValueError("expected different titles of one line, without #")
        return value


class Evaluation(Part):
    """The held-out questions."""

    questions: str = Field("data/eval/questions.jsonl", min_length=1, description="JSONL rows with gold and reference")
    limit: int | None = Field(None, ge=1, description="questions asked, spread evenly over the file; null: all")
    batch_size: Positive = Field(16, description="answers generated at once")
    gates: dict[str, float] = Field(
        {}, description="`column.figure: least`, e.g. `served.structure: 0.95`; a figure below it ends with exit code 4"
    )


class Demo(Part):
    """What `copilot pipeline` shows at its end."""

    questions: list[Annotated[str, Field(min_length=1)]] = Field(
        ["How do I get a contact by phone number?"], description="asked of the tuned model"
    )


class Config(Part):
    """The whole YAML. Only `pipeline.py` and `cli.py` see it whole; a function takes its own section."""

    run: Run = Field(default_factory=Run, description="this run")
    output_dir: str = Field("outputs", min_length=1, description="where run folders are made")
    seed: int = Field(42, ge=0, description="of shuffling, adapter weights and sampling")
    documents: Documents = Field(default_factory=Documents, description="the knowledge base")
    chunks: Chunks = Field(default_factory=Chunks, description="how documents are cut")
    embeddings: Embeddings = Field(default_factory=Embeddings, description="chunks to vectors")
    retriever: Retriever = Field(default_factory=Retriever, description="vectors to hits")
    prompt: Prompt = Field(default_factory=Prompt, description="hits to messages")
    model: Model = Field(default_factory=Model, description="the language model")
    train: Train = Field(default_factory=Train, description="supervised fine-tuning")
    answer: AnswerPart = Field(default_factory=AnswerPart, description="the answer")
    evaluation: Evaluation = Field(default_factory=Evaluation, description="before and after")
    demo: Demo = Field(default_factory=Demo, description="shown at the end")

    @property
    def run_dir(self) -> Path:
        """The folder of this run."""
        return Path(self.output_dir) / self.run.name

    def to_yaml(self) -> str:
        """The resolved YAML, secrets masked."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)
