"""The checks. Importing the modules registers them."""

from chatd.conformance.checks import (  # noqa: F401
    changes,
    delivery,
    directs,
    files,
    framing,
    greeting,
    homes,
    identity,
    members,
    questions,
    sending,
    strangers,
)
