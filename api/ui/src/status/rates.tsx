// How fast points come and are read, lately.
//
// in   a course of rates
// out  the last of each, large, and how it went
import { Spark } from "../show/spark";
import { formatted } from "../show/units";
import type { Course, Rate } from "./course";

const SHOWN: [keyof Rate, string, (value: number) => string][] = [
  ["points", "Points written a second", (value) => formatted(value, "short")],
  ["reads", "Selections read a second", (value) => formatted(value, "short")],
  ["cpu", "Cores in use", (value) => value.toFixed(2)],
];

export function Rates({ course }: { course: Course }) {
  return (
    <section aria-label="Rates">
      <h2>Rates since this page was opened</h2>
      <div class="cards">
        {SHOWN.map(([name, title, text]) => {
          const values = course.map((moment) => moment[name]).slice(1);
          const last = values.at(-1) ?? null;
          return (
            <div class="card" key={name}>
              <div class="hint">{title}</div>
              <div class="big">{last === null ? "…" : text(last)}</div>
              <Spark values={values} label={`${title}, how it went`} />
            </div>
          );
        })}
      </div>
    </section>
  );
}
