// What was typed and may not have arrived. Nothing acknowledges a keystroke; after a broken line the session host says
// how many bytes it was given of this typist, and the rest is typed once.

export const MOST_KEPT = 65536;
const RESENT_WITHIN_MS = 60000; // what was typed longer ago is not what the person expects to happen now
const RECENT_MS = 30000; // so long a dead line may go unnoticed: what was typed before that has arrived
const NOTHING = new Uint8Array(0);

export class Keys {
  // Of somebody whom the session host does not know yet.
  constructor() {
    this.typist = crypto.getRandomValues(new Uint8Array(16));
    this.count = 0; // bytes typed
    this.typedAt = -Infinity;
    this.kept = NOTHING; // the last of them
    this.asking = false; // until the session host has answered, nothing is sent
    this.broken = null;
  }

  typed(bytes) {
    const all = new Uint8Array(this.kept.length + bytes.length);
    all.set(this.kept);
    all.set(bytes, this.kept.length);
    this.kept = all.subarray(Math.max(0, all.length - MOST_KEPT));
    this.count += bytes.length;
    this.typedAt = Date.now();
  }

  // The line broke while in control in this epoch: only control in one of the next two is nobody else's turn in between.
  lost(epoch) {
    this.asking = false;
    const next = [1, 2].map((more) => (epoch + more) % 2 ** 32);
    this.broken ??= { count: this.count, epochs: new Set(next), at: Date.now(), typedAt: this.typedAt };
  }

  // Somebody else has control, or another session host is there: nothing of before follows.
  interrupted() {
    this.broken?.epochs.clear();
  }

  // An answer to another question than the last one says nothing.
  isMe(typist) {
    return this.asking && this.typist.every((digit, at) => digit === typist[at]);
  }

  // In control, in this epoch: { send: the bytes that are still to be typed, words: what is to be said }.
  answered({ taken, known }, epoch) {
    const { broken } = this;
    const since = this.count - (broken?.count ?? 0); // typed while it was asked
    const missing = this.count - taken - since; // typed before, and not taken
    const follows = known && broken?.epochs.has(epoch) && Date.now() - broken.at < RESENT_WITHIN_MS;
    const again = broken && follows && missing + since <= this.kept.length ? missing : 0;
    const lost = broken && (known ? missing > again : broken.at - broken.typedAt < RECENT_MS);
    const send = this.kept.slice(Math.max(0, this.kept.length - again - since));
    Object.assign(this, { asking: false, broken: null, count: taken + send.length, kept: send });
    return { send, words: lost ? "What you typed last may not have arrived." : "" };
  }
}
