// What the server was told when it was started.
//
// in   settings by name
// out  a table that is closed at first
import { Words } from "../show/words";

export function Flags({ flags }: { flags: Readonly<Record<string, string>> }) {
  return (
    <details>
      <summary>
        <h2 class="inline">Settings</h2>
      </summary>
      <table>
        <thead>
          <tr>
            <th scope="col">Setting</th>
            <th scope="col">Value</th>
          </tr>
        </thead>
        <tbody>
          {Object.entries(flags).map(([name, value]) => (
            <tr key={name}>
              <td class="mono">--{name}</td>
              <td class="mono">
                <Words text={value === "null" ? "–" : value} max={300} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}
