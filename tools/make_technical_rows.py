"""data/sft/train.jsonl and tiny.jsonl in; train.jsonl out, with every sixth question once more for technical readers.

The answers of tiny.jsonl are made of the documents' own sentences, names and values: what a technical reader asks for.
The authored ones of train.jsonl say the same in plain words. A model that sees both for one question learns what the
reader in the system message changes.

    python tools/make_technical_rows.py [--out data/sft/train.jsonl]
"""

import argparse
import json
from pathlib import Path

SFT = Path(__file__).resolve().parents[1] / "data" / "sft"
EVERY = 6


def make(plain: Path, exact: Path) -> str:
    """The lines of `plain`, those for technical readers made anew from `exact` at the end."""
    lines = [line for line in plain.read_text(encoding="utf-8").splitlines() if "audience" not in json.loads(line)]
    rows = [row for row in map(json.loads, exact.read_text(encoding="utf-8").splitlines()) if row["answerable"]]
    more = [{**row, "id": f"{row['id']}-t", "audience": "technical"} for row in rows[::EVERY]]
    return "".join(line + "\n" for line in [*lines, *(json.dumps(row, ensure_ascii=False) for row in more)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=SFT / "train.jsonl")
    parser.parse_args().out.write_text(make(SFT / "train.jsonl", SFT / "tiny.jsonl"), encoding="utf-8")
