// The PromQL editor.
//
// in   a query, which is put in whenever it changes; what to do when the text is to be run
// out  CodeMirror with names from our API, the server's own verdict underlined, signatures
// why  in a shadow root: CodeMirror then styles itself by adopted sheets, which the policy allows,
//      where a <style> element would be refused
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, startCompletion } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, insertNewlineAndIndent } from "@codemirror/commands";
import { bracketMatching, indentOnInput } from "@codemirror/language";
import { lintKeymap } from "@codemirror/lint";
import { EditorState, Prec } from "@codemirror/state";
import { EditorView, keymap, placeholder } from "@codemirror/view";
import { PromQLExtension } from "@prometheus-io/codemirror-promql";
import { useEffect, useRef } from "preact/hooks";

import { colouring, look } from "./editor_look";
import { signatures } from "./signatures";
import { verdicts } from "./verdicts";

export interface EditorProps {
  value: string;
  label: string;
  onRun: (text: string) => void;
}

export function Editor(props: EditorProps) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const latest = useRef(props);
  const ran = useRef(props.value);
  latest.current = props;
  useEffect(() => {
    if (!host.current) return;
    const root = host.current.shadowRoot ?? host.current.attachShadow({ mode: "open" });
    const promql = new PromQLExtension().activateLinter(false).setComplete({ remote: { url: "" } });
    view.current = new EditorView({
      root,
      parent: root,
      state: EditorState.create({
        doc: props.value,
        extensions: [
          keys((text) => {
            ran.current = text;
            latest.current.onRun(text);
          }),
          history(),
          closeBrackets(),
          bracketMatching(),
          indentOnInput(),
          autocompletion({ icons: false }),
          promql.asExtension(),
          verdicts,
          signatures,
          colouring,
          look,
          placeholder("PromQL, for example rate(http_requests_total[5m])"),
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ "aria-label": props.label }),
        ],
      }),
    });
    return () => {
      view.current?.destroy();
      promql.destroy();
    };
  }, []);
  useEffect(() => {
    const editor = view.current;
    // What was run here is here already; what was typed since must not be lost.
    if (!editor || ran.current === props.value) return;
    ran.current = props.value;
    const all = { from: 0, to: editor.state.doc.length, insert: props.value };
    editor.dispatch({ changes: all });
  }, [props.value]);
  const run = (): void => {
    const text = view.current?.state.doc.toString() ?? "";
    ran.current = text;
    props.onRun(text);
  };
  return (
    <>
      <div class="editor" ref={host} />
      <button type="button" class="primary" onClick={run}>
        Run
      </button>
    </>
  );
}

/** Enter runs, Shift-Enter makes a line; while completions are open, Enter takes one. */
function keys(run: (text: string) => void) {
  const enter = {
    key: "Enter",
    run: (view: EditorView) => {
      run(view.state.doc.toString());
      return true;
    },
    shift: insertNewlineAndIndent,
  };
  return [
    Prec.high(keymap.of([...completionKeymap, enter, { ...enter, key: "Mod-Enter" }])),
    keymap.of([
      ...closeBracketsKeymap,
      ...historyKeymap,
      ...lintKeymap,
      { key: "Mod-i", run: startCompletion },
      ...defaultKeymap,
    ]),
  ];
}
