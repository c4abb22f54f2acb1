"""Columns of free text -> a few numbers: what they are about, and how they are written.

Latent semantic analysis (Deerwester et al. 1990): TF-IDF of the commonest words, on the first principal
axes of the training texts.  Measured on reviews, tweets and captions against 32 hashed words: accuracy
0.77 against 0.64 and 0.70 against 0.56 with a linear model (docs/log.md).
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

MOST_WORDS = 1000
MOST_AXES = 32
_WORD = re.compile(r"\w+")


def looks_like_text(texts: Sequence[str], rows: int) -> bool:
    """Whether distinct values are sentences: three words or more on average, and most rows have their own."""
    if len(texts) < 20 or 3 * len(texts) < rows:
        return False
    sample = texts[:1000]
    return sum(len(text.split()) for text in sample) >= 3 * len(sample)


def learn_words(texts: Sequence[str]) -> dict[str, Any]:
    """Vocabulary, its weights and axes, learned from the training texts: plain data.

    Returns:
        `words` [V] that at least two texts have, the commonest first; `weights` [V], the inverse document
        frequencies; `axes` [V, A].  V and A may be 0.
    """
    distinct = [_distinct(text) for text in texts]
    counts = Counter(word for found in distinct for word in found)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    words = [word for word, count in ranked[:MOST_WORDS] if count >= 2]
    weights = np.log((1 + len(texts)) / (1 + np.asarray([counts[word] for word in words]))) + 1
    found = {"words": words, "weights": weights.round(5).tolist(), "axes": []}
    if words:
        rows = _weighted(distinct, found)
        _, vectors = np.linalg.eigh((rows.T @ rows).toarray())
        axes = vectors[:, ::-1][:, :MOST_AXES]
        # An axis has no direction of its own: the largest entry is made positive.
        axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
        found["axes"] = axes.round(5).tolist()
    return found


def text_features(texts: Sequence[str], learned: dict[str, Any]) -> np.ndarray:
    """float64 [N, 4 + A]: length in characters and in words, share of capitals, marks such as ! and ?; the axes."""
    style = np.zeros((len(texts), 4))
    for i, text in enumerate(texts):
        capitals = sum(map(str.isupper, text))
        marks = text.count("!") + text.count("?")
        style[i] = len(text), len(text.split()), capitals / max(1, len(text)), marks
    style[:, :2] = np.log1p(style[:, :2])
    if not learned["words"]:
        return style
    return np.concatenate([style, _weighted(map(_distinct, texts), learned) @ np.asarray(learned["axes"])], axis=1)


def _distinct(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))


def _weighted(distinct: Iterable[set[str]], learned: dict[str, Any]) -> Any:
    """Sparse [N, V]: the weights of the words that a text has, each row of length 1."""
    from scipy import sparse

    positions = {word: i for i, word in enumerate(learned["words"])}
    known = positions.keys()
    # A set's order is chance, and sums depend on it.
    found = [sorted(positions[word] for word in words & known) for words in distinct]
    counts = [len(row) for row in found]
    columns = np.fromiter((i for row in found for i in row), dtype=np.int64, count=sum(counts))
    rows = np.repeat(np.arange(len(found)), counts)
    values = np.asarray(learned["weights"])[columns]
    values /= np.sqrt(np.bincount(rows, values**2, minlength=len(found)))[rows]
    return sparse.csr_matrix((values, columns, np.cumsum([0, *counts])), shape=(len(found), len(positions)))
