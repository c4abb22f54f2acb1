"""Columns of free text -> a few numbers: what they are about, and how they are written.

Latent semantic analysis (Deerwester et al. 1990): TF-IDF of the commonest words, on the first principal
axes of the training texts.  Measured on reviews, tweets and captions against 32 hashed words: accuracy
0.77 against 0.64 and 0.70 against 0.56 with a linear model (docs/log.md).
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

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
    counts = Counter(word for text in texts for word in _distinct(text))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    words = [word for word, count in ranked[:MOST_WORDS] if count >= 2]
    weights = np.log((1 + len(texts)) / (1 + np.asarray([counts[word] for word in words]))) + 1
    found = {"words": words, "weights": weights.round(5).tolist(), "axes": []}
    if words:
        rows = _weighted(texts, found)
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
        capitals = sum(letter.isupper() for letter in text)
        marks = text.count("!") + text.count("?")
        style[i] = len(text), len(text.split()), capitals / max(1, len(text)), marks
    style[:, :2] = np.log1p(style[:, :2])
    if not learned["words"]:
        return style
    return np.concatenate([style, _weighted(texts, learned) @ np.asarray(learned["axes"])], axis=1)


def _distinct(text: str) -> list[str]:
    return sorted(set(_WORD.findall(text.lower())))


def _weighted(texts: Sequence[str], learned: dict[str, Any]) -> Any:
    """Sparse [N, V]: the weights of the words that a text has, each row of length 1."""
    positions = {word: i for i, word in enumerate(learned["words"])}
    weights = learned["weights"]
    values, columns, ends = list[float](), list[int](), [0]
    for text in texts:
        found = [positions[word] for word in _distinct(text) if word in positions]
        length = sum(weights[i] ** 2 for i in found) ** 0.5
        values += [weights[i] / length for i in found]
        columns += found
        ends.append(len(columns))
    return sparse.csr_matrix((values, columns, ends), shape=(len(texts), len(positions)))
