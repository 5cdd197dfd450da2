"""Edits, deletions, reactions and pins of messages between two people."""

from __future__ import annotations

from typing import Any

from chatd.conformance.bench import SENDER, Bench, require
from chatd.conformance.signatures import now
from chatd.conformance.suite import check

SECTION = "edit, delete, react, pin: changes of a message"
OTHER = "somebody"


def change(bench: Bench, kind: str, number: int, *more: Any, **who: Any) -> list[Any]:
    """A change of a message; of the suite's own, unless `own` is false."""
    target = [who.get("own", True), number]
    return [kind, who.get("sender", SENDER), bench.user, now(), target, *more]


@check(SECTION, "an edit changes the text, and a deletion removes it", "user", "changes")
def edit_and_delete(bench: Bench) -> None:
    with bench.one.linked() as link:
        edited, deleted = bench.kept(link, bench.direct(bench.text())), bench.text()
        text, number = bench.text("edited"), bench.kept(link, bench.direct(deleted))
        bench.kept(link, change(bench, "edit", edited, text))
        bench.kept(link, change(bench, "delete", number))
        if bench.control:
            require(bench.texts(link)[-2:] == [text, None], "the changes are not seen")


@check(SECTION, "what is deleted is not edited any more; the edit is kept", "user", "changes")
def edit_after(bench: Bench) -> None:
    with bench.one.linked() as link:
        number = bench.kept(link, bench.direct(bench.text()))
        bench.kept(link, change(bench, "delete", number))
        bench.kept(link, change(bench, "edit", number, bench.text()))
        bench.kept(link, change(bench, "delete", number))
        if bench.control:
            require(bench.texts(link)[-1] is None, "the edit has brought a text back")


@check(SECTION, "a repeated message does not undo its deletion", "user", "changes")
def message_after(bench: Bench) -> None:
    with bench.one.linked() as link:
        item = bench.item(bench.direct(bench.text()))
        link.deliver([item])
        bench.kept(link, change(bench, "delete", item[0]))
        require(link.deliver([item])[0][0] == "", "the repetition is not kept")
        if bench.control:
            require(bench.texts(link)[-1] is None, "the repetition has brought the text back")


@check(SECTION, "a deletion of a message that is not known is kept", "user", "changes")
def unknown_deleted(bench: Bench) -> None:
    with bench.one.linked() as link:
        bench.kept(link, bench.direct(bench.text()))
        bench.kept(link, change(bench, "delete", 12345))


@check(
    SECTION,
    "an edit of a message that is not known is refused with unknown-message",
    "user",
    "changes",
)
def unknown_edited(bench: Bench) -> None:
    with bench.one.linked() as link:
        bench.kept(link, bench.direct(bench.text()))
        bench.turned_down(link, change(bench, "edit", 12345, bench.text()), "unknown-message")


@check(SECTION, "an edit by another person is refused with unknown-message", "user", "changes")
def by_another(bench: Bench) -> None:
    with bench.one.linked() as link:
        number = bench.kept(link, bench.direct(bench.text()))
        foreign = change(bench, "edit", number, bench.text(), sender=OTHER)
        bench.turned_down(link, foreign, "unknown-message")


@check(SECTION, "an edit by another realm is refused with unknown-message", "user", "changes")
def by_another_realm(bench: Bench) -> None:
    with bench.one.linked() as link, bench.two.linked() as other:
        number = bench.kept(link, bench.direct(bench.text()))
        other.deliver([[bench.two.next_number(), bench.direct(bench.text())]])
        item = [bench.two.next_number(), change(bench, "edit", number, bench.text())]
        code = other.deliver([item])[0][0]
        require(code == "unknown-message", f"the verdict is {code or 'that it is kept'}")


@check(SECTION, "only its author edits a message: not-yours", "user", "changes", "control")
def not_yours(bench: Bench) -> None:
    with bench.one.linked() as link:
        text = bench.text("from the tested realm")
        bench.act(link, "send", to=bench.address(), text=text)
        number, _ = link.parcel(lambda each: each[4:5] == [text], "the message")
        edit = change(bench, "edit", number, bench.text(), own=False)
        bench.turned_down(link, edit, "not-yours")
        bench.turned_down(link, change(bench, "delete", number, own=False), "not-yours")


@check(SECTION, "an opaque message is not edited: not-editable", "user", "changes", "opaque")
def not_editable(bench: Bench) -> None:
    with bench.one.linked() as link:
        parcel = bench.direct(None, None, None, None, [], "text/x-test", b"body")
        number = bench.kept(link, parcel)
        bench.turned_down(link, change(bench, "edit", number, bench.text()), "not-editable")


@check(SECTION, "reactions come and go", "user", "reactions")
def reactions(bench: Bench) -> None:
    with bench.one.linked() as link:
        number = bench.kept(link, bench.direct(bench.text()))
        for on in (True, True, False):
            bench.kept(link, change(bench, "react", number, "👍", on))
        bench.turned_down(link, change(bench, "react", 12345, "👍", True), "unknown-message")


@check(SECTION, "pins come and go", "user", "pins")
def pins(bench: Bench) -> None:
    with bench.one.linked() as link:
        number = bench.kept(link, bench.direct(bench.text()))
        for on in (True, True, False):
            bench.kept(link, change(bench, "pin", number, on))
