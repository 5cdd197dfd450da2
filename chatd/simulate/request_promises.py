"""What has to be true of message requests after a simulation."""

from __future__ import annotations

from chatd.base.model import DELIVERED, REFUSED, REQUESTED, Message
from chatd.simulate.read_promises import Views, direct_of
from chatd.simulate.records import Written, require
from chatd.simulate.world import World


def check_requests(world: World, stranger: str, asked: str, views: Views) -> None:
    """What a stranger has written is there once or refused, and nothing of it is lost or doubled when it is
    accepted. Raises Violation."""
    here, there = _log(world, stranger, asked, views), _log(world, asked, stranger, views)
    told = {tag: each for tag, each in here if world.written[tag].author == stranger}
    got = [tag for tag, _ in there if world.written[tag].author == stranger]
    require(len(got) == len(set(got)), "nothing of a stranger is doubled", stranger, asked, got)
    answers = [tag for tag, _ in here if world.written[tag].author == asked]
    sent = [tag for tag, _ in there if world.written[tag].author == asked]
    if world.restored:
        return
    require(answers == sent, "all answers arrive", stranger, asked, answers, sent)
    # What is refused, and whose refusal is lost with the link, may be taken when it is sent again.
    sure = [tag for tag in told if _is_delivered(world.written[tag])]
    order = [tag for tag in got if tag in sure]
    require(order == sure, "what a stranger writes keeps its order", stranger, asked, order, sure)
    for tag, message in told.items():
        _check_state(world.written[tag], message, tag in got)
    for tag in got:
        require(tag in told, "a stranger has what they have written", world.written[tag])
    _check_acceptance(world, stranger, asked, told)


def _is_delivered(written: Written) -> bool:
    return any(each.data["state"] == DELIVERED for each in written.request.replies)


def _check_state(written: Written, message: Message, arrived: bool) -> None:
    match message.state:
        case state if state == DELIVERED:
            require(arrived, "what is delivered has arrived", written)
        case state if state == REFUSED:
            require(not arrived, "what has arrived is not refused", written)
        case _:
            require(message.state == REQUESTED, "nothing waits for ever", written, message)


def _check_acceptance(world: World, stranger: str, asked: str, told: dict[str, Message]) -> None:
    """Once the person has accepted the stranger, or has answered, nothing is a request any more. Before that
    only one message is."""
    asking = [request for a, b, request in world.accepted if (a, b) == (stranger, asked)]
    asking += [
        each.request
        for each in world.written.values()
        if (each.author, each.to) == (asked, stranger)
    ]
    states = {tag: each.state for tag, each in told.items()}
    open_ = [tag for tag, state in states.items() if state == REQUESTED]
    if any(each.acknowledged for each in asking):
        require(not open_, "what is accepted is no request any more", stranger, asked, states)
    elif not asking:
        rest = [state for state in states.values() if state not in (REQUESTED, REFUSED)]
        require(len(open_) <= 1 and not rest, "a stranger has one request", asked, states)


def _log(world: World, reader: str, other: str, views: Views) -> list[tuple[str, Message]]:
    """The messages of a direct with their tags."""
    _, shown = direct_of(world, reader, other, views)
    found = ((world.of_text(each.text), each) for each in shown)
    return [(written.tag, message) for written, message in found if written is not None]
