// The question "what moved with this?".
//
// in   an expression and one line of its answer
// out  PromQL of that line alone; the series that correlate with it, the strongest first
import { ask, type Answered } from "../api/client";
import type { Labels } from "../api/prometheus";

export interface Correlated {
  metric: Labels;
  correlation: number;
  overlap: number;
}

export interface Correlation {
  series: number;
  skipped: number;
  result: Correlated[];
}

export const EVERYTHING = '{__name__!=""}';

/** `expression`, but only the line with these labels. */
export function oneOf(expression: string, labels: Labels): string {
  const pairs = Object.entries(labels);
  const one = pairs.reduce(
    (inner, [name, value]) =>
      `label_replace(${inner}, ${JSON.stringify(name)}, ${quoted(value.replaceAll("$", "$$$$"))}, "", "")`,
    "vector(1)",
  );
  const names = pairs.map(([name]) => (/^[a-zA-Z_]\w*$/.test(name) ? name : JSON.stringify(name)));
  return `(${expression}\n) and on (${names.join(", ")}) ${one}`;
}

/** A PromQL string: JSON's escapes are among those that PromQL has. */
function quoted(text: string): string {
  return JSON.stringify(text);
}

export function correlate(
  target: string,
  query: string,
  start: number,
  end: number,
  signal: AbortSignal,
): Promise<Answered<Correlation>> {
  return ask("/api/v1/correlate", { target, query, start, end, limit: 20 }, { signal });
}
