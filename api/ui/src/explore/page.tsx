// Explore: queries one below the other, their state in the address.
//
// in   /graph?g0.expr=…
// out  panels; every change is an address that can be shared, and a step back
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import type { PageProps } from "../shell/pages";
import { navigate } from "../shell/router";
import { panel, panelsOf, searchOf, type Panel } from "./address";
import "./explore.css";
import { PanelView } from "./panel";
import { Toolbar } from "./toolbar";
import { useShortcuts } from "./shortcuts";

const PATH = "/graph";

export default function Explore({ search }: PageProps) {
  const [panels, setPanels] = useState<Panel[]>(() => panelsOrOne(search));
  const [isLinked, setLinked] = useState(() => areAlike(panels));
  const [every, setEvery] = useState(0);
  const tick = useTick(every);
  const shown = useRef(search);

  useEffect(() => {
    if (search === shown.current) return;
    shown.current = search;
    const found = panelsOrOne(search);
    setPanels(found);
    setLinked(areAlike(found));
  }, [search]);

  const show = useCallback((next: Panel[]): void => {
    setPanels(next);
    shown.current = searchOf(next);
    navigate(PATH + shown.current);
  }, []);
  const add = (given: Partial<Panel> = {}): void => {
    const last = panels.at(-1);
    show([...panels, panel({ ...(last && { range: last.range, end: last.end }), ...given })]);
  };
  const change = (id: number, what: Partial<Panel>): void => {
    const time = { ...("range" in what && { range: what.range }), ...("end" in what && { end: what.end }) };
    show(
      panels.map((p) => {
        if (p.id === id) return { ...p, ...what };
        return isLinked ? ({ ...p, ...time } as Panel) : p;
      }),
    );
  };
  useShortcuts({ onAdd: () => add() });
  return (
    <>
      <div class="row explore-head">
        <h1>Explore</h1>
        <Toolbar
          every={every}
          onEvery={setEvery}
          isLinked={isLinked}
          onLinked={setLinked}
          hasMany={panels.length > 1}
          onAdd={() => add()}
        />
      </div>
      {panels.map((p, i) => (
        <PanelView
          key={p.id}
          panel={p}
          number={i + 1}
          tick={tick}
          isOnly={panels.length === 1}
          onChange={(what) => change(p.id, what)}
          onRemove={() => show(panels.filter((other) => other.id !== p.id))}
          onPlot={(expr) => add({ expr, range: p.range, end: p.end })}
        />
      ))}
    </>
  );
}

function panelsOrOne(search: string): Panel[] {
  const found = panelsOf(search);
  return found.length ? found : [panel()];
}

function areAlike(panels: readonly Panel[]): boolean {
  return panels.every((p) => p.range === panels[0]?.range && p.end === panels[0]?.end);
}

/** Counts up every so many seconds, while the page is looked at. */
function useTick(seconds: number): number {
  const [tick, setTick] = useState(0);
  useEffect(() => {
    if (!seconds) return;
    const timer = setInterval(() => document.hidden || setTick((n) => n + 1), seconds * 1000);
    return () => clearInterval(timer);
  }, [seconds]);
  return tick;
}
