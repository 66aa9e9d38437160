// What the cursor is on: the time, the nearest line, its value.
//
// in   uPlot's cursor
// out  text in one element that follows it; written without a framework, it changes with every move
import type uPlot from "uplot";

import { momentText } from "../show/times";

export interface Told {
  head: string;
  colour: string | null;
}

export class Tooltip {
  private readonly time = document.createElement("div");
  private readonly name = document.createElement("bdi");

  constructor(private readonly box: HTMLElement) {
    this.time.className = "tooltip-time";
    box.replaceChildren(this.time, this.name);
    box.hidden = true;
  }

  show(u: uPlot, told: Told | null): void {
    const { left, top, idx } = u.cursor;
    const time = idx == null ? undefined : u.data[0][idx];
    if (left == null || top == null || left < 0 || time === undefined) {
      this.box.hidden = true;
      return;
    }
    this.time.textContent = `${momentText(time)} UTC`;
    this.name.textContent = told?.head ?? "";
    this.name.style.borderColor = told?.colour ?? "transparent";
    this.box.hidden = false;
    const isRight = left > u.over.clientWidth / 2;
    const x = u.over.offsetLeft + left + (isRight ? -this.box.offsetWidth - 14 : 14);
    const y = Math.min(u.over.offsetTop + top + 14, u.over.clientHeight - this.box.offsetHeight);
    this.box.style.transform = `translate(${Math.max(0, x)}px, ${Math.max(0, y)}px)`;
  }

  hide(): void {
    this.box.hidden = true;
  }
}
