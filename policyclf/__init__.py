"""Tag every passage of Chinese policy text with the policy measures that it states.

>>> import policyclf
>>> tagger = policyclf.load()
>>> article = tagger.tag("推行“首错免罚”，拨付产业扶持资金22.6亿元。")
>>> [tag.category for tag in article.passages[0].tags]
['金融扶持', '容错纠错']
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from policyclf.article import read_article, read_articles
    from policyclf.batch import tag_files
    from policyclf.errors import ArticleError, EncodingError, LabelError, ModelError, OutputError, PolicyclfError, UsageError
    from policyclf.labels import load_labels, read_categories, read_labels
    from policyclf.metrics import agreement, evaluate
    from policyclf.model import Model, load_model
    from policyclf.outputs import write
    from policyclf.records import Article, Category, Evidence, Explanation, LabelRecord, Tag, TaggedArticle, TaggedPassage
    from policyclf.tagger import Tagger, load
    from policyclf.train import PolicyClassifier

__version__ = "0.1.0"

# Each public name and the module that it lives in; nothing is imported before it is asked for.
_HOME = {
    "article": ("read_article", "read_articles"),
    "batch": ("tag_files",),
    "errors": ("ArticleError", "EncodingError", "LabelError", "ModelError", "OutputError", "PolicyclfError", "UsageError"),
    "labels": ("load_labels", "read_categories", "read_labels"),
    "metrics": ("agreement", "evaluate"),
    "model": ("Model", "load_model"),
    "outputs": ("write",),
    "records": ("Article", "Category", "Evidence", "Explanation", "LabelRecord", "Tag", "TaggedArticle", "TaggedPassage"),
    "tagger": ("Tagger", "load"),
    "train": ("PolicyClassifier",),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Article",
    "ArticleError",
    "Category",
    "EncodingError",
    "Evidence",
    "Explanation",
    "LabelError",
    "LabelRecord",
    "Model",
    "ModelError",
    "OutputError",
    "PolicyClassifier",
    "PolicyclfError",
    "Tag",
    "TaggedArticle",
    "TaggedPassage",
    "Tagger",
    "UsageError",
    "agreement",
    "evaluate",
    "load",
    "load_labels",
    "load_model",
    "read_article",
    "read_articles",
    "read_categories",
    "read_labels",
    "tag_files",
    "write",
]


def __getattr__(name: str) -> Any:
    module = _MODULE.get(name)
    if module is None:
        raise AttributeError(f"module 'policyclf' has no attribute {name!r}")
    value = getattr(import_module(f"policyclf.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE])
