"""The pool of `apis.py` in, products of real web APIs out, laid out and renamed anew each time so that only copying helps."""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path
from random import Random

from facts import Fact, loose, turn
from product import ACTIONS, Chunk, Entry, Field, Product, cut, make_look, odd_path, show_entry
from words import article, ident, invent, plural

BASE = {"has": "have", "is": "be", "does": "do", "goes": "go"}
MANY = re.compile(r"(s|list|search|export|batch.*|data|info(rmation)?)$", re.IGNORECASE)
VERB = {"get": "get", "describe": "get", "read": "get", "retrieve": "get", "list": "list", "create": "create", "add": "create", "put": "create", "insert": "create", "register": "create", "update": "update", "patch": "update", "modify": "update", "set": "update", "replace": "replace", "delete": "delete", "remove": "delete", "cancel": "cancel", "restore": "restore", "search": "search", "query": "search", "export": "export", "import": "import", "approve": "approve", "send": "send", "copy": "copy", "merge": "merge", "lock": "lock", "unlock": "unlock", "validate": "verify", "verify": "verify", "check": "verify", "pause": "pause", "resume": "resume", "share": "share", "start": "resume", "stop": "pause"}


@cache
def pool() -> dict[str, object]:
    """What `apis.py` wrote, named by TINY_APIS; empty without it."""
    stored = os.environ.get("TINY_APIS")
    return json.loads(Path(stored).read_text()) if stored else {"apis": [], "synonyms": {}}


def base(verb: str) -> str:
    """'Lists' -> 'list', 'Retries' -> 'retry'."""
    v = verb.lower()
    if v in BASE:
        return BASE[v]
    if v.endswith("ies"):
        return v[:-3] + "y"
    return v[:-2] if re.search(r"(ss|sh|ch|x|zz)es$", v) else v[:-1] if v.endswith("s") and not v.endswith("ss") else v


def clause(text: str) -> str:
    """'Lists the topics of a project.' -> 'list the topics of a project'; '' where the sentence begins with no verb."""
    first, _, rest = text.rstrip(".").partition(" ")
    if not rest or not re.fullmatch(r"[A-Z][a-z]{2,}s?", first) or first in ("This", "These", "The", "Use", "You", "For", "Note", "When", "Each", "Returns", "Access", "There", "Your", "With", "Indicates"):
        return ""
    if not first.endswith("s") and base(first) not in VERB:
        return ""
    return f"{base(first)} {rest}"


def short(rng: Random, text: str) -> str:
    """`text` cut before one of its later prepositions, at least three words long."""
    words = text.split()
    cuts = [i for i, w in enumerate(words) if i >= 3 and w in ("in", "for", "from", "with", "that", "which", "by", "using", "to", "on", "and", "associated", "where", "if", "when", "so")]
    return " ".join(words[: rng.choice(cuts)]).rstrip(",") if cuts and (len(words) > 12 or rng.random() < 0.6) else text


def words_of(name: str) -> list[str]:
    """'ListFindingsV2' -> ['list', 'findings', 'v2']."""
    return [w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+\d*|\d+", name)]


def _fields(rows: list[list[object]], style: str, where: str = "") -> list[Field]:
    out = []
    for name, kind, text, required, default, limit, place in rows:
        if len(str(default)) > 24 or len(str(name)) > 40:
            continue
        parts = " ".join(words_of(str(name)))
        if parts and " ".join(str(text).lower().split()) != parts:
            out.append(Field(ident(parts, style) if style else str(name), parts, str(kind), str(text), bool(required), str(default), str(limit), where or str(place)))
    return list({f.name: f for f in out}.values())


def operation(rng: Random, op: dict[str, object], style: str, host: str) -> Entry | None:
    """One operation as an entry, some of its names changed."""
    name, doc = words_of(str(op["name"])), [str(s) for s in op["doc"]]
    if len(name) < 2 or len(name) > 7:
        return None
    said = clause(doc[0])
    title = str(op.get("title") or " ".join(name).capitalize())
    task = title[0].lower() + title[1:]
    tasks = [short(rng, said)] if said and len(said.split()) <= 22 and "`" not in said else []
    if (action := VERB.get(name[0])) and len(name) < 5:
        rest = " ".join(name[1:])
        noun = rest if MANY.search(rest) else f"{article(rest)} {rest}"
        task = f"{name[0]} {noun}" if "title" not in op else task
        tasks += [f"{rng.choice(ACTIONS[action][1].split('|'))} {noun}".replace("give someone", "hand over") for _ in range(2)]
        title = title if "title" in op or rng.random() < 0.4 else f"{name[0].capitalize()} {noun}"
    call = str(op["call"])
    api = " /" in call
    fields, returns = _fields(op["fields"], style), _fields(op["returns"], style, "response")
    if api:
        call = re.sub(r"\{([^}]*)\}", lambda m: "{" + (ident(" ".join(words_of(m[1])), style) if style and words_of(m[1]) else m[1]) + "}", call)
        if rng.random() < 0.5:
            call = odd_path(rng, call, style)
        for f in fields:
            f.where = "path" if "{" + f.name + "}" in call else "query" if f.where == "path" else f.where
    elif rng.random() < 0.5:
        call = ident(" ".join(name), rng.choice(["snake", "camel", "kebab", "pascal", "dot"]))
    if title.lower() == " ".join(name) and rng.random() < 0.15:
        title = call if api else str(op["name"])
    rng.shuffle(fields)
    fields = sorted(fields[: rng.randint(1, 6)], key=lambda f: f.where != "path")
    out = Entry("api" if api else "module", title, call, task, tasks or [task], doc[0], fields, rng.sample(returns, min(len(returns), rng.choice([0, 0, 1, 2, 3]))), [], [], [(c, m.rstrip("."), "Check the request and try again") for c, m in op["errors"]][: rng.choice([0, 1, 2])])
    for s in doc[1 : rng.choice([1, 2, 3, 5])]:
        questions = [q for q in (turn(s), loose(rng, s), loose(rng, s)) if q]
        if questions:
            out.facts.append(Fact(s, questions, [(n, s.replace("`", "").rstrip(".")) for n in re.findall(r"`([^`\s]{3,40})`", s)][:1]))
    return out


def make_real(rng: Random) -> Product | None:
    """Some operations of one real API as a product; None without a pool."""
    if not (apis := pool()["apis"]):
        return None
    title, ops = rng.choice(apis)
    size = min(len(ops), rng.randint(4, 9))
    at = rng.randint(0, len(ops) - size)
    style, look = rng.choice(["", "", "camel", "snake", "pascal", "kebab"]), make_look(rng)
    host = f"api.{invent(rng)}.example"
    if rng.random() < 0.3:
        title = re.sub(r"API|Service|Amazon|Google|AWS|Cloud", "", title).strip() or title
    name = rng.choice([f"{title} API", title, f"{title} reference", f"{invent(rng).capitalize()} {title.lower()}"]).replace("API API", "API")
    out = Product(name, [], [], [])
    seen: set[str] = set()
    for op in ops[at : at + size]:
        e = operation(rng, op, style, host)
        if e is None or e.call in seen:
            continue
        seen.add(e.call)
        entity = words_of(str(op["name"]))[-1]
        middle = rng.choice(["", "", plural(entity).capitalize() if not entity.endswith("s") else entity.capitalize()])
        header = " › ".join(x for x in (name, middle, e.title) if x)
        for text in cut(show_entry(rng, e, look, host)):
            if e.chunk < 0 and all(p in text for p in (e.call.split(" ") if e.split_call else [e.call])):
                e.chunk = len(out.chunks)
            out.chunks.append(Chunk(header, text, entity))
        if e.chunk >= 0:
            out.entries.append(e)
            out.entities.append(entity)
    return out if len(out.entries) >= 2 else None
