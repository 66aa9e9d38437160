import { expect, test } from "vitest";

import { heaviness, type Cost } from "../src/explore/cost";

const limits = { points: 50_000_000, cells: 50_000_000, memoryBytes: 2 ** 31 };
const cost = (given: Partial<Cost>): Cost => ({ verdict: "fits", limits, ...given });
const points = (atLeast: number) => ({ atLeast, atMost: null });

test("people are asked before a quarter of what a query may have", () => {
  expect(heaviness(cost({ series: 40_000, points: points(12_500_000), memoryBytes: 2 ** 20 }))).toBe(
    "12.5M points of 40k series, 1 MiB of memory",
  );
  expect(heaviness(cost({ points: points(12_400_000) }))).toBeNull();
  expect(heaviness(cost({ cells: points(20_000_000) }))).toBe("20M values at once");
  expect(heaviness(cost({ memoryBytes: 2 ** 30 }))).toBe("1 GiB of memory");
});

test("what is refused or not known says so itself", () => {
  expect(heaviness(cost({ verdict: "refused", points: points(1e9) }))).toBeNull();
  expect(heaviness(cost({ verdict: "unknown", limits: {} }))).toBeNull();
});
