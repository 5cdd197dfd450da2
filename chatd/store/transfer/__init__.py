"""Moves the tables of a realm from SQLite to PostgreSQL. Imported only for that (chatd.app.store_move)."""
