// What is stored, and whether it is well.
//
// in   figures, version, times
// out  facts; what needs somebody's care is told first
import type { Figures } from "../api/exposition";
import { Facts, type Fact } from "../show/facts";
import { durationText } from "../show/times";
import { formatted } from "../show/units";

export interface StoredProps {
  figures: Figures;
  version: string;
  started: number;
  now: number;
  state: string;
}

export function Stored({ figures, version, started, now, state }: StoredProps) {
  const of = (name: string): number => figures.get(`silverback_${name}`) ?? 0;
  const count = (value: number): string => value.toLocaleString("en");
  const bytes = (value: number): string => formatted(value, "bytes");
  const points = of("block_points") + of("head_points");
  const stored = of("block_bytes") + of("head_encoded_bytes");
  const facts: Fact[] = [
    ["State", <span class={state === "ready" ? "good" : "warn"}>{state}</span>],
    ["Version", version],
    ["Up for", durationText(Math.max(0, Math.floor(now - started)))],
    ["Series", count(of("series"))],
    ["Points", count(points)],
    ["Bytes a point", points ? (stored / points).toFixed(2) : null],
    ["Blocks", of("blocks") ? `${count(of("blocks"))}, ${bytes(of("block_bytes"))}` : "none yet"],
    ["Head", `${count(of("head_points"))} points, ${bytes(of("head_memory_bytes"))}`],
    ["Log", `${bytes(of("log_bytes"))} in ${count(of("log_segments"))} files`],
    ["Durable entries", count(of("durable_seq"))],
    ["Index", bytes(of("index_memory_bytes"))],
    ["Memory of the process", bytes(figures.get("process_resident_memory_bytes") ?? 0)],
    ["Deletes to clean up", count(of("tombstones"))],
  ];
  const lost = of("holes") + of("quarantined_bytes");
  return (
    <section class="card" aria-label="The database">
      {lost > 0 && (
        <p class="note" role="alert">
          {count(of("holes"))} holes in the log, {bytes(of("quarantined_bytes"))} set aside as damaged: run silverback
          verify.
        </p>
      )}
      <Facts facts={facts} />
    </section>
  );
}
