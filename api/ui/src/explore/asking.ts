// When a panel asks, and what it holds meanwhile.
//
// in   a panel, how often it was run, a tick at which to look again
// out  the last answers or error; or what is heavy about the query, which then waits to be allowed
import { useEffect, useRef, useState } from "preact/hooks";

import { isAborted } from "../api/errors";
import type { Span } from "../chart/frame";
import type { Panel, Tab } from "./address";
import { answersOf, refreshed, spanOf, type Answers } from "./answers";
import { heavinessOf } from "./cost";
import { remember } from "./history";

const PIXELS_A_STEP = 2;

export interface Asking {
  answers: Answers | null;
  error: unknown;
  heaviness: string | null;
  isAsking: boolean;
  allow: () => void;
}

interface Held {
  answers: Answers | null;
  error: unknown;
  heaviness: string | null;
}

const NOTHING: Held = { answers: null, error: null, heaviness: null };

export function useAnswers(panel: Panel, runs: number, tick: number, box: { current: HTMLElement | null }): Asking {
  const [held, setHeld] = useState<Held>(NOTHING);
  const [isAsking, setAsking] = useState(false);
  const [allowed, setAllowed] = useState("");
  const last = useRef<Answers | null>(null);
  const { expr, tab, range, end, step, hasExemplars } = panel;
  const question = JSON.stringify([expr, kindOf(tab), range, end, step]);

  useEffect(() => {
    if (!expr.trim()) return;
    const control = new AbortController();
    const isTick = tick > 0 && last.current?.asked === expr && end === null;
    const steps = Math.min(1000, Math.max(60, (box.current?.clientWidth ?? 1000) / PIXELS_A_STEP));
    const span = spanOf(panel, Date.now() / 1000, steps);
    const show = (found: Held): void => {
      if (control.signal.aborted) return;
      last.current = found.answers;
      setHeld(found);
      setAsking(false);
      if (found.answers && !isTick) remember(expr);
    };
    setAsking(!isTick);
    asked(panel, span, isTick ? last.current : null, isTick || allowed === question, control.signal).then(
      (found) => show({ ...NOTHING, ...(typeof found === "string" ? { heaviness: found } : { answers: found }) }),
      (error: unknown) => show({ ...NOTHING, error }),
    );
    return () => control.abort();
  }, [question, hasExemplars, runs, tick, allowed]);
  return { ...(expr.trim() ? held : NOTHING), isAsking, allow: () => setAllowed(question) };
}

/** The answers; or, unless it is allowed whatever it costs, what is heavy about it. */
async function asked(
  panel: Panel,
  span: Span,
  before: Answers | null,
  isAllowed: boolean,
  signal: AbortSignal,
): Promise<Answers | string> {
  if (!isAllowed) {
    const heaviness = await heavinessOf(panel.expr, panel.tab === "table" ? null : span, signal);
    if (heaviness !== null) return heaviness;
  }
  if (before && panel.tab === "graph" && panel.style !== "heatmap") {
    try {
      return await refreshed(before, span, signal);
    } catch (reason) {
      if (isAborted(reason)) throw reason;
    }
  }
  return answersOf(panel, span, signal);
}

/** Tabs that are drawn from the same answer. */
function kindOf(tab: Tab): string {
  return tab === "json" ? "graph" : tab;
}
