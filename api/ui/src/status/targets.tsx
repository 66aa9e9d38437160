// Who is scraped.
//
// in   targets as the API has them
// out  a line a target: health, when it was asked last, its error
import type { Labels } from "../api/prometheus";
import { formatted } from "../show/units";
import { Words } from "../show/words";

export interface Target {
  labels: Labels;
  scrapePool: string;
  scrapeUrl: string;
  health: string;
  lastError: string;
  lastScrapeDuration: number;
}

const SHOWN_MAX = 500;

export function Targets({ targets }: { targets: readonly Target[] }) {
  return (
    <section aria-label="Targets">
      <h2>Targets</h2>
      {targets.length === 0 ? (
        <p class="hint">
          Nothing is scraped: give Prometheus&apos; scrape_configs with{" "}
          <code>silverback serve --scrape-config FILE</code>.
        </p>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label="Targets and their health">
          <table>
            <thead>
              <tr>
                <th scope="col">Job</th>
                <th scope="col">Address</th>
                <th scope="col">Health</th>
                <th scope="col" class="number">
                  Took
                </th>
              </tr>
            </thead>
            <tbody>
              {targets.slice(0, SHOWN_MAX).map((target, i) => (
                <tr key={i}>
                  <td>
                    <Words text={target.scrapePool} />
                  </td>
                  <td class="mono">
                    <Words text={target.scrapeUrl} max={200} />
                    {target.lastError && (
                      <div class="bad">
                        <Words text={target.lastError} max={500} />
                      </div>
                    )}
                  </td>
                  <td class={target.health === "up" ? "good" : target.health === "down" ? "bad" : "warn"}>
                    {target.health}
                  </td>
                  <td class="number">{formatted(target.lastScrapeDuration, "seconds")}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {targets.length > SHOWN_MAX && <p class="hint">{targets.length - SHOWN_MAX} more are not shown.</p>}
    </section>
  );
}
