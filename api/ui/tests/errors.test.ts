import { expect, test } from "vitest";

import { ApiError, offsetIn, positionIn } from "../src/api/errors";

test("the place of a parse error is read from what the server says", () => {
  expect(positionIn('invalid parameter "query": 2:7: parse error: unclosed')).toEqual({ line: 2, column: 7 });
  expect(positionIn("1:2: no such thing")).toBeNull();
  expect(new ApiError(400, { errorType: "bad_data", error: "x" }).position).toBeNull();
});

test("columns count bytes of UTF-8, offsets count what JavaScript counts", () => {
  expect(offsetIn("ab\ncd", { line: 2, column: 2 })).toBe(4);
  expect(offsetIn('{a="ü"} x', { line: 1, column: 10 })).toBe(8);
  expect(offsetIn('"😀"x', { line: 1, column: 7 })).toBe(4);
  expect(offsetIn("up", { line: 1, column: 99 })).toBe(2);
});
