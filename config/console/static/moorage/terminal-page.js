// The page of terminals: tabs on one socket, who is here and who types, in words; the parts below follow the shown tab.
//
//   <div data-terminals data-hidden-after-ms="300000">
//     <nav data-tabs><a data-terminal="7f…" data-own data-columns="80" data-rows="24" href="…" data-about="…">   each a tab
//     [data-banner], [data-words], [data-people], [data-acts], [data-panels]                          filled by this script
//
// window.moorageTerminals.text() is what the shown terminal holds, as text.
import { followTheme, obeyPolicy, textOf } from "./terminal-screen.js";
import { Line } from "./terminal-line.js";
import { View } from "./terminal-view.js";
import { Wish } from "./terminal-wire.js";

const READ_ALOUD = "moorage.terminal.readAloud";
const FIT_AFTER_MS = 120;
const KEYS = { Esc: "\x1b", Tab: "\t", "Ctrl-C": "\x03", "Ctrl-D": "\x04", "↑": "\x1b[A", "↓": "\x1b[B" };
const CONNECTION = {
  connecting: "Connecting…",
  waiting: "Connection lost. The program runs on; what you type is not sent.",
  paused: "Left while this tab was out of sight. The program runs on.",
  "signed-out": "You are signed out. Reload the page to sign in.",
};

const root = document.querySelector("[data-terminals]");
const part = (name) => root.querySelector(`[data-${name}]`);
const views = new Map(); // terminal id → View
let shown = null;
let line = null;
let countdown = 0;
let fitting = 0;
let hiding = 0;

function element(name, { text, className, ...attributes } = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function act(text, does, { primary = false, label = "" } = {}) {
  const button = element("button", { text, type: "button", className: primary ? "button primary" : "button" });
  if (label) button.setAttribute("aria-label", label);
  button.addEventListener("click", does);
  return button;
}

// Replaced only when it says something else: whoever is about to press a button of it finds it in its place.
function fill(place, key, make) {
  if (place.dataset.key === key) return;
  const focused = place.contains(document.activeElement);
  place.dataset.key = key;
  place.replaceChildren(...make());
  if (focused) (place.querySelector("button") ?? shown?.screen)?.focus();
}

// --- words ---------------------------------------------------------------------------------------------------------

function say(words) {
  part("words").textContent = words;
}

function inWords(view) {
  if (view.ended) return view.ended;
  if (view.state !== "live") return "Not connected.";
  if (view.watchOnly) return "You are watching the work as it happens. Nobody types here.";
  const holder = view.people.find((person) => person.controls);
  if (view.inControl) return "You are in control: what you type goes to the program.";
  if (holder) return `${holder.name} is in control. You are watching.`;
  return "Nobody is in control. You are watching.";
}

function showState() {
  if (!shown) return;
  const view = shown;
  root.dataset.state = view.ended ? "ended" : view.state;
  root.dataset.control = view.inControl ? "mine" : "";
  part("control").textContent = inWords(view);
  const people = view.people.map((person) => ({ ...person, me: person.viewer === view.you }));
  const more = view.others ? [element("li", { className: "quiet", text: `and ${view.others} more` })] : [];
  fill(part("people"), JSON.stringify([view.inControl, people, view.others]), () => [...people.map(personLine), ...more]);
  const holder = people.find((person) => person.controls);
  const key = [view.terminal, view.state, view.inControl, holder?.viewer, view.mayType, view.asked];
  fill(part("acts"), JSON.stringify(key), () => actsFor(view, holder));
  part("keys").hidden = !view.inControl;
}

function personLine(person) {
  const item = element("li");
  item.append(element("strong", { text: person.name }), person.me ? " (you)" : "");
  const told = [person.controls ? "in control" : "watching"];
  if (person.asks) told.push("asks for control");
  if (!person.may_type && !shown.watchOnly) told.push("may watch only");
  item.append(element("span", { className: "quiet", text: ` ${told.join(", ")} ` }));
  if (shown.inControl && !person.me) {
    item.append(act("Hand control over", () => shown.wish(Wish.HAND_TO, person.viewer), { label: `Hand control to ${person.name}` }));
  }
  return item;
}

function actsFor(view, holder) {
  if (view.state !== "live" || view.ended || view.watchOnly) return [];
  if (view.inControl) return [act("Give control back", () => view.wish(Wish.GIVE_BACK))];
  const acts = [];
  if (view.mayType) acts.push(act("Take control", () => { view.wish(Wish.TAKE); view.screen.focus(); }, { primary: true }));
  if (holder || !view.mayType) {
    const ask = act(view.asked ? "Asked for control" : "Ask for control", () => view.wish(Wish.ASK));
    ask.disabled = view.asked;
    acts.push(ask);
  }
  return acts;
}

function showConnection({ state, wait = 0, attempt = 0 }) {
  clearInterval(countdown);
  const banner = part("banner");
  banner.hidden = state === "live";
  banner.dataset.state = state;
  const words = element("span", { text: CONNECTION[state] ?? "" });
  const left = element("span", { "aria-hidden": "true" });
  banner.replaceChildren(words, left);
  if (state === "live") return;
  if (state === "waiting") {
    const until = Date.now() + wait;
    const tick = () => { left.textContent = ` Attempt ${attempt + 1} in ${Math.max(0, Math.ceil((until - Date.now()) / 1000))} s. `; };
    tick();
    countdown = setInterval(tick, 500);
  }
  if (state === "waiting" || state === "paused") banner.append(act(state === "paused" ? "Come back" : "Try now", () => line.connect()));
}

// --- tabs ----------------------------------------------------------------------------------------------------------

function open(tab) {
  const holder = element("div", { className: "terminal-screen" });
  part("panels").append(holder);
  const view = new View({
    terminal: tab.dataset.terminal, line, holder, own: "own" in tab.dataset, watchOnly: "watch" in tab.dataset, readAloud: part("read-aloud").checked,
    columns: Number(tab.dataset.columns), rows: Number(tab.dataset.rows),
  });
  view.addEventListener("change", () => { if (view === shown) showState(); });
  view.addEventListener("words", (event) => { if (view === shown) say(event.detail); });
  view.screen.attachCustomKeyEventHandler((event) => {
    if (!(event.ctrlKey && event.shiftKey && event.code === "Period")) return true;
    if (event.type === "keydown") { event.preventDefault(); part("leave").focus(); say("You have left the terminal."); }
    return false;
  });
  views.set(view.terminal, view);
  line.join(view);
  return view;
}

function select(tab) {
  for (const each of part("tabs").querySelectorAll("[data-terminal]")) each.toggleAttribute("aria-current", false);
  tab.setAttribute("aria-current", "page");
  shown = views.get(tab.dataset.terminal) ?? open(tab);
  for (const view of views.values()) view.holder.hidden = view !== shown;
  say("");
  showState();
  shown.fitToWindow();
}

function follow(tab) {
  const about = document.querySelector("[data-parts]");
  about.dataset.parts = tab.dataset.about;
  window.moorageLive?.follow(`terminal.${tab.dataset.terminal}`);
  document.dispatchEvent(new CustomEvent("moorage:refresh"));
}

function tabOf(terminal) {
  return part("tabs").querySelector(`[data-terminal="${CSS.escape(terminal)}"]`);
}

// --- the page ------------------------------------------------------------------------------------------------------

function outOfSight() {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(() => line.pause(), Number(root.dataset.hiddenAfterMs));
  else if (!line.socket) line.connect();
}

function start() {
  obeyPolicy();
  const address = new URL("/ws/terminals/", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  line = new Line(address);
  line.addEventListener("state", (event) => showConnection(event.detail));
  const readAloud = part("read-aloud");
  readAloud.checked = localStorage.getItem(READ_ALOUD) === "yes";
  readAloud.addEventListener("change", () => {
    localStorage.setItem(READ_ALOUD, readAloud.checked ? "yes" : "no");
    for (const view of views.values()) view.screen.options.screenReaderMode = readAloud.checked;
  });
  root.hidden = false;
  part("tabs").addEventListener("click", (event) => {
    const tab = event.target.closest("[data-terminal]");
    if (!tab || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    if (tab.getAttribute("aria-current")) return;
    history.pushState(null, "", tab.href);
    select(tab);
    follow(tab);
  });
  window.addEventListener("popstate", () => {
    const tab = [...part("tabs").querySelectorAll("[data-terminal]")].find((each) => each.href === location.href);
    if (tab) { select(tab); follow(tab); }
  });
  part("enter").addEventListener("click", () => shown.screen.focus());
  for (const [name, text] of Object.entries(KEYS)) {
    part("keys").append(act(name, () => { shown.screen.input(text); shown.screen.focus(); }));
  }
  new ResizeObserver(() => {
    clearTimeout(fitting);
    fitting = setTimeout(() => shown?.fitToWindow(), FIT_AFTER_MS);
  }).observe(part("panels"));
  document.addEventListener("visibilitychange", outOfSight);
  window.addEventListener("online", () => line.connect());
  window.addEventListener("pagehide", () => line.pause());
  window.addEventListener("pageshow", (event) => { if (event.persisted) line.connect(); });
  followTheme(() => [...views.values()].map((view) => view.screen));
  window.moorageTerminals = Object.freeze({ text: () => textOf(shown.screen) });
  select(tabOf(root.dataset.terminals));
}

start();
