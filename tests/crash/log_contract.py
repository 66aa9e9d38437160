"""What every `tsdb.log.protocol.Log` does. Subclass it in a test module and give `reopen`:

class TestMyLog(LogContract):
    @pytest.fixture
    def reopen(self): ...      # () -> Log; each call opens the same log anew
"""

from __future__ import annotations

import threading

import numpy as np
import pytest

from tsdb import limits
from tsdb.errors import LimitExceeded, Unavailable
from tsdb.log.protocol import FRAMING, Entry, Kind

POINTS, SERIES = Kind.POINTS, Kind.SERIES


class LogContract:
    def test_an_empty_log(self, reopen):
        log = reopen()

        assert list(log.read(1)) == []
        assert (log.info().first_seq, log.info().last_seq) == (1, 0)
        assert log.barrier() == 0
        assert log.append([]) == 0

    def test_entries_come_back_in_order(self, reopen):
        log = reopen()

        assert log.append([(POINTS, b"one")]) == 1
        assert log.append([(SERIES, b"two"), (POINTS, b""), (Kind.CONTROL, b"four")]) == 4

        want = [
            Entry(1, POINTS, b"one"),
            Entry(2, SERIES, b"two"),
            Entry(3, POINTS, b""),
            Entry(4, Kind.CONTROL, b"four"),
        ]
        assert list(log.read(1)) == want
        assert list(log.read(3)) == want[2:]
        assert list(log.read(5)) == []
        assert log.info().durable_seq == 4

    @pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in FRAMING])
    def test_kinds_come_back(self, reopen, kind):
        log = reopen()
        log.append([(kind, b"x")])

        (entry,) = log.read(1)
        assert entry.kind is kind

    @pytest.mark.parametrize("kind", sorted(FRAMING))
    def test_framing_is_not_for_callers(self, reopen, kind):
        with pytest.raises(AssertionError):
            reopen().append([(kind, b"x")])

    @pytest.mark.parametrize(
        "payload",
        [
            b"abcd",
            bytearray(b"abcd"),
            memoryview(b"abcd"),
            memoryview(np.frombuffer(b"abcd", "<u2")),
        ],
        ids=["bytes", "bytearray", "memoryview", "array"],
    )
    def test_any_buffer_is_a_payload(self, reopen, payload):
        log = reopen()
        log.append([(POINTS, payload)])

        assert list(log.read(1)) == [Entry(1, POINTS, b"abcd")]

    def test_a_large_payload_is_split_and_joined(self, reopen):
        log = reopen()
        large = np.random.default_rng(1).bytes(limits.ENTRY_BYTES_MAX * 2 + 5)
        log.append([(POINTS, b"before")])

        assert log.append([(POINTS, large), (SERIES, b"after")]) == 5

        want = [
            Entry(1, POINTS, b"before"),
            Entry(4, POINTS, large, 2, 3),
            Entry(5, SERIES, b"after"),
        ]
        for _ in range(2):
            assert list(log.read(1)) == want
            for from_seq in (2, 3, 4):
                assert list(log.read(from_seq)) == want[1:]
            assert list(log.read(5)) == want[2:]
            log = reopen()
        assert want[1].first_seq == 2

    def test_a_payload_too_large_is_refused_and_nothing_is_appended(self, reopen):
        log = reopen()
        large = bytes(limits.ENTRY_BYTES_MAX * limits.ENTRY_PARTS_MAX + 1)

        with pytest.raises(LimitExceeded) as caught:
            log.append([(POINTS, b"first"), (POINTS, large)])

        assert caught.value.limit == "ENTRY_PARTS_MAX"
        assert list(log.read(1)) == []
        assert log.append([(POINTS, b"next")]) == 1

    def test_unsynced_entries_can_be_read_and_a_barrier_makes_them_durable(self, reopen):
        log = reopen()
        log.append([(POINTS, b"1")])
        assert log.append([(POINTS, b"2")], sync=False) == 2

        assert [entry.seq for entry in log.read(1)] == [1, 2]
        assert log.info().durable_seq == 1
        assert log.barrier() == 2
        assert log.info().durable_seq == 2

    def test_marks_and_seals_leave_the_entries_alone(self, reopen):
        log = reopen()
        for n in range(6):
            log.append([(POINTS, b"%d" % n)])
            log.mark()
            log.mark()
            if n % 2:
                log.seal()

        assert [(entry.seq, entry.payload) for entry in log.read(1)] == [
            (n + 1, b"%d" % n) for n in range(6)
        ]

    def test_trim_keeps_what_is_above(self, reopen):
        log = reopen()
        for n in range(40):
            log.append([(POINTS, b"%d" % n * 50)])
        log.seal()
        log.trim(25)

        for _ in range(2):
            seqs = [entry.seq for entry in log.read(1)]
            assert seqs == list(range(seqs[0], 41))
            assert seqs[0] <= 26
            assert log.info().first_seq == seqs[0]
            log = reopen()

    def test_seqs_never_start_again(self, reopen):
        log = reopen()
        log.append([(POINTS, b"1"), (POINTS, b"2")])
        log.seal()
        log.trim(10**6)
        assert log.append([(POINTS, b"3")]) == 3
        log.seal()
        log.trim(10**6)
        log.close()

        log = reopen()
        assert log.info().last_seq == 3
        assert log.append([(POINTS, b"4")]) == 4

    def test_everything_is_there_after_a_restart(self, reopen):
        log = reopen()
        log.append([(POINTS, b"1"), (SERIES, b"2")])
        log.append([(POINTS, b"3")], sync=False)
        log.close()
        log = reopen()

        assert [entry.payload for entry in log.read(1)] == [b"1", b"2", b"3"]
        assert (log.info().last_seq, log.info().durable_seq) == (3, 3)
        assert log.append([(POINTS, b"4")]) == 4

    def test_a_closed_log_says_so(self, reopen):
        log = reopen()
        log.append([(POINTS, b"1")])
        log.close()
        log.close()

        for call in (log.barrier, log.mark, log.seal, lambda: log.append([(POINTS, b"2")])):
            with pytest.raises(Unavailable) as caught:
                call()
            assert caught.value.code == "closed"
        assert [entry.payload for entry in log.read(1)] == [b"1"]

    def test_a_read_sees_what_was_there_when_it_began(self, reopen):
        log = reopen()
        for n in range(5):
            log.append([(POINTS, b"%d" % n)])
        reading = log.read(1)
        first = next(reading)
        log.append([(POINTS, b"later")])

        assert [first.seq, *(entry.seq for entry in reading)] == [1, 2, 3, 4, 5]

    def test_trimming_under_a_reader_leaves_no_gap(self, reopen):
        log = reopen()
        for seq in range(1, 301):
            log.append([(POINTS, b"%d" % seq * 9)])
        entries = log.read(1)
        seqs = [next(entries).seq]
        log.trim(200)
        seqs += [entry.seq for entry in entries]
        assert seqs == list(range(1, seqs[-1] + 1))
        rest = [entry.seq for entry in log.read(201)]
        assert rest == list(range(201, 301))

    def test_reading_beside_the_appender(self, reopen):
        """Whatever a reader sees is a prefix, never torn; trimmed segments vanish quietly."""
        log = reopen()
        done = threading.Event()
        wrong: list[object] = []

        def read() -> None:
            try:
                while not done.is_set():
                    seqs = [
                        entry.seq for entry in log.read(1) if entry.payload == b"%d" % entry.seq * 9
                    ]
                    info = log.info()
                    if seqs and (
                        seqs != list(range(seqs[0], seqs[-1] + 1)) or seqs[-1] > info.last_seq
                    ):
                        wrong.append(seqs)
            except BaseException as error:
                wrong.append(error)

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for seq in range(1, 301):
            log.append([(POINTS, b"%d" % seq * 9)], sync=seq % 10 == 0)
            if seq % 50 == 0:
                log.trim(seq - 100)
        done.set()
        for reader in readers:
            reader.join()
        assert not wrong
