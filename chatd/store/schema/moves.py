"""Accounts that have moved to another realm, or are about to."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    LargeBinary,
    Table,
    Text,
    false,
)

from chatd.store.schema.base import account_key, metadata, time_column

# The moves that this realm knows: of its own accounts, to its accounts, and of people whom somebody here
# knows.
account_moves = Table(
    "account_moves",
    metadata,
    Column("key", Text, primary_key=True, comment="the old address without case"),
    Column("address", Text, nullable=False, comment="the old address as shown"),
    Column("realm", Text, comment="key of the old realm; NULL: ours"),
    Column("account_id", BigInteger, comment="the account that has moved, if it is of this realm"),
    Column("new_key", Text, nullable=False, comment="the new address without case"),
    Column("new_address", Text, nullable=False, comment="the new address as shown"),
    Column("new_realm", Text, comment="key of the new realm; NULL: ours"),
    Column("number", BigInteger, nullable=False, comment="of the notice, at the old realm"),
    Column("agreed", BigInteger, nullable=False, comment="of the agreement, at the new realm"),
    time_column(),
    Column("proof", LargeBinary, nullable=False, comment="the notice and the agreement, signed"),
    Column(
        "state",
        Text,
        nullable=False,
        comment="waits: for a key; settling: for parcels on their way; followed; over: moved back",
    ),
    Column("step", Text, comment="of an account of this realm: luggage or done"),
    Column("luggage", BigInteger, comment="the number of the last parcel with its luggage"),
    Column(
        "forwarded",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="the id of the last message that was forwarded to the new address",
    ),
    Index("account_moves_of_accounts", "account_id"),
    sqlite_with_rowid=False,
)

# What a moving account takes with it, page by page, so that it can be sent again after a restore.
move_luggage = Table(
    "move_luggage",
    metadata,
    Column("account_id", BigInteger, primary_key=True),
    Column("page", BigInteger, primary_key=True),
    Column("body", LargeBinary, nullable=False, comment="as it crosses"),
    sqlite_with_rowid=False,
)

# What accounts of this realm, and of others, have said about moves that are not made yet.
move_plans = Table(
    "move_plans",
    metadata,
    account_key(),
    Column(
        "kind",
        Text,
        primary_key=True,
        comment="wish: it wants to move there; offer: that address has agreed to be its new one; "
        "agreed: it has agreed to be the new address of that one",
    ),
    Column("key", Text, primary_key=True, comment="the other address without case"),
    Column("address", Text, nullable=False, comment="as shown"),
    Column("number", BigInteger, nullable=False, comment="of the agreement; 0: of a wish"),
    time_column(),
    Column("agreement", LargeBinary, comment="of an offer: as its realm has signed it"),
    sqlite_with_rowid=False,
)

# Addresses that the other person of a direct conversation has had, for changes of the messages from then.
earlier_addresses = Table(
    "earlier_addresses",
    metadata,
    Column("conversation_id", BigInteger, primary_key=True),
    Column("upto", BigInteger, primary_key=True, comment="the last seq of that time"),
    Column("key", Text, nullable=False, comment="the address without case"),
    Column("address", Text, nullable=False, comment="as shown"),
    Column("realm", Text, comment="key of its realm; NULL: ours"),
    Index("earlier_addresses_by_realm", "realm", "conversation_id"),
    sqlite_with_rowid=False,
)

# Groups in which an account of this realm takes the place of its old address. Their homes report it.
moving_groups = Table(
    "moving_groups",
    metadata,
    Column("account_id", BigInteger, primary_key=True),
    Column("realm", Text, primary_key=True, comment="key of the group's realm"),
    Column("home_id", BigInteger, primary_key=True, comment="the group's id there"),
    Column("name", Text, nullable=False, comment="the group's name there"),
    Column("read_seq", BigInteger, nullable=False, comment="the read mark of the old address"),
    time_column(),
    Index("moving_groups_by_realm", "realm"),
    sqlite_with_rowid=False,
)

# People who say that they had another address, in a realm that is lost.
move_claims = Table(
    "move_claims",
    metadata,
    account_key("who is asked"),
    Column("key", Text, primary_key=True, comment="the new address without case"),
    Column("address", Text, nullable=False, comment="as shown"),
    Column("realm", Text, nullable=False, comment="key of the new realm"),
    Column("old_key", Text, nullable=False, comment="the address that they say they had"),
    Column("old_address", Text, nullable=False, comment="as shown"),
    time_column(),
    Column("declined", Boolean, nullable=False, server_default=false()),
    Index("move_claims_by_realm", "realm", "at"),
    sqlite_with_rowid=False,
)
