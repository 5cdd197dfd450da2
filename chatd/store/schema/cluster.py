"""The nodes that serve this realm together. SQLite has these tables, too, so that the schema is the same, but
no rows in them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, Table, Text

from chatd.store.schema.base import Id, metadata, time_column

# The nodes that run. A node gets a new row each time it joins, and an id is not used again, so a row stands
# for one stay of a node in the cluster.
nodes = Table(
    "nodes",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    time_column("started"),
    time_column("beat"),  # when it last said that it is alive, by the clock of the database
    Column(
        "commits",
        BigInteger,
        nullable=False,
        comment="counts its transactions that changed something: each turn 65536, others 1",
    ),
    Column("address", Text, nullable=False, comment="the host on which it runs"),
    sqlite_autoincrement=True,
)

# What one node at a time may do, such as sending to another realm. Rows stay when nobody holds the lease,
# because the epoch must not begin again.
leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("node", BigInteger, nullable=False, comment="the id of a node; 0: nobody"),
    Column("epoch", BigInteger, nullable=False, comment="grows each time a node takes the lease"),
    Column(
        "until", BigInteger, nullable=False, comment="ms since 1970 UTC; then others may take it"
    ),
    sqlite_with_rowid=False,
)

# What nodes tell each other and is too large for a notification of PostgreSQL. Rows are removed soon.
bus_payloads = Table(
    "bus_payloads",
    metadata,
    Column("id", Id, primary_key=True),
    time_column(),
    Column("payload", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

# The private keys by which others know the realm, so that all nodes have the same.
realm_secrets = Table(
    "realm_secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column(
        "fingerprint",
        Text,
        nullable=False,
        comment="of the one that all nodes use; empty: the next start makes it",
    ),
    Column(
        "sealed",
        LargeBinary,
        comment="with the key file of the nodes; NULL: each node has a copy made by hand",
    ),
    time_column(),
    sqlite_with_rowid=False,
)
