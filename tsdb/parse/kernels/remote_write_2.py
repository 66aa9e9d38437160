"""Prometheus remote_write 2.0 in machine code: io.prometheus.write.v2.Request to columns.

    in   body followed by PAD_BYTES more; symbols and label sets known so far (remote_write_names)
    out  as of remote_write: numbers of series, offsets, ticks, value bits, what stands beside

    Request     4 symbols, 5 timeseries
    TimeSeries  1 labels_refs (packed or not), 2 samples, 3 histograms, 4 exemplars, 5 metadata

Each body has a symbol table of its own. A symbol's number is the same in all of them, so the
numbers of a series' labels (u32 each, in the sender's order) are its name. A series whose
references lead nowhere, or to names without values, is counted and left out. Every series comes
with its metadata; `said` holds by name what was said last, so that only news are noted.

Price: 5 ns a symbol, 60 to 90 ns a series of ten labels, 3 to 4 ns a further point.
"""

import numpy as np
from numba import types

from tsdb.codec.bits import store32
from tsdb.jit import inlined, kernel
from tsdb.parse.kernels import protobuf, remote_write, remote_write_names
from tsdb.parse.kernels.remote_write import (
    AT,
    BYTES,
    DONE,
    EXEMPLAR,
    FULL,
    HISTOGRAMS,
    METADATA,
    NAMES,
    NO_ROOM,
    OUT_INT64S,
    OUT_NUMBERS,
    OUT_ROWS,
    OUT_WORDS,
    POINTS,
    POINTS_OUT,
    RUNS,
    SERIES,
    WRONG,
)

# Further places in `state`: series left out for their references, their points, the first's place.
BAD, BAD_POINTS, BAD_SERIES, BAD_WHY = 12, 13, 14, 15
ODD, OUTSIDE, MANY = 1, 2, 3

U = np.uint64
SYMBOL_KEY, SERIES_KEY = U(0x22), U(0x2A)
REF_KEY, REFS_KEY, SAMPLE_KEY = U(0x08), U(0x0A), U(0x12)
HISTOGRAM_KEY, EXEMPLAR_KEY, METADATA_KEY = U(0x1A), U(0x22), U(0x2A)
KIND_KEY, HELP_KEY, UNIT_KEY = U(0x08), U(0x18), U(0x20)
UNCLEAR = U(0xFFFFFFFFFFFFFFFF)


@kernel(types.int64(BYTES, types.int64, NAMES, OUT_WORDS, OUT_INT64S, OUT_NUMBERS))
def symbols(data, size, names, seeds, state, numbers):
    """Numbers of the body's symbols, in order; state: RUNS counts them, SERIES the series."""
    p, count, known, messages = np.int64(0), np.int64(0), np.int64(-1), np.int64(0)
    _, at, following, text, _ = names
    while p < size:
        state[AT] = p
        key, p = protobuf.varint(data, p, size)
        if p < 0:
            return WRONG
        start = p
        p = protobuf.skip(data, p, size, key)
        if p < 0:
            return WRONG
        if key == SERIES_KEY:
            messages += 1
        if key != SYMBOL_KEY:
            continue
        start, _ = protobuf.length_delimited(data, start, size)
        number = remote_write_names.guessed(following, known)
        if number >= 0:
            place, length = remote_write_names.place_of(at, number)
            if length != p - start or not remote_write_names.begins_with(
                data, start, p, text, place, length
            ):
                number = np.int64(-1)
        if number < 0:
            number = remote_write_names.find(names, seeds, data, start, p - start)
            if number < 0:
                return NO_ROOM
            remote_write_names.follow(following, known, number)
        known = number
        numbers[count] = number
        count += 1
    state[RUNS], state[SERIES] = count, messages
    return DONE


@inlined
def put_ref(numbers, symbol_count, ref, scratch, count):
    """Labels after one more reference: (count, why not)."""
    if ref >= U(symbol_count):
        return count, np.int64(OUTSIDE)
    if count * 4 == scratch.size:
        return count, np.int64(MANY)
    store32(scratch, count * 4, U(numbers[np.int64(ref)]))
    return count + 1, np.int64(0)


@inlined
def metadata_word(data, p, end, numbers, symbol_count):
    """What a Metadata says as one word: 0 for nothing, UNCLEAR for what Python must look at."""
    kind, told, unit = U(0), U(0), U(0)
    while p < end:
        key, p = protobuf.varint(data, p, end)
        if p < 0:
            return UNCLEAR
        if key not in (KIND_KEY, HELP_KEY, UNIT_KEY):
            p = protobuf.skip(data, p, end, key)
            if p < 0:
                return UNCLEAR
            continue
        value, p = protobuf.varint(data, p, end)
        if p < 0:
            return UNCLEAR
        if key == KIND_KEY:
            kind = value
        elif key == HELP_KEY:
            told = value
        else:
            unit = value
    if kind | told | unit == U(0):
        return U(0)
    if kind > U(15) or told >= U(symbol_count) or unit >= U(symbol_count):
        return UNCLEAR
    told, unit = U(numbers[np.int64(told)]) + U(1), U(numbers[np.int64(unit)]) + U(1)
    return kind | told << U(4) | unit << U(34)


@inlined
def name_among(scratch, count, name_number):
    """Number of the value of `__name__`; -1 if there is none."""
    words = scratch.view(np.uint32)
    for k in range(0, count - 1, 2):
        if words[k] == name_number:
            return np.int64(words[k + 1])
    return np.int64(-1)


@kernel(
    types.int64(
        BYTES, types.int64, types.int64, NAMES, OUT_WORDS, OUT_NUMBERS, types.int64,
        BYTES, types.int64, OUT_WORDS, OUT_INT64S, OUT_NUMBERS, OUT_INT64S, POINTS_OUT, OUT_ROWS,
    )
)  # fmt: skip
def series(
    data, size, scale, names, seeds, numbers, symbol_count, scratch, name_number,
    said, state, runs, offsets, points, asides,
):  # fmt: skip
    """Read the series of a body whose symbols have `numbers`: DONE, or why not."""
    p, n, run, index = np.int64(0), np.int64(0), np.int64(0), np.int64(-1)
    known = np.int64(-1)
    _, at, following, text, _ = names
    stamps, values = points
    offsets[0] = 0
    while p < size:
        state[AT] = p
        key, p = protobuf.varint(data, p, size)
        if p < 0:
            return WRONG
        if key != SERIES_KEY:
            p = protobuf.skip(data, p, size, key)
            if p < 0:
                return WRONG
            continue
        p, end = protobuf.length_delimited(data, p, size)
        if end < 0:
            return WRONG
        index += 1
        first_point, first_aside = n, state[remote_write.ASIDES]
        first_histogram = state[HISTOGRAMS]
        late = state[remote_write.LATE]
        count, why = np.int64(0), np.int64(0)
        metadata, metadata_end = np.int64(-1), np.int64(-1)
        while p < end:
            key, p = protobuf.varint(data, p, end)
            if p < 0:
                return WRONG
            if key == SAMPLE_KEY:
                bits, ms, p = remote_write.sample(data, p, end)
                if p < 0:
                    return WRONG
                if n == stamps.size:
                    return FULL
                n = remote_write.put_point(stamps, values, state, n, bits, ms, scale)
                continue
            start = p
            if key == REF_KEY:
                ref, p = protobuf.varint(data, p, end)
                if why == 0 and p >= 0:
                    count, why = put_ref(numbers, symbol_count, ref, scratch, count)
            elif key == REFS_KEY:
                q, p = protobuf.length_delimited(data, p, end)
                while q < p:
                    ref, q = protobuf.varint(data, q, p)
                    if q < 0:
                        return WRONG
                    if why == 0:
                        count, why = put_ref(numbers, symbol_count, ref, scratch, count)
            else:
                p = protobuf.skip(data, p, end, key)
            if p < 0:
                return WRONG
            if key == HISTOGRAM_KEY:
                state[HISTOGRAMS] += 1
            elif key == EXEMPLAR_KEY:
                start, _ = protobuf.length_delimited(data, start, end)
                remote_write.note_aside(asides, state, EXEMPLAR, start, p, -1)
            elif key == METADATA_KEY:
                metadata, _ = protobuf.length_delimited(data, start, end)
                metadata_end = p
        if why == 0 and count % 2 == 1:
            why = np.int64(ODD)
        if why != 0:
            if state[BAD] == 0:
                state[BAD_SERIES], state[BAD_WHY] = index, why
            state[BAD] += 1
            state[BAD_POINTS] += n - first_point + state[remote_write.LATE] - late
            state[remote_write.LATE] = late
            state[remote_write.ASIDES] = first_aside
            n = first_point
            continue
        number = remote_write_names.guessed(following, known)
        if number >= 0:
            place, length = remote_write_names.place_of(at, number)
            if length != count * 4 or not remote_write_names.begins_with(
                scratch, 0, length, text, place, length
            ):
                number = np.int64(-1)
        if number < 0:
            number = remote_write_names.find(names, seeds, scratch, 0, count * 4)
            if number < 0:
                return NO_ROOM
            remote_write_names.follow(following, known, number)
        known = number
        remote_write.own_asides(asides, state, first_aside, first_histogram, number)
        if metadata_end > metadata:
            name = name_among(scratch, count, name_number)
            word = metadata_word(data, metadata, metadata_end, numbers, symbol_count)
            if name >= 0 and word != U(0) and (word == UNCLEAR or word != said[name]):
                said[name] = word
                remote_write.note_aside(asides, state, METADATA, metadata, metadata_end, name)
        if n > first_point:
            runs[run] = number
            run += 1
            offsets[run] = n
    state[RUNS], state[POINTS] = run, n
    return DONE
