// Single moments upon a chart: exemplars.
//
// in   times, values, and what to say of each
// out  diamonds on uPlot's canvas; the one under the cursor
import type uPlot from "uplot";

import type { Palette } from "./palette";

export interface Mark {
  time: number;
  value: number;
  text: string;
}

const SIZE = 5; // CSS pixels from the middle to a corner
const NEAR = 9;

export function drawMarks(u: uPlot, marks: readonly Mark[], colours: Palette): void {
  if (!marks.length) return;
  const { ctx } = u;
  const size = SIZE * devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
  ctx.clip();
  ctx.fillStyle = colours.text;
  ctx.strokeStyle = colours.surface;
  for (const { time, value } of marks) {
    const x = u.valToPos(time, "x", true);
    const y = u.valToPos(value, "y", true);
    ctx.beginPath();
    ctx.moveTo(x, y - size);
    ctx.lineTo(x + size, y);
    ctx.lineTo(x, y + size);
    ctx.lineTo(x - size, y);
    ctx.closePath();
    ctx.fill();
    ctx.stroke();
  }
  ctx.restore();
}

export function markAt(u: uPlot, marks: readonly Mark[]): Mark | undefined {
  const { left, top } = u.cursor;
  if (left == null || top == null || left < 0) return undefined;
  return marks.find(
    ({ time, value }) =>
      Math.abs(u.valToPos(time, "x") - left) < NEAR && Math.abs(u.valToPos(value, "y") - top) < NEAR,
  );
}
