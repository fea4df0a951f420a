// The emulator as we use it: under a policy without inline styles, and deaf to what a hostile program might ask of it.
import { FitAddon } from "../vendor/xterm/addon-fit.mjs";
import { Terminal } from "../vendor/xterm/xterm.mjs";

const DARK = {
  background: "#0b151b", foreground: "#dce7ec", cursor: "#5fd0c5", cursorAccent: "#0b151b", selectionBackground: "#2f5563",
  black: "#33454f", red: "#ff8f86", green: "#7fdca4", yellow: "#f3c969", blue: "#8fbaff", magenta: "#dba7f5", cyan: "#5fd0c5", white: "#dce7ec",
  brightBlack: "#93a7b1", brightRed: "#ffb1aa", brightGreen: "#a6ebc1", brightYellow: "#f8dc9a", brightBlue: "#b7d3ff", brightMagenta: "#e9c8fb", brightCyan: "#95e6dd", brightWhite: "#ffffff",
};
const LIGHT = {
  background: "#fdfefe", foreground: "#16242c", cursor: "#0a6a72", cursorAccent: "#fdfefe", selectionBackground: "#b9dcd9",
  black: "#16242c", red: "#a3241c", green: "#176b3f", yellow: "#7a4d00", blue: "#1b52a8", magenta: "#7b2f93", cyan: "#0a6a72", white: "#586b76",
  brightBlack: "#4c5f69", brightRed: "#b4322a", brightGreen: "#1d7a49", brightYellow: "#8a5a06", brightBlue: "#2a62ba", brightMagenta: "#8c3fa5", brightCyan: "#0b7780", brightWhite: "#22313a",
};
const MONOSPACE = '"DejaVu Sans Mono", "Noto Sans Mono", "Liberation Mono", Menlo, Consolas, monospace';

// xterm.js writes style elements, and style attributes for colours beyond the palette. The policy of the page allows the
// former with its nonce and the latter by way of the object model alone.
export function obeyPolicy() {
  const { nonce } = document.querySelector("link[data-terminal-styles]");
  const create = document.createElement.bind(document);
  document.createElement = (name, options) => {
    const element = create(name, options);
    if (name === "style") element.nonce = nonce;
    return element;
  };
  const set = Element.prototype.setAttribute;
  HTMLSpanElement.prototype.setAttribute = function (name, value) {
    if (name === "style") this.style.cssText = value;
    else set.call(this, name, value);
  };
}

function theme() {
  const chosen = document.documentElement.dataset.theme;
  const dark = chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  return dark ? DARK : LIGHT;
}

export function followTheme(screens) {
  const repaint = () => { for (const screen of screens()) screen.options.theme = theme(); };
  new MutationObserver(repaint).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
}

// { screen, fit }: an emulator in this element. Links stay text, and the clipboard and the title stay ours.
export function openScreen(holder, { columns, rows, readAloud }) {
  const screen = new Terminal({
    cols: columns, rows, theme: theme(), fontFamily: MONOSPACE, fontSize: 14, lineHeight: 1.1, scrollback: 5000,
    minimumContrastRatio: 4.5, disableStdin: true, cursorInactiveStyle: "outline", screenReaderMode: readAloud, windowOptions: {},
  });
  const fit = new FitAddon();
  screen.loadAddon(fit);
  const ignored = () => true;
  for (const command of [0, 1, 2, 8, 52]) screen.parser.registerOscHandler(command, ignored); // titles, links, clipboard
  screen.open(holder);
  // Tab is the program's in there: who tabs through the page goes in by the button only, and comes out by its key.
  screen.element.tabIndex = -1;
  screen.textarea.tabIndex = -1;
  screen.textarea.setAttribute("aria-label", "Terminal input. Control, shift and full stop leave the terminal.");
  return { screen, fit };
}

// Everything in the emulator, line by line, as text.
export function textOf(screen) {
  const buffer = screen.buffer.active;
  const lines = [];
  for (let row = 0; row < buffer.length; row += 1) {
    const line = buffer.getLine(row);
    const text = line.translateToString(true);
    if (line.isWrapped && lines.length) lines[lines.length - 1] += text;
    else lines.push(text);
  }
  return lines.join("\n").trimEnd();
}
