// One websocket for all terminals of a page. Lost, it comes back by itself: after 1 s, then ×1.5 up to 30 s, half of it
// at random. Each view on it attaches anew at its own offset, so nothing is missed and nothing comes twice.
import { Kind, SUBPROTOCOL, heard, say } from "./terminal-wire.js";

const FIRST_WAIT_MS = 1000;
const GROWTH = 1.5;
const LONGEST_WAIT_MS = 30000;
const PING_EVERY_MS = 10000;
const SILENCE_MS = 25000; // pings are answered: nothing for longer than this means that the line is dead
const SIGNED_OUT = 4401;

export class Line extends EventTarget {
  // Tells of each change by "state": detail { state: connecting|live|waiting|paused|signed-out, wait, attempt }.
  constructor(address) {
    super();
    this.state = "connecting";
    this.live = false;
    this.address = address;
    this.views = new Map();
    this.socket = null;
    this.failures = 0;
    this.last = 0;
    this.stopped = false;
  }

  join(view) {
    this.last = (this.last % 0xffff) + 1;
    view.channel = this.last;
    this.views.set(view.channel, view);
    if (this.live) view.attach();
    else this.connect();
  }

  send(message) {
    if (!this.live) return false;
    this.socket.send(message);
    return true;
  }

  connect() {
    clearTimeout(this.retry);
    if (this.socket || this.stopped) return;
    this.show("connecting");
    const mine = new WebSocket(this.address, [SUBPROTOCOL]);
    mine.binaryType = "arraybuffer";
    this.socket = mine;
    this.listen();
    mine.onopen = () => mine.send(say.hello());
    mine.onmessage = (event) => { if (mine === this.socket) this.hear(event.data); };
    mine.onclose = (event) => { if (mine === this.socket) this.lost(event.code); };
  }

  // Out of sight: hang up without trying again until resume().
  pause() {
    if (this.stopped) return;
    clearTimeout(this.retry);
    this.hangUp();
    this.show("paused");
  }

  hear(data) {
    this.listen();
    const frame = heard(data);
    if (frame.kind === Kind.HELLO) {
      this.live = true;
      this.failures = 0;
      this.show("live");
      this.pinging = setInterval(() => this.send(say.ping()), PING_EVERY_MS);
      for (const view of this.views.values()) view.attach();
    } else {
      this.views.get(frame.channel)?.hear(frame);
    }
  }

  listen() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.lost(0), SILENCE_MS);
  }

  lost(code) {
    this.hangUp();
    if (code === SIGNED_OUT) {
      this.stopped = true;
      this.show("signed-out");
      return;
    }
    const wait = Math.min(FIRST_WAIT_MS * GROWTH ** this.failures, LONGEST_WAIT_MS);
    const jittered = wait / 2 + (Math.random() * wait) / 2; // after a restart of the server not all come at once
    this.failures += 1;
    this.retry = setTimeout(() => this.connect(), jittered);
    this.show("waiting", { wait: jittered, attempt: this.failures });
  }

  hangUp() {
    clearTimeout(this.silence);
    clearInterval(this.pinging);
    const mine = this.socket;
    this.socket = null;
    this.live = false;
    mine?.close();
    for (const view of this.views.values()) view.lost();
  }

  show(state, more = {}) {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, ...more } }));
  }
}
