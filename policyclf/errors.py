"""Every exception of the library, one tree under :class:`PolicyclfError`.

An error names the *place* (file, line, column, key) and the *way out*, keeps both as attributes and pickles, so that a
worker process can hand it back whole.
"""

from __future__ import annotations


class PolicyclfError(Exception):
    """Anything this library refuses to do.

    ``problem`` says what is wrong, ``place`` where, ``way_out`` what to do about it; the last two may be empty.
    """

    def __init__(self, problem: str, *, place: str = "", way_out: str = "") -> None:
        super().__init__(problem, place, way_out)
        self.problem = problem
        self.place = place
        self.way_out = way_out

    def __str__(self) -> str:
        text = f"{self.place}: {self.problem}" if self.place else self.problem
        return f"{text} ({self.way_out})" if self.way_out else text

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.problem, self.place, self.way_out)


def _rebuild(kind: type[PolicyclfError], problem: str, place: str, way_out: str) -> PolicyclfError:
    return kind(problem, place=place, way_out=way_out)


class ArticleError(PolicyclfError):
    """A file or text that cannot be read as an article."""


class EncodingError(ArticleError):
    """Bytes that are no text in any encoding that was tried."""


class LabelError(PolicyclfError):
    """A labels, categories or lexicon file that breaks its format."""


class ModelError(PolicyclfError):
    """A model folder that is damaged, of another format, or no model."""


class OutputError(PolicyclfError):
    """A result that cannot be written, or an existing output that belongs to another run."""


class UsageError(PolicyclfError):
    """A call or command line that asks for something that cannot be."""
