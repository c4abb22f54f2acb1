"""autorecipe: an AutoML agent for PyTorch that hands back a model and the recipe it took."""

__version__ = "0.1.0"
