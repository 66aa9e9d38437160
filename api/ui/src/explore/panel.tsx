// One query and its answer.
//
// in   a panel, a tick at which to look again
// out  editor, controls, and the tab that is chosen; an error beside the query
import { useMemo, useRef, useState } from "preact/hooks";

import { Problem } from "../show/problem";
import { Words } from "../show/words";
import { TABS, type Panel, type Tab } from "./address";
import type { Answers } from "./answers";
import { useAnswers } from "./asking";
import { Controls } from "./controls";
import { Editor } from "./editor";
import { Explain } from "./explain";
import { Graph } from "./graph";
import { pastQueries } from "./history";
import { Metrics } from "./metrics";
import { Raw } from "./raw";
import { Table } from "./table";
import { isHistogram } from "../chart/heat";

const TAB_NAMES: Record<Tab, string> = { graph: "Graph", table: "Table", json: "JSON", explain: "Explain" };

export interface PanelProps {
  panel: Panel;
  number: number;
  tick: number;
  isOnly: boolean;
  onChange: (change: Partial<Panel>) => void;
  onRemove: () => void;
  onPlot: (expression: string) => void;
}

export function PanelView({ panel, number, tick, isOnly, onChange, onRemove, onPlot }: PanelProps) {
  const [runs, setRuns] = useState(0);
  const box = useRef<HTMLElement>(null);
  const { answers, error, isAsking, heaviness, allow } = useAnswers(panel, runs, tick, box);

  const run = (text: string): void => {
    if (text === panel.expr) setRuns((n) => n + 1);
    else onChange({ expr: text });
  };
  const isDrawn = answers !== null && answers.asked === panel.expr;
  const hasHistogram = useMemo(() => isHistogram(answers?.matrix ?? []), [answers?.matrix]);
  return (
    <section class="card panel" ref={box} aria-label={`Query ${number}`} aria-busy={isAsking}>
      <div class="query">
        <Editor value={panel.expr} label={`Query ${number}`} onRun={run} />
        <History onChoose={(expr) => onChange({ expr })} />
        {!isOnly && (
          <button type="button" class="quiet" aria-label={`Remove query ${number}`} onClick={onRemove}>
            ✕
          </button>
        )}
      </div>
      {error !== null && <Problem error={error} query={panel.expr} />}
      {panel.expr.trim() === "" ? (
        <Metrics onChoose={(expr) => onChange({ expr })} />
      ) : (
        <>
          <div class="row">
            <Tabs tab={panel.tab} onTab={(tab) => onChange({ tab })} />
            <Controls panel={panel} isHistogram={hasHistogram} onChange={onChange} />
            <span class="hint status" role="status">
              {isAsking ? "Asking…" : isDrawn && answers ? summary(answers) : ""}
            </span>
          </div>
          {heaviness !== null && (
            <p class="note" role="alert">
              A heavy query: {heaviness}.{" "}
              <button type="button" onClick={allow}>
                Run it all the same
              </button>
            </p>
          )}
          {answers?.answered.warnings.concat(answers.answered.infos).map((text) => (
            <p class="note" key={text}>
              <Words text={text} max={500} />
            </p>
          ))}
          {isDrawn && answers && <Shown answers={answers} panel={panel} onChange={onChange} onPlot={onPlot} />}
        </>
      )}
    </section>
  );
}

interface ShownProps {
  answers: Answers;
  panel: Panel;
  onChange: (change: Partial<Panel>) => void;
  onPlot: (expression: string) => void;
}

function Shown({ answers, panel, onChange, onPlot }: ShownProps) {
  if (panel.tab === "json") return <Raw text={answers.answered.text} />;
  if (panel.tab === "table") return answers.instant && <Table instant={answers.instant} />;
  if (panel.tab === "explain") {
    const root = answers.answered.data.explain;
    return root ? <Explain root={root} /> : <p class="hint">Asking…</p>;
  }
  return <Graph answers={answers} panel={panel} onChange={onChange} onPlot={onPlot} />;
}

function summary({ answered, frame, instant, seconds }: Answers): string {
  const took = `${Math.round(seconds * 1000).toLocaleString("en")} ms`;
  const size = `${Math.ceil(answered.text.length / 1024).toLocaleString("en")} KiB`;
  if (instant) return `${took} · ${size}`;
  return `${frame.lines.length.toLocaleString("en")} series · ${frame.times.length.toLocaleString("en")} steps · ${took} · ${size}`;
}

function Tabs({ tab, onTab }: { tab: Tab; onTab: (tab: Tab) => void }) {
  return (
    <span class="joined" role="group" aria-label="View">
      {TABS.map((t) => (
        <button key={t} type="button" aria-pressed={t === tab} onClick={() => onTab(t)}>
          {TAB_NAMES[t]}
        </button>
      ))}
    </span>
  );
}

function History({ onChoose }: { onChoose: (expression: string) => void }) {
  const details = useRef<HTMLDetailsElement>(null);
  const [past, setPast] = useState<string[]>([]);
  const choose = (query: string): void => {
    if (details.current) details.current.open = false;
    onChoose(query);
  };
  return (
    <details class="history" ref={details} onToggle={() => setPast(pastQueries())}>
      <summary>History</summary>
      <div class="history-list">
        {past.length === 0 && <p class="hint">Queries that were run here will be listed.</p>}
        {past.map((query) => (
          <button key={query} type="button" class="quiet mono" onClick={() => choose(query)}>
            <Words text={query} max={160} />
          </button>
        ))}
      </div>
    </details>
  );
}
