"""The pools of tools/pretrain in; passages of real documentation, by product, out: what the questions are about.

    python tools/embedder/passages.py apis.json pages.json passages.json

`apis.json` and `pages.json` are what tools/pretrain/apis.py and pages.py write. The result is a list of products, each
[kind, title, [[heading path, text], ...]]; with the same pools it is the same list, so that a row of questions.jsonl
finds its passage by its place, and by its heading is known to be right. Large APIs come twice: with the operations that
were taken first, and, after all others, with the rest.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from random import Random

FEWEST, MOST = 5, 60  # passages of a product
CALLS = 24  # operations of an API


def main() -> None:
    """Write the passages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("apis", "pages", "out"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    os.environ["TINY_APIS"] = str(given.apis)
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "pretrain"))
    import real
    from product import cut, make_look, show_entry
    from words import invent

    rng = Random(2611)

    def cut_api(title: str, operations: list[object]) -> tuple[str, str, list[list[str]]] | None:
        look, host = make_look(rng), f"api.{invent(rng)}.example"
        name = rng.choice([f"{title} API", title, f"{title} reference"]).replace("API API", "API")
        passages, seen = [], set()
        for operation in operations:
            entry = real.operation(rng, operation, "", host)
            if entry is not None and entry.call not in seen:
                seen.add(entry.call)
                header = " › ".join(part for part in (name, entry.title) if part)
                passages += [[header, text] for text in cut(show_entry(rng, entry, look, host))]
        return ("api", title, passages) if len(passages) >= FEWEST else None

    products, left = [], []
    for title, operations in real.pool()["apis"]:
        size = min(len(operations), CALLS)
        if size < FEWEST:
            continue
        at = rng.randint(0, len(operations) - size)
        products.append(cut_api(title, operations[at : at + size]))
        left.append((title, operations[:at] + operations[at + size :]))
    for page in json.loads(given.pages.read_text(encoding="utf-8")):
        if len(page) >= FEWEST:
            products.append(("page", page[0][0].split(" › ")[0], page[:MOST]))
    products = [product for product in products if product]
    rng.shuffle(products)
    rest = [cut_api(title, operations) for title, operations in left if len(operations) >= FEWEST]
    products += [product for product in rest if product]
    given.out.write_text(json.dumps(products, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
