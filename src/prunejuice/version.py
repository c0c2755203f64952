"""The version of PruneJuice."""

__version__ = "0.6.0"
