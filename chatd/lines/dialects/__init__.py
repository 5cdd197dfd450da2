"""One file per dialect of the line protocol, and what several dialects share."""
