"""chatd, a federated chat daemon. docs/architecture.md describes its folders."""

__version__ = "0.2.0"
