// Prometheus' API, typed: what pages ask of it.
//
// in   PromQL, times in seconds
// out  matrices and vectors as they come
import { ask, type Answered, type Asked } from "./client";

export type Labels = Readonly<Record<string, string>>;
export type Sample = readonly [number, string];

export interface NativeHistogram {
  count: string;
  sum: string;
  buckets?: ReadonlyArray<readonly [number, string, string, string]>; // boundaries rule, low, high, count
}

export interface RangeSeries {
  metric: Labels;
  values?: Sample[];
  histograms?: ReadonlyArray<readonly [number, NativeHistogram]>;
}

export interface InstantSeries {
  metric: Labels;
  value?: Sample;
  values?: Sample[];
  histogram?: readonly [number, NativeHistogram];
}

/** A node of the tree that `explain=1` adds. */
export interface Explained {
  node?: string;
  read?: string;
  seconds: number;
  steps?: number;
  series: number;
  values?: number;
  points?: number;
  reused?: boolean;
  inside?: Explained[];
  [more: string]: unknown;
}

export interface Matrix {
  resultType: "matrix";
  result: RangeSeries[];
  explain?: Explained;
}

export type Instant =
  | { resultType: "vector"; result: InstantSeries[]; explain?: Explained }
  | { resultType: "matrix"; result: InstantSeries[]; explain?: Explained }
  | { resultType: "scalar"; result: Sample; explain?: Explained }
  | { resultType: "string"; result: Sample; explain?: Explained };

export interface RangeQuery {
  query: string;
  start: number;
  end: number;
  step: number;
  explain?: boolean;
}

export function queryRange(q: RangeQuery, asked?: Asked): Promise<Answered<Matrix>> {
  const { query, start, end, step, explain } = q;
  return ask("/api/v1/query_range", { query, start, end, step, explain: explain ? 1 : null }, asked);
}

export function queryInstant(query: string, time: number, asked?: Asked): Promise<Answered<Instant>> {
  return ask("/api/v1/query", { query, time }, asked);
}

export interface ExemplarSeries {
  seriesLabels: Labels;
  exemplars: Array<{ labels: Labels; value: string; timestamp: number }>;
}

export function queryExemplars(
  query: string,
  start: number,
  end: number,
  asked?: Asked,
): Promise<Answered<ExemplarSeries[]>> {
  return ask("/api/v1/query_exemplars", { query, start, end }, asked);
}

/** A value as JSON has it: `+Inf` and `NaN` are words there. */
export function numberOf(text: string): number {
  if (text === "+Inf" || text === "Inf") return Infinity;
  return text === "-Inf" ? -Infinity : +text;
}
