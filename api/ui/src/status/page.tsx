// How the server is: health, rates, what is stored, what runs, what it was told.
//
// in   /metrics and /api/v1/status/…, every five seconds
// out  cards; running queries can be stopped
import { useCallback, useRef } from "preact/hooks";

import { ask } from "../api/client";
import { figures, type Figures } from "../api/exposition";
import { useLook } from "../api/looking";
import "../show/facts.css";
import { Problem } from "../show/problem";
import { Flags } from "./flags";
import { Rates } from "./rates";
import { added, type Course } from "./course";
import { Rules, type Group } from "./rules";
import { Running, type Query } from "./running";
import { Stored } from "./stored";
import { Targets, type Target } from "./targets";

const EVERY_S = 5;

interface Seen {
  figures: Figures;
  course: Course;
  version: string;
  started: number;
  now: number;
  state: string;
  queries: Query[];
  groups: Group[];
  targets: Target[];
  flags: Record<string, string>;
}

export default function Status() {
  const course = useRef<Course>([]);
  const look = useCallback(async (signal: AbortSignal): Promise<Seen> => {
    const told = { signal };
    const [now, build, runtime, state, queries, rules, targets, flags] = await Promise.all([
      figures(signal),
      ask<{ revision: string }>("/api/v1/status/buildinfo", {}, told),
      ask<{ startTime: string; serverTime: string }>("/api/v1/status/runtimeinfo", {}, told),
      ask<{ state: string }>("/api/v1/status", {}, told),
      ask<Query[]>("/api/v1/status/active_queries", {}, told),
      ask<{ groups: Group[] }>("/api/v1/rules", {}, told),
      ask<{ activeTargets: Target[] }>("/api/v1/targets", {}, told),
      ask<Record<string, string>>("/api/v1/status/flags", {}, told),
    ]);
    course.current = added(course.current, now, performance.now() / 1000);
    return {
      figures: now,
      course: course.current,
      version: build.data.revision,
      started: Date.parse(runtime.data.startTime) / 1000,
      now: Date.parse(runtime.data.serverTime) / 1000,
      state: state.data.state,
      queries: queries.data,
      groups: rules.data.groups,
      targets: targets.data.activeTargets,
      flags: flags.data,
    };
  }, []);
  const { found, error, again } = useLook(look, EVERY_S);
  return (
    <>
      <h1>Status</h1>
      {error !== null && <Problem error={error} />}
      {found === null && error === null && <p class="hint">Loading…</p>}
      {found && (
        <>
          <Stored {...found} />
          <Rates course={found.course} />
          <Running queries={found.queries} onStopped={again} />
          <Rules groups={found.groups} />
          <Targets targets={found.targets} />
          <Flags flags={found.flags} />
        </>
      )}
    </>
  );
}
