"""api.scrape.reading: Prometheus' file, and complaints that name file, line and key."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.scrape.config import PROTOCOLS, Job, accept_header, duration_text
from api.scrape.reading import load, parse
from tsdb.errors import InvalidInput

WHOLE = """\
global:
  scrape_interval: 30s
  evaluation_interval: 1m
  sample_limit: 9
  external_labels: {dc: eu}
scrape_configs:
  - job_name: 010
    scrape_interval: 1m30s
    scrape_timeout: 500ms
    scrape_protocols: [PrometheusText0.0.4]
    fallback_scrape_protocol: PrometheusText0.0.4
    metrics_path: /m
    scheme: HTTPS
    params: {module: [http_2xx], x: [a, b]}
    honor_labels: yes
    honor_timestamps: false
    track_timestamps_staleness: true
    enable_compression: false
    follow_redirects: false
    body_size_limit: 10MB
    label_limit: 30
    target_limit: 5
    keep_dropped_targets: 2
    basic_auth: {username: u, password_file: secret}
    tls_config: {ca_file: ca.pem, server_name: s, insecure_skip_verify: true}
    static_configs:
      - targets: ["a:1", 'b:2']
        labels: {env: prod, shard: 1}
    file_sd_configs:
      - files: [targets/*.json]
        refresh_interval: 10s
    relabel_configs:
      - &one {source_labels: [a, b], separator: /, regex: 'x(.*)', target_label: t}
    metric_relabel_configs:
      - <<: *one
        action: DROP
        regex: go_.*
        target_label:
  - job_name: plain
"""


def only(text: str) -> Job:
    return parse(text, Path("/etc/p.yml")).jobs[0]


def test_a_whole_file() -> None:
    job, plain = parse(WHOLE, Path("/etc/p.yml")).jobs

    assert (job.name, job.interval_ms, job.timeout_ms) == ("010", 90_000, 500)
    assert (job.scheme, job.metrics_path) == ("https", "/m")
    assert job.params == (("module", ("http_2xx",)), ("x", ("a", "b")))
    assert (job.honor_labels, job.honor_timestamps, job.compressed) == (True, False, False)
    assert job.bounds.body_bytes == 10 << 20
    assert (job.bounds.samples, job.bounds.labels, job.bounds.targets) == (9, 30, 5)
    assert job.access.password_file == Path("/etc/secret")
    assert job.access.tls.ca_file == Path("/etc/ca.pem")
    assert job.groups[0].addresses == ("a:1", "b:2")
    assert job.groups[0].labels == (("env", "prod"), ("shard", "1"))
    assert job.files[0].patterns == (Path("/etc/targets/*.json"),)
    assert job.target_rules[0].separator == "/"
    assert job.series_rules[0].action == "drop"
    assert job.series_rules[0].source_labels == ("a", "b")
    assert job.external_labels == (("dc", "eu"),)
    defaults = Job("plain", interval_ms=30_000, external_labels=job.external_labels)
    assert plain == dataclasses.replace(defaults, bounds=plain.bounds)


def test_secrets_are_not_in_what_is_printed() -> None:
    job = only(
        "scrape_configs:\n- job_name: x\n  authorization: {credentials: hunter2}\n"
        "- job_name: y\n  basic_auth: {username: me, password: hunter2}\n"
    )
    assert job.access.credentials == "hunter2"
    assert "hunter2" not in repr(job)


def test_an_empty_file_scrapes_nothing() -> None:
    assert parse("", Path("p.yml")).jobs == parse("# nothing\n", Path("p.yml")).jobs == ()


IN_JOB = "scrape_configs:\n- job_name: x\n  "
WRONG = [
    ("scrape_config: []", "line 1: unknown key 'scrape_config'"),
    (IN_JOB + "colour: red", "line 3: unknown key 'colour' in scrape_configs"),
    ("global:\n  colour: red", "line 2: unknown key 'colour' in global"),
    (IN_JOB + "dns_sd_configs:\n  - names: [a]", "line 3: dns_sd_configs is not supported"),
    (IN_JOB + "proxy_url: http://p", "line 3: proxy_url is not supported"),
    (IN_JOB + "follow_redirects: true", "line 3: follow_redirects is not supported"),
    ("rule_files: [a.yml]", "line 1: rule_files is not supported: this file only says"),
    ("remote_write:\n- url: http://x", "line 1: remote_write is not supported"),
    (IN_JOB + "scrape_protocols: [PrometheusProto]", "PrometheusProto is not supported"),
    (IN_JOB + "scrape_protocols: [Smoke]", "'Smoke' is unknown"),
    (IN_JOB + "scrape_interval: soon", "line 3: scrape_interval:"),
    (IN_JOB + "scrape_interval: 1s\n  scrape_timeout: 2s", "line 4: scrape_timeout"),
    (IN_JOB + "honor_labels: maybe", "line 3: honor_labels: true or false"),
    (IN_JOB + "sample_limit: -1", "line 3: sample_limit: a whole number"),
    (IN_JOB + "body_size_limit: big", "line 3: body_size_limit: a size"),
    (IN_JOB + "scheme: ftp", "line 3: scheme"),
    (IN_JOB + "job_name: y", "line 3: key: 'job_name' is given twice"),
    (IN_JOB + "static_configs: a", "line 3: static_configs: a list"),
    (IN_JOB + "static_configs:\n  - targets: [http://a/b]", "host:port"),
    (IN_JOB + "static_configs:\n  - targets: [a]\n    lables: {}", "line 5: unknown key 'lables'"),
    (IN_JOB + "relabel_configs:\n  - action: jump", "line 4: action: 'jump' is unknown"),
    (IN_JOB + "relabel_configs:\n  - regex: '('\n    target_label: a", "line 4: relabel_configs:"),
    (IN_JOB + "metric_relabel_configs:\n  - action: hashmod", "line 4: metric_relabel_configs:"),
    (IN_JOB + "file_sd_configs:\n  - files: [a.txt]", "line 4: files: 'a.txt' does not end"),
    (IN_JOB + "file_sd_configs:\n  - files: ['*/a.yml']", "only the last part"),
    (IN_JOB + "basic_auth: {}\n  authorization: {}", "one of them"),
    (IN_JOB + "tls_config: {cert_file: a}", "go together"),
    ("scrape_configs:\n- scrape_interval: 1s", "line 2: job_name: is missing"),
    ("scrape_configs:\n- job_name: x\n- job_name: x", "line 3: scrape_configs: there are two"),
    ("scrape_configs: [", "line "),
    ("- a", "line 1: the file: a mapping"),
    ("a: &a [*a]", "p.yml"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_is_wrong_is_named_with_its_line(text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(text, Path("p.yml"))
    assert str(caught.value).startswith("p.yml")
    assert said in str(caught.value)


def test_what_asks_for_nothing_is_no_error() -> None:
    text = IN_JOB + "dns_sd_configs: []\n  proxy_url: ''\n  enable_http2: true\nrule_files: []"
    assert only(text).name == "x"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"nope\.yml: no such file"):
        load(tmp_path / "nope.yml")
    (tmp_path / "latin.yml").write_bytes(b"a: \xff")
    with pytest.raises(InvalidInput, match=r"latin\.yml"):
        load(tmp_path / "latin.yml")


def test_accept_is_what_prometheus_says() -> None:
    assert accept_header(tuple(PROTOCOLS)) == (
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
        "application/openmetrics-text;version=0.0.1;q=0.5,"
        "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
        "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
    )


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0s"), (100, "100ms"), (1_500, "1s500ms"), (60_000, "1m"), (90_000, "1m30s"),
     (86_400_000, "1d"), (7 * 86_400_000, "1w"), (8 * 86_400_000, "8d"),
     (365 * 86_400_000, "1y")],
)  # fmt: skip
def test_durations_read_as_prometheus_prints_them(milliseconds: int, text: str) -> None:
    assert duration_text(milliseconds) == text


DOCS = Path(__file__).resolve().parents[3] / "docs"
ROW = re.compile(r"^\| `(\w+)` \| `(.+?)` \|", re.M)


def rows(heading: str) -> list[tuple[str, str]]:
    page = (DOCS / "reference" / "scrape-config.md").read_text()
    found = ROW.findall(page.partition(heading + "\n")[2].partition("\n## ")[0])
    assert found
    return found


def test_the_reference_page_says_what_is_read() -> None:
    for key, example in rows("## The file"):
        assert parse(f"{key}: {example}", Path("p.yml"))
    for key, example in rows("## A job"):
        assert only(f"{IN_JOB}scrape_timeout: 5s\n  {key}: {example}" if key != "scrape_timeout"
                    else f"{IN_JOB}{key}: {example}")  # fmt: skip
    for key, example in rows("## Refused by name"):
        with pytest.raises(InvalidInput, match=f"{key} is not supported"):
            only(f"{IN_JOB}{key}: {example}")


def test_examples_of_the_how_to_page_are_read() -> None:
    page = (DOCS / "how-to" / "scrape-targets.md").read_text()
    found = re.findall(r"^```yaml\n(.*?)^```", page, re.M | re.S)
    assert len(found) >= 4
    assert all(parse(text, Path("p.yml")).jobs for text in found)


@given(
    st.integers(0, len(WHOLE)),
    st.integers(0, 40),
    st.text("[]{}:-&*!|>'\" \n\tab0%#,?<", max_size=6),
)
@settings(max_examples=150)
def test_a_damaged_file_is_read_or_refused(at: int, gone: int, put: str) -> None:
    """Never anything but InvalidInput, which names the file."""
    try:
        found = parse(WHOLE[:at] + put + WHOLE[at + gone :], Path("p.yml"))
    except InvalidInput as error:
        assert str(error).startswith("p.yml")  # noqa: PT017
    else:
        assert all(job.name for job in found.jobs)
