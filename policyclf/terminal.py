"""What a person sees on a terminal: tables, progress, figures. Uses rich; imported only when there is someone to see it."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from policyclf.journal import Failure
from policyclf.records import Explanation, TaggedArticle, TaggedPassage

if TYPE_CHECKING:
    from typing_extensions import Self

# Okabe and Ito's palette, told apart by colour-blind eyes; categories beyond it begin again
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442")


def colour(categories: tuple[str, ...], name: str) -> str:
    """Return the colour of a category."""
    return COLOURS[categories.index(name) % len(COLOURS)]


def show(result: TaggedArticle | Failure, console: Console | None = None) -> None:
    """Print one tagged article as a table: unit, category, probability, passage with its evidence marked, and a summary."""
    console = console or Console()
    if isinstance(result, Failure):
        return
    article = result.article
    title = Text(article.title or article.source or "text", style="bold")
    for part in (article.publisher, article.date, article.place):
        if part:
            title.append(f"  {part}", style="not bold dim")
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1), header_style="dim", show_lines=False)
    table.add_column("段-句", justify="right", style="dim", no_wrap=True)
    table.add_column("类别", no_wrap=True)
    table.add_column("概率", justify="right", no_wrap=True)
    table.add_column("原文", ratio=1, overflow="fold")
    for passage in result.passages:
        if passage.tags:
            names = Text("\n").join(Text(tag.category, style=f"bold {colour(result.categories, tag.category)}") for tag in passage.tags)
            chances = Text("\n").join(Text(f"{tag.probability:.2f}") for tag in passage.tags)
            table.add_row("-".join(map(str, passage.unit)), names, chances, _marked(passage, result.categories))
    tagged = sum(bool(passage.tags) for passage in result.passages)
    if tagged:
        console.print(table)
    else:
        console.print(title)
    summary = Text(f"{len(result.passages)} 句，{tagged} 句有标签", style="dim")
    for name, count in result.counts.items():
        if count:
            summary.append(f"  {name} {count}", style=f"not dim {colour(result.categories, name)}")
    console.print(summary, "\n")


def _marked(passage: TaggedPassage, categories: tuple[str, ...]) -> Text:
    text = Text(passage.text)
    for tag in passage.tags:
        for word in tag.evidence:
            text.stylize(f"bold underline {colour(categories, tag.category)}", word.start - passage.start, word.end - passage.start)
    return text


def show_explanation(explanation: Explanation, console: Console | None = None) -> None:
    """Print the account of one decision: every word that moved it, the context, the intercept, the sum."""
    console = console or Console()
    sign = "≥" if explanation.probability >= explanation.threshold else "<"
    head = Text.assemble((explanation.category, "bold"), f"  概率 {explanation.probability:.3f} {sign} 阈值 {explanation.threshold:.3f}")
    table = Table(title=head, title_justify="left", caption=Text(explanation.text), caption_justify="left", box=None, padding=(0, 1), header_style="dim")
    table.add_column("词")
    table.add_column("贡献", justify="right")
    table.add_column("")
    words = [word for word in explanation.evidence if abs(word.contribution) >= 0.005]
    shown = sum(word.contribution for word in words)
    for word in words:
        bar = "█" * min(30, round(abs(word.contribution) * 4))
        table.add_row(Text(word.text), f"{word.contribution:+.2f}", Text(bar, style=COLOURS[2] if word.contribution > 0 else COLOURS[4]))
    rest = explanation.decision - explanation.intercept - shown
    if abs(rest) >= 0.005:
        table.add_row("其余", f"{rest:+.2f}", "", style="dim")
    table.add_row("截距", f"{explanation.intercept:+.2f}", "", style="dim")
    table.add_row("决策值", f"{explanation.decision:+.2f}", "", style="bold")
    console.print(table, "\n")


def show_figures(figures: dict[str, Any], title: str) -> None:
    """Print an evaluation, one category a line, with 95 % intervals."""
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1), header_style="dim")
    for header in ("category", "precision", "recall", "F1", "95 %", "average precision", "n", "threshold"):
        table.add_column(header, justify="left" if header == "category" else "right")
    for name, row in figures["categories"].items():
        low, high = row["intervals"]["f1"]
        table.add_row(
            name, f"{row['precision']:.3f}", f"{row['recall']:.3f}", f"{row['f1']:.3f}", f"{low:.3f}–{high:.3f}",
            f"{row['average_precision']:.3f}", str(row["support"]), f"{row['threshold']:.3f}",
        )  # fmt: skip
    low, high = figures["intervals"]["macro_f1"]
    table.add_row(
        "macro", "", "", f"{figures['macro_f1']:.3f}", f"{low:.3f}–{high:.3f}", f"{figures['macro_average_precision']:.3f}", str(figures["n"]), "", style="bold"
    )
    Console().print(table)


def show_agreement(report: dict[str, Any]) -> None:
    """Print agreement of two codings, one category a line, with 95 % intervals."""
    table = Table(title=f"{report['n']} passages of {report['n_documents']} documents", title_justify="left", box=None, padding=(0, 1), header_style="dim")
    for header in ("category", "kappa", "95 %", "alpha", "Holsti", "F1", "first", "second"):
        table.add_column(header, justify="left" if header == "category" else "right")
    for name, row in [*report["categories"].items(), ("mean", report["mean"])]:
        low, high = row["intervals"]["kappa"]
        figures = (f"{row[m]:.3f}" for m in ("alpha", "holsti", "f1"))
        table.add_row(name, f"{row['kappa']:.3f}", f"{low:.3f}–{high:.3f}", *figures, str(row.get("first", "")), str(row.get("second", "")))
    Console().print(table)


class _Live:
    """Something that moves on stderr; draws nothing where stderr is no terminal."""

    def __init__(self, *columns: ProgressColumn) -> None:
        console = Console(stderr=True)
        self._bar = Bar(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal, transient=True)
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()


class Progress(_Live):
    """A bar: files done, passages, rate, time left."""

    def __init__(self) -> None:
        super().__init__(SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())

    def update(self, done: int, total: int, passages: int, rate: float) -> None:
        """Show ``done`` of ``total`` files, how many passages they held, and files a second."""
        self._bar.update(self._task, completed=done, total=total, description=f"{passages:,} passages, {rate:,.0f} files/s")


class Steps(_Live):
    """One line that says what is being done."""

    def __init__(self) -> None:
        super().__init__(SpinnerColumn(), TextColumn("{task.description}"))

    def say(self, line: str) -> None:
        """Show another step."""
        self._bar.update(self._task, description=line)
