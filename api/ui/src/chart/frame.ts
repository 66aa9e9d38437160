// Answers of range queries as columns that a chart draws.
//
// in   a matrix, and the steps it was asked for
// out  Frame: one array of times, one of values a series, null where there is none
// why  steps are even, so a sample's place is arithmetic, not a search; `appended` makes a refresh
//      cost as much as what is new
import { numberOf, type Labels, type RangeSeries } from "../api/prometheus";

export type Cell = number | null;

export interface Line {
  key: string;
  labels: Labels;
  values: Cell[];
}

export interface Span {
  start: number;
  end: number;
  step: number;
}

export interface Frame {
  step: number;
  times: number[];
  lines: Line[];
}

/** Every step from start to end, as the server counts them. */
export function timesOf({ start, end, step }: Span): number[] {
  const count = Math.floor((end - start) / step + 1e-6) + 1;
  return Array.from({ length: Math.max(count, 0) }, (_, i) => rounded(start + i * step));
}

export function frameOf(result: readonly RangeSeries[], span: Span): Frame {
  const times = timesOf(span);
  const lines = result.map(({ metric, values = [] }) => {
    const cells = new Array<Cell>(times.length).fill(null);
    for (const [time, text] of values) {
      const value = numberOf(text);
      cells[Math.round((time - span.start) / span.step)] = Number.isFinite(value) ? value : null;
    }
    cells.length = times.length;
    return { key: keyOf(metric), labels: metric, values: cells };
  });
  return { step: span.step, times, lines };
}

export function keyOf(labels: Labels): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** `frame` from `start` on, with what `newer` says laid over its end. */
export function appended(frame: Frame, newer: Frame, start: number): Frame {
  const from = newer.times[0];
  if (from === undefined) return frame;
  const first = Math.max(0, frame.times.findIndex((t) => t >= start - frame.step / 2));
  let kept = frame.times.findIndex((t) => t >= from - frame.step / 2);
  if (kept < 0) kept = frame.times.length;
  const times = [...frame.times.slice(first, kept), ...newer.times];
  const fresh = new Map(newer.lines.map((line) => [line.key, line]));
  const lines = frame.lines.map(({ key, labels, values }) => {
    const more = fresh.get(key)?.values ?? newer.times.map(() => null);
    fresh.delete(key);
    return { key, labels, values: [...values.slice(first, kept), ...more] };
  });
  for (const line of fresh.values()) {
    lines.push({ ...line, values: [...new Array<Cell>(kept - first).fill(null), ...line.values] });
  }
  return {
    step: frame.step,
    times,
    lines: lines.filter((line) => line.values.some((v) => v !== null)),
  };
}

/** Labels that all lines have alike: said once, above, rather than in each legend entry. */
export function commonLabels(lines: readonly { labels: Labels }[]): Record<string, string> {
  const [first, ...rest] = lines;
  if (!first || !rest.length) return {};
  const alike = Object.entries(first.labels).filter(
    ([name, value]) => name !== "__name__" && rest.every((line) => line.labels[name] === value),
  );
  return Object.fromEntries(alike);
}

function rounded(time: number): number {
  return Math.round(time * 1000) / 1000;
}
