"""Search a network for a DataFrame from Python, and use what comes back."""

from sklearn.datasets import load_breast_cancer

import autorecipe

if __name__ == "__main__":
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    result = autorecipe.search((X, y), budget="30s")

    print("test", result.summary["scores"]["test"])
    for decision in result.decisions:
        print(decision.question, "->", decision.verdict)
    print(result.recipe.network)
    print(result.predict(X.head()))
