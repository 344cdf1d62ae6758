"""Descriptions of real web APIs in, one JSON pool of their operations out: what `real.py` makes questions from.

Read from packages: botocore (Apache-2.0), google-api-python-client (Apache-2.0) and @octokit/openapi (MIT), and from
WordNet (its own free licence) the everyday words for their nouns and verbs. Operations that speak of what the
development and the blind set document (EVALUATED) are left out.
"""

from __future__ import annotations

import argparse
import gzip
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

Op = dict[str, object]  # name, call, doc (sentences), fields, returns ([name, type, text, required, default, limit, where]), errors
EVALUATED = re.compile(r"docker|prometheus|\bmatrix\b|synapse|promql|couchdb|meilisearch|syncthing", re.IGNORECASE)
MOST = 40  # operations of one API
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z`])")


def plain(text: str) -> str:
    """HTML or markdown as one line of text, code in backticks."""
    text = re.sub(r"</?(?:code|tt)>", "`", text or "")
    text = re.sub(r"<(?:/?(?:p|li|ul|ol|dl|dt|dd|br|note|important)\b[^>]*)>", " ", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"<[^<>]*>", "", text))
    text = html.unescape(text).replace("**", "").replace("‘", "'").replace("’", "'")
    return re.sub(r"`\s*([^`]*?)\s*`", r"`\1`", " ".join(text.split()))


def sentences(text: str, most: int, longest: int = 190) -> list[str]:
    """Up to `most` whole sentences of 4 words and more, none of them a link or a reference to another page."""
    out = []
    for piece in SENTENCE.split(plain(text)):
        piece = piece.strip()
        fits = 20 <= len(piece) <= longest and len(piece.split()) >= 4 and piece.endswith(".") and piece.count("`") % 2 == 0
        if fits and piece[0].isupper() and not re.search(r"https?:|see |refer to|For more|For information|:\.|\|", piece):
            out.append(piece)
    return out[:most]


def clause(text: str) -> str:
    """The first sentence of a field's description without its full stop, at most 150 characters; '' when there is none."""
    text = re.sub(r"^(?:Required|Optional|Output only|Input only|Immutable|Identifier)\.\s*", "", plain(text))
    first = re.split(r"(?<=[.!?:])\s", text, maxsplit=1)[0].rstrip(".: ")
    whole = 8 <= len(first) <= 150 and first.count("`") % 2 == 0 and "|" not in first and "http" not in first
    return first if whole and first[:1].isalnum() else ""


def limits(schema: dict[str, object]) -> str:
    """What a value may be, in words; '' when nothing is said."""
    if isinstance(values := schema.get("enum"), list) and 2 <= len(values) <= 8:
        return "One of " + ", ".join(str(v) for v in values)
    low, high = schema.get("min", schema.get("minimum")), schema.get("max", schema.get("maximum"))
    if low is not None and high is not None and len(f"{low}{high}") < 14:
        return f"From {low} to {high}"
    return f"At most {high}" if high is not None and len(str(high)) < 9 else ""


def aws(path: Path) -> tuple[str, list[Op]]:
    """One service of botocore."""
    spec = json.loads(gzip.decompress(path.read_bytes()))
    shapes, rest = spec["shapes"], spec["metadata"].get("protocol", "").startswith("rest")
    ops = []
    for name, op in spec["operations"].items():
        def fields(side: str, op: Op = op) -> list[list[object]]:
            shape = shapes.get((op.get(side) or {}).get("shape"), {})
            out = []
            for key, member in shape.get("members", {}).items():
                of = shapes.get(member["shape"], {})
                text = clause(member.get("documentation", "") or of.get("documentation", ""))
                if text:
                    out.append([key, of.get("type", "string"), text, key in shape.get("required", []), "", limits(of), "path" if member.get("location") == "uri" else "body"])
            return out
        call = f"{op['http']['method']} {op['http']['requestUri'].split('?')[0]}" if rest else name
        errors = [[e["shape"], clause(shapes.get(e["shape"], {}).get("documentation", ""))] for e in op.get("errors", [])]
        ops.append({"name": name, "call": call, "doc": sentences(op.get("documentation", ""), 7), "fields": fields("input"), "returns": fields("output"), "errors": [e for e in errors if e[1]][:4]})
    return spec["metadata"].get("serviceFullName", path.parts[-3]).removeprefix("AWS ").removeprefix("Amazon "), ops


def methods(resources: dict[str, object]) -> Iterator[dict[str, object]]:
    """Every method of a Google discovery document."""
    for resource in resources.values():
        yield from resource.get("methods", {}).values()
        yield from methods(resource.get("resources", {}))


def google(path: Path) -> tuple[str, list[Op]]:
    """One API of Google's discovery documents."""
    spec = json.loads(path.read_text())
    schemas = spec.get("schemas", {})

    def of(ref: dict[str, object] | None) -> list[list[object]]:
        rows = schemas.get((ref or {}).get("$ref"), {}).get("properties", {}).items()
        return [[k, s.get("type", "object"), clause(s.get("description", "")), s.get("description", "").startswith("Required"), str(s.get("default", "")), limits(s), "body"] for k, s in rows if clause(s.get("description", ""))]

    ops = []
    for m in methods(spec.get("resources", {})):
        query = [[k, s.get("type", "string"), clause(s.get("description", "")), bool(s.get("required")), str(s.get("default", "")), limits(s), s.get("location", "query")] for k, s in m.get("parameters", {}).items() if clause(s.get("description", ""))]
        *_, resource, verb = m["id"].split(".")
        ops.append({"name": f"{verb}{resource[0].upper()}{resource[1:]}", "call": f"{m['httpMethod']} /{m.get('path', '').replace('{+', '{').lstrip('/')}", "doc": sentences(m.get("description", ""), 7), "fields": query + of(m.get("request")), "returns": of(m.get("response")), "errors": []})
    return spec.get("title", path.stem), ops


def github(path: Path) -> list[tuple[str, list[Op]]]:
    """GitHub's REST API, one part a tag."""
    spec = json.loads(path.read_text())
    parts: dict[str, list[Op]] = {}

    def rows(properties: dict[str, dict[str, object]], required: list[str]) -> list[list[object]]:
        return [[k, s.get("type", "object"), clause(str(s.get("description", ""))), k in required, str(s.get("default", "")) if not isinstance(s.get("default"), dict | list) else "", limits(s), "body"] for k, s in properties.items() if clause(str(s.get("description", ""))) and isinstance(s.get("type", "object"), str)]

    for url, verbs in spec["paths"].items():
        for verb, op in verbs.items():
            query = [[p["name"], p["schema"].get("type", "string"), clause(p.get("description", "")), bool(p.get("required")), str(p["schema"].get("default", "")), limits(p["schema"]), p["in"]] for p in op.get("parameters", []) if clause(p.get("description", ""))]
            body = op.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            answer = next((r["content"]["application/json"].get("schema", {}) for c, r in op["responses"].items() if c[0] == "2" and "application/json" in r.get("content", {})), {})
            errors = [[c, r["description"]] for c, r in op["responses"].items() if c[0] in "45" and 8 < len(r.get("description", "")) < 90]
            name = "".join(w.capitalize() for w in re.findall(r"\w+", op["summary"]))
            parts.setdefault(op["tags"][0], []).append({"name": name, "title": op["summary"], "call": f"{verb.upper()} {url}", "doc": sentences(op.get("description", ""), 7), "fields": query + rows(body.get("properties", {}), body.get("required", [])), "returns": rows(answer.get("properties", {}), []), "errors": errors[:4]})
    return [(f"{tag.replace('-', ' ').capitalize()} API", ops) for tag, ops in parts.items()]


def usable(ops: list[Op]) -> list[Op]:
    """Operations that say something, with at most ten fields, spread over the API, none of what the evaluation sets document."""
    good = [o for o in ops if o["doc"] and len(str(o["call"])) < 90 and not EVALUATED.search(json.dumps(o))]
    good = good[:: max(1, len(good) // MOST)][:MOST]
    for o in good:
        o["fields"], o["returns"] = sorted(o["fields"], key=lambda f: not f[3])[:9], o["returns"][:6]
    return good


def synonyms(wordnet: Path, words: set[str]) -> dict[str, list[str]]:
    """For each of `words` (lower case): single words that share its commonest sense in WordNet, commonest first."""
    known: dict[str, int] = {}
    for line in (wordnet / "index.sense").read_text().splitlines():
        key, _, _, count = line.split()
        lemma = key.partition("%")[0]
        known[lemma] = known.get(lemma, 0) + int(count)
    out: dict[str, set[str]] = {}
    for kind in ("verb", "noun"):
        data = {line.split()[0]: line for line in (wordnet / f"data.{kind}").read_text().splitlines() if line[:1].isdigit()}
        for line in (wordnet / f"index.{kind}").read_text().splitlines():
            lemma = line.split()[0]
            if lemma not in words or known.get(lemma, 0) < 5:
                continue
            parts = line.split()
            for offset in parts[-int(parts[2]) :][: 2 if kind == "verb" else 1]:
                fields = data[offset].split()
                for word in fields[4 : 4 + 2 * int(fields[3], 16) : 2]:
                    if word != lemma and re.fullmatch(r"[a-z]{3,}", word) and known.get(word, 0) >= 3:
                        out.setdefault(lemma, set()).add(word)
    return {k: sorted(v, key=lambda w: -known[w])[:4] for k, v in sorted(out.items())}


def collect(folder: Path) -> dict[str, object]:
    """Everything under `folder`, where the packages lie unpacked."""
    newest: dict[str, Path] = {}
    for path in sorted(folder.glob("botocore/data/*/*/service-2.json.gz")):
        newest[path.parts[-3]] = path
    found = [aws(p) for p in newest.values()]
    latest: dict[str, Path] = {}
    for path in sorted(folder.glob("googleapiclient/discovery_cache/documents/*.json")):
        latest[path.name.split(".")[0]] = path
    found += [google(p) for p in latest.values() if p.name != "index.json"]
    found += github(folder / "package/generated/api.github.com.deref.json")
    apis = [[name, kept] for name, ops in found if len(kept := usable(ops)) >= 5 and not EVALUATED.search(name)]
    text = json.dumps(apis).lower()
    return {"apis": apis, "synonyms": synonyms(folder / "wn/dict", set(re.findall(r"[a-z]{3,}", text)))}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    pool = collect(args.folder)
    args.out.write_text(json.dumps(pool, ensure_ascii=False))
    print(f"{len(pool['apis'])} APIs, {sum(len(o) for _, o in pool['apis'])} operations, {len(pool['synonyms'])} words with synonyms")
