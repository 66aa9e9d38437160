import { expect, test } from "vitest";

import { seriesText, shortened, visible } from "../src/show/words";

test("characters that turn text round are shown as numbers", () => {
  expect(visible("a\u202egnp.exe")).toBe("a\\u202egnp.exe");
  expect(visible("a\nb")).toBe("a\\u000ab");
  expect(visible("<b>&amp;</b>")).toBe("<b>&amp;</b>");
});

test("long text ends in an ellipsis", () => {
  expect(shortened("x".repeat(4096), 10)).toBe(`${"x".repeat(9)}…`);
  expect(shortened("short", 10)).toBe("short");
});

test("series are written as PromQL writes them", () => {
  expect(seriesText({ __name__: "up", job: "a", quote: 'x"y' })).toBe('up{job="a", quote="x\\"y"}');
  expect(seriesText({ __name__: "up" })).toBe("up");
  expect(seriesText({ job: "a" })).toBe('{job="a"}');
  expect(seriesText({})).toBe("{}");
  expect(seriesText({ __name__: "up", job: "a", b: "c" }, new Set(["job"]))).toBe('up{b="c"}');
});
