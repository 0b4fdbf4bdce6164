"""The output of work in a cluster, piece by piece."""

from aquifer_agent.cluster import tails
from aquifer_agent.cluster.tails import Tails
from clock import Clock

from federation.drivers.abilities import LogChunk


def test_output_goes_piece_by_piece_from_where_the_hub_wants_it() -> None:
    clock = Clock()
    texts = Tails(clock)
    texts.take_offsets({"a": 5})
    assert texts.next_read(lambda ref: False) is None, "it has not begun"
    assert texts.next_read(lambda ref: True) == ("a", 5, tails.PIECE_BYTES)
    assert texts.next_read(lambda ref: True) is None, "one read at a time"
    texts.read("a", 5, LogChunk("x\0y\ufffd", 9, False), has_ended=False)
    sent = texts.pieces()
    assert sent == [{"ref": "a", "offset": 5, "text": "x?y\ufffd", "size": 4}]
    assert texts.pieces() == sent, "until the hub has it"
    assert (texts.size("a"), texts.is_behind("a")) == (10, True)
    texts.take_offsets({"a": 9})
    assert texts.pieces() == []
    assert texts.next_read(lambda ref: True) == ("a", 9, tails.PIECE_BYTES)
    texts.read("a", 9, LogChunk("z", 10, True), has_ended=True)
    texts.take_offsets({"a": 10})
    assert (texts.size("a"), texts.is_behind("a"), texts.next_read(lambda ref: True)) == (10, False, None)
    texts.take_offsets({"a": 2})  # a hub that was set back
    assert texts.next_read(lambda ref: True) == ("a", 2, tails.PIECE_BYTES)


def test_a_read_from_where_the_hub_is_no_more_is_thrown_away() -> None:
    texts = Tails(Clock())
    texts.take_offsets({"a": 0})
    assert texts.next_read(lambda ref: True) is not None
    texts.take_offsets({"a": 7})
    texts.read("a", 0, LogChunk("from the beginning", 18, False), has_ended=False)
    assert texts.pieces() == []
    assert texts.next_read(lambda ref: True) == ("a", 7, tails.PIECE_BYTES)


def test_no_more_is_read_than_is_sent() -> None:
    texts = Tails(Clock())
    texts.take_offsets({f"r{i}": 0 for i in range(20)})
    read = []
    while (found := texts.next_read(lambda ref: True)) is not None:
        read.append(found[0])
        texts.read(found[0], 0, LogChunk("x" * tails.PIECE_BYTES, tails.PIECE_BYTES, False), has_ended=False)
    assert len(read) == tails.MOST_BYTES // tails.PIECE_BYTES
    assert sum(len(piece["text"]) for piece in texts.pieces()) <= tails.MOST_BYTES
    assert len(texts.pieces(tails.PIECE_BYTES)) == 1
    texts.take_offsets({f"r{i}": tails.PIECE_BYTES if f"r{i}" in read else 0 for i in range(20)})
    found = texts.next_read(lambda ref: True)
    assert found is not None and found[0] not in read, "the others have their turn"


def test_silent_work_is_asked_ever_less_often_and_ended_work_not_for_ever() -> None:
    clock = Clock()
    texts = Tails(clock)
    texts.take_offsets({"a": 0})
    reads = 0
    for _ in range(600):
        if texts.next_read(lambda ref: True):
            reads += 1
            texts.read("a", 0, LogChunk("", 0, False), has_ended=False)
        clock.now += 0.5
    assert 15 < reads < 40
    texts = Tails(clock)
    texts.take_offsets({"a": 0})
    for _ in range(600):
        if texts.next_read(lambda ref: True):
            texts.read("a", 0, None, has_ended=True)
        clock.now += 0.5
    assert not texts.is_behind("a")


def test_output_ends_where_the_hub_keeps_no_more() -> None:
    texts = Tails(Clock())
    texts.take_offsets({"a": tails.MOST_LOG_BYTES - 10})
    assert texts.next_read(lambda ref: True) == ("a", tails.MOST_LOG_BYTES - 10, 10)
    texts.take_offsets({"b": tails.MOST_LOG_BYTES})
    assert (texts.next_read(lambda ref: True), texts.is_behind("b")) == (None, False)
