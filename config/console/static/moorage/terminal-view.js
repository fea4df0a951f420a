// One terminal in the browser: what it shows, who has control of it, and where its output has got to.
import { ACK_EVERY, Kind, MOST_INPUT, Problem, Wish, say } from "./terminal-wire.js";
import { Keys } from "./terminal-keys.js";
import { openScreen } from "./terminal-screen.js";

const ACK_AFTER_MS = 40;
const FIRST_WAIT_MS = 1000;
const GROWTH = 1.5;
const LONGEST_WAIT_MS = 30000;
const encoder = new TextEncoder();

export class View extends EventTarget {
  // "change" tells that something of its state is new, "words" (detail: the words) that something is to be said.
  constructor({ terminal, line, holder, own, watchOnly, readAloud, columns, rows }) {
    super();
    Object.assign(this, { terminal, line, holder, watchOnly });
    Object.assign(this, { state: "connecting", epoch: 0, inControl: false, people: [], others: 0, you: 0, mayType: false, asked: false, ended: "" });
    this.offset = null; // behind the last byte received
    this.shown = 0; // behind the last byte that the emulator has taken
    this.acknowledged = 0;
    this.drawing = false;
    this.regain = own; // take control when nobody has it: of one's own at first, and after a broken line
    this.former = 0;
    this.failures = 0;
    this.taking = false;
    this.keys = new Keys();
    const { screen, fit } = openScreen(holder, { columns, rows, readAloud });
    Object.assign(this, { screen, fit });
    screen.onData((text) => this.type(encoder.encode(text)));
    screen.onBinary((text) => this.type(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
    screen.onKey(() => this.explainSilence());
  }

  // --- the connection ------------------------------------------------------------------------------------------

  attach() {
    clearTimeout(this.retry);
    if (this.ended) return;
    this.change({ state: "connecting" });
    this.line.send(say.attach(this.channel, this.terminal, this.offset));
  }

  lost() {
    clearTimeout(this.retry);
    if (this.ended) return;
    if (this.inControl) {
      this.regain = true;
      this.former = this.you;
      this.keys.lost(this.epoch);
    }
    if (this.drawing) { this.drawing = false; this.offset = null; } // half a picture: ask for a whole one
    this.hasControl(false);
    this.say("");
    this.change({ state: "away", people: [], others: 0 });
  }

  hear(frame) {
    const handlers = {
      [Kind.ATTACH]: () => this.attached(frame),
      [Kind.DATA]: () => this.data(frame),
      [Kind.SNAPSHOT]: () => this.snapshot(frame),
      [Kind.RESYNC]: () => this.say("Output came faster than it could be shown: this is the screen as it is now."),
      [Kind.RESIZE]: () => this.resized(frame.columns, frame.rows),
      [Kind.CONTROL]: () => this.control(frame),
      [Kind.TYPIST]: () => this.typist(frame),
      [Kind.PEOPLE]: () => this.met(frame),
      [Kind.NOTICE]: () => this.say(frame.words),
      [Kind.EXIT]: () => this.end(frame.reason || "The terminal has ended."),
      [Kind.ERROR]: () => this.refused(frame),
    };
    handlers[frame.kind]?.();
  }

  attached(frame) {
    this.failures = 0;
    this.epoch = frame.epoch;
    this.acknowledged = 0;
    if (this.offset === null || frame.start >= this.offset) { // perhaps another session host, whose numbers begin anew
      this.former = 0;
      this.keys.interrupted();
    }
    this.resized(frame.columns, frame.rows);
    this.change({ state: "live" });
  }

  refused({ problem, words }) {
    if (problem === Problem.RIGHTS_CHANGED) {
      this.lost();
      this.attach();
      this.say("Your rights to this terminal have changed.");
    } else if (problem === Problem.AWAY || problem === Problem.STOPPING) {
      this.lost();
      const wait = Math.min(FIRST_WAIT_MS * GROWTH ** this.failures, LONGEST_WAIT_MS);
      this.failures += 1;
      this.retry = setTimeout(() => this.attach(), wait / 2 + (Math.random() * wait) / 2);
      this.say("The session host does not answer. Trying again; the terminal may be running on.");
    } else if (problem === Problem.BAD_OFFSET && this.state !== "live") {
      this.offset = null;
      this.attach();
    } else if (problem === Problem.NOT_OPEN || problem === Problem.OPEN_FAILED || (problem === Problem.NOT_ALLOWED && !this.taking)) {
      this.end(words);
    } else if (problem === Problem.UNKNOWN_TYPE && this.keys.asking) {
      this.typeRest({ taken: 0, known: false }); // a session host that counts no keystrokes
    } else {
      this.taking = false;
      const untaken = problem === Problem.STALE_CONTROL || problem === Problem.INPUT_FULL;
      if (untaken && this.inControl && !this.keys.asking) this.introduce(new Keys()); // what was counted holds no more
      this.say(problem === Problem.STALE_CONTROL ? "Somebody else was faster: you are not in control." : words);
    }
  }

  end(words) {
    this.hasControl(false);
    this.ended = words;
    this.change({ state: "ended", people: [], others: 0 });
  }

  // --- what it shows -------------------------------------------------------------------------------------------

  data({ offset, bytes }) {
    const known = this.offset === null ? 0 : Math.max(0, this.offset - offset);
    if (known >= bytes.length) return;
    this.offset = offset + bytes.length;
    this.write(bytes.subarray(known), this.offset);
  }

  snapshot({ offset, columns, rows, exact, last, bytes }) {
    if (!this.drawing) {
      this.screen.write("\x1bc"); // in its place among what is still to be written, which reset() is not
      this.resized(columns, rows);
      if (!exact) this.say("Colours had to be left out of this picture of the screen.");
    }
    this.drawing = !last;
    this.offset = offset;
    this.write(bytes, offset);
  }

  write(bytes, offset) {
    this.screen.write(bytes, () => {
      this.shown = offset;
      if (this.shown - this.acknowledged >= ACK_EVERY) this.acknowledge();
      else this.acking ??= setTimeout(() => this.acknowledge(), ACK_AFTER_MS);
    });
  }

  acknowledge() {
    clearTimeout(this.acking);
    this.acking = null;
    if (this.state !== "live") return;
    this.acknowledged = this.shown;
    this.line.send(say.ack(this.channel, this.shown));
  }

  resized(columns, rows) {
    this.screen.write("", () => { // in its place, likewise
      if (columns !== this.screen.cols || rows !== this.screen.rows) this.screen.resize(columns, rows);
    });
  }

  // The size of the window becomes that of the terminal: for whoever has control, in sight.
  fitToWindow() {
    if (!this.inControl || this.holder.hidden) return;
    const wanted = this.fit.proposeDimensions();
    if (!wanted || Number.isNaN(wanted.cols) || (wanted.cols === this.screen.cols && wanted.rows === this.screen.rows)) return;
    const [columns, rows] = [Math.min(1000, Math.max(2, wanted.cols)), Math.min(1000, Math.max(2, wanted.rows))];
    this.line.send(say.resize(this.channel, this.epoch, columns, rows));
  }

  // --- who types -----------------------------------------------------------------------------------------------

  type(bytes) {
    if (!this.inControl) return;
    this.keys.typed(bytes);
    if (!this.keys.asking) this.input(bytes);
  }

  input(bytes) {
    for (let at = 0; at < bytes.length; at += MOST_INPUT) {
      this.line.send(say.input(this.channel, this.epoch, bytes.subarray(at, at + MOST_INPUT)));
    }
  }

  // The session host is told who types, and says what it has of them; until then nothing is sent.
  introduce(keys) {
    this.keys = keys;
    if (!this.inControl) return;
    keys.asking = true;
    this.line.send(say.typist(this.channel, this.epoch, keys.typist));
  }

  typist(frame) {
    if (this.inControl && this.keys.isMe(frame.typist)) this.typeRest(frame);
  }

  typeRest(answer) {
    const { send, words } = this.keys.answered(answer, this.epoch);
    this.input(send);
    if (words) this.say(words);
  }

  explainSilence() {
    if (this.inControl) return;
    if (this.ended) this.say("The terminal has ended: what you type goes nowhere.");
    else if (this.state !== "live") this.say("Not connected: what you type is not sent.");
    else this.say(this.watchOnly ? "Nobody types here: it shows the work as it happens." : "You are watching: take control to type.");
  }

  wish(wish, viewer = 0) {
    this.taking = wish === Wish.TAKE;
    this.line.send(say.control(this.channel, this.epoch, wish, viewer));
    if (wish === Wish.ASK) this.say("You have asked for control.");
  }

  control({ epoch, yours }) {
    const had = this.inControl;
    this.epoch = epoch;
    this.taking = false;
    this.hasControl(yours);
    if (had && !yours) this.say("You are not in control any more.");
    if (yours && !had) this.say("You are in control.");
    if (had && !yours) this.keys = new Keys();
    else if (yours && (!had || this.keys.asking)) this.introduce(this.keys);
    this.change({});
    this.fitToWindow();
  }

  hasControl(yes) {
    this.inControl = yes;
    this.screen.options.disableStdin = !yes; // nor does the emulator then answer what a program asks of it
    this.screen.options.cursorBlink = yes;
  }

  met({ you, others, people }) {
    this.you = you;
    const holder = people.find((person) => person.controls);
    const me = people.find((person) => person.viewer === you);
    this.mayType = me?.may_type ?? true; // not listed in a crowd: the answer to taking it says
    this.asked = Boolean(me?.asks);
    this.change({ people, others });
    if (holder && holder.viewer !== you && holder.viewer !== this.former) this.keys.interrupted();
    if (this.regain && this.mayType && (!holder || holder.viewer === this.former)) this.wish(Wish.TAKE);
    this.regain = false;
  }

  change(values) {
    Object.assign(this, values);
    this.dispatchEvent(new Event("change"));
  }

  say(words) {
    this.dispatchEvent(new CustomEvent("words", { detail: words }));
  }
}
