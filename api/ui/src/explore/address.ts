// Panels as an address says them: /graph?g0.expr=…&g0.range_input=1h, as Prometheus' own page does.
//
// in   a query string, Prometheus 2's forms too (g0.tab=0, g0.stacked=1)
// out  panels, and the query string of panels: what is as it would be anyway is left out
import { durationOf, durationText, momentOf, momentText } from "../show/times";
import { UNITS, type Unit } from "../show/units";

export const TABS = ["graph", "table", "json", "explain"] as const;
export const STYLES = ["lines", "stacked", "bars", "heatmap"] as const;
export type Tab = (typeof TABS)[number];
export type PanelStyle = (typeof STYLES)[number];

export interface Panel {
  id: number;
  expr: string;
  tab: Tab;
  style: PanelStyle;
  range: number; // seconds
  end: number | null; // seconds since 1970; null is now
  step: number | null; // null: as many as fit
  unit: Unit;
  hasExemplars: boolean;
}

const PANELS_MAX = 20;
const RANGE_S = 3600;
let lastId = 0;

export function panel(given: Partial<Panel> = {}): Panel {
  lastId += 1;
  return {
    expr: "",
    tab: "graph",
    style: "lines",
    range: RANGE_S,
    end: null,
    step: null,
    unit: "auto",
    hasExemplars: false,
    ...given,
    id: lastId,
  };
}

export function panelsOf(search: string): Panel[] {
  const parameters = new URLSearchParams(search);
  const fields = new Map<number, Map<string, string>>();
  for (const [name, value] of parameters) {
    const found = /^g(\d{1,3})\.(\w+)$/.exec(name);
    if (!found) continue;
    const number = Number(found[1]);
    const its = fields.get(number) ?? new Map<string, string>();
    its.set(found[2] ?? "", value);
    fields.set(number, its);
  }
  const numbers = [...fields.keys()].sort((a, b) => a - b).slice(0, PANELS_MAX);
  return numbers.map((number) => panelOf(fields.get(number) ?? new Map()));
}

function panelOf(its: ReadonlyMap<string, string>): Panel {
  const range = durationOf(its.get("range_input") ?? "");
  const end = momentOf(its.get("end_input") ?? its.get("moment_input") ?? "");
  const unit = its.get("unit") ?? "";
  return panel({
    expr: its.get("expr") ?? "",
    tab: tabOf(its.get("tab")),
    style: styleOf(its),
    ...(range ? { range } : {}),
    end,
    step: durationOf(its.get("step_input") ?? ""),
    ...(unit in UNITS ? { unit: unit as Unit } : {}),
    hasExemplars: its.get("show_exemplars") === "1",
  });
}

function tabOf(text: string | undefined): Tab {
  if (text === "0") return "graph";
  if (text === "1") return "table";
  return TABS.find((tab) => tab === text) ?? "graph";
}

function styleOf(its: ReadonlyMap<string, string>): PanelStyle {
  if (its.get("stacked") === "1") return "stacked";
  return STYLES.find((style) => style === its.get("display_mode")) ?? "lines";
}

export function searchOf(panels: readonly Panel[]): string {
  const parameters = new URLSearchParams();
  panels.forEach((p, i) => {
    const put = (name: string, value: string): void => parameters.set(`g${i}.${name}`, value);
    put("expr", p.expr);
    put("tab", p.tab);
    if (p.style !== "lines") put("display_mode", p.style);
    put("range_input", durationText(p.range));
    if (p.end !== null) put("end_input", momentText(p.end));
    if (p.step !== null) put("step_input", durationText(p.step));
    if (p.unit !== "auto") put("unit", p.unit);
    if (p.hasExemplars) put("show_exemplars", "1");
  });
  return `?${parameters.toString()}`;
}
