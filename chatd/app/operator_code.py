"""The code with which somebody becomes the first operator of a realm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine
from twisted.logger import Logger

from chatd.app.state import StartError
from chatd.service.operators import CodeFile, Operators, hash_code
from chatd.store.engine import backend_of
from chatd.store.operators import offer_code

log = Logger()


def offer_operator_code(
    engine: Engine,
    folder: Path,
    operators: Operators,
    random_bytes: Callable[[int], bytes],
    has_operator: bool,
) -> str | None:
    """Offer a code to become the first operator, in a file in `folder`, if the realm never had one. Returns
    it. Raises StartError."""
    file = CodeFile(folder / "operator-code")
    try:
        if has_operator:
            file.remove()  # left by a process that was killed after the claim
            return None
        code = file.offer(random_bytes)
    except OSError as error:
        raise StartError(
            f"{file.path} can't be written or removed: {error.strerror}; "
            "expected a file that belongs to the user that runs chatd"
        ) from None
    if backend_of(engine).is_shared:
        with engine.begin() as connection:
            offer_code(connection, hash_code(code))
    operators.offer(file, code)
    log.info(
        "this realm has no operator yet: log in and send claim with the code in {path}",
        path=str(file.path),
    )
    return code
