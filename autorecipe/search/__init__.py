"""The search: questions, trials through Optuna, decisions, the finish."""
