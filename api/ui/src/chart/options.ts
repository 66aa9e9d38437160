// What uPlot is told: axes, series, cursor.
//
// in   a frame's columns, style, colours, unit
// out  uPlot.Options
import uPlot from "uplot";

import { momentText } from "../show/times";
import { formatted, type Unit } from "../show/units";
import type { Frame } from "./frame";
import { translucent, type Palette } from "./palette";
import type { Columns, Style } from "./stacking";

export const SYNC_KEY = "silverback";
const CURSOR_POINTS_MAX = 50; // lines; each has an element that follows the pointer
const LONE_POINTS_MAX = 200; // lines in which points without neighbours are looked for
const DIMMED_MAX = 50_000; // points; dimming the others draws everything again

export interface Wanted {
  frame: Frame;
  columns: Columns;
  style: Style;
  unit: Exclude<Unit, "auto">;
  colours: Palette;
  hidden: ReadonlySet<string>;
  width: number;
  height: number;
}

export function utc(seconds: number): Date {
  return uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC");
}

export function optionsOf(wanted: Wanted): uPlot.Options {
  const { frame, columns, colours, width, height } = wanted;
  const points = frame.lines.length * frame.times.length;
  return {
    width,
    height,
    tzDate: utc,
    legend: { show: false },
    padding: [8, 36, 0, 0], // half a date at the right end
    scales: { x: { time: true }, y: { range: yRange(wanted.style) } },
    focus: { alpha: points > DIMMED_MAX ? 1 : 0.35 },
    cursor: {
      sync: { key: SYNC_KEY, setSeries: false },
      focus: { prox: 24 },
      drag: { x: true, y: false, setScale: false },
      points: { show: frame.lines.length <= CURSOR_POINTS_MAX, size: 7 },
    },
    axes: axesOf(colours, (value) => formatted(value, wanted.unit), wanted.unit === "bytes"),
    series: [{}, ...columns.order.map((line) => seriesOf(wanted, line))],
  };
}

// 24 hours, and the date where a day begins.
const TIMES: uPlot.Axis.DynamicValues = (_, splits, __, ___, step) =>
  splits.map((time, i) => {
    const [date, clock] = momentText(time).split(" ") as [string, string];
    const before = splits[i - 1];
    const isNewDay = before === undefined || momentText(before).slice(0, 10) !== date;
    const shown = step >= 86400 ? date : step >= 60 ? clock.slice(0, 5) : clock;
    return isNewDay && step < 86400 ? `${shown}\n${date}` : shown;
  });
const POWERS_OF_TWO = Array.from({ length: 80 }, (_, i) => 2 ** (i - 10));

export function axesOf(colours: Palette, label: (value: number) => string, isBinary = false): uPlot.Axis[] {
  const common = {
    stroke: colours.quiet,
    font: "12px system-ui, DejaVu Sans, sans-serif",
    grid: { stroke: colours.grid, width: 1 },
    ticks: { stroke: colours.grid, width: 1 },
  };
  const values = (_: uPlot, splits: number[]): string[] => splits.map(label);
  const size = (_: uPlot, texts: string[] | null): number =>
    Math.max(44, 16 + 7 * Math.max(0, ...(texts ?? []).map((text) => text.length)));
  const steps = isBinary ? { incrs: POWERS_OF_TWO } : {};
  return [
    { ...common, space: 90, values: TIMES },
    { ...common, ...steps, values, size },
  ];
}

function seriesOf(wanted: Wanted, line: number): uPlot.Series {
  const { colours, style, frame, hidden } = wanted;
  const colour = colours.series[line % colours.series.length] ?? colours.text;
  const key = frame.lines[line]?.key ?? "";
  const common = { stroke: colour, width: 1.5, show: !hidden.has(key) };
  if (style === "bars" && uPlot.paths.bars) {
    const paths = uPlot.paths.bars({ size: [0.8, 40], align: 0 });
    return { ...common, width: 0, fill: colour, paths, points: { show: false } };
  }
  if (style === "stacked") {
    // Opaque, as the sums above are drawn under it.
    const fill = mixed(colour, colours.surface);
    return { ...common, fill, points: { show: false } };
  }
  const areLonePointsShown = frame.lines.length <= LONE_POINTS_MAX;
  return { ...common, points: { show: areLonePointsShown, size: 4, fill: colour, filter: lonePoints } };
}

/** Points that no line goes to or from: else they would not be seen. */
function lonePoints(u: uPlot, series: number): number[] {
  const [from, to] = u.series[0]?.idxs ?? [0, -1];
  const values = u.data[series] ?? [];
  const found: number[] = [];
  for (let i = from; i <= to; i++) {
    if (values[i] != null && values[i - 1] == null && values[i + 1] == null) found.push(i);
  }
  return found;
}

function yRange(style: Style): uPlot.Scale.Range {
  return (_, low, high) => {
    if (!Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
    const fromZero = style !== "lines";
    const [a, b] = [fromZero ? Math.min(low, 0) : low, fromZero ? Math.max(high, 0) : high];
    if (a === b) return a === 0 ? [0, 1] : [Math.min(a * 0.9, a * 1.1), Math.max(b * 0.9, b * 1.1)];
    return uPlot.rangeNum(a, b, 0.1, true) as [number, number];
  };
}

function mixed(colour: string, ground: string): string {
  const [a, b] = [colour, ground].map((c) => (c.match(/[\d.]+/g) ?? []).map(Number));
  const parts = [0, 1, 2].map((i) => Math.round((a?.[i] ?? 0) * 0.45 + (b?.[i] ?? 0) * 0.55));
  return translucent(parts.join(","), 1);
}
