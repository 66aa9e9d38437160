import { expect, test } from "vitest";

import { formatted, guessed } from "../src/show/units";

test.each([
  [0, "0"],
  [0.018, "0.018"],
  [-0.5, "-0.5"],
  [5e-10, "5e-10"],
  [999, "999"],
  [1000, "1k"],
  [1_234_567, "1.235M"],
  [1e20, "100000P"],
  [Number.NaN, "NaN"],
  [Number.NEGATIVE_INFINITY, "-Inf"],
])("%s is short as %s", (value, text) => {
  expect(formatted(value, "short")).toBe(text);
});

test("bytes and seconds have their own steps", () => {
  expect(formatted(1536, "bytes")).toBe("1.5 KiB");
  expect(formatted(0.0045, "seconds")).toBe("4.5 ms");
  expect(formatted(5400, "seconds")).toBe("1.5 h");
  expect(formatted(0.125, "percent")).toBe("12.5 %");
});

test.each([
  ["rate(http_request_duration_seconds_sum[5m])", "short"],
  ["histogram_quantile(0.9, rate(http_request_duration_seconds_bucket[5m]))", "seconds"],
  ["memory_bytes", "bytes"],
  ["memory_bytes / memory_total_bytes", "short"],
])("%s is shown in %s", (expression, unit) => {
  expect(guessed(expression)).toBe(unit);
});
