// Where the page begins: mounts the shell once.
import { render } from "preact";

import "./shell/theme.css";
import "./shell/shell.css";
import { Shell } from "./shell/shell";
import { applyTheme } from "./shell/theme";

applyTheme();
const root = document.getElementById("page");
if (root) render(<Shell />, root);
