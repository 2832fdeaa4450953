"""The checker of the fault test: it has to complain of whatever can go wrong, and of nothing else."""

from dataclasses import replace

import pytest

from chaos.check import Complaint, check
from chaos.journal import Journal, Operation
from chaos.snapshot import ANSWER, MESSAGE, Pages, Row, Snapshot

OWNER = "ada"
THREAD = "thr_1"


class Story:
    """A thread of three messages that went well; tests change what is stored, or what was told."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.first = self.told(Operation("create", OWNER, "ada-1", "one and"))
        self.second = self.told(Operation("add", OWNER, "ada-1", "two and"))
        self.third = self.told(Operation("add", OWNER, "ada-1", "three and"))
        self.rows: list[Row] = []
        for operation in (self.first, self.second, self.third):
            self.store(MESSAGE, operation)
            self.store(ANSWER, operation)
        self.threads = [(OWNER, THREAD)]
        self.pages: Pages | None = None

    def told(self, operation: Operation) -> Operation:
        """Let an operation be sent and come to its proper end."""
        self.journal.add(operation)
        operation.begun, operation.seen = self.journal.now(), self.journal.now()
        operation.ended = self.journal.now()
        operation.thread_ids.add(THREAD)
        if operation.kind != "retry":
            operation.message_ids.add(f"msg_{operation.text}")
        return operation

    def store(self, kind: str, operation: Operation, **changes: object) -> Row:
        """Store a message or its answer behind what is there."""
        number = len(self.rows) + 1
        name = f"msg_{operation.text}" if kind == MESSAGE else f"ans_{number}"
        row = Row(OWNER, THREAD, name, number, kind, operation.text)
        self.rows.append(replace(row, **changes))  # type: ignore[arg-type]  # fields of any type
        return row

    def change(self, index: int, **changes: object) -> None:
        """Store something else in the place of a row."""
        self.rows[index] = replace(self.rows[index], **changes)  # type: ignore[arg-type]  # likewise

    def complaints(self) -> list[Complaint]:
        """Return what the checker says."""
        pages = {}
        for owner, thread_id in self.threads:
            mine = [row for row in self.rows if (row.owner, row.thread_id) == (owner, thread_id)]
            shown = [(row.item_id, row.text) for row in sorted(mine, key=lambda row: row.position)]
            pages[owner, thread_id] = Pages(shown, shown[::-1])
        if self.pages is not None:
            pages[OWNER, THREAD] = self.pages
        listed = [(thread_id, "") for owner, thread_id in self.threads if owner == OWNER]
        lists = {OWNER: Pages(listed, listed[::-1])}
        return check(self.journal, Snapshot(self.rows, self.threads, lists, pages))

    def faults(self) -> set[str]:
        """Return the kinds of what the checker says."""
        return {complaint.fault for complaint in self.complaints()}


@pytest.fixture
def story() -> Story:
    return Story()


def test_what_went_well_is_left_alone(story: Story) -> None:
    assert story.complaints() == []


def test_a_lost_message(story: Story) -> None:
    del story.rows[2]
    assert story.faults() == {"lost"}


def test_a_lost_message_that_only_its_first_stream_told_of(story: Story) -> None:
    story.third.ended = None
    del story.rows[4:]
    assert story.faults() == {"lost", "stuck"}


def test_a_lost_answer(story: Story) -> None:
    del story.rows[3]
    assert story.faults() == {"lost"}


def test_a_lost_thread(story: Story) -> None:
    story.rows.clear()
    story.threads.clear()
    assert story.faults() == {"lost"}


def test_a_message_stored_twice(story: Story) -> None:
    story.store(MESSAGE, story.third, item_id="msg_other")
    assert "doubled" in story.faults()


def test_a_message_answered_twice(story: Story) -> None:
    story.store(ANSWER, story.third)
    assert story.faults() == {"doubled"}


def test_a_partial_answer_beside_the_whole_one(story: Story) -> None:
    story.store(ANSWER, story.third, text="three")
    assert {"doubled", "half-written"} <= story.faults()


def test_a_thread_made_twice(story: Story) -> None:
    story.threads.append((OWNER, "thr_2"))
    story.store(MESSAGE, story.first, thread_id="thr_2")
    story.store(ANSWER, story.first, thread_id="thr_2")
    assert "doubled" in story.faults()


def test_another_id_for_the_same_key(story: Story) -> None:
    story.second.message_ids.add("msg_other")
    assert story.faults() == {"doubled"}


def test_a_half_written_answer(story: Story) -> None:
    story.change(5, text="three")
    assert story.faults() == {"half-written"}


def test_an_answer_without_a_word(story: Story) -> None:
    story.change(5, text="")
    assert "half-written" in story.faults()


def test_a_half_written_message(story: Story) -> None:
    story.change(4, text="three")
    assert story.faults() == {"half-written"}


def test_a_thread_without_its_message(story: Story) -> None:
    story.threads.append((OWNER, "thr_2"))
    assert story.faults() == {"half-written"}


def test_the_mark_of_a_stop_that_nobody_asked_for(story: Story) -> None:
    story.store("sdk_hidden_context", story.third, text="")
    assert "half-written" in story.faults()


def test_messages_out_of_order(story: Story) -> None:
    story.change(2, position=5)
    story.change(4, position=3)
    story.change(3, position=6)
    story.change(5, position=4)
    assert story.faults() == {"out of order"}


def test_an_answer_before_its_message(story: Story) -> None:
    story.change(4, position=6)
    story.change(5, position=5)
    assert story.faults() == {"out of order"}


def test_an_answer_that_was_written_again_later(story: Story) -> None:
    story.change(3, position=9)
    assert story.faults() == {"out of order"}


def test_two_devices_at_once_may_come_in_any_order(story: Story) -> None:
    story.third.begun = story.second.begun
    for index, position in ((2, 4), (3, 6), (4, 3), (5, 5)):
        story.change(index, position=position)
    assert story.complaints() == []


def test_two_items_at_one_position(story: Story) -> None:
    story.change(5, position=5)
    assert story.faults() == {"doubled"}


def test_something_of_one_user_at_another(story: Story) -> None:
    story.store(ANSWER, story.third, owner="bob")
    assert "misplaced" in story.faults()


def test_something_that_nobody_sent(story: Story) -> None:
    story.store(MESSAGE, Operation("add", OWNER, "ada-1", "four"))
    assert story.faults() == {"stray"}


def test_directions_that_differ(story: Story) -> None:
    shown = [(row.item_id, row.text) for row in story.rows]
    story.pages = Pages(shown, shown)
    assert story.faults() == {"out of order"}


def test_a_page_that_leaves_one_out_and_one_that_repeats(story: Story) -> None:
    shown = [(row.item_id, row.text) for row in story.rows]
    story.pages = Pages(shown[1:], shown[:0:-1])
    assert story.faults() == {"lost"}
    story.pages = Pages([*shown, shown[0]], [shown[0], *shown[::-1]])
    assert story.faults() == {"doubled"}


def test_a_page_that_shows_other_words(story: Story) -> None:
    shown = [(row.item_id, "other") for row in story.rows]
    story.pages = Pages(shown, shown[::-1])
    assert story.faults() == {"lost", "misplaced"}


def test_a_refusal_and_no_answer_at_all(story: Story) -> None:
    story.second.refused = "422: another body"
    assert story.faults() == {"refused"}


def test_an_unknown_outcome_may_be_none_or_one_but_not_two(story: Story) -> None:
    unknown = story.journal.add(Operation("add", OWNER, "ada-1", "four and"))
    unknown.begun = story.journal.now()
    assert story.faults() == {"stuck"}
    story.store(MESSAGE, unknown)
    story.store(ANSWER, unknown, text="four")
    assert story.faults() == {"stuck"}
    story.store(MESSAGE, unknown, item_id="msg_other")
    assert story.faults() == {"stuck", "doubled"}


def test_a_thread_of_an_unknown_outcome_may_be_empty(story: Story) -> None:
    unknown = story.journal.add(Operation("create", OWNER, "ada-2", "four"))
    unknown.begun = story.journal.now()
    story.threads.append((OWNER, "thr_2"))
    assert story.faults() == {"stuck"}


def retry(story: Story, *removes: Operation) -> Operation:
    """Let the second message be answered again."""
    operation = Operation("retry", OWNER, "ada-1", "two and", target=story.second, removes=removes)
    return story.told(operation)


def test_an_answer_again_takes_the_place_of_the_old_one(story: Story) -> None:
    again = retry(story, story.third)
    again.answer_id = "ans_new"
    del story.rows[3:]
    story.store(ANSWER, story.second, item_id="ans_new")
    assert story.complaints() == []


def test_an_answer_again_beside_the_old_one(story: Story) -> None:
    retry(story, story.third)
    del story.rows[4:]
    story.store(ANSWER, story.second)
    assert story.faults() == {"doubled"}


def test_what_an_answer_again_removed_comes_back(story: Story) -> None:
    retry(story, story.third)
    assert "resurrected" in story.faults()


def test_an_answer_other_than_the_one_that_was_told(story: Story) -> None:
    story.third.answer_id = "ans_told"
    assert story.faults() == {"told wrong"}


def test_an_answer_again_of_unknown_outcome_leaves_both_open(story: Story) -> None:
    again = retry(story, story.third)
    again.ended = None
    assert story.faults() == {"stuck"}
    del story.rows[3:]
    assert story.faults() == {"stuck"}


def test_two_answers_again_at_once_are_one_answer(story: Story) -> None:
    one, other = retry(story, story.third), retry(story, story.third)
    other.begun = one.begun
    one.answer_id, other.answer_id = "ans_one", "ans_other"
    del story.rows[3:]
    story.store(ANSWER, story.second, item_id="ans_one")
    assert story.complaints() == []
    story.store(ANSWER, story.second, item_id="ans_other")
    assert story.faults() == {"doubled"}


def test_a_message_beside_an_answer_again_stays_or_goes_as_a_whole(story: Story) -> None:
    again = retry(story)
    again.may_remove, again.begun = (story.third,), story.third.begun
    assert story.complaints() == []
    del story.rows[4]
    assert story.faults() == {"half-written"}
    del story.rows[4]
    assert story.complaints() == []


def test_who_is_told_that_a_message_is_gone_finds_it_gone_for_a_reason(story: Story) -> None:
    story.third.told_gone = True
    assert story.faults() == {"told wrong"}
    again = retry(story)
    again.may_remove, again.begun = (story.third,), story.third.begun
    assert story.faults() == {"told wrong"}
    del story.rows[4:]
    assert story.complaints() == []
