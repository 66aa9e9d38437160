// The graph of a panel's answer: chart, legend, and what moved with it.
import { useMemo, useState } from "preact/hooks";

import { heatOf, isHistogram } from "../chart/heat";
import { Heatmap } from "../chart/heatmap";
import { Legend } from "../chart/legend";
import { Plot } from "../chart/plot";
import type { Frame } from "../chart/frame";
import { unitOf } from "../show/units";
import type { Panel } from "./address";
import type { Answers } from "./answers";
import { MovedWith } from "./moved_with";

const DRAWN_LINES_MAX = 1000;
const NOTHING: ReadonlySet<string> = new Set();

export interface GraphProps {
  answers: Answers;
  panel: Panel;
  onChange: (change: Partial<Panel>) => void;
  onPlot: (expression: string) => void;
}

export function Graph({ answers, panel, onChange, onPlot }: GraphProps) {
  const [hidden, setHidden] = useState(NOTHING);
  const [isSearching, setSearching] = useState(false);
  const { frame, matrix, span, marks } = answers;
  const unit = unitOf(panel.unit, panel.expr);
  const drawn = useMemo(() => drawnOf(frame, hidden), [frame, hidden]);
  const onRange = (from: number, to: number): void => {
    const range = Math.max(to - from, 1);
    onChange({ range: Math.round(range * 1000) / 1000, end: Math.round(to * 1000) / 1000 });
  };
  const isHeat = panel.style === "heatmap" && isHistogram(matrix);
  const heat = useMemo(() => (isHeat ? heatOf(matrix, span) : null), [isHeat, matrix, span]);
  if (!heat && !frame.lines.length) return <p class="hint">No series match in this range.</p>;
  if (heat) return <Heatmap heat={heat} label={`Heatmap of ${panel.expr}`} onRange={onRange} />;
  return (
    <>
      {frame.lines.length > DRAWN_LINES_MAX && drawn.lines.length === DRAWN_LINES_MAX && (
        <p class="note">
          {DRAWN_LINES_MAX.toLocaleString("en")} of {frame.lines.length.toLocaleString("en")} series are drawn: filter
          below, or ask for <code>topk</code>.
        </p>
      )}
      <Plot
        frame={drawn}
        style={panel.style === "heatmap" ? "lines" : panel.style}
        unit={unit}
        hidden={hidden}
        marks={marks}
        label={`Graph of ${panel.expr}`}
        onRange={onRange}
      />
      <div class="row below">
        <span class="hint">UTC · step {span.step} s · drag to zoom</span>
        <button type="button" aria-expanded={isSearching} onClick={() => setSearching(!isSearching)}>
          What moved with this?
        </button>
      </div>
      {isSearching && (
        <MovedWith
          expression={panel.expr}
          lines={drawn.lines.filter((line) => !hidden.has(line.key))}
          start={span.start}
          end={span.end}
          onPlot={onPlot}
          onClose={() => setSearching(false)}
        />
      )}
      <Legend frame={frame} unit={unit} hidden={hidden} onHide={setHidden} />
    </>
  );
}

/** What a canvas can bear: of very many lines the first that are not hidden. */
function drawnOf(frame: Frame, hidden: ReadonlySet<string>): Frame {
  if (frame.lines.length <= DRAWN_LINES_MAX) return frame;
  const lines = frame.lines.filter((line) => !hidden.has(line.key)).slice(0, DRAWN_LINES_MAX);
  return { ...frame, lines };
}
