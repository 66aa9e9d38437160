"""Every bound of the engine, with its unit in its name and its reason beside it.

One place, so that changing one constant cannot silently break another: relations between
bounds are asserted below, at import. docs/reference/limits.md is rendered from this file.
"""

from __future__ import annotations

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

# --- labels -------------------------------------------------------------------------------
LABELS_PER_SERIES_MAX = 64
"""More labels than any sane series has; a bug in a sender shows up here, not in memory."""
LABEL_NAME_BYTES_MAX = 256
"""UTF-8 bytes. Prometheus has no bound; VictoriaMetrics 256."""
LABEL_VALUE_BYTES_MAX = 4 * KIB
"""UTF-8 bytes. Longer values are logs or stack traces in disguise; refused, never cut."""
SERIES_KEY_BYTES_MAX = 32 * KIB
"""Canonical bytes of one label set: keeps one absurd series from filling a page of the index."""
REFS_MAX = 1 << 30
"""Refs ever given out in one database, forgotten series included; one costs 6 bytes for ever."""
ALIAS_BYTES_MAX = 512 * MIB
"""Senders' own names of series, remembered to skip parsing; past it all are forgotten at once. Too
little for all that come round costs ten times the CPU, so it holds SERIES_MAX of some 250 bytes."""
REMOTE_NAMES_BYTES_MAX = 512 * MIB
"""Label sets as remote_write senders wrote them, about 1.6 million; past it all are forgotten."""

# --- points -------------------------------------------------------------------------------
FUTURE_S_MAX = 24 * 3600
"""A point further ahead of the clock is far more often a unit mistake than a forecast."""
POINTS_PER_REQUEST_MAX = 1_000_000
"""Bounds the memory of one request at 16 MB of columns."""
SERIES_MAX = 2_000_000
"""Active series of one database by default: about 1.2 GB of labels and index at 600 B a series."""

# --- beside points ------------------------------------------------------------------------
FAMILIES_MAX = 100_000
"""Metric families whose type and help are kept; ten times what large installations have."""
HELP_BYTES_MAX = 4 * KIB
"""Help of one family; longer text is cut, for people read it."""
EXEMPLARS_MAX = 100_000
"""Exemplars kept, the oldest go first; Prometheus' own default."""
ASIDES_PER_REQUEST_MAX = 10_000
"""Exemplars and metadata of one remote_write body; Prometheus sends at most 2,000 at once."""
EXEMPLAR_CHARACTERS_MAX = 128
"""Names and values of an exemplar's labels together, as OpenMetrics 1.0 and Prometheus have it."""
INFO_POINTS_PER_RESOURCE_MAX = 1_000
"""Points of target_info that one resource of an OTLP body makes, 150 s apart: 41 hours. Of a longer
span, the last ones: a sender's single wrong time would make millions."""

# --- requests -----------------------------------------------------------------------------
BODY_BYTES_MAX = 32 * MIB
"""Decoded body. The encoded one may be at most `BODY_ENCODED_BYTES_MAX`."""
BODY_ENCODED_BYTES_MAX = 16 * MIB
"""Body on the wire."""
BODY_RATIO_MAX = 200
"""Decoded : encoded. Real metrics reach 30:1; a bomb reaches 1,000:1."""
BODY_RATIO_FLOOR_BYTES = 1 * MIB
"""Bodies that decode to less are never refused for their ratio alone."""
LINE_BYTES_MAX = 10 * MIB
"""One line of JSON lines or CSV (VictoriaMetrics: 10 MiB). A file without newlines stops here."""
CSV_COLUMNS_MAX = 10_000
"""Columns of a CSV file; a file with a column for each series may be wide, not endless."""
LINES_REFUSED_MAX = 10_000
"""A body with more wrong lines is not in this format: refused whole, each costs 5 to 50 µs."""
PUSHED_SERIES_MAX = 200_000
"""Series of push groups that are remembered, for their end to be marked: 40 MB. Beyond, the groups
longest unused are forgotten, and their series just stop."""
SENTENCES_MAX = 100
"""Refused lines and points that an answer describes one by one; the rest are only counted."""
JSON_DEPTH_MAX = 64
"""Brackets inside brackets. Ours nest three deep; a parser must not run out of stack."""
QUEUE_BYTES_MAX = 64 * MIB
"""Decoded bytes waiting for the log; past it writers get 429 + Retry-After."""

# --- server -------------------------------------------------------------------------------
HEADER_BYTES_MAX = 16 * KIB
"""Request line and headers of one request. Go takes 1 MiB; ours never need 2 KiB."""
HEADERS_MAX = 64
"""Headers of one request; each costs the parser more than its bytes."""
PIPELINE_MAX = 64
"""Requests of one connection that wait for the one before them."""
QUERY_STRING_BYTES_MAX = 12 * KIB
"""Text after the question mark; a longer selector belongs in a body."""
BODY_RATE_BYTES_PER_S_MIN = 4 * KIB
"""A body that arrives slower than this on the whole is given up (slow-loris)."""
BODY_DISCARD_BYTES_MAX = 128 * MIB
"""Bytes of a refused request that are read and thrown away before its connection is cut."""
WRITE_STALL_S = 30
"""A client that takes none of its answer for this long is cut off."""
LOGINS_FAILED_PER_MINUTE_MAX = 20
"""Wrong passwords or tokens from one address (an IPv6 /64); then 429. Known clients go on."""
LOGINS_WAITING_MAX = 32
"""Passwords that wait to be checked, 65 ms each at bcrypt's cost 10; past it 429."""
LOGINS_KNOWN_MAX = 4_096
"""Credentials found right that are remembered, 300 B each; the oldest is checked again."""
LOGIN_ADDRESSES_MAX = 10_000
"""Addresses whose failed logins are remembered, 250 B each."""
BCRYPT_COST_MAX = 16
"""Each step doubles the time of a check: 4 s at 16."""
WEB_CONFIG_BYTES_MAX = 1 * MIB
"""The file of accounts and certificates: about 10,000 accounts."""
LISTENER_LINE_BYTES_MAX = 64 * KIB
"""One line of Graphite or OpenTSDB on a port of its own: twice the largest name of a series."""
LISTENER_MESSAGE_BYTES_MAX = 1 * MIB
"""One pickle of Graphite's (carbon: 1 MiB)."""
LISTENER_PENDING_BYTES_MAX = 1 * MIB
"""Read from one such connection while its last lines are written; then it is not read on."""
LISTENER_BYTES_MAX = 64 * MIB
"""The same for all connections of a port together."""
LISTENER_DATAGRAM_BYTES_MAX = 8 * MIB
"""UDP lines that wait for a write under way; what comes then is dropped and counted."""
LISTENER_IDLE_S = 3600
"""Silence on such a connection before it is cut: its sender may lose what it sends next."""
READS_MAX = 64
"""Reads under way, waiting or being sent; past it readers get 503 + Retry-After."""
ADMIN_CALLS_MAX = 16
"""Calls for figures and upkeep under way; past it 503 + Retry-After."""
PIECE_BYTES = 128 * KIB
"""A streamed answer goes out in pieces of at least this: a piece costs a thread switch."""
KEYS_PER_ANSWER_MAX = 30_000
"""Keys of one page of a listing (Prometheus and VictoriaMetrics: 30 k series)."""
EXPORT_POINTS = 4_000_000
"""Points an export holds in memory at once (64 MB); a longer one goes range by range."""
GROUP_POINTS = 500_000
"""Points a streamed answer holds at once (8 MB): groups of series, or a part of a long one."""

# --- log ----------------------------------------------------------------------------------
ENTRY_BYTES_MAX = 4 * MIB
"""Payload of one log entry; larger requests are split (batch id, part i of n)."""
ENTRY_PARTS_MAX = 64
"""Parts of one split request: 64 x 4 MiB is far above `POINTS_PER_REQUEST_MAX` x 20 B."""
SEGMENT_BYTES_MAX = 64 * MIB
"""One log file. Small enough to trim often, large enough that creating one is rare."""
IDLE_MARK_MS = 100
"""After this much silence a mark record says that the last batch is durable."""

# --- head ---------------------------------------------------------------------------------
HEAD_BYTES_MAX = 1 * GIB
"""Encoded points in memory before a flush, unless --memory-limit says less."""
SIDE_BYTES_MAX = 64 * MIB
"""Out-of-order and overwriting points kept beside the streams; then the head is flushed."""
LOG_BYTES_FLUSH = 512 * MIB
"""Log kept before a flush: bounds replay at a few seconds."""
HEAD_AGE_S_MAX = 2 * 3600
"""A head older than this is flushed at the next tick, so that quiet databases reach blocks too."""

# --- blocks -------------------------------------------------------------------------------
BLOCK_WINDOW_S = 2 * 3600
"""Smallest block window. Blocks are cut at multiples of it, as in Gorilla and Prometheus."""
BLOCK_WINDOW_FACTOR = 3
"""Windows grow by this factor a level: 2 h, 6 h, 18 h, 54 h, 162 h, 486 h."""
BLOCK_LEVEL_MAX = 5
"""486 h, about 20 days: larger blocks make deletes and retention rewrite too much."""
BLOCKS_PER_FLUSH_MAX = 32
"""A backfill that spans more windows than this uses the next larger window instead."""
CHUNK_POINTS_MAX = 512
"""Points of one encoded run: 0.5 KiB to 4 KiB, about one page, decoded in 3 µs."""
STRIPE_BYTES = 32 * KIB
"""Unit of checksum and read in a block's chunk file: a question for 100 of 10,000 series takes
1.4 ms a block (2.1 at 64 KiB, 1.3 at 16), one for all of them the same at any size."""

INDEX_FILES_MAX = 16
"""Index files before a flush writes all series into one: opening reads them all."""

# --- disk ---------------------------------------------------------------------------------
DISK_LOW_BYTES, DISK_LOW_SHARE = 1 * GIB, 0.10
"""Below the larger of the two: warn, no merging that needs space."""
DISK_STOP_BYTES, DISK_STOP_SHARE = 512 * MIB, 0.05
"""Below the larger of the two: writes answer 503, reads go on."""

# --- query --------------------------------------------------------------------------------
POINTS_PER_SELECT_MAX = 50_000_000
"""Points one selection may decode: 800 MB of columns (Prometheus: 50 M samples)."""
LOOKBACK_MS = 5 * 60 * 1000
"""How old the latest point of a series may be to count at a step, as in Prometheus."""
QUERY_BYTES_MAX = 64 * KIB
"""Text of PromQL. Dashboards' longest (lists of hosts, `or` over hundreds of terms) have 20 KiB."""
QUERY_DEPTH_MAX = 64
"""Brackets inside brackets, and levels of a query's tree: people nest ten deep. Evaluation takes
six Python frames a level and must not run out of 1,000."""
QUERY_OPERATORS_MAX = 400
"""Binary and unary operators of one query: the grammar's time grows with their square, 30 ms."""
QUERY_TOKENS_MAX = 6_000
"""Words, strings and signs of one query; a list in one regex is one string. 300 selectors of four
matchers fit; the grammar copies subtrees, which with QUERY_OPERATORS_MAX costs 100 ms at worst."""
QUERY_STEPS_MAX = 11_000
"""Steps of a range query, as in Prometheus: more than any screen has columns."""
QUERY_CELLS_MAX = 50_000_000
"""Values that a PromQL query holds at once, in matrices of series by steps: 450 MB."""
QUERY_LABEL_BYTES_MAX = 64 * KIB
"""One label value that a query makes; stored ones have LABEL_VALUE_BYTES_MAX at most."""
QUERY_LABELS_BYTES_MAX = 256 * MIB
"""Label values that one label_replace() or label_join() makes."""
QUERIES_BYTES_MAX = 2 * GIB
"""Points and matrices of all PromQL queries under way together: the largest one (1.25 GB) beside
many others. What would pass it waits."""
QUERY_TIMEOUT_S = 120
"""A PromQL query that takes longer is stopped, as in Prometheus; `timeout=` may ask for less."""
SLOW_QUERY_S = 2
"""A PromQL query that takes longer is logged with its text."""
FORM_BYTES_MAX = 256 * KIB
"""A form with a query of QUERY_BYTES_MAX in it, however it is escaped."""
INFLUXQL_POINTS_MAX = 1_000_000
"""Points one InfluxQL SELECT may read: its rows are Python objects, about 300 B a point."""
SEARCH_TERMS_MAX = 32
"""Terms of one search for names."""
SEARCH_TERM_CHARACTERS_MAX = 128
"""Nobody types more into a search field; comparing takes the product of two lengths."""
SEARCH_S_MAX = 5
"""How long a search may compare names: some five million short ones."""
SELECTOR_BYTES_MAX = 16 * KIB
"""Text of one selector. A dashboard variable with hundreds of values (`a|b|c...`) still fits."""
MATCHERS_PER_SELECTOR_MAX = 32
REGEX_BYTES_MAX = 1 * KIB
"""Pattern text; the engine is linear (RE2), the bound keeps compiling cheap. Lists of literals
(`a|b|c`) and prefixes are no work for the engine, so only SELECTOR_BYTES_MAX bounds them."""

assert LABEL_VALUE_BYTES_MAX < 1 << 16, "canonical label bytes hold lengths as u16"
assert ENTRY_BYTES_MAX * 4 <= SEGMENT_BYTES_MAX, "a segment must hold several entries"
assert ENTRY_PARTS_MAX < 1 << 16, "record header holds part and parts as u16"
assert ENTRY_BYTES_MAX * ENTRY_PARTS_MAX >= POINTS_PER_REQUEST_MAX * 20 * 2
assert CHUNK_POINTS_MAX < 1 << 16, "a Prometheus XOR chunk counts its points in u16"
assert SIDE_BYTES_MAX * 4 <= HEAD_BYTES_MAX
assert QUERY_STRING_BYTES_MAX < HEADER_BYTES_MAX, "the header holds the query string"
