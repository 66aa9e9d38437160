// Lines as they are drawn: beside each other, or one on top of the other.
//
// in   a frame, which lines are hidden
// out  columns for uPlot, and which line each column is
import type { Cell, Frame } from "./frame";

export type Style = "lines" | "stacked" | "bars";

export interface Columns {
  order: number[]; // column i + 1 is line order[i]
  data: [number[], ...Cell[][]];
}

export function columnsOf(frame: Frame, style: Style, hidden: ReadonlySet<string>): Columns {
  const indices = frame.lines.map((_, i) => i);
  if (style === "lines") {
    return { order: indices, data: [frame.times, ...frame.lines.map((line) => line.values)] };
  }
  // The highest sum is drawn first, so that each lower one covers it.
  const sums = new Array<number>(frame.times.length).fill(0);
  const stacked = frame.lines.map((line) => {
    if (hidden.has(line.key)) return line.values;
    return line.values.map((value, t) => {
      if (value === null) return style === "bars" ? null : (sums[t] ?? 0);
      sums[t] = (sums[t] ?? 0) + value;
      return sums[t] ?? null;
    });
  });
  const order = indices.reverse();
  return { order, data: [frame.times, ...order.map((i) => stacked[i] ?? [])] };
}
