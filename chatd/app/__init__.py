"""The daemon: a realm put together, its state folder, its doors, and its tools."""
