"""A `random.Random` in, varied sentences of documentation out, each with the everyday questions that it answers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from random import Random

from words import ATTRS, NOUNS, ROLES, article, english, ident, invent, plural, salad

ADJ = ["plain", "new", "old", "second", "deleted", "unknown", "empty", "expired", "locked", "large", "small", "wrong", "late", "early", "open", "closed", "private", "public", "hidden", "shared", "paid", "unpaid", "signed", "temporary", "permanent", "daily", "weekly", "monthly", "single", "double", "partial", "complete", "broken", "valid", "invalid", "foreign", "local", "remote", "archived", "active", "idle", "busy", "finished", "failed", "missing", "trusted", "blocked", "verified", "nested", "linked", "main", "first", "last", "next", "previous", "free", "special"]
PP = ["refused", "redirected", "deleted", "kept", "sent", "saved", "shown", "stored", "moved", "merged", "copied", "counted", "checked", "logged", "billed", "charged", "ignored", "skipped", "renamed", "locked", "opened", "closed", "printed", "signed", "read", "changed", "replaced", "restored", "paused", "cancelled", "approved", "shared", "exported", "imported", "started", "stopped", "repeated", "delayed", "returned", "removed", "created", "updated", "archived", "rounded", "encrypted", "compressed", "queued", "delivered", "scanned", "sorted"]
UNITS = ["seconds", "minutes", "hours", "days", "weeks", "months", "characters", "entries", "bytes", "megabytes", "attempts", "requests"]


@dataclass
class Fact:
    """A sentence, questions it answers, and the names it explains."""

    text: str
    questions: list[str]
    names: list[tuple[str, str]] = field(default_factory=list)
    quote: str = ""  # as the passage writes it, where that differs from `text`

    def shown(self, passage: str) -> bool:
        """Whether `passage` says it; backticks do not count."""
        return (self.quote or self.text).replace("`", "") in passage.replace("`", "")


def value(rng: Random) -> str:
    """A short literal such as an identifier prefix, a number or a word."""
    w = rng.choice(NOUNS)
    return rng.choice([f"{w[:3]}_", f"{w[:3]}_{rng.randint(16, 255):x}{rng.randint(16, 255):x}", str(rng.randint(1, 5000)), "true", "false", w, invent(rng, 1, 2), f"20{rng.randint(20, 29)}-0{rng.randint(1, 9)}-{rng.randint(10, 28)}", f"{w}@{invent(rng)}.example", f"+49{rng.randint(10**8, 10**9)}", rng.choice(["en", "de", "fr", "sms", "email", "csv", "json", "UTC"])])


def name(rng: Random) -> str:
    """A random identifier."""
    style = rng.choice(["camel", "snake", "kebab", "upper", "camel", "snake", "pascal", "dot"])
    parts = [rng.choice([rng.choice(NOUNS), rng.choice(NOUNS), rng.choice(ADJ), rng.choice(PP), invent(rng)]) for _ in range(rng.randint(1, 3))]
    return ident(" ".join(parts), style)


def loose(rng: Random, text: str) -> str:
    """A question that only shares a few content words with `text`."""
    words = [w for w in re.sub(r"`[^`]*`|[^a-zA-Z ]", " ", text).lower().split() if len(w) > 4]
    if len(words) < 2:
        return ""
    size = min(len(words), rng.randint(2, 4))
    at = sorted(rng.sample(range(len(words)), size))
    w = [words[i] for i in at]
    head, last = " ".join(w[:-1]), w[-1]
    return rng.choice([f"What about {head} and {last}?", f"I have a question about {head} {last}.", f"Why is my {head} {last}?", f"What is going on with {head} {last}?", f"Can I use {head} with {last}?", f"How does {head} work with {last}?", f"We have a {head}. What about {last}?", f"Is {head} {last} possible?", f"How long, how many or how often: {head} {last}?", f"What is the rule for {head} {last}?", f"How do we handle {head} {last}?", f"What must I know about {head} {last}?", f"When does {head} {last}?", f"Where do I see {head} {last}?"])


def gloss(rng: Random, entity: str) -> str:
    """A description clause without its full stop, in many shapes, now and then with values in backticks."""
    if (roll := rng.random()) < 0.22:
        return salad(rng, 3, 9).capitalize()
    if roll < 0.4:
        return rng.choice(english()).rstrip(".")
    n, m, a, p, r = rng.choice(NOUNS), rng.choice(NOUNS), rng.choice(ADJ), rng.choice(PP), rng.choice(ROLES)
    num, unit, v, v2 = rng.choice([1, 2, 5, 10, 20, 30, 50, 60, 80, 100, 500, rng.randint(2, 999)]), rng.choice(UNITS), value(rng), value(rng)
    return rng.choice([
        f"{a.capitalize()} {n} of the {entity}", f"{n.capitalize()} that the {r} sees", f"How the {n} reaches the {m}", f"{n.capitalize()} after which the {entity} is {p}",
        f"Where the {n} comes from", f"Name for your {n}, up to {num} characters", f"Part of the address, such as `{v}`", f"Identifier, starts with `{v}`", f"Set to `{v}` to add the {plural(n)} of the {m}",
        f"`{v}` or `{v2}`", f"One of `{v}`, `{v2}` and `{value(rng)}`", f"{a.capitalize()} {n} in {unit}; `{v}` if not given", f"{plural(n).capitalize()} of the {entity}; may be empty", f"When the {entity} was last {p}",
        f"New {n}, replaces the {a} one", f"How many {unit} the {n} stays {a}", f"Number of {unit} before the {n} is {p}", f"{num} to {num * 10} {plural(n)}", f"{n.capitalize()} with its {m}, such as `{v}`", f"Only {a} {plural(n)} are {p}",
        f"The {n} is {p} and the {m} is {rng.choice(PP)}", f"Text shown to the {r} above the {n}", f"Values of your own {plural(n)}", f"Whether {a} {plural(n)} are {p} too", f"Largest {n} that {article(m)} {m} may have", f"Needed before the {n} is {p}", f"Secret of the {n}; never {p}", f"Waits for its {n} {m}", f"{rng.choice(ATTRS).capitalize()} with the {n}, in {rng.choice(['UTC', 'cents', 'capital letters', 'local time'])}",
    ])


def turn(text: str) -> str:
    """A yes-or-no question out of a plain statement; '' where the statement has no such form."""
    m = re.fullmatch(r"((?:The|A|An|Each|Every|This|All|These|It|They)\b(?: [\w`'-]+){0,4}?) (cannot|can|must|may|should|will|is|are|was|were|has to|needs) (.+)\.", text)
    if not m:
        return ""
    who, verb, rest = m[1][0].lower() + m[1][1:], m[2], m[3].replace("`", "")
    if verb in ("has to", "needs"):
        return f"Does {who} {'have to' if verb == 'has to' else 'need'} {rest}?".replace("`", "")
    return f"{verb.replace('cannot', 'can').capitalize()} {who} {rest}?".replace("`", "")


def fact(rng: Random, entity: str) -> Fact:
    """One documented fact about `entity` or its surroundings."""
    n, m, a, p, r = rng.choice([rng.choice(NOUNS), entity]), rng.choice(NOUNS), rng.choice(ADJ), rng.choice(PP), rng.choice(ROLES)
    q, num, num2, unit, x, v = rng.choice(PP), rng.randint(2, 120), rng.choice([2, 3, 5, 10, 20, 50, 100, 500, 1000]), rng.choice(UNITS), name(rng), value(rng)
    ns, an = plural(n), f"{article(a)} {a} {n}"
    code = rng.choice(["400", "401", "403", "404", "409", "410", "413", "422", "429", "500", "503"])
    match rng.randrange(20):
        case 0:
            return Fact(f"{ns.capitalize()} are kept for {num} {rng.choice(['days', 'hours', 'months'])} and then {p}.", [f"How long are {ns} kept?", f"When are {ns} {p}?", f"How long does the system keep {ns}?"])
        case 1:
            per = rng.choice(["minute", "hour", "day", "second"])
            return Fact(f"Each {m} may send {num2} {ns} per {per}.", [f"How many {ns} may {article(m)} {m} send?", f"How many {ns} per {per} are allowed?", f"What is the limit of {ns} per {per}?"])
        case 2:
            return Fact(f"{an.capitalize()} is {p} and never {q}.", [f"What happens to {an}?", f"Is {an} {q}?", f"What happens with {an}?"])
        case 3:
            return Fact(f"{an.capitalize()} gives `{code}`.", [f"What happens when I use {an}?", f"Why do I get {code}?", f"What does {code} mean?", f"Which error do I get for {an}?"], [(code, f"the answer to {an}")])
        case 4:
            return Fact(f"{an.capitalize()} is answered with status `{code}` and the code `{x}`.", [f"What does {x} mean?", f"Why do I get {x}?", f"What does {code} {x} mean?", f"What happens with {an}?"], [(x, f"the code for {an}"), (code, f"the status for {an}")])
        case 5:
            return Fact(f"The header `{x}` carries the {m} of the {n}.", [f"What is the header {x} for?", f"Which header carries the {m} of the {n}?", f"Where do I put the {m} of the {n}?"], [(x, f"the {m} of the {n}")])
        case 6:
            return Fact(f"Only {article(r)} {r} may {rng.choice(['change', 'read', 'delete', 'share', 'create'])} {ns}.", [f"Who may work with {ns}?", f"Which role do I need for {ns}?", f"Who is allowed to touch {ns}?"])
        case 7:
            return Fact(f"The {n} {m} starts with `{v}`.", [f"How does {article(n)} {n} {m} start?", f"What does {article(n)} {n} {m} look like?", f"How do I recognise {article(n)} {n} {m}?"], [(v, f"the start of {article(n)} {n} {m}")])
        case 8:
            return Fact(f"{an.capitalize()} is sent again after {num} {rng.choice(['seconds', 'minutes'])}, at most {num2} times.", [f"How often is {an} sent again?", f"When is {an} sent again?", f"How many times is {an} repeated?"])
        case 9:
            return Fact(f"The {n} cannot be {p} after it was {q}.", [f"Can the {n} be {p} after it was {q}?", f"Why can I not have the {n} {p}?", f"Can I still have the {n} {p} later?"])
        case 10:
            return Fact(f"If {an} was {p}, the reply holds the {m} in `{x}`.", [f"What happens if {an} was {p}?", f"What is {x} for?", f"Where do I find the {m} of {an}?"], [(x, f"the {m} of {an}")])
        case 11:
            return Fact(f"Above that the server answers `{code} {ident(x, 'upper')}`.", [f"What does {code} mean?", f"What does {ident(x, 'upper')} mean?", f"Why do I see {code} {ident(x, 'upper')}?"], [(f"{code} {ident(x, 'upper')}", "the answer above the limit")])
        case 12:
            return Fact(f"Set `{x}` to `{v}` to have {ns} {p}.", [f"How do I have {ns} {p}?", f"What does {x} do?", f"How can I get {ns} {p}?", f"Which value must {x} have?"], [(x, f"set to {v} to have {ns} {p}")])
        case 13:
            return Fact(f"Someone who has several {ns} gets one {m} only.", [f"What happens if someone has several {ns}?", f"How many {plural(m)} does someone with several {ns} get?"])
        case 14:
            return Fact(f"The largest {n} is {num2} {unit}, {an} is {p}.", [f"How large can {article(n)} {n} be?", f"What is the largest {n}?", f"How big may my {n} be?"])
        case 15:
            return Fact(f"{rng.choice(['Write', 'Give', 'Send'])} the {n} as `{v}`, otherwise the {m} is {p}.", [f"How do I write the {n}?", f"Why is the {m} {p}?", f"In what form do I give the {n}?"], [(v, f"the form of the {n}")])
        case 16:
            text = f"{salad(rng, 5, 12).capitalize()}."
            return Fact(text, [q for q in (loose(rng, text), loose(rng, text)) if q] or ["What else is there?"])
        case _:
            text = rng.choice(english())
            if (turned := turn(text)) and rng.random() < 0.5:
                return Fact(text, [turned])
            w = text.rstrip(".").replace("`", "").split()
            size = min(len(w), rng.randint(3, 6))
            at = rng.randint(0, len(w) - size)
            span = " ".join(w[at : at + size]).strip(",")
            span = span[0].lower() + span[1:]
            return Fact(text, [f"What do the documents say about {span}?", f"What about {span}?", f"Tell me about {span}.", f"Where can I read that {span}?", f"Can you explain {span}?"])


def facts(rng: Random, entity: str, count: int) -> list[Fact]:
    """`count` facts that share no question and no name."""
    out: list[Fact] = []
    asked: set[str] = set()
    for _ in range(count * 2):
        f = fact(rng, entity)
        if rng.random() < 0.35 and (q := loose(rng, f.text)):
            f.questions = [q]
        keys = {*f.questions, *(n for n, _ in f.names)}
        if len(out) < count and not keys & asked:
            out.append(f)
            asked |= keys
    return out
