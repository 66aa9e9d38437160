"""tsdb.parse.collectd: names of series, both forms, anything else refused by its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput
from tsdb.index import labels
from tsdb.parse import collectd, collectd_types

MS = Resolution.MS
NOW = 1_700_000_000_000


def read(body):
    parsed = collectd.parse(body, MS, NOW)
    names = [
        str(labels.parse(collectd.canonical(parsed.key_bytes[start:end].tobytes())))
        for start, end in zip(parsed.key_starts, parsed.key_ends, strict=True)
    ]
    columns = parsed.columns
    points = zip(names, columns.timestamps.tolist(), columns.values.tolist(), strict=True)
    return list(points), list(parsed.skipped), parsed.skipped_more


@pytest.mark.parametrize(
    ("identifier", "values", "series"),
    [
        ("h/load/load", "1:2:3", ["collectd_load_shortterm", "collectd_load_midterm",
                                  "collectd_load_longterm"]),
        ("h/cpu-0/cpu-idle", "5", ["collectd_cpu_total"]),
        ("h/memory/memory-used", "5", ["collectd_memory"]),
        ("h/interface-eth0/if_octets", "1:2", ["collectd_interface_if_octets_rx_total",
                                               "collectd_interface_if_octets_tx_total"]),
        ("h/curl-x/response_time", "5", ["collectd_curl_response_time"]),
        ("h/my-plugin/un.known", "5:6", ["collectd_my_un_known", "collectd_my_un_known_1"]),
        ("h/mysql/mysql_threads", "1:2:3:4", [
            "collectd_mysql_mysql_threads_running", "collectd_mysql_mysql_threads_connected",
            "collectd_mysql_mysql_threads_cached", "collectd_mysql_mysql_threads_created_total"]),
    ],
)  # fmt: skip
def test_names_of_putval(identifier, values, series):
    points, refused, _ = read(f"PUTVAL {identifier} interval=10 1:{values}".encode())

    assert refused == []
    assert [name.partition("{")[0] for name, _, _ in points] == series


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ("h/memory/memory", 'collectd_memory{instance="h"}'),
        ("h/memory/memory-used", 'collectd_memory{instance="h", memory="used"}'),
        ("h/df-root/df_complex-free",
         'collectd_df_df_complex{df="root", instance="h", type="free"}'),
        ("h/df-root/percent", 'collectd_df_percent{df="root", instance="h"}'),
        ("h.example.org/ntp:x-a-b/delay",
         'collectd_ntp:x_delay{instance="h.example.org", ntp_x="a-b"}'),
    ],
)  # fmt: skip
def test_labels(identifier, expected):
    ((name, ticks, value),), _, _ = read(f"putval {identifier} interval=10 1.5:7".encode())
    assert (name, ticks, value) == (expected, 1500, 7.0)


def test_putval_of_now_of_several_times_and_of_quoted_names():
    body = b'PUTVAL "a \\"b\\"/load/memory" interval=10 N:1 5:2 6:U\n'
    points, refused, more = read(body)

    name = 'collectd_load_memory{instance="a \\"b\\""}'
    assert points == [(name, NOW, 1.0), (name, 5000, 2.0)]
    assert (refused, more) == ([], 1)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"GETVAL a/b/c", "not like PUTVAL"),
        (b"PUTVAL a/b interval=10 1:1", "not host/plugin/type"),
        (b"PUTVAL a//c 1:1", "not host/plugin/type"),
        (b"PUTVAL a/b/c 1", "not time:value"),
        (b"PUTVAL a/b/c x:1", '"x" is not a number of seconds'),
        (b"PUTVAL a/b/c 1:x", '"x" is not a number'),
        (b"PUTVAL a/b/\xff 1:1", "not UTF-8"),
    ],
)
def test_a_wrong_line_is_named(line, word):
    points, (sentence,), _ = read(b"PUTVAL h/a/b 1:1\n\n" + line + b"\r\nPUTVAL h/a/b 2:2")

    assert [value for _, _, value in points] == [1.0, 2.0]
    assert sentence.startswith("line 3: ")
    assert word in sentence


def test_times_of_json_are_exact():
    body = b'[{"values":[1],"dsnames":["value"],"dstypes":["gauge"],"time":1480959973.4765,'
    body += b'"host":"h","plugin":"p","type":"t"}]'
    assert read(body)[0] == [('collectd_p_t{instance="h"}', 1480959973477, 1.0)]


@given(st.binary(max_size=200))
def test_any_bytes_are_points_or_refused(body):
    try:
        points, refused, more = read(body)
    except InvalidInput:
        return
    assert len(points) + len(refused) + more >= 0


@given(st.lists(st.sampled_from(
    ["PUTVAL ", "a/b/c ", "a/b-c/d-e ", '"a b/c/d" ', "interval=10 ", "1:2 ", "N:U ", "1:nan:inf ",
     "\n", "x", ":", "/", "-", "\\", '"', "="]), max_size=30).map("".join))  # fmt: skip
def test_near_putval_is_points_or_refused(text):
    points, refused, _ = read(text.encode()) if "{" not in text else ([], [], 0)
    assert all(name.startswith("collectd_") for name, _, _ in points)
    assert all(sentence.startswith("line ") for sentence in refused)


def test_the_table_of_types():
    assert collectd_types.value_names("if_octets", 2) == ("rx", "tx")
    assert collectd_types.value_names("if_octets", 3) == ("value", "1", "2")
    assert collectd_types.value_names("unheard_of", 1) == ("value",)
    assert collectd_types.counts_up("if_octets", "rx")
    assert not collectd_types.counts_up("mysql_qcache", "queries_in_cache")
    assert not collectd_types.counts_up("load", "shortterm")
