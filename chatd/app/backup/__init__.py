"""Backups of a realm: making, checking and restoring them. All of it blocks: it belongs in a thread, or in a
process that does nothing else."""
