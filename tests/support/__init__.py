"""What tests share: realms in memory and in processes, and the people, peers and browsers that use them."""

from pathlib import Path

#: The folder of the repository.
ROOT = Path(__file__).resolve().parents[2]
