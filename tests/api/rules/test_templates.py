"""Templates of rules: what Prometheus' own templates give."""

from __future__ import annotations

import math
from typing import Any

import pytest

from api.rules import templates
from api.rules.recording import Sample
from api.rules.template_functions import functions, go_text
from api.rules.templates import Field, TemplateError
from tsdb.errors import InvalidInput
from tsdb.index.labels import Labels


def answered(text: str) -> list[Sample]:
    if text == "bad":
        raise InvalidInput("no such thing")
    return [
        (Labels({"__name__": "m", "instance": "b"}), 21.0),
        (Labels({"__name__": "m", "instance": "a"}), 11.0),
    ]


def expanded(text: str, value: Any = 1.5, **labels: str) -> str:
    dot = Field({"Labels": labels, "Value": value, "ExternalURL": "http://here/p"})
    variables = {"$": dot, "$labels": labels, "$value": value}
    bound = functions(answered, "http://here/p", lambda: 1000.0)
    return templates.parse(text).expand(dot, variables, bound)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("plain", "plain"),
        ("{{ $labels.host }} is at {{ $value }}", "a is at 1.5"),
        ("{{ .Labels.host }}/{{ .Value }}/{{ $.Value }}", "a/1.5/1.5"),
        ("{{ $labels.missing }}|", "|"),
        ('{{ index $labels "host" }}', "a"),
        ("a {{- /* said by nobody */ -}} b", "ab"),
        ("a  {{- $value -}}  b", "a1.5b"),
        ("{{ if gt $value 1.0 }}high{{ else if eq $value 1.0 }}one{{ else }}low{{ end }}", "high"),
        ("{{ if not $value }}none{{ else }}some{{ end }}", "some"),
        ("{{ with $labels.host }}[{{ . }}]{{ end }}", "[a]"),
        ("{{ with $labels.missing }}[{{ . }}]{{ else }}-{{ end }}", "-"),
        ("{{ $x := 5 }}{{ if true }}{{ $x = 6 }}{{ end }}{{ $x }}", "6"),
        ("{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}", "host=a;job=j;"),
        ('{{ range query "m" }}{{ .Labels.instance }}:{{ .Value }} {{ end }}', "b:21 a:11 "),
        ('{{ query "m" | sortByLabel "instance" | first | value }}', "11"),
        ('{{ with query "m" }}{{ . | first | label "instance" }}{{ end }}', "b"),
        ('{{ "x" | printf "%s-%s" "y" }}', "y-x"),
        ('{{ printf "%.2f%%" $value }}', "1.50%"),
        ('{{ printf "%05d|%-4s|%4s|%+d" 42 "a" "b" 3 }}', "00042|a   |   b|+3"),
        ('{{ printf "%d" $value }}', "%!d(float64=1.5)"),
        ("{{ (printf `a`) | toUpper }}", "A"),
        ('{{ reReplaceAll "(.*):\\\\d+" "$1" "host:90" }}', "host"),
        ('{{ match "^a.c$" "abc" }}', "true"),
        ('{{ title "two words" }} {{ toLower "ABC" }}', "Two Words abc"),
        ('{{ stripPort "a.b:80" }} {{ stripDomain "a.b:80" }}', "a.b a:80"),
        ("{{ externalURL }}{{ pathPrefix }}", "http://here/p/p"),
        (
            "{{ $value | humanize }} {{ humanize 1234567 }} {{ humanize 0.00123 }}",
            "1.5 1.235M 1.23m",
        ),
        ("{{ humanize1024 1048576 }} {{ humanizePercentage 0.1234567 }}", "1Mi 12.35%"),
        ("{{ humanizeDuration 90061 }} {{ humanizeDuration 0.0005 }}", "1d 1h 1m 1s 500us"),
        ("{{ humanizeDuration 75 }} {{ humanizeDuration 0 }}", "1m 15s 0s"),
        ("{{ humanizeTimestamp 1435065584.128 }}", "2015-06-23 13:19:44.128 +0000 UTC"),
        ('{{ if and (eq 1 1) (ne "a" "b") (or false true) }}yes{{ end }}', "yes"),
        ("{{ len $labels }}", "2"),
        ('{{ html "<a>" }} {{ urlquery "a b" }}', "&lt;a&gt; a+b"),
        ('{{ parseDuration "1h30m" }} {{ now }}', "5400 1000"),
    ],
)
def test_expand(text: str, wanted: str) -> None:
    assert expanded(text, host="a", job="j") == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (0.0, "0"), (-0.0, "-0"), (1.0, "1"), (0.1, "0.1"), (1e-5, "1e-05"), (1e20, "1" + "0" * 20),
        (1e21, "1e+21"), (123456789.0, "123456789"), (1.5e300, "1.5e+300"), (math.inf, "+Inf"),
        (-math.inf, "-Inf"), (math.nan, "NaN"), (True, "true"), (None, "<no value>"), ("a", "a"),
    ],
)  # fmt: skip
def test_values_look_as_in_go(value: object, wanted: str) -> None:
    assert go_text(value) == wanted


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ $value", "never closed"),
        ("{{ if true }}a", "no {{end}}"),
        ("{{ end }}", "unexpected {{end}}"),
        ("{{ }}", "missing value"),
        ("{{ $x := }}", "missing value"),
        ("{{ ( 1 }}", "ends too early"),
        ("{{ ~ }}", "unexpected '~'"),
        ('{{ template "x" }}', "not supported"),
    ],
)
def test_refused_when_parsed(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        templates.parse(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ nothing 1 }}", "function 'nothing' not defined"),
        ("{{ $nobody }}", "undefined variable"),
        ("{{ .Nobody }}", "can't evaluate field Nobody"),
        ('{{ query "none" | first | label }}', "error calling label"),
        ('{{ query "bad" }}', "error executing query: no such thing"),
        ('{{ humanize "x" }}', "parsing"),
        ('{{ lt 1 "a" }}', "incompatible types"),
        ("{{ 1 2 }}", "non-function"),
        ("{{ range 1000000 }}{{ end }}{{ range 1000000 }}x{{ end }}", "too many steps"),
    ],
)
def test_what_goes_wrong_is_said(text: str, why: str) -> None:
    with pytest.raises(TemplateError, match=why):
        expanded(text)


@pytest.mark.parametrize("value", [0.0, 1234.0, 0.001])
def test_a_branch_keeps_its_variables(value: float) -> None:
    text = "{{ range query `m` }}{{ $v := .Value }}{{ end }}{{ $v }}"
    with pytest.raises(TemplateError, match=r"undefined variable \$v"):
        expanded(text, value)
