"""Images: folders of class folders, and arrays."""

from autorecipe.data.image.images import IMAGE

__all__ = ["IMAGE"]
