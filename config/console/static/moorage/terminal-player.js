// A recording (asciicast v3) on the emulator of the terminals: play, pause, seek, speed.
//
//   <section data-player="/api/v1/sessions/7f…/recording/">   with [data-words], [data-play], [data-position], [data-clock],
//     [data-speed], [data-skip-pauses], [data-remarks] and [data-panels] inside
import { followTheme, obeyPolicy, openScreen, textOf } from "./terminal-screen.js";

const LONGEST_PAUSE_S = 2; // where pauses are skipped
const MOST_AT_ONCE = 1 << 16;

// Header and events [{ at, code, text }] of the lines of an asciicast; a line that is none ends what can be shown.
export function parse(text) {
  const lines = text.split("\n").filter((line) => line && !line.startsWith("#"));
  const header = JSON.parse(lines[0]);
  if (header.version !== 3) throw new Error("This is not a recording in asciicast v3.");
  const events = [];
  for (const line of lines.slice(1)) {
    let event;
    try { event = JSON.parse(line); } catch { break; }
    const [since, code, data] = event;
    if (typeof since !== "number" || !(since >= 0) || typeof code !== "string" || typeof data !== "string") break;
    events.push({ since, code, text: data });
  }
  return { columns: size(header.term?.cols, 80), rows: size(header.term?.rows, 24), events };
}

const size = (value, otherwise) => (Number.isInteger(value) && value >= 1 && value <= 1000 ? value : otherwise);

function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

class Player {
  constructor(root, cast) {
    this.part = (name) => root.querySelector(`[data-${name}]`);
    this.cast = cast;
    this.next = 0; // the first event that is not shown yet
    this.position = 0;
    this.playing = false;
    const { screen } = openScreen(this.part("panels").firstElementChild, { columns: cast.columns, rows: cast.rows, readAloud: false });
    this.screen = screen;
    screen.textarea.setAttribute("aria-label", "Recording");
    this.part("play").addEventListener("click", () => (this.playing ? this.pause() : this.play()));
    this.part("position").addEventListener("input", (event) => this.seek(Number(event.target.value)));
    this.part("skip-pauses").addEventListener("change", () => this.time());
    this.time();
    this.listRemarks();
    this.seek(0);
  }

  // When each event comes, with its pauses or with short ones; the place stays the same.
  time() {
    const longest = this.part("skip-pauses").checked ? LONGEST_PAUSE_S : Infinity;
    let at = 0;
    for (const event of this.cast.events) event.at = at += Math.min(event.since, longest);
    this.length = at;
    this.part("position").max = String(at);
    if (this.next) this.position = this.cast.events[this.next - 1].at;
    this.tell();
  }

  play() {
    if (this.next >= this.cast.events.length) this.seek(0);
    this.playing = true;
    this.tell();
    let last = performance.now();
    const step = (now) => {
      if (!this.playing) return;
      this.position += ((now - last) / 1000) * Number(this.part("speed").value);
      last = now;
      this.showUntil(this.position);
      if (this.next >= this.cast.events.length) { this.position = this.length; this.pause(); } else { this.tell(); requestAnimationFrame(step); }
    };
    requestAnimationFrame(step);
  }

  pause() {
    this.playing = false;
    this.tell();
  }

  seek(position) {
    if (position < this.position || this.next === 0) {
      this.next = 0;
      this.screen.write("\x1bc");
      this.resize(this.cast.columns, this.cast.rows);
    }
    this.position = position;
    this.showUntil(position);
    this.tell();
  }

  showUntil(position) {
    let text = "";
    const flush = () => { if (text) this.screen.write(text); text = ""; };
    for (; this.next < this.cast.events.length && this.cast.events[this.next].at <= position; this.next += 1) {
      const event = this.cast.events[this.next];
      if (event.code === "o") text += event.text;
      if (text.length > MOST_AT_ONCE) flush();
      if (event.code === "r") {
        const [columns, rows] = event.text.split("x").map(Number);
        flush();
        this.resize(size(columns, 80), size(rows, 24));
      }
    }
    flush();
  }

  resize(columns, rows) {
    this.screen.write("", () => this.screen.resize(columns, rows));
  }

  listRemarks() {
    const remarks = this.cast.events.filter((event) => event.code === "m");
    for (const remark of remarks) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "button";
      button.textContent = `${clock(remark.at)} ${remark.text}`;
      button.addEventListener("click", () => this.seek(remark.at));
      const item = document.createElement("li");
      item.append(button);
      this.part("remarks").append(item);
    }
  }

  tell() {
    const told = `${clock(this.position)} of ${clock(this.length)}`;
    const ended = this.cast.events.at(-1)?.code === "x" && this.next >= this.cast.events.length;
    this.part("play").textContent = this.playing ? "Pause" : "Play";
    this.part("position").value = String(this.position);
    this.part("position").setAttribute("aria-valuetext", told);
    this.part("clock").textContent = told;
    this.part("words").textContent = ended ? `The program ended with ${this.cast.events.at(-1).text}.` : "";
  }
}

async function start(root) {
  obeyPolicy();
  root.hidden = false;
  const words = root.querySelector("[data-words]");
  words.textContent = "Loading the recording…";
  try {
    const answer = await fetch(root.dataset.player, { credentials: "same-origin", redirect: "error" });
    if (!answer.ok) throw new Error(answer.headers.get("Content-Type")?.includes("json") ? (await answer.json()).detail : `The server answers ${answer.status}.`);
    const player = new Player(root, parse(await answer.text()));
    followTheme(() => [player.screen]);
    window.moorageTerminals = Object.freeze({ text: () => textOf(player.screen) });
  } catch (error) {
    words.textContent = `The recording cannot be shown: ${error.message}`;
    root.querySelector("[data-controls]").hidden = true;
  }
}

start(document.querySelector("[data-player]"));
