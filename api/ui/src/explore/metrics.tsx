// What there is to look at, for a panel that asks nothing yet.
//
// in   names of metrics
// out  buttons; one click plots
import { useEffect, useState } from "preact/hooks";

import { ask } from "../api/client";
import { Problem } from "../show/problem";
import { Words } from "../show/words";

const SHOWN_MAX = 60;
const PLAIN = /^[a-zA-Z_:][\w:]*$/;
const COUNTER = /_(total|count|sum|bucket)$/;

export function Metrics({ onChoose }: { onChoose: (expression: string) => void }) {
  const [names, setNames] = useState<string[] | null>(null);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    const control = new AbortController();
    ask<string[]>("/api/v1/label/__name__/values", {}, { signal: control.signal }).then(
      ({ data }) => setNames(data),
      setError,
    );
    return () => control.abort();
  }, []);
  if (error !== null) return <Problem error={error} />;
  if (!names) return <p class="hint">Looking for metrics…</p>;
  if (!names.length) {
    return (
      <p class="hint">
        There is no data yet. Send some: <code>curl -X PUT {window.location.origin}/kv/room/temp -d 21.5</code>
      </p>
    );
  }
  return (
    <div class="metrics">
      <p class="hint">
        {names.length.toLocaleString("en")} metrics{names.length > SHOWN_MAX && `, ${SHOWN_MAX} shown`}. Choose one, or
        type a query.
      </p>
      {names.slice(0, SHOWN_MAX).map((name) => (
        <button key={name} type="button" class="mono" onClick={() => onChoose(expressionFor(name))}>
          <Words text={name} max={60} />
        </button>
      ))}
    </div>
  );
}

/** Counters are looked at as rates. */
export function expressionFor(name: string): string {
  const selector = PLAIN.test(name) ? name : `{__name__=${JSON.stringify(name)}}`;
  return COUNTER.test(name) ? `rate(${selector}[5m])` : selector;
}
