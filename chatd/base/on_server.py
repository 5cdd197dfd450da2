"""Why chatctl does not do with a database on a server what it does with one of SQLite, and what to do instead
(docs/scaling.md)."""

NO_BACKUP = (
    "[database] url names a database on a server, which chatctl does not copy; save it with pg_dump -Fc, "
    "then the keys (*.key, *.pem) of the state folder, and then the files (docs/scaling.md)"
)
NO_RESTORE = (
    "[database] url names a database that is not in the state folder, and chatctl restores only SQLite's "
    "there; for a dump of PostgreSQL use pg_restore (docs/scaling.md); for a backup by chatctl make "
    "[database] url empty, restore it, and move the realm again with --move-store"
)
NO_VACUUM = (
    "[database] url names a database on a server, which uses the space of deleted rows again by itself; "
    "for a smaller one, use VACUUM FULL there while the realm is stopped"
)
