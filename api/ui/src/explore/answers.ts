// What a panel asks and what it got.
//
// in   a panel, a moment, how many steps fit
// out  Answers: a frame or rows, the text as it came, warnings, the error as the server said it
// why  a refresh asks only for the steps that are new, and the frame grows by them
import type { Answered } from "../api/client";
import {
  queryExemplars,
  queryInstant,
  queryRange,
  type Instant,
  type Matrix,
  type RangeSeries,
} from "../api/prometheus";
import { appended, frameOf, type Frame, type Span } from "../chart/frame";
import type { Mark } from "../chart/marks";
import { niceStep } from "../show/times";
import { seriesText } from "../show/words";
import type { Panel } from "./address";

export interface Answers {
  asked: string; // the query it answers
  span: Span;
  frame: Frame;
  matrix: RangeSeries[];
  instant: Instant | null;
  marks: Mark[];
  answered: Answered<Matrix | Instant>;
  seconds: number;
}

const STEPS_MAX = 11_000;
const MARKS_MAX = 2000;

/** The steps to ask for: even multiples of their length, so that a later answer joins on. */
export function spanOf(panel: Panel, now: number, steps: number): Span {
  const end = panel.end ?? now;
  const least = panel.range / STEPS_MAX;
  const step = Math.max(panel.step ?? niceStep(panel.range, steps), least);
  const first = Math.ceil((end - panel.range) / step - 1e-6);
  const last = Math.floor(end / step + 1e-6);
  return { start: first * step, end: Math.max(first, last) * step, step };
}

export async function answersOf(panel: Panel, span: Span, signal: AbortSignal): Promise<Answers> {
  const began = performance.now();
  const query = panel.expr;
  const isInstant = panel.tab === "table";
  if (isInstant) {
    const answered = await queryInstant(query, panel.end ?? Date.now() / 1000, { signal });
    const frame = { step: span.step, times: [], lines: [] };
    const seconds = (performance.now() - began) / 1000;
    return { asked: query, span, frame, matrix: [], instant: answered.data, marks: [], answered, seconds };
  }
  const answered = await queryRange({ query, ...span, explain: panel.tab === "explain" }, { signal });
  const seconds = (performance.now() - began) / 1000;
  const matrix = answered.data.result;
  const marks = panel.hasExemplars ? await marksOf(query, span, signal) : [];
  return { asked: query, span, frame: frameOf(matrix, span), matrix, instant: null, marks, answered, seconds };
}

/** The same answers a while later: what is new is asked for and appended. */
export async function refreshed(old: Answers, span: Span, signal: AbortSignal): Promise<Answers> {
  const last = old.frame.times.at(-1);
  const isContinued = last !== undefined && old.span.step === span.step && last >= span.start;
  if (!isContinued) throw new Error("the answers do not join");
  const began = performance.now();
  // The last two steps may have changed since: points come late.
  const more = { start: Math.max(span.start, last - span.step), end: span.end, step: span.step };
  const answered = await queryRange({ query: old.asked, ...more }, { signal });
  const frame = appended(old.frame, frameOf(answered.data.result, more), span.start);
  const seconds = (performance.now() - began) / 1000;
  return { ...old, span, frame, seconds };
}

async function marksOf(query: string, span: Span, signal: AbortSignal): Promise<Mark[]> {
  const { data } = await queryExemplars(query, span.start, span.end, { signal });
  const marks = data.flatMap(({ exemplars }) =>
    exemplars.map(({ labels, value, timestamp }) => ({
      time: timestamp,
      value: +value,
      text: `exemplar ${value} ${seriesText(labels)}`,
    })),
  );
  return marks.filter((mark) => Number.isFinite(mark.value)).slice(0, MARKS_MAX);
}
