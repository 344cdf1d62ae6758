"""A seed in, training examples out: an invented product, a question about one entry, 2..5 chunks and the four-part answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from asked import draw
from asked import pool as written
from facts import Fact, fact, loose
from pages import CUE, make_pages
from product import ACTIONS, Chunk, Entry, Field, Product, make_field, make_product
from real import make_real, pool
from words import ATTRS, LIMITS, NOUNS, SYNONYMS, article, english, ident, invent, plural, salad

VERSION = "2.2"
SYSTEM = (
    "You explain technical documentation to non-technical people. Use only the context. Answer in exactly four markdown "
    "sections: ### Summary, ### How it works, ### Key parameters / fields, ### Common mistakes or troubleshooting tips. "
    "Write names in backticks exactly as the context writes them. If the context does not hold the answer, say so in the "
    "same four sections."
)
REAL, PAGES = 0.45, 0.2  # shares of products that are real web APIs and real pages, where there is a pool of them
WRITTEN = 0.25  # share of the examples whose question was written by a reader of the passage, where there is a pool of them
HEADINGS = ("**Overview**", "**Steps**", "**Fields**", "**Watch out**")  # replaced by a drawn set in `stream`
MARKS = ("### {}", "### {}", "## {}", "# {}", "#### {}", "**{}**", "**{}:**", "__{}__", "{}:", "[{}]", "== {} ==")
TITLES = (
    "Overview|In short|The idea|What it is|Short answer|Answer|At a glance|In brief|Purpose|The point|Main idea|What this does|Gist|First look|In one line|Basics|Introduction|Essentials|Outline|What you get|In a nutshell|Abstract|Background|Description|Quick answer",
    "Steps|What to do|Procedure|Do this|In practice|Usage|Using it|Instructions|Walkthrough|How to proceed|The way there|Process|Way of working|Method|Step by step|How to use it|Operation|Sequence|Workflow|Doing it|The steps|Course|Guide|How to do it|Behind it",
    "Fields|Names|Values|Inputs|Parameters|What to fill in|Settings|Options|Details|Names to know|Arguments|Data|Items|Properties|What to send|Required values|List of fields|Field list|Reference|Attributes|Important names|What the names mean|Terms|Columns|Glossary|Names and values|Fields / values|Options / settings",
    "Watch out|Notes|Warnings|Limits|Take care|Pitfalls|Hints|Good to know|Caveats|Mind this|Remarks|Attention|Traps|Errors|Problems|Advice|If it fails|Checks|Exceptions|Side notes|Be careful|Cautions|What can go wrong|Please note|Remember|Errors and hints|Problems or advice on them",
)
ABSTAIN = "The documents do not say"


@dataclass
class Sample:
    """One prompt, its answer, and what a grader needs to know."""

    context: str
    question: str
    answer: str
    call: str  # the endpoint or name that must appear, '' when none
    fields: list[str]  # names the reference lists
    answerable: bool
    shape: str  # the kind of question
    headings: tuple[str, ...] = HEADINGS  # of the answer

    @property
    def user(self) -> str:
        """The user message."""
        return f"Context:\n\n{self.context}\n\nQuestion: {self.question}"

    @property
    def prompt(self) -> str:
        """Everything between BOS and the answer."""
        return f"{SYSTEM}\n\n{self.user}\n\nAnswer:\n"


def lower(text: str) -> str:
    """`text` with a lower-case first letter unless its first word is an acronym or a name in code."""
    return text if len(text) < 2 or text[1].isupper() or text.startswith(("ID ", "`")) else text[0].lower() + text[1:]


def t(name: str) -> str:
    """`name` in backticks."""
    return f"`{name}`"


def _and(items: list[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def call_md(e: Entry) -> str:
    """The call in backticks as the context writes it."""
    if e.split_call:
        method, path = e.call.split(" ", 1)
        return f"`{path}` (method `{method}`)"
    return t(e.call)


def _what(e: Entry) -> str:
    return {"api": "endpoint", "module": "module", "cli": "command", "setting": "setting", "error": "error code"}.get(e.kind, "page")


def seen_fields(e: Entry, text: str, fields: list[Field]) -> list[Field]:
    """The fields whose name and description both stand in `text`."""
    return [f for f in fields if f.name in text and f.desc in text]


def ask(rng: Random, e: Entry, chunk: Chunk) -> tuple[str, str, object] | None:
    """A question about `e`: (shape, question, its subject), or None when the drawn shape does not fit."""
    task = rng.choice([e.task, *e.tasks])
    shown = seen_fields(e, chunk.text, e.fields)
    if e.kind == "error":
        code, meaning, _ = e.errors[0]
        return "error", rng.choice([f"What does {code} mean?", f"What does the error {code} mean?", f"I get {code}, what should I do?", f"Why do I see {code}?", f"How do I fix {code}?", f"What should I do when {lower(meaning)}?"]), e.errors[0]
    visible = [f for f in e.facts if f.shown(chunk.text)]
    if visible and (e.kind == "topic" or rng.random() < 0.25):
        f = rng.choice(visible)
        q = rng.choice(f.questions)
        return "fact", q if e.kind == "topic" or rng.random() < 0.6 else f"{q[:-1]} when I {task}{q[-1]}", f
    if e.kind == "topic":
        return None
    if " by " in task and e.kind == "api" and rng.random() < 0.5:
        head, qual = task.rsplit(" by ", 1)
        task = rng.choice([f"{head} when I only have the {qual}", f"{head} with just the {qual}", f"{head} using the {qual}", f"{head} if I know the {qual}", f"{head} from its {qual}", f"{head} when I only know their {qual}"])
    shape = rng.choice(["how", "how", "how", "which", "fields", "fields", "default", "whatif", "error", "meaning", "meaning", "note"])
    if e.kind == "setting":
        shape = rng.choice(["how", "which", "default", "meaning", "meaning"])
    if e.kind == "concept":
        thing = e.task.removeprefix("understand what ").removesuffix(" is")
        return "how", rng.choice([f"What is {thing}?", f"Can you explain what {thing} is?", f"What does {thing.split(' ', 1)[1]} mean here?", f"Tell me what {thing} is."]), None
    match shape:
        case "how":
            return shape, rng.choice([f"How do I {task}?", f"How can I {task}?", f"I want to {task}. How?", f"What is the way to {task}?", f"I need to {task}, what do I do?", f"Explain how to {task}.", f"how to {task}", f"Can I {task}?", f"What steps do I follow to {task}?", f"In simple words, how do I {task}?", f"What is the right way to {task}?", f"How would someone {task}?", f"Is there a way to {task}?", f"My team wants to {task}. Where do we start?", f"How can a program {task}?", f"What do I do to {task}?"]), None
        case "which" if e.call:
            w = _what(e)
            return shape, rng.choice([f"Which {w} do I use to {task}?", f"What {w} lets me {task}?", f"Which {w} should I call to {task}?", f"What do I call to {task}?", f"Name the {w} to {task}."]), None
        case "fields" if shown and e.kind != "guide":
            return shape, rng.choice([f"Which fields do I need to {task}?", f"What do I have to send to {task}?", f"What information is needed to {task}?", f"Which parameters are there when I {task}?", f"What can I fill in when I {task}?", f"What are the fields to {task}?"]), None
        case "default":
            with_facts = [f for f in shown if f.default or f.limit]
            if with_facts:
                f = rng.choice(with_facts)
                name = rng.choice([f.name, f.words, f"the {f.words}"])
                tail = "" if e.kind == "setting" else rng.choice([f" when I {task}", "", f" to {task}"])
                if f.default and (rng.random() < 0.6 or not f.limit):
                    return "default", rng.choice([f"What is the default of {name}{tail}?", f"Which value does {name} have if I do not set it{tail}?", f"What is the default value for {name}{tail}?"]), f
                return "limit", rng.choice([f"What is the limit of {name}{tail}?", f"Which values can {name} have{tail}?", f"What values are allowed for {name}{tail}?", f"How large can {name} be{tail}?"]), f
        case "whatif" if [w for w in e.whatif if w[0].replace("`", "") in chunk.text.replace("`", "")]:
            w3 = rng.choice([w for w in e.whatif if w[0].replace("`", "") in chunk.text.replace("`", "")])
            return shape, rng.choice([f"What happens if {w3[1]} when I {task}?", f"What happens when {w3[1]} and I {task}?", f"I {task} and {w3[1]}. What happens?", f"What happens if {w3[1]}?" if e.task in chunk.header.lower() else f"If {w3[1]}, what happens when I {task}?"]), w3
        case "error" if [x for x in e.errors if x[0] in chunk.text and x[1] in chunk.text]:
            x = rng.choice([x for x in e.errors if x[0] in chunk.text and x[1] in chunk.text])
            return shape, rng.choice([f"What does {x[0]} mean when I {task}?", f"Why do I get {x[0]} when I {task}?", f"I get the error {x[0]} when I {task}. What should I do?", f"When I {task} I see {x[0]}. Why?"]), x
        case "meaning" if shown and e.kind != "guide":
            f = rng.choice(shown)
            tail = "" if e.kind == "setting" else f" when I {task}"
            if rng.random() < 0.5:
                d = lower(f.desc).replace("`", "")
                ask_it = [f"Which field is for {d}?", f"Where do I set {d}?", f"How do I give {d}?", f"{loose(rng, f.desc)}", f"{loose(rng, f.desc)}", f"Where does it say {d}?"]
                return shape, rng.choice([q for q in ask_it if q]), f
            return shape, rng.choice([f"What is {f.name} for{tail}?", f"What does {f.name} do{tail}?", f"What should I put in {f.name}{tail}?", f"Explain {f.name}{tail}."]), f
        case "note" if e.notes and any(n in chunk.text for n in e.notes):
            return shape, rng.choice([f"What should I watch out for when I {task}?", f"Is there anything to know before I {task}?", f"What can go wrong when I {task}?", f"Are there limits when I {task}?"]), None
    return None


VAGUE = ("How does this work with the {}?", "What do I do about the {}?", "We have a problem with {}. What now?", "I need something with {}. Where do I begin?", "Someone asked me about {}. What can I tell them?", "Is there something for {}?", "What should I know about {}?", "I am looking for the part about {}.", "How do people usually deal with {}?", "My boss wants {}. Is that possible?", "It is about {}. Help?", "What is the deal with {}?", "I only understand half of this: {}?", "Can someone tell me how {} goes?", "Why is there trouble with {}?", "We would like to have {}. What must we do?", "Where do I even start with {}?", "Who or what takes care of {}?", "How would I explain {} to my team?", "I keep hearing about {}. What is it?", "What are my options for {}?", "Where is the trick with {}?", "What is going on with {} here?")


def other_word(rng: Random, word: str) -> str:
    """An everyday word for `word`, or the word itself."""
    found = SYNONYMS[word].split("|") if word in SYNONYMS else pool()["synonyms"].get(word) or [word]
    return rng.choice(found)


def vague(rng: Random, text: str) -> str:
    """A question that shares one or two words with `text`, or none at all where others are put in their place."""
    words = [w for w in dict.fromkeys(re.findall(r"(?<![`\w./{-])[a-z]{4,}(?![`\w/}-])", text.lower())) if w not in COMMON]
    if not words:
        return ""
    chosen = [w if rng.random() < 0.45 else other_word(rng, w) for w in rng.sample(words, min(len(words), rng.choice([1, 1, 2, 2, 3])))]
    thing = rng.choice(["the {}", "my {}", "{}", "our {}"]).format(chosen[0]) + "".join(rng.choice([" and {}", " when {}", " for the {}", " {}"]).format(w) for w in chosen[1:])
    return rng.choice(VAGUE).replace("the {}", "{}" if thing.startswith(("the ", "my ", "our ")) else "the {}").format(thing)


def overview(rng: Random, e: Entry, shape: str, subject: object, shown: list[Field]) -> list[str]:
    """One or two sentences that answer the question."""
    call = call_md(e) if e.call else ""
    first = f"Use {call} to {e.task}." if call else f"You can {e.task} with the steps below." if e.kind == "guide" else ""
    match shape:
        case "fields":
            return [f"To {e.task}, you give {_and([t(f.name) for f in shown[:6]])} to {call}." if call else f"You give {_and([t(f.name) for f in shown[:6]])}."]
        case "default" | "limit" if isinstance(subject, Field):
            line = f"The default of {t(subject.name)} is {t(subject.default)}." if shape == "default" else f"The limit of {t(subject.name)} is: {lower(subject.limit)}."
            return [line, f"It belongs to {call}."] if e.kind != "setting" else [line, f"It is the {lower(subject.desc)}." if subject.desc.startswith(("The ", "Number ")) else f"It means: {lower(subject.desc)}."]
        case "meaning" if isinstance(subject, Field):
            return [f"{t(subject.name)} means: {lower(subject.desc)}.", *([f"It is used with {call}."] if e.kind != "setting" else [])]
        case "error" if isinstance(subject, tuple):
            return [f"{t(subject[0])} means: {lower(subject[1])}.", *([f"It can appear when you use {call}."] if e.kind != "error" and call else [])]
        case "fact" if isinstance(subject, Fact):
            return [subject.text, *([f"This is about {call}."] if call else [])]
        case "whatif" if isinstance(subject, tuple):
            return [subject[0], *([f"This is about {call}."] if call else [])]
        case _ if e.kind == "setting":
            return [f"Use the setting {call} to {e.task}."]
    if e.purpose.startswith("`"):
        return [e.purpose]
    return [x for x in (first, e.purpose if not e.purpose.startswith(("Use ", "This ", "You can")) or not first else "") if x]


def near_by(e: Entry, subject: Fact, context: str) -> list[str]:
    """The one or two sentences that follow `subject` in its passage; the one before where none follows. Rows of names are no sentences."""
    told = [f.text for f in e.facts if f is subject or ((not f.quote.strip() or f.quote == f.text) and f.shown(context))]
    i = told.index(subject.text)
    return told[i + 1 : i + 3] or told[max(0, i - 1) : i]


def steps(e: Entry, shape: str, subject: object, shown: list[Field], returns: list[Field], context: str) -> list[str]:
    """Two to four short sentences."""
    call = call_md(e) if e.call else ""
    if e.kind == "guide":
        return [f"{i}. {s}" for i, s in enumerate(e.steps, 1)]
    if e.kind == "topic" and isinstance(subject, Fact):
        return near_by(e, subject, context) or [f"Read the part called {e.title}.", "It says no more about this."]
    if e.kind == "error":
        return [f"Look for {call} in the answer you got.", f"{e.errors[0][2]}.", "Then try the action again."]
    if e.kind == "setting":
        f = e.fields[0]
        return [f"Find {call} in the settings.", f"Give it a value of the type {t(f.type)}." if t(f.type) in context or f"({f.type}" in context or f" {f.type} " in context else "Give it the value you need.", f"If you leave it out, {t(f.default)} is used." if f.default else "Save the settings so that the value is used."]
    if e.kind == "concept":
        return [e.notes[0], "Read the fields below to see what it holds." if shown else "The documents give no further steps."]
    verbs = {"api": ("Send a request to", "Call", "Use"), "module": ("Add a task that uses", "Use", "Add"), "cli": ("Run", "Type", "Use")}[e.kind]
    out = [f"{verbs[len(e.title) % 3]} {call}."]
    path = [f for f in shown if f.where == "path"]
    rest = [f for f in shown if f.where != "path"]
    need = [f for f in rest if f.required] or rest[:2]
    if path:
        out.append(f"Put {_and([t(f.name) for f in path])} in the path.")
    if need:
        out.append(f"Give {_and([t(f.name) for f in need[:4]])}.")
    if returns:
        out.append(f"The answer holds {_and([t(f.name) for f in returns[:4]])}.")
    if len(out) < 2:
        out.append("No other value is needed.")
    return out


def bullets(e: Entry, subject: object, shown: list[Field], returns: list[Field], group: list[Entry]) -> list[tuple[str, str]]:
    """Two to six (name, description) pairs, the subject first."""
    if e.kind == "error":
        i = group.index(e)
        rows = [g.errors[0] for g in group[i:] + group[:i]]
        return [(c, m) for c, m, _ in rows[:4]]
    if e.kind == "topic" and isinstance(subject, Fact):
        return list(dict([*subject.names, *(x for f in e.facts if f is not subject for x in f.names)]).items())[:5]
    fields = shown + returns
    if e.kind == "setting":
        i = group.index(e)
        fields = [g.fields[0] for g in group[i:] + group[:i]][:4]
    elif isinstance(subject, Field):
        fields = [subject, *(f for f in fields if f.name != subject.name)]
    unique = {f.name: f for f in reversed(fields)}
    ordered = list(dict.fromkeys(f.name for f in fields))
    out = []
    for name in ordered[:6]:
        f = unique[name]
        out.append((name, lower(f.desc) + (f"; default {f.default}" if f.default else "") + ("; required" if f.required and e.kind != "guide" and f.where != "response" else "")))
    return out


def answer(rng: Random, e: Entry, shape: str, subject: object, context: str, own: str, group: list[Entry]) -> tuple[str, list[str]]:
    """The four-part answer and the names of its fields."""
    shown, returns = seen_fields(e, own, e.fields), seen_fields(e, own, e.returns)
    if e.kind == "guide":
        shown = e.fields
    first = overview(rng, e, shape, subject, shown)
    todo = steps(e, shape, subject, shown, returns, own)
    pairs = bullets(e, subject, shown, returns, group)
    watch = [w[0] for w in e.whatif if w[0].replace("`", "") in own.replace("`", "") and w != subject]
    watch += [f.text for f in e.facts if f.shown(own) and f is not subject and f.text not in todo and e.kind != "topic"]
    watch += [f.text for f in e.facts if e.kind == "topic" and f is not subject and CUE.search(f.text) and f.text not in todo and f.shown(own)]
    watch += [n for n in e.notes if n in own]
    watch += [f"{t(c)}: {lower(m)}. {x}." for c, m, x in e.errors if (c, m, x) != subject and c in own and m in own]
    if e.kind in ("error", "setting"):
        watch = [f"Do not mix it up with {t(pairs[1][0])}."] if len(pairs) > 1 else []
        f = e.fields[0] if e.fields else None
        if f and f.limit and f.limit in own:
            watch.insert(0, f"Allowed: {lower(f.limit)}.")
    elif isinstance(subject, tuple) and shape == "error":
        watch.insert(0, f"{subject[2]}.")
    if e.kind == "concept":
        watch = [w for w in watch if w != e.notes[0]]
    if e.kind not in ("error", "setting"):
        plain = own.replace("`", "")
        head = watch[:1]
        watch.sort(key=lambda w: plain.find(w.replace("`", "").split(": ")[0]) if shape != "error" or w not in head else -1)
    watch = list(dict.fromkeys(watch))[:3]
    said = " ".join(first + todo)
    watch = [w for w in watch if w not in said] or ["The documents name no special warning for this."]
    listed = [f"- {t(n) if e.kind != 'guide' else n}: {d}" for n, d in pairs] or ["- No fields are needed for this."]
    body = [" ".join(first), "\n".join(todo) if e.kind == "guide" else " ".join(todo), "\n".join(listed), "\n".join(f"- {w}" for w in watch) if len(watch) > 1 else watch[0]]
    return "\n\n".join(f"{h}\n{b}" for h, b in zip(HEADINGS, body, strict=True)), [n for n, _ in pairs if e.kind != "guide"]


def refusal(rng: Random, topic: str, near: list[str]) -> str:
    """The four-part answer when the context does not hold it; `near` are plain titles of what it does hold."""
    about = rng.choice(near) if near else ""
    first = [f"{ABSTAIN} {topic}."] + ([rng.choice([f"They only describe: {about}.", f"They describe something else: {about}."])] if about else [])
    body = [" ".join(first), "Ask the people who own the product, or look for another document about this. Add that document and ask again.", "- No fields are documented for this question.", rng.choice(["Do not guess a name or an address. A similar page may describe a different action.", "A similar page may describe a different action. Do not use it in place of the missing one."])]
    return "\n\n".join(f"{h}\n{b}" for h, b in zip(HEADINGS, body, strict=True))


def arrange(rng: Random, right: list[Chunk], others: list[Chunk]) -> list[Chunk]:
    """`right` and some of `others` in retrieval order: the right one often first, sometimes last."""
    k = rng.choice([2, 3, 4, 5, 5, 5, 5])
    rest = others[: max(0, k - len(right))]
    if not right:
        return rest
    at = min(rng.choices(range(5), (64, 15, 9, 7, 5))[0], len(rest))  # about the ranks that a real retriever gives
    return rest[:at] + right + rest[at:]


def distractors(rng: Random, product: Product, entity: str, skip: set[int], other: Product) -> list[Chunk]:
    """Chunks of the same entity first, then of the product, now and then of another product."""
    pool = [c for i, c in enumerate(product.chunks) if i not in skip]
    rng.shuffle(pool)
    pool.sort(key=lambda c: c.entity != entity)
    if rng.random() < 0.2 and other.chunks:
        pool.insert(rng.randint(0, min(3, len(pool))), rng.choice(other.chunks))
    head = pool[:4]
    rng.shuffle(head)
    return head + pool[4:] + rng.sample(other.chunks, min(4, len(other.chunks)))


def ranked(rng: Random, question: str, chunks: list[Chunk]) -> list[Chunk]:
    """`chunks` as a retriever would rank them: by the rare words they share with `question`, with some noise."""
    asked = set(re.findall(r"[a-z]{3,}", question.lower()))
    words = [set(re.findall(r"[a-z]{3,}", f"{c.header} {c.header} {c.text}".lower())) & asked for c in chunks]
    held = {w: sum(w in found for found in words) for w in asked}
    score = [sum(1 / (0.5 + held[w]) for w in found) + rng.random() * 0.4 for found in words]
    return [chunks[i] for i in sorted(range(len(chunks)), key=lambda i: -score[i])]


def context_of(chunks: list[Chunk]) -> str:
    """The numbered context block."""
    return "\n\n".join(f"[{i}] {c.header}\n{c.text}" for i, c in enumerate(chunks, 1))


def grounded(sample: Sample) -> bool:
    """Every backticked identifier of the answer occurs in the context, and the length is in bounds."""
    names = re.findall(r"`([^`]+)`", sample.answer)
    words = len(sample.answer.split())
    return all(n in sample.context for n in names) and 30 <= words <= 210 and sample.answer.count("`") % 2 == 0


def answered(rng: Random, product: Product, other: Product) -> Sample | None:
    """A question whose answer is in the context."""
    weights = [{"error": 0.25, "setting": 0.3, "concept": 0.5, "api": 1.5, "topic": 1.3}.get(x.kind, 1.0) for x in product.entries]
    e = rng.choices(product.entries, weights)[0]
    chunk = product.chunks[e.chunk]
    asked = ask(rng, e, chunk)
    if asked is None:
        return None
    shape, question, subject = asked
    if rng.random() < 0.35:  # asked in words of one's own: the rank is then the best that is left to go by
        if shape in ("how", "note", "fields", "which"):
            shape, subject = "how", None
            question = vague(rng, f"{e.task} {e.title if '/' not in e.title else ''} {e.purpose}") or question
        elif shape == "fact" and isinstance(subject, Fact):
            question = vague(rng, subject.text) or question
    group = [x for x in product.entries if x.chunk == e.chunk]
    skip, right, own = {e.chunk}, [chunk], chunk.text
    if e.chunk + 1 < len(product.chunks) and product.chunks[e.chunk + 1].header == chunk.header:
        skip.add(e.chunk + 1)
        if rng.random() < 0.5:
            right.append(product.chunks[e.chunk + 1])
            own += "\n" + right[1].text
    others = distractors(rng, product, chunk.entity, skip, other)
    if rng.random() < 0.6:
        others = ranked(rng, question, others)
    chunks = arrange(rng, right, others)
    context = context_of(chunks)
    if rng.random() < 0.15:
        question = f"{question[:-1]} in {product.name}?" if question.endswith("?") else question
    text, names = answer(rng, e, shape, subject, context, own, group)
    return Sample(context, question, text, e.call, names, True, f"{e.kind}/{shape}")


def asked(rng: Random) -> Sample | None:
    """A written question over the passages that a retriever found for it."""
    drawn = draw(rng)
    if drawn is None:
        return None
    question, passages, _, texts = drawn
    context = context_of([Chunk(heading, text, "") for heading, text in passages])
    if texts is None:
        near = [last for heading, _ in passages if re.fullmatch(r"[A-Za-z ]{8,60}", last := heading.split(" › ")[-1].lower())]
        return Sample(context, question, refusal(rng, "what the answer to this is", near), "", [], False, "asked/none")
    text = "\n\n".join(f"{h}\n{b}" for h, b in zip(HEADINGS, texts, strict=True))
    call = next((name for name in re.findall(r"`([A-Z]+ /[^`]*)`", texts[1])), "")
    names = re.findall(r"^- `([^`]+)`: ", texts[2], re.MULTILINE)
    return Sample(context, question, text, call, names, True, "asked/real")


def unanswered(rng: Random, product: Product, other: Product) -> Sample | None:
    """A near miss: the right chunk is absent, or the thing asked for is documented nowhere."""
    roll = rng.random()
    e = rng.choice(product.entries)
    entity = product.chunks[e.chunk].entity
    skip: set[int] = set()
    ask_verb = rng.choice(["How do I {}?", "How can I {}?", "I want to {}. How?", "Which endpoint do I use to {}?", "What do I call to {}?", "What information is needed to {}?", "Can I {}?", "I need to {}, what do I do?", "Explain how to {}.", "What steps do I follow to {}?", "Is there a way to {}?", "My team wants to {}. Where do we start?", "How can a program {}?", "What is the right way to {}?"])
    if roll < 0.15 and e.kind not in ("error", "setting", "concept", "topic"):  # its page was not retrieved
        task = rng.choice([e.task, *e.tasks])
        skip = {x.chunk for x in product.entries if x.task == e.task or x.tasks == e.tasks}
        skip |= {i for i in range(len(product.chunks)) if any(product.chunks[i].header == product.chunks[j].header for j in skip)}
        question, topic = ask_verb.format(task), f"how to {task}"
    elif roll < 0.15 and e.kind == "topic" and e.facts:  # likewise, of a page of facts
        missing = rng.choice(e.facts)
        skip = {e.chunk} | {i for i, c in enumerate(product.chunks) if missing.shown(c.text)}
        question, topic = rng.choice(missing.questions), "what the answer to this is"
    elif roll < 0.5:  # an action that is not documented
        used = {x.tasks[0] for x in product.entries}
        action = rng.choice(list(ACTIONS))
        verbs = ACTIONS[action][1].split("|")
        noun = rng.choice([f"{article(entity)} {entity}", f"{article(entity)} {entity}", plural(entity), f"{article(entity)} {entity} by {rng.choice(ATTRS)}"])
        if any(v in u for v in verbs for u in used):
            return None
        task = f"{rng.choice(verbs)} {noun}" if action != "assign" else f"assign {noun}"
        question, topic = ask_verb.format(task), f"how to {task}"
    elif roll < 0.9:  # a value, field or code that is not there
        everything = context_of(product.chunks)
        f = make_field(rng, entity, rng.choice(["camel", "snake", "kebab"]))
        thing = rng.choice([f.name, f"the {f.words}", f.words])
        code = rng.choice([str(rng.choice([402, 405, 410, 418, 451, 500, 503, 507])), ident(f"{invent(rng)} {rng.choice(NOUNS)}", rng.choice(["upper", "snake"]))])
        question, topic = rng.choice([(f"What is the default of {thing}?", f"what the default of {thing} is"), (f"What does {code} mean?", f"what {code} means"), (f"What is {f.name} for?", f"what {f.name} is for"), (f"What is the limit of {thing}?", f"what the limit of {thing} is"), (f"Why do I get {code}?", f"what {code} means"), (f"Which values can {thing} have?", f"which values {thing} can have")])
        if rng.random() < 0.5:
            missing = fact(rng, entity)
            if any(n in everything for n, _ in missing.names) or missing.text in everything:
                return None
            question = rng.choice(missing.questions)
            topic = "what the answer to this is"
        if f.name.lower() in everything.lower() or f.words in everything.lower() or code in everything:
            return None
    else:
        n = rng.choice(NOUNS)
        question, topic = rng.choice([(f"How much does the {n} plan cost?", f"how much the {n} plan costs"), (f"Who founded {product.name}?", f"who founded {product.name}"), (f"Does {product.name} support {rng.choice(LIMITS)}s for {plural(n)}?", f"whether {product.name} supports that for {plural(n)}"), (f"When was {product.name} released?", f"when {product.name} was released"), (f"Is there a mobile app for {plural(n)}?", f"whether there is a mobile app for {plural(n)}")])
    chunks = distractors(rng, product, entity, skip, other)
    chunks = (ranked(rng, question, chunks) if rng.random() < 0.75 else chunks)[: rng.choice([2, 3, 4, 5, 5, 5, 5])]
    if not chunks:
        return None
    near = [x.task for x in product.entries if x.kind in ("api", "module", "cli", "guide") and product.chunks[x.chunk] in chunks and "`" not in x.task]
    return Sample(context_of(chunks), question, refusal(rng, topic, near), "", [], False, "none")


def copying(rng: Random) -> Sample:
    """A lookup among random identifiers: each name stands beside a value."""
    style = rng.choice(["camel", "snake", "kebab", "upper", "pascal", "dot"])
    rows = {ident(" ".join(rng.choice([invent(rng), rng.choice(NOUNS)]) for _ in range(rng.randint(1, 3))), style): rng.choice([rng.choice(english()), f"{rng.choice(ATTRS).capitalize()} of the {invent(rng)}.", f"{invent(rng)} {invent(rng)}."]) for _ in range(rng.randint(4, 12))}
    names = list(rows)
    chunks = [Chunk(f"{invent(rng).capitalize()} › {rng.choice(NOUNS)}", "\n".join(f"{rng.choice(['- ', ''])}{n}: {rows[n]}" for n in names[i : i + 4]), "") for i in range(0, len(names), 4)]
    at = rng.randrange(len(names))
    group = names[at - at % 4 : at - at % 4 + 4]
    order = group[at % 4 :] + group[: at % 4]
    meaning = rows[names[at]].rstrip(".")
    body = [f"{t(names[at])} means: {lower(meaning)}.", f"Look for {t(names[at])} on the page. Use the value as it is written there.", "\n".join(f"- {t(n)}: {lower(rows[n].rstrip('.'))}" for n in order), f"Do not mix it up with {t(order[1])}." if len(order) > 1 else "The documents name no special warning for this."]
    text = "\n\n".join(f"{h}\n{b}" for h, b in zip(HEADINGS, body, strict=True))
    question = rng.choice([f"What is {names[at]} for?", f"What does {names[at]} mean?", f"Explain {names[at]}."])
    return Sample(context_of(chunks), question, text, names[at], order, True, "copy")


COMMON = {"after", "there", "nothing", "this", "that", "with", "from", "only", "into", "than", "then", "they", "them", "their", "these", "those", "must", "been", "were", "also", "each", "other", "which", "such", "more", "your", "because", "before", "can", "get", "list", "have", "may", "will", "what", "where", "how", "when", "use", "way", "does", "say", "happens", "possible", "need", "want", "call", "name"}  # too many senses
OPENINGS = ("We are new here. ", "A colleague asks: ", "My manager wants to know: ", "Quick question: ", "I am no programmer. ", "Our team is stuck. ", "Somebody asked me this today. ", "Hello! ", "We need this for a report. ", "It worked last week. ", "I could not find it. ", "Before we start: ", "For our spring project: ", "We have about 300 of them. ")
CLOSINGS = (" Please explain it simply.", " We need it by Friday.", " Thanks!", " Is it hard?", " I only use the web page.", " What do I need?", " In plain words, please.")


def everyday(rng: Random, sample: Sample) -> Sample:
    """The same question as people ask it: other words for common nouns and verbs, and now and then a sentence around it."""
    roll, question, text = rng.random(), sample.question, sample.answer
    if roll < 0.45:
        wider = pool()["synonyms"] if rng.random() < 0.3 else {}  # WordNet's are further off than ours
        words = [w for w in re.findall(r"(?<![\w.`/-])[a-z]{3,}(?![\w`/{}]|[.-]\w)", question) if (w in SYNONYMS or (w in wider and w not in COMMON)) and f"`{w}`" not in text]
        for word in sorted(set(rng.sample(words, min(len(words), rng.randint(1, 3))))):
            other = rng.choice(SYNONYMS[word].split("|") if word in SYNONYMS else wider[word])
            question = re.sub(rf"(?<![\w.`/-]){word}(?![\w`/{{}}]|[.-]\w)", other, question)
            if not sample.answerable:  # a refusal repeats the words of the question
                first, rest = text.split("\n\n", 1)
                says, dot, more = first.partition(".")
                text = re.sub(rf"(?<![\w.`/-]){word}(?![\w`/{{}}]|[.-]\w)", other, says) + dot + more + "\n\n" + rest
    if rng.random() < 0.12:
        question = rng.choice(OPENINGS) + question
    elif rng.random() < 0.08:
        question += rng.choice(CLOSINGS)
    return replace(sample, question=question, answer=text)


def dressed(rng: Random, sample: Sample) -> Sample:
    """The same answer under a drawn set of headings, so that no set is the base's own; now and then with numbered steps."""
    mark = rng.choice(MARKS)
    drawn = rng.random() < 0.35
    names = [re.sub(r"[^\w ]", "", salad(rng, 1, 4)).capitalize() if drawn else rng.choice(titles.split("|")) for titles in TITLES]
    bodies = [block.split("\n", 1)[1] for block in sample.answer.split("\n\n")]
    sentences = re.split(r"(?<=[.]) (?=[A-Z])", bodies[1])
    if len(sentences) > 1 and "\n" not in bodies[1] and rng.random() < 0.4:
        bodies[1] = "\n".join(f"{i}. {x}" for i, x in enumerate(sentences, 1))
    heads = tuple(mark.format(name) for name in names)
    return replace(sample, answer="\n\n".join(f"{h}\n{b}" for h, b in zip(heads, bodies, strict=True)), headings=heads)


def stream(seed: int, unanswerable: float = 0.08, copies: float = 0.04) -> Iterator[Sample]:
    """Endless examples for `seed`; six questions are asked about each product."""
    rng = Random(seed)
    other = make_product(rng)
    while True:
        if written() and rng.random() < 6 * WRITTEN / (1 + 5 * WRITTEN):  # one each, where a product has six
            s = asked(rng)
            if s is not None and grounded(s) and len(s.context) < 6600:
                yield dressed(rng, s)
            continue
        roll = rng.random()
        product = (make_real(rng) if roll < REAL else make_pages(rng) if roll < REAL + PAGES else None) or make_product(rng)
        made = 0
        for _ in range(24):
            roll = rng.random()
            s = copying(rng) if roll < copies else unanswered(rng, product, other) if roll < copies + unanswerable * 1.15 else answered(rng, product, other) if product.entries else None
            if s is not None and grounded(s) and len(s.context) < 6600:
                yield dressed(rng, everyday(rng, s))
                made += 1
            if made == 6:
                break
        other = product
