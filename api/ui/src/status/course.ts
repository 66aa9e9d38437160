// Rates of the last minutes, from counters looked at every few seconds.
//
// in   figures and when they were read
// out  a course of at most LOOKS_MAX rates: it does not grow while the page stays open
import { rate, type Figures } from "../api/exposition";

export interface Rate {
  points: number | null;
  reads: number | null;
  cpu: number | null;
}

interface Moment extends Rate {
  at: number;
  figures: Figures | null; // of the last one only
}

export type Course = readonly Moment[];

export const LOOKS_MAX = 120;

export function added(course: Course, figures: Figures, at: number): Course {
  const last = course.at(-1);
  const before = last?.figures ?? null;
  const seconds = last ? at - last.at : 0;
  const of = (name: string): number | null => rate(name, figures, before, seconds);
  const moment = {
    at,
    figures,
    points: of("silverback_points_applied_total"),
    reads: of("silverback_selects_total"),
    cpu: of("process_cpu_seconds_total"),
  };
  const kept = course.slice(1 - LOOKS_MAX).map((one) => ({ ...one, figures: null }));
  return [...kept, moment];
}
