"""Values in, words on the terminal out: progress bars, tables and answers (plain text off a terminal)."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.style import Style
from rich.text import Text

from copilot.plain import clean
from copilot.stream import SectionView, drawn, plain_pieces
from copilot.types import Answer, Finding

if TYPE_CHECKING:
    from rich.table import Table


class Terminal:
    """Answers go to stdout, everything else to stderr."""

    def __init__(self, quiet: bool = False, verbose: bool = False) -> None:
        self.out, self.err, self.quiet, self.verbose = Console(), Console(stderr=True), quiet, verbose and not quiet

    @property
    def live(self) -> bool:
        """Whether a person watches stdout."""
        return self.out.is_terminal

    def say(self, text: str) -> None:
        """One line to stderr."""
        if not self.quiet:
            self.err.print(clean(text), markup=False, highlight=False, soft_wrap=True)

    def detail(self, text: str) -> None:
        """One line to stderr for who asked for more with -v."""
        if self.verbose:
            self.say(text)

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Callable[..., None]]:
        """A bar on a terminal; one line at the start elsewhere."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        if self.quiet or not self.err.is_terminal:
            self.say(f"{title}: {total}")
            yield lambda n, note="": None
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, TextColumn("{task.fields[note]}"), console=self.err, transient=True) as bar:
            task = bar.add_task(title, total=total, note="")
            yield lambda n, note="": bar.update(task, advance=n, note=note)

    def training_plan(self, plan: Any) -> None:
        """What training will do, as a table."""
        if self.quiet:
            return
        rows = (
            ("rows", f"{plan.rows} (+ {plan.held_out} held out)"),
            ("tokens", f"{plan.tokens:,}"),
            ("tokens with loss", f"{plan.loss_tokens / plan.tokens:.1%}"),
            ("longest row", f"{plan.longest:,} tokens"),
            ("optimizer steps", str(plan.steps)),
        )
        if not self.err.is_terminal:
            self.say("training\n" + "\n".join(f"  {name:<17} {value}" for name, value in rows))
            return
        from rich.table import Table

        table = Table(title="Training", show_header=False)
        for row in rows:
            table.add_row(*row)
        self.err.print(table)

    @contextmanager
    def streaming(self) -> Iterator[Callable[[str], None]]:
        """What takes an answer piece by piece: markdown by sections on a terminal, plain text elsewhere."""
        if not self.live:
            with plain_pieces(sys.stdout) as piece:
                yield piece
            return
        with SectionView(self.out) as view:
            yield view.piece

    def answer(self, answer: Answer, streamed: bool, show_context: bool) -> None:
        """An answer (unless it was streamed already) with its sources, and under it what the check has found."""
        text = clean(answer.marked or answer.text)
        if not streamed and self.out.is_terminal:
            self.out.print(drawn(text))
        elif not streamed:
            print(text)
        if answer.sources:
            print("\nSources")
        for n, source in enumerate(answer.sources, 1):
            place = Text(clean(source.label), Style(link=source.link or None))
            line = Text.assemble(f"[{n}] ", place, "" if source.cited else " (not cited)")
            self.out.print(line, soft_wrap=True, highlight=False)
        if show_context:
            self.passages(answer)
        if answer.findings:
            self.say("\n" + findings_note(answer.findings))
        if answer.note:
            self.say(answer.note)

    def passages(self, answer: Answer) -> None:
        """The passages that an answer was written from, with the numbers of their sources."""
        for n, hit in enumerate(answer.hits):
            chunk = hit.chunk
            number = next((i for i, source in enumerate(answer.sources, 1) if n in source.hits), n + 1)
            where = (
                f"[{number}] {chunk.header} ({chunk.document}, characters {chunk.start}–{chunk.end}, {hit.score:.3f})"
            )
            print(clean(f"\n--- {where}\n{chunk.text}"))

    def result(self, part: "Table | str") -> None:
        """A table of results, or a sentence about it."""
        if isinstance(part, str):
            print(part)
        else:
            self.out.print(part)

    def usage(self, answer: Answer) -> None:
        """What an answer cost, with -v."""
        spent = answer.usage
        self.detail(
            f"{spent.prompt_tokens} tokens read, {spent.completion_tokens} written in {spent.seconds:.1f} s "
            f"(first after {spent.seconds_to_first_token:.1f} s)\n"
            f"model {answer.model}, adapter {answer.adapter or 'none'}"
        )
        if answer.abstained:
            self.detail(f"refused by the {answer.abstained.by}: {answer.abstained.reason}")

    def example(self, prompt: str, answer: str) -> None:
        """A training row as the model reads it; what carries loss is bold green, or between ⟦ and ⟧ off a terminal."""
        if not self.live or self.out.no_color:
            print(clean(f"{prompt}⟦{answer}⟧"))
            return
        self.out.print(Text.assemble((clean(prompt), "dim"), (clean(answer), "bold green")), soft_wrap=True)


def findings_note(findings: Sequence[Finding]) -> str:
    """What the check has found, in one paragraph."""
    shape = [f.text for f in findings if f.kind == "structure"]
    foreign = list(dict.fromkeys(f.text for f in findings if f.kind != "structure"))
    said = [f"not the shape asked for: {text}" for text in shape]
    said += [f"not in the documents found: {', '.join(foreign)}"] if foreign else []
    return "Check: " + "; ".join(said)
