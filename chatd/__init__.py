"""chatd, a federated chat daemon. docs/architecture.md tells what stands where."""

__version__ = "0.1.0"
