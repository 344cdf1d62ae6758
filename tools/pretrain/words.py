"""Word lists in, invented words, identifiers and harmless English sentences out (all driven by one `random.Random`)."""

from __future__ import annotations

import ast
import json
import os
import re
import sysconfig
from functools import cache
from pathlib import Path
from random import Random

NOUNS = ["account", "address", "agent", "agreement", "alarm", "alert", "album", "appointment", "archive", "article", "asset", "attachment", "auction", "badge", "balance", "banner", "batch", "beacon", "bill", "board", "booking", "bookmark", "branch", "bucket", "budget", "bundle", "calendar", "call", "camera", "campaign", "card", "cargo", "cart", "case", "catalog", "category", "channel", "charge", "chart", "check", "class", "client", "cluster", "code", "collection", "comment", "company", "contact", "container", "contract", "conversation", "coupon", "course", "courier", "credit", "currency", "customer", "dashboard", "deal", "delivery", "department", "deposit", "device", "discount", "dispatch", "document", "domain", "donation", "door", "draft", "driver", "email", "employee", "endpoint", "engine", "entry", "envelope", "estimate", "event", "exhibit", "expense", "export", "extension", "farm", "feed", "fee", "field", "file", "filter", "fleet", "flight", "folder", "form", "forecast", "gallery", "garden", "gate", "gateway", "gift", "grade", "grant", "group", "guest", "guide", "host", "hotel", "image", "import", "incident", "index", "ingredient", "inspection", "instance", "instrument", "insurance", "interface", "inventory", "invitation", "invoice", "item", "job", "journal", "key", "label", "language", "layer", "lead", "league", "lease", "ledger", "lesson", "letter", "license", "list", "listing", "loan", "location", "lock", "locker", "log", "machine", "mailbox", "manifest", "map", "market", "match", "meal", "measurement", "medal", "meeting", "member", "membership", "menu", "message", "meter", "milestone", "model", "module", "monitor", "move", "network", "node", "note", "notice", "notification", "offer", "office", "option", "order", "organization", "outlet", "package", "page", "pallet", "panel", "parcel", "parking", "partner", "pass", "passenger", "password", "patient", "payment", "payout", "permit", "person", "phone", "photo", "pipeline", "plan", "plant", "player", "playlist", "point", "policy", "pool", "port", "portfolio", "post", "price", "printer", "prize", "product", "profile", "program", "project", "promotion", "property", "protocol", "quest", "question", "queue", "quiz", "quota", "quote", "rack", "rate", "reading", "receipt", "recipe", "record", "recording", "refund", "region", "reminder", "rent", "repair", "report", "request", "reservation", "resource", "restaurant", "result", "return", "review", "reward", "ride", "role", "room", "route", "row", "rule", "salary", "sample", "scan", "schedule", "school", "score", "screen", "script", "seat", "secret", "segment", "sensor", "server", "service", "session", "setting", "shelf", "shift", "ship", "shipment", "shop", "signal", "signature", "site", "skill", "slot", "snapshot", "source", "space", "speaker", "sponsor", "stamp", "station", "statement", "status", "step", "stock", "stop", "store", "stream", "student", "subscription", "supplier", "survey", "switch", "table", "tag", "tank", "target", "task", "tax", "team", "template", "tenant", "terminal", "test", "thread", "ticket", "timer", "token", "tool", "topic", "tour", "tower", "track", "trade", "train", "transfer", "translation", "trip", "truck", "tunnel", "unit", "update", "upload", "user", "vacancy", "vault", "vehicle", "vendor", "venue", "version", "video", "visit", "visitor", "volume", "voucher", "wallet", "warehouse", "warranty", "watch", "webhook", "widget", "window", "worker", "workflow", "workspace", "zone"]
ATTRS = ["name", "title", "label", "description", "phone number", "email address", "postal code", "city", "country", "street", "language", "currency", "amount", "total", "price", "weight", "height", "width", "length", "color", "size", "status", "state", "priority", "category", "owner", "author", "reviewer", "reference", "serial number", "tracking code", "barcode", "batch number", "start date", "end date", "due date", "created at", "updated at", "expires at", "time zone", "duration", "latitude", "longitude", "url", "callback url", "image url", "file name", "file size", "checksum", "version", "comment", "note", "reason", "source", "target", "parent", "position", "rank", "score", "rating", "tax rate", "discount", "quantity", "unit", "balance", "first name", "last name", "display name", "company", "department", "role", "level", "region", "warehouse", "external id", "account number", "iban", "contact person", "delivery note", "gate code", "locale", "tags", "labels", "metadata", "format", "scope", "channel", "subject", "body", "template", "signature", "birthday"]
FLAGS = ["active", "enabled", "archived", "public", "verified", "locked", "urgent", "draft", "default", "visible", "shared", "paid", "confirmed", "dry run", "notify", "force", "recursive", "read only", "include deleted", "send email", "auto renew", "strict", "verbose", "overwrite", "keep history", "test mode"]
LIMITS = ["limit", "page size", "page", "offset", "max results", "timeout", "retry count", "max retries", "interval", "ttl", "batch size", "max size", "threshold", "depth", "retention days", "delay", "buffer size", "port", "workers", "grace period", "expiry minutes", "max attempts", "poll interval", "cache ttl"]
ROLES = ["admin", "owner", "editor", "viewer", "operator", "manager", "auditor", "billing", "support", "developer", "supervisor", "dispatcher"]
_ON = ["b", "br", "c", "ch", "d", "dr", "f", "fl", "g", "gl", "h", "j", "k", "kl", "l", "m", "n", "p", "pl", "qu", "r", "s", "sk", "st", "t", "th", "tr", "v", "w", "x", "z", "zh"]
_VO = ["a", "e", "i", "o", "u", "ai", "ea", "oo", "y", "ou", "ie"]
_CO = ["", "", "n", "r", "s", "l", "x", "m", "k", "nd", "rt", "th", "v"]


def invent(rng: Random, low: int = 2, high: int = 3) -> str:
    """One invented lower-case word of `low`..`high` syllables."""
    parts = [rng.choice(_ON) + rng.choice(_VO) + (rng.choice(_CO) if rng.random() < 0.5 else "") for _ in range(rng.randint(low, high))]
    return "".join(parts)


def article(noun: str) -> str:
    """'a' or 'an' before `noun`."""
    return "an" if noun[0] in "aeio" or (noun.startswith(("up", "un")) and not noun.startswith("uni")) else "a"


def plural(noun: str) -> str:
    """The plural of an English or invented noun phrase."""
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh", "z")) else "s")


def ident(words: str, style: str) -> str:
    """`words` (separated by spaces or hyphens) as camelCase, snake_case, kebab-case, PascalCase, UPPER_CASE or dot.case."""
    w = re.findall(r"[a-z0-9]+", words.lower())
    match style:
        case "camel":
            return w[0] + "".join(x.capitalize() for x in w[1:])
        case "pascal":
            return "".join(x.capitalize() for x in w)
        case "kebab":
            return "-".join(w)
        case "upper":
            return "_".join(w).upper()
        case "dot":
            return ".".join(w)
    return "_".join(w)


@cache
def english() -> tuple[str, ...]:
    """Short plain sentences from the docstrings of Python's standard library (PSF licence), no code characters."""
    if stored := os.environ.get("TINY_ENGLISH"):
        return tuple(json.loads(Path(stored).read_text()))
    return sentences(sorted((root := Path(sysconfig.get_paths()["stdlib"])).glob("*.py")) + sorted(root.glob("*/*.py")))


def sentences(paths: list[Path]) -> tuple[str, ...]:
    """Plain sentences of 6 to 17 words from the docstrings of Python files."""
    found: dict[str, None] = {}
    for path in paths:
        if {"test", "tests", "idlelib"} & set(path.parts):
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = " ".join((ast.get_docstring(node) or "").split())
                for s in re.split(r"(?<=\.) ", text):
                    if re.fullmatch(r"[A-Z][a-z]*(?: [A-Za-z]+,?){5,16}\.", s):
                        found[s] = None
    return tuple(found) or ("The value is kept until the next change is made.",)


SYNONYMS = {  # everyday words for the generator's nouns and verbs, so that question and page do not share every word
    "account": "login|profile", "address": "location|place", "alert": "warning", "attachment": "file that goes with it", "balance": "money left", "batch": "group", "bill": "invoice", "booking": "reservation",
    "campaign": "mailing|mass message", "cart": "basket", "category": "kind", "channel": "way of sending", "client": "customer", "code": "number", "column": "field", "comment": "remark", "company": "firm|business", "contact": "person|customer",
    "container": "box", "contract": "agreement", "coupon": "voucher", "customer": "client|buyer", "dashboard": "overview page", "delivery": "shipment", "device": "machine", "discount": "price cut", "document": "paper|file",
    "driver": "person who drives", "email": "mail", "employee": "worker|colleague", "endpoint": "address", "entry": "record|line", "event": "happening", "expense": "cost", "export": "download", "field": "box", "file": "document", "flow": "automation",
    "folder": "directory", "form": "sheet", "group": "set", "guest": "visitor", "image": "picture", "invoice": "bill", "item": "thing|article", "job": "task", "key": "secret", "label": "tag|sticker", "letter": "post", "limit": "maximum",
    "list": "group|collection", "location": "place", "log": "history", "member": "person", "message": "text|note", "meeting": "appointment", "name": "title", "note": "remark", "notification": "message", "order": "purchase", "organization": "company",
    "owner": "person in charge", "package": "parcel", "page": "sheet", "parcel": "package", "partner": "other firm", "passenger": "traveller", "password": "secret word", "payment": "money transfer", "person": "customer|human", "phone": "mobile|telephone",
    "photo": "picture", "picture": "photo", "price": "cost", "product": "article", "profile": "personal page", "project": "piece of work", "question": "query", "quota": "allowance", "receipt": "proof of payment", "record": "entry|row", "refund": "money back",
    "region": "area", "reminder": "nudge", "report": "summary", "request": "call", "reservation": "booking", "result": "outcome", "review": "opinion", "role": "job", "room": "place", "row": "line", "rule": "condition", "schedule": "timetable|plan",
    "segment": "part", "sensor": "meter", "server": "computer", "session": "visit", "setting": "option", "shipment": "delivery", "shop": "store", "site": "place", "status": "state", "step": "stage", "store": "shop", "student": "pupil", "subscription": "plan",
    "supplier": "vendor", "table": "grid|sheet", "tag": "label|mark", "task": "job|to-do", "team": "group of people", "template": "pattern|ready-made text", "ticket": "support case", "token": "secret key|access key", "tool": "program", "topic": "subject", "transfer": "move",
    "truck": "lorry", "user": "person|colleague", "vehicle": "car", "vendor": "supplier", "video": "film", "visitor": "guest", "voucher": "coupon", "warehouse": "depot", "webhook": "callback|notification address", "worker": "employee", "workspace": "area", "zone": "area",
    "delete": "remove|drop|wipe", "remove": "take off|take out|delete", "change": "alter|modify", "update": "change|refresh", "create": "make|set up", "add": "put in|enter", "send": "send off|mail", "search": "look", "find": "look up|locate", "cancel": "stop|call off", "restore": "get back|bring back",
    "list all": "see every", "get": "fetch|look at", "show": "display", "upload": "send in", "download": "save", "copy": "duplicate", "merge": "join|unite", "verify": "confirm", "pause": "halt", "resume": "continue", "share": "pass on", "lock": "block", "approve": "okay",
    "deleted": "removed|wiped", "expired": "too old", "missing": "not there", "wrong": "incorrect", "allowed": "possible|permitted", "refused": "rejected", "default": "usual value|standard", "maximum": "most", "minutes": "min", "billed": "charged", "several": "more than one",
}


@cache
def vocabulary() -> tuple[str, ...]:
    """Every word of `english`, sorted."""
    return tuple(sorted({w.lower() for s in english() for w in re.findall(r"(?<![`\w])[A-Za-z]{2,}(?![`\w])", s)}))


def salad(rng: Random, low: int, high: int) -> str:
    """Words in no order, now and then with a number, a name or brackets: only copying can reproduce it."""
    words = vocabulary()
    out = [rng.choice(words) if rng.random() < 0.75 else rng.choice(NOUNS) if rng.random() < 0.6 else rng.choice([invent(rng), str(rng.randint(1, 9999)), invent(rng, 1, 2).upper(), f"E.{rng.randint(10, 999)}", f"({rng.choice(words)})", f"`{invent(rng, 1, 2)}_{rng.randint(1, 99)}`"]) for _ in range(rng.randint(low, high))]
    return " ".join(out)
