"""What the tested realm sends when its people write. A control program lets them."""

from __future__ import annotations

from functools import partial
from typing import Any

from chatd.conformance.bench import SENDER, Bench, require
from chatd.conformance.links import NoAnswer, PlayedLink
from chatd.conformance.suite import check

SECTION = "Delivery"
QUIET = 0.1  # seconds in which nothing may come


def says(text: str, parcel: list[Any]) -> bool:
    return parcel[4:5] == [text]


def sent(bench: Bench, link: PlayedLink, text: str) -> tuple[int, list[Any]]:
    """Let the user send a text to the suite's person. Returns the parcel, and its number."""
    bench.act(link, "send", to=bench.address(), text=text)
    return link.parcel(lambda each: each[0] == "direct" and each[4] == text, "the message")


@check("direct: a message to a person", "a message is sent as `direct`", "user", "control")
def message(bench: Bench) -> None:
    with bench.one.linked() as link:
        text = bench.text()
        number, parcel = sent(bench, link, text)
        require(0 < number < 1 << 63, f"the number is {number}")
        names = parcel[1:3]
        require(names == [bench.user, SENDER], f"it goes from {names[0]} to {names[1]}")
        require(isinstance(parcel[3], int), "`at` is no integer")
        require(parcel[5] is None, "it has a file")


@check("Numbers", "numbers of later parcels are higher", "user", "control")
def higher(bench: Bench) -> None:
    with bench.one.linked() as link:
        numbers = [sent(bench, link, bench.text())[0] for _ in range(3)]
        require(numbers == sorted(set(numbers)), f"the numbers are {numbers}")


@check(
    SECTION,
    "what has no verdict is sent again over the next link, with its number",
    "user",
    "control",
)
def again(bench: Bench) -> None:
    texts = [bench.text("first"), bench.text("second")]
    with bench.one.linked() as link:
        link.holding = True
        first = sent(bench, link, texts[0])
        bench.act(link, "send", to=bench.address(), text=texts[1])
    with bench.one.linked() as link:
        for text in texts:
            link.parcel(partial(says, text), "a message without a verdict")
        repeated = [each for each in link.parcels if each[1][4:5] and each[1][4] in texts]
        require(repeated[0] == first, "the first one comes with another number or content")
        require([each[1][4] for each in repeated] == texts, "the order is another")
        sent(bench, link, bench.text("third"))  # the acknowledgement has come by then
    with bench.one.linked() as link:
        sent(bench, link, bench.text("fourth"))
        late = [each for each in link.parcels if each[1][4:5] and each[1][4] in texts]
        require(not late, "what was acknowledged a while before is sent again")


@check(SECTION, "what is refused is not sent again", "user", "control")
def not_again(bench: Bench) -> None:
    with bench.one.linked() as link:
        link.judge = lambda number, parcel: ["unknown-user", {"name": SENDER}, 0]
        text = bench.text()
        sent(bench, link, text)
        link.ask("Ping")
    with bench.one.linked() as link:
        sent(bench, link, bench.text())
        require(text not in [each[1][4] for each in link.parcels], "it is sent again")


@check(
    "edit, delete, react, pin: changes of a message",
    "an edit and a deletion are sent",
    "user",
    "changes",
    "control",
)
def changes(bench: Bench) -> None:
    with bench.one.linked() as link:
        text, better = bench.text(), bench.text("better")
        number, _ = sent(bench, link, text)
        bench.act(link, "edit", to=bench.address(), text=text, new=better)
        _, edit = link.parcel(lambda each: each[0] == "edit" and each[5] == better, "the edit")
        require(edit[1:3] == [bench.user, SENDER], "the names of the edit are wrong")
        require(edit[4] == [True, number], f"the target of the edit is {edit[4]}")
        bench.act(link, "delete", to=bench.address(), text=better)
        _, deletion = link.parcel(lambda each: each[0] == "delete", "the deletion")
        require(deletion[4] == [True, number], f"the target of the deletion is {deletion[4]}")


@check(
    "Capabilities",
    "changes are not sent to a realm that does not announce them",
    "user",
    "changes",
    "control",
)
def without_changes(bench: Bench) -> None:
    text = bench.text()
    with bench.one.linked() as link:
        sent(bench, link, text)
    with bench.one.linked(capabilities=bench.one.lacking("changes")) as link:
        bench.attempt(link, "delete", to=bench.address(), text=text)
        sent(bench, link, bench.text("behind it"))
        kinds = {each[1][0] for each in link.parcels}
        require(not kinds & {"edit", "delete"}, "a change was sent")


@check(
    "Capabilities",
    "nothing but texts of one line goes to a realm without capabilities",
    "user",
    "control",
)
def without_anything(bench: Bench) -> None:
    with bench.one.linked(capabilities=b"") as link:
        sent(bench, link, bench.text())
        link.pump(QUIET)
        kinds = {each[1][0] for each in link.parcels} - {"direct"}
        told = {box["_command"].decode() for box in link.requests} - {"Deliver", "Ping", "Presence"}
        require(not kinds and not told, f"it gets {sorted(kinds | told)}")


@check(
    "edit, delete, react, pin: changes of a message",
    "a message that is deleted while it waits is sent without its text",
    "user",
    "changes",
    "control",
)
def deleted_while_waiting(bench: Bench) -> None:
    text = bench.text("secret")
    with bench.one.linked() as link:
        sent(bench, link, bench.text())  # there is a conversation
    with bench.two.linked() as other:  # nobody is linked as `one` now
        bench.act(other, "send", to=bench.address(), text=text)
        bench.act(other, "delete", to=bench.address(), text=text)
    with bench.one.linked() as link:
        number, _ = link.parcel(lambda each: each[0] == "direct" and each[4] is None, "the message")
        link.parcel(lambda each: each[0] == "delete" and each[4] == [True, number], "the deletion")
        require(text not in str(link.parcels), "the deleted text was sent")


@check("Numbers", "a start has another instance and higher numbers", "user", "control")
def restart(bench: Bench) -> None:
    waiting = bench.text("waits")
    with bench.one.linked() as link:
        link.holding = True
        number, parcel = sent(bench, link, waiting)
        instance = bench.tested.instance
    bench.act(None, "restart")
    bench.said = None
    require(bench.tested.instance != instance, "the instance is the same after a start")
    with bench.one.linked() as link:
        found = link.parcel(lambda each: each[4:5] == [waiting], "what waited")
        require(found == (number, parcel), "what waited has another number or content")
        try:
            later, _ = sent(bench, link, bench.text("later"))
        except NoAnswer:
            require(False, "nothing is sent after the start")
        else:
            require(later > number, "the numbers of the new start are not higher")
