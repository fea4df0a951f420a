// The frames of docs/terminal-protocol.md as the browser says and hears them: u8 type, u16 channel, payload. Pure.

export const SUBPROTOCOL = "moorage.term.v1";
export const VERSION = 1;
export const MOST_INPUT = 16384;
export const ACK_EVERY = 16384;
const LIVE_ONLY = 0xffffffffffffffffn;

export const Kind = Object.freeze({
  HELLO: 0x01, PING: 0x02, PONG: 0x03, ERROR: 0x04,
  OPEN: 0x10, ATTACH: 0x11, DETACH: 0x12, CLOSE: 0x13, TAIL: 0x14, ACK: 0x15,
  DATA: 0x20, RESYNC: 0x21, EXIT: 0x22, SNAPSHOT: 0x23, PEOPLE: 0x24, NOTICE: 0x25,
  INPUT: 0x30, RESIZE: 0x31, CONTROL: 0x32, TYPIST: 0x33,
});

export const Problem = Object.freeze({
  MALFORMED: 1, UNKNOWN_TYPE: 2, VERSION: 3, NOT_OPEN: 4, NOT_ATTACHED: 5, CHANNEL_TAKEN: 6, STALE_CONTROL: 7,
  INPUT_FULL: 8, BAD_OFFSET: 9, BAD_SIZE: 10, TOO_MANY: 11, OPEN_FAILED: 12, STOPPING: 13, NOT_ALLOWED: 14, AWAY: 15,
  RIGHTS_CHANGED: 16,
});

export const Wish = Object.freeze({ GIVE_BACK: 0, TAKE: 1, ASK: 2, HAND_TO: 3 });

const decoder = new TextDecoder();

function frame(kind, channel, size) {
  const view = new DataView(new ArrayBuffer(3 + size));
  view.setUint8(0, kind);
  view.setUint16(1, channel);
  return view;
}

export const say = Object.freeze({
  hello: () => { const made = frame(Kind.HELLO, 0, 1); made.setUint8(3, VERSION); return made; },
  ping: () => frame(Kind.PING, 0, 0),
  detach: (channel) => frame(Kind.DETACH, channel, 0),
  // An offset of null has seen nothing: it is shown the screen as it is.
  attach(channel, terminal, offset) {
    const made = frame(Kind.ATTACH, channel, 25);
    const digits = terminal.replaceAll("-", "");
    for (let at = 0; at < 16; at += 1) made.setUint8(3 + at, parseInt(digits.slice(2 * at, 2 * at + 2), 16));
    made.setBigUint64(19, offset === null ? LIVE_ONLY : BigInt(offset));
    return made;
  },
  ack(channel, offset) {
    const made = frame(Kind.ACK, channel, 8);
    made.setBigUint64(3, BigInt(offset));
    return made;
  },
  input(channel, epoch, bytes) {
    const made = frame(Kind.INPUT, channel, 4 + bytes.length);
    made.setUint32(3, epoch);
    new Uint8Array(made.buffer, 7).set(bytes);
    return made;
  },
  resize(channel, epoch, columns, rows) {
    const made = frame(Kind.RESIZE, channel, 8);
    made.setUint32(3, epoch);
    made.setUint16(7, columns);
    made.setUint16(9, rows);
    return made;
  },
  control(channel, epoch, wish, viewer = 0) {
    const made = frame(Kind.CONTROL, channel, 9);
    made.setUint32(3, epoch);
    made.setUint8(7, wish);
    made.setUint32(8, viewer);
    return made;
  },
  typist(channel, epoch, typist) {
    const made = frame(Kind.TYPIST, channel, 20);
    made.setUint32(3, epoch);
    new Uint8Array(made.buffer, 7).set(typist);
    return made;
  },
});

const u64 = (view, at) => Number(view.getBigUint64(at));
const rest = (view, at) => new Uint8Array(view.buffer, view.byteOffset + at);
const words = (view, at) => decoder.decode(rest(view, at));

const TOLD = {
  [Kind.ERROR]: (view) => ({ problem: view.getUint16(3), words: words(view, 5) }),
  [Kind.ATTACH]: (view) => ({
    start: u64(view, 3), head: u64(view, 11), epoch: view.getUint32(19), columns: view.getUint16(23), rows: view.getUint16(25),
  }),
  [Kind.DATA]: (view) => ({ offset: u64(view, 3), bytes: rest(view, 11) }),
  [Kind.RESYNC]: (view) => ({ from: u64(view, 3), offset: u64(view, 11) }),
  [Kind.EXIT]: (view) => ({ offset: u64(view, 3), code: view.getInt32(11), reason: words(view, 15) }),
  [Kind.SNAPSHOT]: (view) => ({
    offset: u64(view, 3), columns: view.getUint16(11), rows: view.getUint16(13),
    exact: view.getUint8(15) === 1, last: view.getUint8(16) === 1, bytes: rest(view, 17),
  }),
  [Kind.PEOPLE]: (view) => ({ you: view.getUint32(3), others: view.getUint16(7), people: JSON.parse(words(view, 9)) }),
  [Kind.NOTICE]: (view) => ({ words: words(view, 3) }),
  [Kind.RESIZE]: (view) => ({ columns: view.getUint16(3), rows: view.getUint16(5) }),
  [Kind.CONTROL]: (view) => ({ epoch: view.getUint32(3), yours: view.getUint8(7) === 1 }),
  [Kind.TYPIST]: (view) => ({ typist: new Uint8Array(view.buffer, 3, 16), taken: u64(view, 19), known: view.getUint8(27) === 1 }),
};

// { kind, channel, … } of a message; a type that is not known here has nothing but these two.
export function heard(buffer) {
  const view = new DataView(buffer);
  const kind = view.getUint8(0);
  return { kind, channel: view.getUint16(1), ...TOLD[kind]?.(view) };
}
