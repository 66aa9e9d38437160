// Names and what they come to, side by side.
//
// in   pairs; null is not known
// out  a list of terms
import type { ComponentChildren } from "preact";

import "./facts.css";

export type Fact = readonly [string, ComponentChildren];

export function Facts({ facts }: { facts: readonly Fact[] }) {
  return (
    <dl class="facts">
      {facts.map(([name, what]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{what ?? "–"}</dd>
        </div>
      ))}
    </dl>
  );
}
