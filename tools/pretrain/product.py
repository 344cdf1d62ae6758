"""A `random.Random` in, one invented product out: entries (facts) and the documentation chunks that show them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from random import Random

from facts import ADJ, PP, Fact, facts, gloss, name, value
from words import ATTRS, FLAGS, LIMITS, NOUNS, ROLES, article, english, ident, invent, plural, salad

MAX_CHUNK = 1200
# action -> (title verbs, everyday verbs, HTTP method, path suffix or '', third person)
ACTIONS: dict[str, tuple[str, str, str, str, str]] = {
    "get": ("Get|Retrieve|Fetch|Read|Look up|Show", "get|look up|see|fetch|pull up|read|view|retrieve|show", "GET", "{id}", "Returns"),
    "list": ("List|Get all|Browse|List all", "list|see all|get a list of|show all|get all|browse|page through", "GET", "", "Returns"),
    "create": ("Create|Add|Register|New", "create|add|make|set up|register|enter", "POST", "", "Creates"),
    "update": ("Update|Change|Edit|Modify|Patch", "update|change|edit|modify|correct|fix", "PATCH", "{id}", "Changes"),
    "replace": ("Replace|Overwrite", "replace|overwrite|swap out", "PUT", "{id}", "Replaces"),
    "delete": ("Delete|Remove|Erase", "delete|remove|get rid of|erase|throw away", "DELETE", "{id}", "Deletes"),
    "cancel": ("Cancel", "cancel|call off|stop", "POST", "{id}/cancel", "Cancels"),
    "archive": ("Archive", "archive|put away|store away", "POST", "{id}/archive", "Archives"),
    "restore": ("Restore|Undelete", "restore|bring back|recover", "POST", "{id}/restore", "Restores"),
    "search": ("Search|Find|Query", "search|search for|find|look for", "GET", "search", "Finds"),
    "export": ("Export|Download", "export|download|get a file of", "GET", "export", "Exports"),
    "import": ("Import|Bulk upload|Upload", "import|upload|load|bring in", "POST", "import", "Imports"),
    "approve": ("Approve|Confirm|Accept", "approve|confirm|accept|sign off", "POST", "{id}/approve", "Approves"),
    "assign": ("Assign|Hand over", "assign|hand over|give someone", "POST", "{id}/assign", "Assigns"),
    "send": ("Send|Dispatch|Deliver", "send|send out|deliver|dispatch", "POST", "{id}/send", "Sends"),
    "copy": ("Duplicate|Copy|Clone", "duplicate|copy|clone|make a copy of", "POST", "{id}/copy", "Copies"),
    "merge": ("Merge|Combine", "merge|combine|join", "POST", "merge", "Merges"),
    "lock": ("Lock|Freeze|Block", "lock|freeze|block", "POST", "{id}/lock", "Locks"),
    "unlock": ("Unlock|Unblock|Release", "unlock|unblock|release", "POST", "{id}/unlock", "Unlocks"),
    "verify": ("Verify|Validate|Check", "verify|validate|check|make sure of", "POST", "{id}/verify", "Verifies"),
    "pause": ("Pause|Suspend", "pause|suspend|put on hold", "POST", "{id}/pause", "Pauses"),
    "resume": ("Resume|Continue", "resume|continue|restart", "POST", "{id}/resume", "Resumes"),
    "share": ("Share|Publish", "share|publish|make public", "POST", "{id}/share", "Shares"),
    "count": ("Count|Get the number of", "count|get the number of|find out how many", "GET", "count", "Counts"),
    "history": ("Get the history of|List changes of", "see the history of|see past changes of|track changes of", "GET", "{id}/history", "Returns the history of"),
}
PLURAL = {"list", "search", "export", "import", "merge", "count"}


@dataclass
class Field:
    """One parameter, setting, flag or response field and what is known about it."""

    name: str
    words: str
    type: str
    desc: str  # a clause without its full stop, "Unique identifier of the order"
    required: bool = False
    default: str = ""
    limit: str = ""
    where: str = "body"


@dataclass
class Entry:
    """One documented thing that a question can be about."""

    kind: str  # api, module, setting, cli, error, guide, concept
    title: str
    call: str  # "GET /orders/{id}", a module name, a setting, a command or an error code; '' for guides and concepts
    task: str  # "get an order by email", the words after "how do I"
    tasks: list[str]  # the same in everyday words
    purpose: str  # a full sentence
    fields: list[Field] = field(default_factory=list)
    returns: list[Field] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    whatif: list[tuple[str, str, str]] = field(default_factory=list)  # sentence, condition in a question, consequence
    errors: list[tuple[str, str, str]] = field(default_factory=list)  # code, meaning, fix
    steps: list[str] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    split_call: bool = False  # verb and path stand apart in the text
    chunk: int = -1


@dataclass
class Chunk:
    """One passage as retrieval returns it."""

    header: str
    text: str
    entity: str


@dataclass
class Product:
    """Everything one generated documentation set holds."""

    name: str
    entries: list[Entry]
    chunks: list[Chunk]
    entities: list[str]


def _natural(rng: Random) -> str:
    return rng.choice(english())


def make_field(rng: Random, entity: str, style: str) -> Field:
    """An invented field of `entity` with a name in `style`."""
    roll = rng.random()
    own = entity if rng.random() < 0.7 else "item"
    if roll < 0.12:
        other = rng.choice(NOUNS)
        words = f"{other} id"
        desc = rng.choice([f"Identifier of the {other}", f"ID of the {other} that the {own} belongs to", f"Unique number of the linked {other}", f"Key of the {other} for this {own}"])
        out = Field(ident(words, style), words, rng.choice(["string", "integer", "uuid"]), desc)
    elif roll < 0.48:
        words = rng.choice(ATTRS)
        if rng.random() < 0.25:
            words = f"{rng.choice(NOUNS)} {words}"
        desc = rng.choice([f"{words.capitalize()} of the {own}", f"The {words} shown on the {own}", f"{words.capitalize()} used for this {own}", f"The {words} that the {own} starts with", f"{words.capitalize()} as entered by the {rng.choice(ROLES)}", f"Text with the {words} of the {own}"])
        out = Field(ident(words, style), words, rng.choice(["string", "string", "text", "date-time", "number"]), desc)
        if rng.random() < 0.3:
            out.limit = rng.choice([f"At most {rng.choice([20, 32, 40, 64, 80, 120, 255, 500])} characters", f"Between {rng.randint(2, 9)} and {rng.randint(10, 99)} characters"])
    elif roll < 0.62:
        words = rng.choice(FLAGS)
        if rng.random() < 0.3:
            words = f"is {words}" if rng.random() < 0.5 else f"{words} {rng.choice(NOUNS)}"
        desc = rng.choice([f"Whether the {own} is {words}", f"Set to true to make the {own} {words}", f"True if {words} applies to the {own}", f"Turns {words} on or off"])
        out = Field(ident(words, style), words, "boolean", desc, default=rng.choice(["", "true", "false", "false"]))
    elif roll < 0.78:
        words = rng.choice(LIMITS)
        if rng.random() < 0.35:
            words = f"{rng.choice(NOUNS)} {words}"
        n = rng.choice([1, 2, 3, 5, 10, 15, 20, 25, 30, 45, 50, 60, 100, 250, 300, 500, rng.randint(1, 9999)])
        unit = rng.choice(["seconds", "minutes", "days", plural(entity), "entries", "attempts", "megabytes"])
        desc = rng.choice([f"Number of {unit} for {words}", f"The {words} in {unit}", f"How many {unit} are allowed for {words}", f"Upper bound of {words}, in {unit}"])
        out = Field(ident(words, style), words, rng.choice(["integer", "number", "int"]), desc, default=str(n) if rng.random() < 0.7 else "")
        if rng.random() < 0.5:
            out.limit = rng.choice([f"Maximum {n * rng.choice([2, 4, 5, 10])}", f"From {rng.randint(0, 2)} to {n * 10}", f"Must not be greater than {n * 4}"])
    elif roll < 0.88:
        words = rng.choice(["mode", "kind", "type", "format", "order", "status", "level", "strategy", "scope", "sort by", "direction"])
        words = f"{rng.choice(NOUNS)} {words}" if rng.random() < 0.5 else words
        values = rng.sample(["open", "closed", "draft", "final", "fast", "safe", "asc", "desc", "json", "csv", "daily", "weekly", "low", "high", "none", "all", "new", "done", invent(rng, 1, 2), invent(rng, 1, 2)], rng.randint(2, 4))
        desc = rng.choice([f"The {words} of the {own}", f"Chooses the {words} for the {own}", f"Which {words} to use"])
        out = Field(ident(words, style), words, "string", desc, default=values[0] if rng.random() < 0.6 else "", limit="One of " + ", ".join(values))
    else:
        words = f"{invent(rng)} {rng.choice(ATTRS + LIMITS + NOUNS)}" if rng.random() < 0.7 else invent(rng, 2, 4)
        desc = rng.choice([f"The {words} of the {own}", f"Value for {words}", f"Sets the {words} when the {own} is saved"])
        out = Field(ident(words, style), words, rng.choice(["string", "number", "object", "array"]), desc)
    if (wild := rng.random()) < 0.1:
        out.desc = _natural(rng).rstrip(".")
    elif wild < 0.65:
        out.desc = gloss(rng, entity)
        if rng.random() < 0.4:
            out.default = ""
    elif rng.random() < 0.12:
        out.desc += rng.choice([", as set by the " + rng.choice(ROLES), " in " + rng.choice(["UTC", "local time", "plain text", "cents", "upper case"]), ", without spaces", f" for the {rng.choice(NOUNS)}"])
    return out


def make_notes(rng: Random, entity: str, task: str, fields: list[Field]) -> tuple[list[str], list[tuple[str, str, str]]]:
    """Plain notes, and condition-consequence notes, about `task`."""
    pl, n = plural(entity), rng.choice([2, 3, 5, 10, 15, 24, 30, 48, 60, 90, rng.randint(2, 500)])
    pool = [
        f"Only users with the {rng.choice(ROLES)} role can {task}.", f"Changes can take up to {n} minutes to appear.",
        "This action cannot be undone.", f"The {entity} stays visible for {n} days.", f"A {rng.choice(ROLES)} is told by email.",
        f"Up to {n} {pl} can be handled in one call.", f"Requests are limited to {n} per minute.", f"The {entity} must not be locked.",
        f"Linked {plural(rng.choice(NOUNS))} are not changed.", f"Results are sorted by {rng.choice(ATTRS)}.", f"You need the scope {ident(entity, 'snake')}:{rng.choice(['read', 'write'])}.",
        f"The {rng.choice(ATTRS)} is kept for {n} days.", f"Test {pl} are not included.", _natural(rng), _natural(rng), _natural(rng),
    ]
    notes = rng.sample(pool, rng.choice([0, 1, 1, 2, 2, 3]))
    cond: list[tuple[str, str, str]] = []
    effects = ["the request is refused with an error", f"the {entity} is saved as a draft", "the call fails", "nothing is changed", f"the {rng.choice(ROLES)} has to confirm it", f"the first {rng.choice(NOUNS)} is used", "an empty list is returned", f"the {entity} is skipped", f"a new {rng.choice(NOUNS)} is created", f"the server waits {n} seconds and tries again", f"all {plural(rng.choice(NOUNS))} are sent again"]
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        effect = rng.choice(effects)
        if fields and rng.random() < 0.6:
            f = rng.choice(fields)
            c, q = rng.choice([(f"`{f.name}` is missing", f"I leave out {f.name}"), (f"`{f.name}` is missing", f"I do not give the {f.words}"), (f"`{f.name}` is empty", f"the {f.words} is empty"), (f"`{f.name}` is wrong", f"the {f.words} is wrong"), (f"`{f.name}` is too long", f"{f.name} is too long")])
        else:
            c = rng.choice([f"the {entity} is locked", f"the {entity} does not exist", f"the {entity} was deleted", f"two people change the {entity} at the same time", f"the {rng.choice(NOUNS)} is closed", f"the {rng.choice(NOUNS)} has expired", f"no {rng.choice(NOUNS)} is given", f"more than {n} {pl} are sent"])
            q = c
        if all(q != old[1] for old in cond):
            cond.append((f"If {c}, {effect}.", q, effect))
    return notes, cond


def make_errors(rng: Random, entity: str, style: int) -> list[tuple[str, str, str]]:
    """Error codes of one entry: (code, meaning, what to do)."""
    reasons = [
        ("not found", f"The {entity} does not exist", "Check the identifier"), ("locked", f"The {entity} is locked", "Unlock it first"),
        ("forbidden", f"Your {rng.choice(ROLES)} role does not allow this", "Ask for access"), ("conflict", f"The {entity} was changed by someone else", "Read it again and repeat"),
        ("too many", "Too many requests were sent", "Wait a minute and try again"), ("invalid " + rng.choice(ATTRS), "A value has the wrong format", "Correct the value"),
        ("expired", f"The {rng.choice(NOUNS)} has expired", "Ask for a new one"), ("duplicate", f"The same {entity} exists already", "Use the existing one"),
        ("too large", "The file is too large", "Split it into smaller parts"), ("missing " + rng.choice(ATTRS), "A required value is missing", "Fill it in"), (invent(rng) + " " + rng.choice(NOUNS), f"The {rng.choice(NOUNS)} could not be reached", "Try again later"),
    ]
    out, codes = [], {"not found": "404", "locked": "423", "forbidden": "403", "conflict": "409", "too many": "429", "too large": "413"}
    for key, meaning, fix in rng.sample(reasons, rng.choice([0, 1, 1, 2, 3])):
        code = codes.get(key, rng.choice(["400", "422"])) if style == 0 else ident(key, "upper" if style == 1 else "snake") if style < 3 else f"E{rng.randint(100, 9999)}"
        if all(code != c for c, _, _ in out):
            out.append((code, meaning, fix))
    return out


def _pick(rng: Random, pool: list[Field], low: int, high: int, where: str) -> list[Field]:
    chosen = rng.sample(pool, min(len(pool), rng.randint(low, high)))
    return [Field(f.name, f.words, f.type, f.desc, rng.random() < 0.45, f.default, f.limit, where) for f in chosen]


def odd_path(rng: Random, call: str, style: str) -> str:
    """A path that cannot be guessed from the task: some parts of `call` are swapped for other words."""
    method, path = call.split(" ", 1)
    parts = path.strip("/").split("/")
    for i, part in enumerate(parts):
        if not part.startswith("{") and rng.random() < 0.35:
            parts[i] = rng.choice([rng.choice(NOUNS), plural(rng.choice(NOUNS)), rng.choice(PP), invent(rng), ident(f"{rng.choice(NOUNS)} {rng.choice(NOUNS)}", "kebab"), "lookup", "current", "bulk", "v3", f"by-{rng.choice(NOUNS)}"])
    if rng.random() < 0.3:
        parts.append(rng.choice([rng.choice(NOUNS), invent(rng), "lookup", "details", "run", rng.choice(ADJ)]))
    return f"{method if rng.random() < 0.85 else rng.choice(['GET', 'POST', 'PUT', 'PATCH', 'DELETE'])} /{'/'.join(parts)}"


def free_purpose(rng: Random, third: str, noun: str, task: str) -> str:
    """A first sentence whose words cannot be guessed."""
    return rng.choice([f"{third} {noun} {salad(rng, 2, 6)}.", f"{third} {noun}. {rng.choice(english())}", f"{third} {noun} that {rng.choice(['was', 'is', 'were', 'are'])} {rng.choice(PP)} by the {rng.choice(ROLES)}.", f"{third} the {rng.choice(ADJ)} {rng.choice(NOUNS)} of {noun} and hands on its {plural(rng.choice(NOUNS))}.", f"{rng.choice(english())}", f"{third} {noun}. Use it when the {rng.choice(NOUNS)} is {rng.choice(PP)} and the {rng.choice(NOUNS)} is {rng.choice(ADJ)}."])


def api_entry(rng: Random, action: str, entity: str, pool: list[Field], base: str, style: str, errors: int) -> Entry:
    """One REST endpoint of `entity`."""
    titles, verbs, method, suffix, third = ACTIONS[action]
    noun = plural(entity) if action in PLURAL else f"{article(entity)} {entity}"
    root = base + "/" + ident(plural(entity), "kebab" if style != "snake" else "snake")
    key = rng.choice(["{" + ident(f"{entity} id", style) + "}", "{id}", "{" + ident("id", style) + "}"])
    qual, path_fields = "", []
    if "{id}" in suffix:
        path_fields = [Field(key[1:-1], f"{entity} id", "string", rng.choice([f"Identifier of the {entity}", f"ID of the {entity} to {rng.choice(verbs.split('|'))}", f"Unique ID of the {entity}"]), True, where="path")]
    if rng.random() < 0.35 and action in ("get", "list", "update", "delete", "search", "export", "count"):
        words = rng.choice(ATTRS + NOUNS)
        qual = f" by {words}" if action in ("get", "update", "delete", "search") else f" of {article(words)} {words}"
        name = ident(words if " " in words or words not in NOUNS else f"{words} id", style)
        suffix = f"by-{ident(words, 'kebab')}/" + "{" + name + "}"
        path_fields = [Field(name, words, "string", rng.choice([f"{words.capitalize()} of the {entity}", f"The {words} to look for", f"{words.capitalize()} that selects the {noun}"]), True, where="path")]
    call = f"{method} {root}" + (f"/{suffix}" if suffix else "")
    call = call.replace("{id}", key)
    if rng.random() < 0.3:  # a key in the path with a name of its own
        for f in path_fields:
            other = ident(f"{rng.choice([entity, rng.choice(NOUNS), invent(rng)])} {rng.choice(['ref', 'key', 'number', 'code', 'uid', 'name'])}", style)
            call, f.name = call.replace("{" + f.name + "}", "{" + other + "}"), other
    elif path_fields and rng.random() < 0.25:  # the key is no part of the path
        call = call.replace("/{" + path_fields[0].name + "}", "")
        path_fields[0].where = "query"
    if rng.random() < 0.6:
        call = odd_path(rng, call, style)
    taken = {f.name for f in path_fields}
    left = [f for f in pool if f.name not in taken]
    body = _pick(rng, left, 0 if method == "GET" or "/" in suffix else 1, 5 if method != "DELETE" else 1, "query" if method in ("GET", "DELETE") else "body")
    returns = _pick(rng, left, 1, 4, "response") if rng.random() < 0.6 else []
    tasks = [f"{v} {noun if not v.startswith('give') else 'someone ' + noun}{qual}" for v in verbs.split("|")]
    verb = rng.choice(titles.split("|"))
    title = rng.choice([f"{verb} {noun}{qual}"] * 3 + [f"{verb} {entity if action not in PLURAL else noun}{qual}", call])
    task = f"{verb.lower()} {noun}{qual}" if verb != "New" else f"create {noun}{qual}"
    purpose = f"{third} {noun}{qual}." if rng.random() < 0.5 else rng.choice([f"{third} {noun}{qual} in the current {rng.choice(NOUNS)}.", f"{third} {noun}{qual} and its {rng.choice(ATTRS)}.", f"Use this to {task}.", f"This endpoint lets you {task}."])
    if rng.random() < 0.55:
        purpose = free_purpose(rng, third, noun + qual, task)
    notes, whatif = make_notes(rng, entity, task, body)
    out = Entry("api", title, call, task, tasks, purpose, path_fields + body, returns, notes[:2], whatif, make_errors(rng, entity, errors) if rng.random() < 0.6 else [])
    out.facts = facts(rng, entity, rng.choice([0, 0, 1, 2, 3]))
    return out


def tool_entry(rng: Random, kind: str, action: str, entity: str, pool: list[Field], prefix: str, errors: int) -> Entry:
    """One automation module or one command of a command line tool."""
    titles, verbs, _, _, third = ACTIONS[action]
    noun = plural(entity) if action in PLURAL else f"{article(entity)} {entity}"
    call = f"{prefix}_{ident(entity, 'snake')}_{action}" if kind == "module" else f"{prefix} {ident(entity, 'kebab')} {action}"
    if rng.random() < 0.5:
        call = rng.choice([name(rng), ident(f"{action} {entity}", "camel"), ident(f"{rng.choice(ADJ)} {entity}", "camel")]) if kind == "module" else f"{prefix} {rng.choice(NOUNS)} {rng.choice([action, rng.choice(NOUNS), rng.choice(PP), '--' + rng.choice(ADJ)])}"
    verb = rng.choice(titles.split("|")).replace("New", "Create")
    task = f"{verb.lower()} {noun}"
    title = rng.choice([f"{verb} {noun}", f"{verb} {noun}", call, f"{call} – {verb} {noun}"])
    fields = _pick(rng, pool, 2, 6, "option")
    notes, whatif = make_notes(rng, entity, task, fields)
    purpose = rng.choice([f"{third} {noun}.", f"{third} {noun} on the {rng.choice(NOUNS)}.", f"Use it to {task}."])
    if rng.random() < 0.5:
        purpose = free_purpose(rng, third, noun, task)
    out = Entry(kind, title, call, task, [f"{v} {noun}" for v in verbs.split("|")], purpose, fields, [], notes[:2], whatif, make_errors(rng, entity, errors) if rng.random() < 0.4 else [])
    out.facts = facts(rng, entity, rng.choice([0, 0, 1, 2]))
    return out


def guide_entry(rng: Random, action: str, entity: str) -> Entry:
    """A numbered how-to in a user interface."""
    titles, verbs, _, _, _ = ACTIONS[action]
    noun = plural(entity) if action in PLURAL else f"{article(entity)} {entity}"
    verb = rng.choice(titles.split("|")).replace("New", "Create")
    task = f"{verb.lower()} {noun}"
    ui = [rng.choice(NOUNS).capitalize() + rng.choice(["", " list", " page", "s", " settings"]) for _ in range(3)]
    attr = rng.choice(ATTRS)
    steps = [f"Open the {ui[0]}.", rng.choice([f"Select the {entity}.", f"Choose {ui[1]} in the menu.", f"Click {ui[1]}."]), rng.choice([f"Enter the {attr}.", f"Fill in the {attr} and the {rng.choice(NOUNS)}.", f"Tick {ui[2]}."]), rng.choice(["Save the change.", "Click Save.", f"Press {verb}.", f"Confirm with {ui[2]}."])]
    steps = steps[: rng.choice([3, 4, 4])]
    fields = [Field(s, s.lower(), "", d) for s, d in ((ui[0], f"The page where you {task}"), (ui[2], f"The place for the {attr}")) if any(s in x for x in steps)]
    notes, whatif = make_notes(rng, entity, task, [])
    return Entry("guide", f"{verb} {noun}", "", task, [f"{v} {noun}" for v in verbs.split("|")], rng.choice([f"Follow these steps to {task}.", f"You can {task} at any time.", f"This is how you {task}."]), fields, [], notes, whatif, [], steps)


def concept_entry(rng: Random, entity: str, pool: list[Field]) -> Entry:
    """A prose section that says what something is."""
    other = rng.choice(NOUNS)
    fields = _pick(rng, pool, 1, 3, "body")
    purpose = f"{article(entity).capitalize()} {entity} is {rng.choice(['a group of', 'a record of', 'the link between', 'a set of', 'a list of'])} {plural(other)} {rng.choice(['that belong together', 'with one ' + rng.choice(NOUNS), 'kept by the ' + rng.choice(ROLES), 'used by ' + article(other) + ' ' + rng.choice(NOUNS)])}."
    notes = [rng.choice([f"Each {entity} has one {rng.choice(NOUNS)}.", f"A {other} can have many {plural(entity)}.", f"New {plural(entity)} start as {rng.choice(['draft', 'open', 'hidden'])}."]), _natural(rng)]
    more, whatif = make_notes(rng, entity, f"see {plural(entity)}", fields)
    return Entry("concept", rng.choice([plural(entity).capitalize(), f"What {article(entity)} {entity} is", f"About {plural(entity)}"]), "", f"understand what {article(entity)} {entity} is", [f"learn what {article(entity)} {entity} is"], purpose, fields, [], notes + more[:1], whatif)


def topic_entry(rng: Random, entity: str) -> Entry:
    """A section of plain sentences about one topic; questions ask for one of them."""
    n, m = rng.choice([entity, rng.choice(NOUNS)]), rng.choice(NOUNS)
    title = rng.choice([f"{n.capitalize()} and {plural(m)}", f"{rng.choice(ADJ).capitalize()} {plural(n)}", f"{n.capitalize()} limits", f"How {plural(n)} are {rng.choice(PP)}", f"Rules for {plural(n)}", f"{n.capitalize()} {m}", f"Send the {m} with every {n}"])
    out = Entry("topic", title, "", title.lower(), [title.lower()], "")
    out.facts = facts(rng, entity, rng.randint(2, 8))
    out.purpose = out.facts[0].text
    return out


# ---------------------------------------------------------------- rendering


@dataclass
class Look:
    """How one product writes its documentation."""

    fields: str
    call: str
    ticks: bool  # identifiers stand in backticks
    level: str
    errors: str
    columns: int
    inline: bool  # the call opens the first sentence
    samples: float  # share of entries with a JSON sample
    prose: float  # share of longer first paragraphs
    verbose: float  # share of entries with a paragraph of free prose


def make_look(rng: Random) -> Look:
    """A random layout."""
    return Look(rng.choice(["table", "table", "table", "table", "table", "bullets", "bullets", "bold", "colon", "prose", "plain", "json"]), rng.choice(["tick", "fence", "bold", "plain", "table", "label"]), rng.random() < 0.8, rng.choice(["##", "##", "##", "###", "#", ""]), rng.choice(["table", "bullets", "prose"]), rng.randint(2, 4), rng.random() < 0.35, rng.choice([0.0, 0.3, 0.7]), rng.choice([0.0, 0.5]), rng.choice([0.0, 0.1, 0.3, 0.6]))


def _facts(f: Field) -> str:
    parts = [f.desc + "."]
    if f.default:
        parts.append(f"Default: {f.default}.")
    if f.limit:
        parts.append(f.limit + ".")
    return " ".join(parts)


def show_fields(rng: Random, fields: list[Field], look: Look, label: str) -> str:
    """A list of fields in the product's layout."""
    t = "`" if look.ticks else ""
    if look.fields in ("colon", "plain", "json") or (look.fields == "table" and look.columns < 4):
        for f in fields:
            f.required = False  # this layout does not show it
    match look.fields:
        case "table":
            head = {2: ["Field", "Description"], 3: [rng.choice(["Name", "Field", "Key"]), "Type", rng.choice(["Description", "Meaning"])], 4: [rng.choice(["Parameter", "Field", "Name"]), "Type", "Required", "Description"]}[look.columns]
            rows = [[f"{t}{f.name}{t}", *([f.type] if look.columns > 2 else []), *([("yes" if f.required else "no")] if look.columns > 3 else []), _facts(f)] for f in fields]
            body = "\n".join("| " + " | ".join(r) + " |" for r in [head, *rows])
            first, *rest = body.split("\n")
            body = "\n".join([first, "|" + rng.choice(["---|", " --- |"]) * len(head), *rest])
            return f"{label}:\n\n{body}" if label and rng.random() < 0.6 else body
        case "bullets":
            body = "\n".join(f"- {t}{f.name}{t} ({f.type}{', required' if f.required else ''}): {_facts(f)}" for f in fields)
        case "bold":
            body = "\n".join(f"* **{f.name}** - {_facts(f)}{' Required.' if f.required else ''}" for f in fields)
        case "colon":
            body = "\n".join(f"{t}{f.name}{t}: {_facts(f)}" for f in fields)
        case "plain":
            body = "\n".join(f"{f.name}  {f.type}  {_facts(f)}" for f in fields)
        case "json":
            sample = {f.name: (int(f.default) if f.default.isdigit() else f.default or f.type) for f in fields}
            return f"{label}:\n\n```json\n{json.dumps(sample, indent=2)}\n```\n\n" + "\n".join(f"- {t}{f.name}{t}: {_facts(f)}" for f in fields)
        case _:
            body = " ".join(f"{rng.choice(['The field', 'Use', 'The value'])} {t}{f.name}{t}{' (required)' if f.required else ''}: {_facts(f)}" for f in fields)
    return f"{label}:\n{body}" if label else body


def show_call(entry: Entry, look: Look) -> str:
    """The endpoint, module or command as the product writes it."""
    if entry.kind != "api":
        return {"fence": f"```\n{entry.call}\n```", "plain": entry.call, "bold": f"**{entry.call}**", "label": f"Name: `{entry.call}`"}.get(look.call, f"`{entry.call}`")
    method, path = entry.call.split(" ", 1)
    if look.call in ("bold", "table"):
        entry.split_call = entry.title != entry.call
    return {
        "tick": f"`{entry.call}`", "fence": f"```http\n{entry.call}\n```", "bold": f"**{method}** `{path}`", "plain": entry.call,
        "table": f"| Method | Path |\n| --- | --- |\n| {method} | `{path}` |", "label": f"Endpoint: `{entry.call}`",
    }[look.call]


def show_entry(rng: Random, e: Entry, look: Look, host: str) -> list[str]:
    """The blocks of one section, heading first."""
    if rng.random() < look.prose and e.kind not in ("guide", "concept"):
        e.purpose += f" {rng.choice(e.facts).text}" if e.facts and rng.random() < 0.3 else f" {gloss(rng, 'item')}." if rng.random() < 0.3 else ""
    blocks = [(f"{look.level} {e.title}" if look.level else e.title), e.purpose]
    if e.call and look.inline and re.match(r"(Use this|This|Use it)", e.purpose) is None:
        e.split_call = False
        blocks[1] = f"`{e.call}` {e.purpose[0].lower()}{e.purpose[1:]}"
        e.purpose = blocks[1]
    elif e.call:
        blocks.insert(rng.choice([1, 2]), show_call(e, look))
    if e.fields and e.kind != "guide":
        blocks.append(show_fields(rng, e.fields, look, rng.choice(["Parameters", "Fields", "Options", "Request", "Arguments"])))
    if e.steps:
        blocks.append("\n".join(f"{i}. {s}" for i, s in enumerate(e.steps, 1)))
    if e.kind == "api" and rng.random() < 0.2:
        method, path = e.call.split(" ", 1)
        blocks.append(rng.choice([f"```bash\ncurl -X {method} https://{host}{path}\n```", f'```bash\ncurl "https://{host}{path}" \\\n  -H "Authorization: Bearer {value(rng)}"\n```', f"```bash\ncurl -X {method} https://{host}{path} -d '{{\"{rng.choice(NOUNS)}\": \"{value(rng)}\"}}'\n```"]))
    if e.kind == "module" and rng.random() < 0.5:
        blocks.append(f"```yaml\n- name: {e.task}\n  {e.call}:\n" + "\n".join(f"    {f.name}: {f.default or f.type}" for f in e.fields[:3]) + "\n```")
    if e.kind == "cli" and rng.random() < 0.5 and e.fields:
        blocks.append(f"```\n{e.call} {e.fields[0].name} VALUE\n```")
    if e.returns:
        blocks.append(show_fields(rng, e.returns, look, rng.choice(["Response", "Returns", "Response fields"])))
    if e.kind == "api" and rng.random() < look.samples:
        shown = [f.name for f in (e.returns or e.fields)][:4] or ["id"]
        blocks.append(f"```json\n{json.dumps({k: value(rng) for k in shown}, indent=rng.choice([None, 2]))}\n```")
    if rng.random() < look.verbose:
        blocks.insert(rng.randint(2, len(blocks)), " ".join(_natural(rng) for _ in range(rng.randint(2, 5))))
    said = e.notes + [w[0] if look.ticks else w[0].replace("`", "") for w in e.whatif] + [(f.text if look.ticks else f.text.replace('`', '')) for f in e.facts]
    rng.shuffle(said)
    if said:
        lead = rng.choice(["**Note:** ", "> ", "Note: ", "**Warning:** ", "", "", "", "- "])
        blocks.extend([lead + s for s in said] if rng.random() < 0.5 else [lead.replace("- ", "") + " ".join(said)])
    if e.errors:
        t = "`" if look.ticks else ""
        if look.errors == "table":
            blocks.append("| Code | Meaning | What to do |\n| --- | --- | --- |\n" + "\n".join(f"| {t}{c}{t} | {m} | {x} |" for c, m, x in e.errors))
        else:
            sep = "\n" if look.errors == "bullets" else " "
            blocks.append("Errors:" + sep + sep.join(f"{'- ' if sep == chr(10) else ''}{t}{c}{t}: {m}. {x}." for c, m, x in e.errors))
    return blocks


def cut(blocks: list[str]) -> list[str]:
    """Join blocks into passages of at most MAX_CHUNK characters, cutting at paragraphs, then at lines."""
    out: list[str] = []
    cur = ""
    for block in blocks:
        if len(cur) + len(block) + 2 <= MAX_CHUNK:
            cur = f"{cur}\n\n{block}" if cur else block
            continue
        for line in block.split("\n"):
            joint = "\n\n" if line is block else "\n"
            if cur and len(cur) + len(line) + 2 > MAX_CHUNK:
                out.append(cur)
                cur = line
            else:
                cur = f"{cur}{joint}{line}" if cur else line
    return [*out, cur] if cur else out


def _settings(rng: Random, entity: str, style: str) -> list[Entry]:
    area = ident(entity, "snake")
    pool = {f.name: f for f in (make_field(rng, entity, style) for _ in range(rng.randint(3, 7)))}
    out = []
    for f in pool.values():
        f.name = f"{area}.{f.name}" if style != "upper" else f"{area.upper()}_{f.name}"
        out.append(Entry("setting", f.name, f.name, f"set the {f.words} of the {entity}", [f"change the {f.words} of the {entity}", f"set the {entity} {f.words}", f"adjust the {f.words} for the {entity}"], f.desc + ".", [f]))
    return out


def _error_rows(rng: Random, entity: str) -> list[Entry]:
    style, seen = rng.randint(1, 3), {}
    for _ in range(4):
        for row in make_errors(rng, entity, style):
            seen[row[0]] = row
    if rng.random() < 0.5:  # a table of states, events or headers
        seen = {(k := ident(" ".join(rng.choice([rng.choice(NOUNS), rng.choice(PP), rng.choice(ADJ), invent(rng)]) for _ in range(rng.randint(1, 2))), ["upper", "snake", "kebab", "dot"][rng.randint(0, 3)])): (k, gloss(rng, entity).replace("`", ""), f"{rng.choice(['Means', 'Use', 'See'])} the {rng.choice(NOUNS)}") for _ in range(rng.randint(3, 7))}
    return [Entry("error", c, c, f"fix the error {c}", [f"solve {c}", f"get past the error {c}"], f"{m}.", [], [], [], [], [(c, m, x)]) for c, m, x in list(seen.values())[:7]]


def make_product(rng: Random) -> Product:
    """One invented product of one kind, with its entries placed in chunks."""
    style = rng.choice(["camel", "camel", "snake", "snake", "kebab", "pascal"])
    brand = invent(rng).capitalize() if rng.random() < 0.8 else rng.choice(NOUNS).capitalize() + rng.choice(["ly", "Hub", "Flow", "Base"])
    entities = [rng.choice(NOUNS) if rng.random() < 0.6 else f"{rng.choice(NOUNS)} {rng.choice(NOUNS)}" if rng.random() < 0.6 else f"{invent(rng)} {rng.choice(NOUNS)}" for _ in range(rng.choice([1, 2, 2, 3]))]
    kind = rng.choice(["api", "api", "api", "api", "module", "module", "cli", "setting", "mixed", "mixed"])
    name = f"{brand} {rng.choice({'api': ['API', 'REST API', 'Developer Guide'], 'module': ['Automation Modules', 'Collection'], 'cli': ['CLI', 'Command Reference'], 'setting': ['Settings', 'Configuration'], 'mixed': ['Handbook', 'Docs', 'Platform']}[kind])}"
    look, base, host = make_look(rng), rng.choice(["", "/v1", "/v2", "/api", "/api/v1", f"/{brand.lower()}/v1"]), f"api.{brand.lower()}.example"
    out = Product(name, [], [], entities)
    prefix, errors = brand.lower()[:6], rng.randint(0, 3)
    for entity in dict.fromkeys(entities):
        pool = list({f.name: f for f in (make_field(rng, entity, style if kind != "cli" else "kebab") for _ in range(12))}.values())
        if kind == "cli":
            for f in pool:
                f.name = "--" + f.name
        actions = rng.sample(list(ACTIONS), rng.randint(2, 5)) + rng.choice([[], ["get"], ["get", "get"], ["list", "create"], ["update", "list"]])
        groups: list[list[Entry]] = []
        for a in actions:
            k = kind if kind != "mixed" else rng.choice(["api", "guide", "guide", "cli"])
            e = api_entry(rng, a, entity, pool, base, style, errors) if k == "api" else guide_entry(rng, a, entity) if k in ("guide", "setting") else tool_entry(rng, k, a, entity, pool, prefix, errors)
            groups.append([e])
        if kind in ("setting", "mixed") or rng.random() < 0.2:
            groups.append(_settings(rng, entity, rng.choice([style, "upper"])))
        if kind == "setting":
            groups.append(_settings(rng, entity + " " + rng.choice(NOUNS), style))
        groups += [[topic_entry(rng, entity)] for _ in range(rng.choice([0, 1, 1, 2, 3]))]
        if rng.random() < 0.4:
            groups.append([concept_entry(rng, entity, pool)])
        if rng.random() < 0.35:
            groups.append(_error_rows(rng, entity))
        _place(rng, out, groups, entity, look, host)
    return out


def _place(rng: Random, out: Product, groups: list[list[Entry]], entity: str, look: Look, host: str) -> None:
    calls = {e.call or e.task for e in out.entries}
    middle = plural(entity).capitalize() if rng.random() < 0.8 else ""
    for group in groups:
        group = [e for e in group if (e.call or e.task) not in calls]
        if not group:
            continue
        calls |= {e.call or e.task for e in group}
        if group[0].kind == "setting":
            title = rng.choice([f"{entity.capitalize()} settings", f"Settings for {plural(entity)}", f"{entity.capitalize()} configuration"])
            blocks = [f"{look.level} {title}".strip(), rng.choice([f"These settings control {plural(entity)}.", f"Put these keys into {ident(entity, 'snake')}.yaml."]), show_fields(rng, [e.fields[0] for e in group], look, "")]
        elif group[0].kind == "error":
            title = rng.choice([f"{entity.capitalize()} errors", f"Error codes of {plural(entity)}", "Errors", f"{entity.capitalize()} statuses", f"Events of {plural(entity)}"])
            blocks = [f"{look.level} {title}".strip(), "\n".join(f"| `{e.errors[0][0]}` | {e.errors[0][1]} | {e.errors[0][2]} |" for e in group) if look.errors == "table" else "\n".join(f"- `{e.errors[0][0]}`: {e.errors[0][1]}. {e.errors[0][2]}." for e in group)]
            if look.errors == "table":
                blocks[1] = rng.choice(["| Code | Meaning | What to do |", "| Status | Meaning | Next |", "| Event | When | Action |", "| Name | Description | Note |"]) + "\n|---|---|---|\n" + blocks[1]
        elif group[0].kind == "topic":
            title = group[0].title
            texts = [f.text for f in group[0].facts]
            bullets = rng.random() < 0.3
            at = rng.randint(1, len(texts))
            blocks = [f"{look.level} {title}".strip(), *(["\n".join(f"- {x}" for x in texts)] if bullets else [" ".join(texts[:at]), " ".join(texts[at:])])]
            blocks = [b for b in blocks if b]
        else:
            title, blocks = group[0].title, show_entry(rng, group[0], look, host)
        header = " › ".join(x for x in (out.name, middle, title) if x)
        for text in cut(blocks):
            for e in group:
                if e.chunk < 0 and (not e.call or all(p in text for p in (e.call.split(" ") if e.split_call else [e.call]))):
                    e.chunk = len(out.chunks)
            out.chunks.append(Chunk(header, text, entity))
        out.entries.extend(e for e in group if e.chunk >= 0)
