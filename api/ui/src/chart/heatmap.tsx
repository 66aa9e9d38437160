// A histogram over time: a cell for each bucket and step, the darker (or brighter) the more.
//
// in   Heat
// out  a canvas with uPlot's axes and cursor
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import { formatted } from "../show/units";
import { THEME_EVENT } from "../shell/theme";
import "./chart.css";
import type { Heat } from "./heat";
import { axesOf, SYNC_KEY, utc } from "./options";
import { between, palette, type Palette } from "./palette";
import { Tooltip } from "./tooltip";

export interface HeatmapProps {
  heat: Heat;
  label: string;
  height?: number;
  onRange?: (from: number, to: number) => void;
}

export function Heatmap({ heat, label, height = 300, onRange }: HeatmapProps) {
  const box = useRef<HTMLDivElement>(null);
  const tip = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const at = box.current;
    if (!at || !tip.current) return;
    const tooltip = new Tooltip(tip.current);
    let u: uPlot | null = null;
    const make = (): void => {
      u?.destroy();
      u = made(at, heat, height, tooltip, onRange);
    };
    make();
    const sizes = new ResizeObserver(() => u?.setSize({ width: at.clientWidth || 600, height }));
    sizes.observe(at);
    document.addEventListener(THEME_EVENT, make);
    return () => {
      sizes.disconnect();
      document.removeEventListener(THEME_EVENT, make);
      u?.destroy();
    };
  }, [heat, height]);
  return (
    <div class="plot" role="group" aria-label={label}>
      <div ref={box} />
      <div ref={tip} class="tooltip" hidden />
    </div>
  );
}

function made(
  at: HTMLElement,
  heat: Heat,
  height: number,
  tooltip: Tooltip,
  onRange: HeatmapProps["onRange"],
): uPlot {
  const colours = palette();
  const rows = heat.bounds.length;
  const [x, y] = axesOf(colours, (row) => heat.bounds[row - 1] ?? "");
  const every = Math.max(1, Math.ceil(rows / 12));
  const splits = heat.bounds.map((_, i) => i + 1).filter((row) => row % every === 0);
  const step = (heat.times[1] ?? 0) - (heat.times[0] ?? 0) || 1;
  const moved = (u: uPlot): void => {
    const row = Math.floor(u.posToVal(u.cursor.top ?? -1, "y"));
    const count = heat.counts[row]?.[u.cursor.idx ?? -1];
    const told = `${formatted(count, "short")}  ≤ ${heat.bounds[row] ?? ""}`;
    tooltip.show(u, count === undefined ? null : { head: told, colour: null });
  };
  const selected = (u: uPlot): void => {
    const { left, width } = u.select;
    if (width < 4) return;
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    onRange?.(u.posToVal(left, "x"), u.posToVal(left + width, "x"));
  };
  const u = new uPlot(
    {
      width: at.clientWidth || 600,
      height,
      tzDate: utc,
      legend: { show: false },
      padding: [8, 36, 0, 0],
      scales: {
        x: { time: true, range: (_, low, high) => [low - step / 2, high + step / 2] },
        y: { range: [0, Math.max(rows, 1)] },
      },
      cursor: {
        sync: { key: SYNC_KEY, setSeries: false },
        drag: { x: true, y: false, setScale: false },
        points: { show: false },
      },
      axes: [x ?? {}, { ...y, splits: () => splits, grid: { show: false } }],
      series: [{}, { paths: () => null, points: { show: false } }],
      hooks: {
        draw: [(u) => drawCells(u, heat, step, colours)],
        setCursor: [moved],
        setSelect: [selected],
      },
    },
    [heat.times, heat.times.map(() => 0)],
    at,
  );
  u.over.addEventListener("mouseleave", () => tooltip.hide());
  return u;
}

function drawCells(u: uPlot, heat: Heat, step: number, colours: Palette): void {
  const { ctx } = u;
  const shades = Array.from({ length: 32 }, (_, i) => between(colours.heat, i / 31));
  ctx.save();
  heat.counts.forEach((row, i) => {
    const top = Math.round(u.valToPos(i + 1, "y", true));
    const size = Math.round(u.valToPos(i, "y", true)) - top;
    row.forEach((count, t) => {
      if (!count) return;
      const left = Math.round(u.valToPos((heat.times[t] ?? 0) - step / 2, "x", true));
      const right = Math.round(u.valToPos((heat.times[t] ?? 0) + step / 2, "x", true));
      // The root lifts what is rare above what is not there.
      ctx.fillStyle = shades[Math.round(Math.sqrt(count / heat.most) * 31)] ?? "";
      ctx.fillRect(left, top, Math.max(1, right - left), Math.max(1, size - 1));
    });
  });
  ctx.restore();
}
