// The live stream in the browser: one socket per page, which knows where it is and goes on from there.
//
//   <tr data-live-topic="operation.7f…" data-live-cursor="12">   follow this topic, behind event 12 if that is given
//   <td data-live-field="operation.7f….status" data-value="running">   shows payload.operation.status of that topic
//   <p data-live-status>                                         says how the connection is: data-live-status="live"
//   <p data-live-figures>                                        how long the server takes to answer, events a second
//   <div data-live-banner hidden><span><span><button>            what is wrong, when it is tried again, and try now
//
// Each message is also dispatched on the document as a CustomEvent "moorage:event" (detail: the message). Whoever needs
// more than text, listens. window.moorageLive.follow(topic, cursor) and .leave(topic) are for topics that come and go.
"use strict";

(() => {
  const FIRST_WAIT_MS = 1000;
  const GROWTH = 1.5;
  const LONGEST_WAIT_MS = 30000;
  const SILENCE_MS = 40000; // the server asks every 30 s; nothing for longer than this means the line is dead
  const HIDDEN_MS = 60000; // a tab out of sight for so long hangs up, and comes back with its cursors
  const PING_EVERY_MS = 10000;
  const RATE_OVER_MS = 10000;
  const FAILURES_BEFORE_POLLING = 4;
  const POLL_EVERY_MS = 5000;
  const TOPICS_AT_ONCE = 200;
  const SIGNED_OUT = 4401;
  const EPHEMERAL = new Set(["queue", "metrics"]);
  const WORDS = {
    connecting: "Connecting…",
    live: "Live",
    waiting: "Connection lost, trying again…",
    polling: "Live connection is not available; asking every few seconds",
    paused: "Paused while out of sight",
    "signed-out": "Signed out: reload the page to sign in",
  };

  const cursors = new Map(); // topic → number of the last event seen; null before the first
  let socket = null;
  let failures = 0;
  let retryTimer = 0;
  let silenceTimer = 0;
  let hiddenTimer = 0;
  let pollTimer = 0;
  let stopped = false;
  let retryAt = 0; // when the next attempt is due, by performance.now()
  let pingedAt = 0; // when the question that waits for its pong was sent; 0 while none does
  let latencyMs = null;
  const arrivals = []; // when each event of the last seconds came

  // --- what the page shows -------------------------------------------------------------------------------------

  function show(state) {
    for (const element of document.querySelectorAll("[data-live-status]")) {
      if (element.getAttribute("data-live-status") === state) continue;
      element.setAttribute("data-live-status", state);
      element.textContent = WORDS[state];
    }
  }

  function state() {
    return document.querySelector("[data-live-status]")?.getAttribute("data-live-status");
  }

  // How well it goes while it goes, and what is done about it while it does not. Each second, and nothing is read aloud.
  function showFigures() {
    const now = performance.now();
    while (arrivals.length && now - arrivals[0] > RATE_OVER_MS) arrivals.shift();
    const live = state() === "live";
    const rate = arrivals.length / (RATE_OVER_MS / 1000);
    const said = live && latencyMs !== null ? `· ${latencyMs < 1 ? "<1" : Math.round(latencyMs)} ms · ${rate ? rate.toFixed(1) : "no"} events/s` : "";
    for (const element of document.querySelectorAll("[data-live-figures]")) if (element.textContent !== said) element.textContent = said;
    const lost = !stopped && !live && failures > 0 && !document.hidden;
    const left = Math.max(0, Math.ceil((retryAt - now) / 1000));
    const words = [WORDS[state()] ?? "", socket ? "Connecting now." : `Next attempt in ${left} s.`];
    for (const banner of document.querySelectorAll("[data-live-banner]")) {
      banner.hidden = !lost;
      if (!lost) continue;
      [...banner.children].slice(0, 2).forEach((each, n) => { if (each.textContent !== words[n]) each.textContent = words[n]; });
    }
  }

  function underEdit(element) {
    const active = document.activeElement;
    if (element.matches("input, select, textarea, [contenteditable]")) return true;
    if (!active || active === document.body) return false;
    return element.contains(active) || Boolean(element.closest("form")?.contains(active));
  }

  function setField(name, value) {
    for (const element of document.querySelectorAll(`[data-live-field="${CSS.escape(name)}"]`)) {
      if (underEdit(element)) continue;
      const text = value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
      if (element.getAttribute("data-value") === text) continue;
      element.textContent = text;
      element.setAttribute("data-value", text);
    }
  }

  function setFields(prefix, values) {
    for (const [key, value] of Object.entries(values)) setField(`${prefix}.${key}`, value);
  }

  function apply(message) {
    const subject = message.topic.split(".", 1)[0];
    if (EPHEMERAL.has(message.topic)) setFields(message.topic, message.payload);
    else if (message.payload[subject]) setFields(message.topic, message.payload[subject]);
    document.dispatchEvent(new CustomEvent("moorage:event", { detail: message }));
  }

  // --- what arrives --------------------------------------------------------------------------------------------

  function take(message) {
    if (message.type === "batch") {
      message.messages.forEach(take);
    } else if (message.type === "ping") {
      say({ type: "pong" });
    } else if (message.type === "pong") {
      if (pingedAt) latencyMs = performance.now() - pingedAt;
      pingedAt = 0;
    } else if (message.type === "subscribed") {
      for (const [topic, cursor] of Object.entries(message.cursors)) if (cursors.has(topic)) cursors.set(topic, cursor);
      failures = 0;
      show("live");
      ping();
    } else if (message.type === "error") {
      if (message.topic) cursors.delete(message.topic);
      console.warn("moorage live:", message.code, message.topic ?? "", message.detail);
    } else if (message.topic && cursors.has(message.topic)) {
      const cursor = cursors.get(message.topic);
      if (!EPHEMERAL.has(message.topic) && cursor !== null && message.seq <= cursor) return;
      cursors.set(message.topic, message.seq);
      arrivals.push(performance.now());
      apply(message);
    }
  }

  // --- the socket ----------------------------------------------------------------------------------------------

  function say(frame) {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame));
  }

  function ping() {
    if (state() !== "live" || socket?.readyState !== WebSocket.OPEN) return;
    pingedAt = performance.now();
    say({ type: "ping" });
  }

  function subscribe(topics) {
    for (let start = 0; start < topics.length; start += TOPICS_AT_ONCE) {
      const part = topics.slice(start, start + TOPICS_AT_ONCE);
      const known = part.filter((topic) => cursors.get(topic) !== null && !EPHEMERAL.has(topic));
      const after = Object.fromEntries(known.map((topic) => [topic, cursors.get(topic)]));
      if (part.length) say({ type: "subscribe", topics: part, after, batch: true });
    }
  }

  function listen() {
    clearTimeout(silenceTimer);
    const mine = socket;
    silenceTimer = setTimeout(() => { if (mine === socket) lost(mine); }, SILENCE_MS);
  }

  function connect() {
    clearTimeout(retryTimer);
    if (socket || stopped || document.hidden || cursors.size === 0) return;
    if (!pollTimer) show(failures ? "waiting" : "connecting");
    const address = new URL("/ws/events/", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const mine = new WebSocket(address);
    socket = mine;
    listen();
    mine.onopen = () => { endPolling(); subscribe([...cursors.keys()]); };
    mine.onmessage = (event) => {
      if (mine !== socket) return;
      listen();
      take(JSON.parse(event.data));
    };
    mine.onclose = (event) => {
      if (mine !== socket) return;
      if (event.code === SIGNED_OUT) { stopped = true; hangUp(); show("signed-out"); } else lost(mine);
    };
  }

  function hangUp() {
    clearTimeout(silenceTimer);
    clearTimeout(retryTimer);
    const mine = socket;
    socket = null;
    mine?.close();
  }

  function lost(mine) {
    if (mine !== socket) return;
    hangUp();
    failures += 1;
    const wait = Math.min(FIRST_WAIT_MS * GROWTH ** (failures - 1), LONGEST_WAIT_MS);
    // Half of it at random: after a restart of the server not all tabs come at once.
    const pause = wait / 2 + Math.random() * wait / 2;
    retryTimer = setTimeout(connect, pause);
    retryAt = performance.now() + pause;
    latencyMs = null;
    if (failures >= FAILURES_BEFORE_POLLING) poll();
    else show("waiting");
    showFigures();
  }

  // --- where websockets do not get through: read the page's state again and again --------------------------------

  async function poll() {
    if (pollTimer || stopped || document.hidden) return;
    show("polling");
    pollTimer = setInterval(pollOnce, POLL_EVERY_MS);
    await pollOnce();
  }

  async function pollOnce() {
    // EventSource would be a second line of the same kind; a proxy that breaks one often holds the other back too.
    for (const topic of cursors.keys()) {
      if (topic.startsWith("log.")) continue; // logs.js asks
      const [subject, id] = topic.split(".", 2);
      const path = id ? `/api/v1/${subject}s/${encodeURIComponent(id)}/` : { queue: "/api/v1/queues/", metrics: "/api/v1/metrics/" }[topic];
      try {
        const answer = await fetch(path, { headers: { Accept: "application/json" }, credentials: "same-origin" });
        if (answer.status === 401) { stopped = true; endPolling(); hangUp(); show("signed-out"); return; }
        if (answer.ok) setFields(topic, await answer.json());
      } catch (error) {
        console.warn("moorage live: no answer", path, error.message);
        return; // the server is away: the next round asks again
      }
    }
  }

  function endPolling() {
    clearInterval(pollTimer);
    pollTimer = 0;
  }

  // --- the page ------------------------------------------------------------------------------------------------

  function follow(topic, cursor = null) {
    if (cursors.has(topic)) return;
    cursors.set(topic, cursor);
    if (socket?.readyState === WebSocket.OPEN) subscribe([topic]);
    else connect();
  }

  function leave(topic) {
    if (cursors.delete(topic)) say({ type: "unsubscribe", topics: [topic] });
  }

  function followPage(root) {
    for (const element of root.querySelectorAll("[data-live-topic]")) {
      const cursor = element.getAttribute("data-live-cursor");
      for (const topic of element.getAttribute("data-live-topic").split(/[\s,]+/)) {
        if (topic) follow(topic, cursor !== null && /^\d+$/.test(cursor) ? Number(cursor) : null);
      }
    }
  }

  function visibility() {
    clearTimeout(hiddenTimer);
    if (document.hidden) {
      endPolling();
      hiddenTimer = setTimeout(() => {
        if (stopped) return; // what it shows says why, and stays
        hangUp();
        show("paused");
      }, HIDDEN_MS);
    } else if (!stopped && !socket) {
      connect();
    }
  }

  document.addEventListener("visibilitychange", visibility);
  for (const button of document.querySelectorAll("[data-live-banner] button")) button.addEventListener("click", connect);
  setInterval(showFigures, 1000);
  setInterval(ping, PING_EVERY_MS);
  window.addEventListener("online", () => { if (!stopped && !socket) connect(); });
  window.addEventListener("pagehide", hangUp);
  window.addEventListener("pageshow", () => { if (!stopped && !socket) connect(); });
  window.moorageLive = Object.freeze({ follow, leave, followPage });
  followPage(document);
})();
