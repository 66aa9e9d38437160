// A chart of lines, sums or bars over time.
//
// in   a frame, style, unit, which lines are hidden
// out  a canvas; `onRange` when a range was dragged or asked for by keyboard
// why  uPlot is made anew only when the lines change; new points go into the one that is there
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import { shortened, seriesText } from "../show/words";
import { formatted, type Unit } from "../show/units";
import { THEME_EVENT } from "../shell/theme";
import "./chart.css";
import { drawMarks, markAt, type Mark } from "./marks";
import type { Frame } from "./frame";
import { optionsOf } from "./options";
import { palette } from "./palette";
import { columnsOf, type Style } from "./stacking";
import { Tooltip } from "./tooltip";

export interface PlotProps {
  frame: Frame;
  style: Style;
  unit: Exclude<Unit, "auto">;
  hidden: ReadonlySet<string>;
  label: string;
  marks?: readonly Mark[];
  height?: number;
  onRange?: (from: number, to: number) => void;
}

export function Plot(props: PlotProps) {
  const box = useRef<HTMLDivElement>(null);
  const tip = useRef<HTMLDivElement>(null);
  const chart = useRef<Chart | null>(null);
  useEffect(() => {
    if (!box.current || !tip.current) return;
    chart.current = new Chart(box.current, tip.current, props);
    return () => chart.current?.destroy();
  }, []);
  useEffect(() => chart.current?.update(props));
  return (
    <div
      class="plot"
      role="group"
      tabIndex={0}
      aria-label={`${props.label}. Arrow keys move the range, plus and minus zoom.`}
      onKeyDown={(event) => onKey(event, props)}
    >
      <div ref={box} />
      <div ref={tip} class="tooltip" hidden />
    </div>
  );
}

/** The range that a key asks for: a quarter on or back, half or twice as long. */
function onKey(event: KeyboardEvent, { frame, onRange }: PlotProps): void {
  const [from, to] = [frame.times[0], frame.times.at(-1)];
  if (from === undefined || to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  const quarter = (to - from) / 4;
  const wanted: Record<string, [number, number]> = {
    ArrowLeft: [from - quarter, to - quarter],
    ArrowRight: [from + quarter, to + quarter],
    "+": [from + quarter, to - quarter],
    "=": [from + quarter, to - quarter],
    "-": [from - 2 * quarter, to + 2 * quarter],
  };
  const range = wanted[event.key];
  if (!range) return;
  event.preventDefault();
  onRange?.(...range);
}

class Chart {
  private u: uPlot | null = null;
  private shape = "";
  private focused: number | null = null;
  private readonly tooltip: Tooltip;
  private readonly sizes: ResizeObserver;
  private readonly redraw = (): void => {
    this.shape = "";
    this.update(this.props);
  };

  constructor(
    private readonly box: HTMLElement,
    tip: HTMLElement,
    private props: PlotProps,
  ) {
    this.tooltip = new Tooltip(tip);
    this.sizes = new ResizeObserver(() => {
      if (this.u && box.clientWidth) this.u.setSize({ width: box.clientWidth, height: this.height });
    });
    this.sizes.observe(box);
    document.addEventListener(THEME_EVENT, this.redraw);
  }

  private get height(): number {
    return this.props.height ?? 300;
  }

  update(props: PlotProps): void {
    const before = this.props;
    this.props = props;
    const { frame, style, unit, hidden } = props;
    const lines = frame.lines.map((line) => line.key).join("\n");
    const shape = [style, unit, frame.step, lines, [...hidden].join("\n")].join("\0");
    if (shape !== this.shape || !this.u) {
      this.shape = shape;
      this.make();
    } else if (frame !== before.frame) {
      this.u.setData(columnsOf(frame, style, hidden).data as uPlot.AlignedData);
    } else if (props.marks !== before.marks) {
      this.u.redraw(false, false);
    }
  }

  destroy(): void {
    this.sizes.disconnect();
    document.removeEventListener(THEME_EVENT, this.redraw);
    this.u?.destroy();
    this.u = null;
  }

  private make(): void {
    this.u?.destroy();
    this.tooltip.hide();
    const { frame, style, unit, hidden } = this.props;
    const columns = columnsOf(frame, style, hidden);
    const colours = palette();
    const width = this.box.clientWidth || 600;
    const options = optionsOf({
      frame, columns, style, unit, colours, hidden, width, height: this.height,
    });
    options.hooks = {
      setSelect: [(u) => this.selected(u)],
      setSeries: [(_, index) => (this.focused = index)],
      setCursor: [(u) => this.moved(u, columns.order, colours.series)],
      draw: [(u) => drawMarks(u, this.props.marks ?? [], colours)],
    };
    this.u = new uPlot(options, columns.data as uPlot.AlignedData, this.box);
    this.u.over.addEventListener("mouseleave", () => this.tooltip.hide());
  }

  private selected(u: uPlot): void {
    const { left, width } = u.select;
    if (width < 4) return;
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.props.onRange?.(u.posToVal(left, "x"), u.posToVal(left + width, "x"));
  }

  private moved(u: uPlot, order: readonly number[], colours: readonly string[]): void {
    const { frame, unit, marks } = this.props;
    const mark = markAt(u, marks ?? []);
    if (mark) {
      this.tooltip.show(u, { head: shortened(mark.text, 300), colour: null });
      return;
    }
    const index = this.focused === null ? undefined : order[this.focused - 1];
    const line = index === undefined ? undefined : frame.lines[index];
    const at = u.cursor.idx;
    if (!line || index === undefined || at == null) {
      this.tooltip.show(u, null);
      return;
    }
    const value = formatted(line.values[at], unit);
    const head = `${value}  ${shortened(seriesText(line.labels), 160)}`;
    this.tooltip.show(u, { head, colour: colours[index % colours.length] ?? null });
  }
}
