import { expect, test } from "vitest";

import { figuresOf, rate } from "../src/api/exposition";
import { withoutEach } from "../src/cardinality/dropping";
import { areEqual, copiesBehind, type Copy, type Shard } from "../src/cluster/copies";
import { pathOf } from "../src/show/spark";
import { added, LOOKS_MAX, type Course } from "../src/status/course";

test("figures with labels are summed", () => {
  const found = figuresOf('# HELP a x\na{x="1 2}"} 1.5\na{x="b"} 2\nb +Inf\n\nc 1e3 1700\n');
  expect([...found]).toEqual([["a", 3.5], ["b", Infinity], ["c", 1000]]);
});

test("a counter that begins anew has no rate", () => {
  const [before, now] = [new Map([["a", 10]]), new Map([["a", 30]])];
  expect(rate("a", now, before, 4)).toBe(5);
  expect(rate("a", before, now, 4)).toBeNull();
  expect(rate("b", now, before, 4)).toBeNull();
  expect(rate("a", now, null, 4)).toBeNull();
});

test("a course ends growing", () => {
  let course: Course = [];
  for (let i = 0; i < 3 * LOOKS_MAX; i++) {
    course = added(course, new Map([["silverback_points_applied_total", 10 * i]]), 5 * i);
  }
  expect(course).toHaveLength(LOOKS_MAX);
  expect(course.at(-1)?.points).toBe(2);
  expect(course.filter((moment) => moment.figures !== null)).toHaveLength(1);
});

test("without a label that tells series apart fewer are left", () => {
  const series = ["a", "b", "c"].flatMap((host) => ["0", "1"].map((cpu) => ({ __name__: "m", host, cpu, job: "x" })));
  expect(withoutEach(series)).toEqual([
    { label: "host", values: 3, left: 2 },
    { label: "cpu", values: 2, left: 3 },
    { label: "job", values: 1, left: 6 },
  ]);
});

test("digests are compared at the same position", () => {
  const copy = (node: string, applied: number, digest: string, lag = 0): Copy => ({ node, state: "serving", applied, digest, lag });
  const shard = (...replicas: Copy[]): Shard => ({ shard: 0, leader: null, moves: [], replicas });
  expect(areEqual(shard(copy("a", 5, "x"), copy("b", 5, "x"), copy("c", 4, "y", 1)))).toBe(true);
  expect(areEqual(shard(copy("a", 5, "x"), copy("b", 5, "y")))).toBe(false);
  expect(copiesBehind([shard(copy("a", 5, "x"), copy("c", 4, "y", 1))])).toBe(1);
});

test("a gap in a course is not drawn over", () => {
  expect(pathOf([1, null, 2, 2])).toBe("M0.0 15.0M66.7 1.0L100.0 1.0");
});
