// The logs of stages that run: what is said is pushed over the live stream and added at their end.
//
//   <pre data-log="/admin/…/log/7/" data-log-topic="log.7" data-log-cursor="1234">   shows the log up to there
//
// The cursor counts what the stage has said. Each message says from where to where it goes, and after a broken line the
// stream goes on behind the cursor: no line is lost or doubled. A log that is folded, or that text is selected in, is not
// followed meanwhile; the server sends of what was missed no more than the end. Where websockets do not get through, the
// end is asked for every few seconds.
"use strict";

(() => {
  const LOOK_EVERY_MS = 1000;
  const POLL_EVERY_MS = 5000;
  const KEPT = 40000; // characters on the page; the server's own page begins with 20 000
  const NEAR_THE_END_PX = 24;
  const followed = new Map(); // topic → the element that shows it
  let asking = false;

  const logs = () => [...document.querySelectorAll("[data-log-topic]")];
  const cursorOf = (pre) => Number(pre.dataset.logCursor);
  const polling = () => document.querySelector('[data-live-status="polling"]') !== null;

  function wanted(pre) {
    if (pre.closest("details:not([open])")) return false;
    const selection = document.getSelection();
    return !(selection && !selection.isCollapsed && pre.contains(selection.anchorNode));
  }

  function arrange() {
    const now = new Map(logs().filter(wanted).map((pre) => [pre.dataset.logTopic, pre]));
    for (const topic of followed.keys()) if (!now.has(topic)) { followed.delete(topic); window.moorageLive?.leave(topic); }
    for (const [topic, pre] of now) {
      if (!followed.has(topic)) window.moorageLive?.follow(topic, cursorOf(pre));
      followed.set(topic, pre);
    }
  }

  function again(topic, pre) {
    window.moorageLive?.leave(topic);
    window.moorageLive?.follow(topic, cursorOf(pre));
  }

  function chunk(html) {
    const made = document.createElement("span");
    made.className = "log-chunk";
    made.append(...new DOMParser().parseFromString(`<pre>\n${html}</pre>`, "text/html").querySelector("pre").childNodes);
    return made;
  }

  function show(pre, html, { reset }) {
    const atEnd = pre.scrollHeight - pre.scrollTop - pre.clientHeight < NEAR_THE_END_PX;
    if (!reset && !pre.querySelector(":scope > .log-chunk")) { // what came with the page becomes the first of the chunks
      const first = document.createElement("span");
      first.className = "log-chunk";
      first.append(...pre.childNodes);
      pre.replaceChildren(first);
    }
    if (reset) pre.replaceChildren(chunk(html));
    else pre.append(chunk(html));
    let length = 0;
    for (const each of [...pre.children].reverse()) {
      if (length > KEPT) each.remove();
      length += each.textContent.length;
    }
    if (atEnd) pre.scrollTop = pre.scrollHeight;
  }

  function take(message) {
    const pre = followed.get(message.topic);
    const said = message.payload.log;
    if (!pre?.isConnected || message.seq <= cursorOf(pre)) return;
    if (!said.reset && said.from !== cursorOf(pre)) { again(message.topic, pre); return; }
    show(pre, said.html, said);
    pre.dataset.logCursor = message.seq;
    if (!said.live) ended(pre);
  }

  function ended(pre) {
    window.moorageLive?.leave(pre.dataset.logTopic);
    followed.delete(pre.dataset.logTopic);
    for (const name of ["data-log", "data-log-topic", "data-log-cursor"]) pre.removeAttribute(name);
  }

  async function ask(pre) {
    const answer = await fetch(pre.dataset.log, { credentials: "same-origin", redirect: "error" });
    const cursor = Number(answer.headers.get("X-Moorage-Cursor"));
    if (!answer.ok || !pre.isConnected || !wanted(pre)) return;
    if (cursor > cursorOf(pre)) show(pre, await answer.text(), { reset: true });
    pre.dataset.logCursor = Math.max(cursor, cursorOf(pre));
    if (answer.headers.get("X-Moorage-Live") !== "1") ended(pre);
    else again(pre.dataset.logTopic, pre);
  }

  async function poll() {
    if (asking || document.hidden || !polling()) return;
    asking = true;
    try {
      for (const pre of logs().filter(wanted)) await ask(pre);
    } catch (error) {
      console.warn("moorage: a log was not read:", error.message); // the next round asks again
    } finally {
      asking = false;
    }
  }

  for (const pre of logs()) pre.scrollTop = pre.scrollHeight;
  arrange();
  document.addEventListener("moorage:event", (event) => { if (event.detail.payload.log) take(event.detail); });
  document.addEventListener("toggle", arrange, { capture: true });
  document.addEventListener("selectionchange", arrange);
  setInterval(arrange, LOOK_EVERY_MS); // what came with a renewed part of the page
  setInterval(poll, POLL_EVERY_MS);
})();
