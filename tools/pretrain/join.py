"""A folder with `part-*.safetensors` in, a model folder with one model.safetensors and its tokenizer out."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from model import join

if __name__ == "__main__":
    source, out, *tokenizer = (Path(a) for a in sys.argv[1:])
    join(source, out)
    for folder in tokenizer:
        for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            shutil.copy(folder / name, out / name)
