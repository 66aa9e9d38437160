// What the function around the cursor takes.
//
// in   the syntax tree, the cursor
// out  a tooltip: rate(range vector) → instant vector, and a line that says what it does
import { syntaxTree } from "@codemirror/language";
import { StateField, type EditorState } from "@codemirror/state";
import { showTooltip, type Tooltip } from "@codemirror/view";
import { functionIdentifierTerms } from "@prometheus-io/codemirror-promql/dist/esm/complete/promql.terms";
import { getFunction } from "@prometheus-io/codemirror-promql/dist/esm/types";

const TYPE_NAMES: Record<string, string> = {
  vector: "instant vector",
  matrix: "range vector",
  scalar: "scalar",
  string: "string",
  none: "nothing",
};

export const signatures = StateField.define<Tooltip | null>({
  create: tooltipAt,
  update(tooltip, transaction) {
    if (!transaction.docChanged && !transaction.selection) return tooltip;
    return tooltipAt(transaction.state);
  },
  provide: (field) => showTooltip.from(field),
});

function tooltipAt(state: EditorState): Tooltip | null {
  const { head, empty } = state.selection.main;
  if (!empty) return null;
  for (let node = syntaxTree(state).resolveInner(head, -1); node.parent; node = node.parent) {
    if (node.name !== "FunctionCall") continue;
    const name = node.getChild("FunctionIdentifier");
    const id = name?.firstChild?.type.id;
    if (!name || id === undefined || head <= name.to) continue;
    return { pos: name.from, above: true, create: () => ({ dom: told(id, state.sliceDoc(name.from, name.to)) }) };
  }
  return null;
}

function told(id: number, name: string): HTMLElement {
  const { argTypes, variadic, returnType } = getFunction(id);
  const types = argTypes.map((type, i) => {
    const text = TYPE_NAMES[type] ?? type;
    return variadic !== 0 && i === argTypes.length - 1 ? `${text}${variadic < 0 ? "…" : "?"}` : text;
  });
  const dom = document.createElement("div");
  const head = document.createElement("code");
  head.textContent = `${name}(${types.join(", ")}) → ${TYPE_NAMES[returnType] ?? returnType}`;
  const info = document.createElement("div");
  info.textContent = String(functionIdentifierTerms.find((term) => term.label === name)?.info ?? "");
  dom.className = "cm-signature";
  dom.append(head, info);
  return dom;
}
