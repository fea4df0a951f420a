// The logs of stages that run: <pre data-log="/admin/…/log/7/"> is asked again and again while it can be seen.
//
// What comes is the end of the log, bounded by the server; the whole text is replaced, so no line is lost or doubled,
// however many come in between. Nothing is asked for while the tab is hidden, the log folded, or text in it selected.
"use strict";

(() => {
  const EVERY_MS = 1000;
  const NEAR_THE_END_PX = 24;
  const marks = new Map(); // the element → the ETag of what it shows
  let asking = false;

  function wanted(pre) {
    if (document.hidden || pre.closest("details:not([open])")) return false;
    const selection = document.getSelection();
    return !(selection && !selection.isCollapsed && pre.contains(selection.anchorNode));
  }

  function show(pre, html) {
    const atEnd = pre.scrollHeight - pre.scrollTop - pre.clientHeight < NEAR_THE_END_PX;
    const fresh = new DOMParser().parseFromString(`<pre>\n${html}</pre>`, "text/html").querySelector("pre");
    pre.replaceChildren(...fresh.childNodes);
    if (atEnd) pre.scrollTop = pre.scrollHeight;
  }

  async function ask(pre) {
    const address = pre.dataset.log;
    const mark = marks.get(pre);
    const answer = await fetch(address, { credentials: "same-origin", redirect: "error", headers: mark ? { "If-None-Match": mark } : {} });
    if (!answer.ok || !pre.isConnected) return;
    show(pre, await answer.text());
    marks.set(pre, answer.headers.get("ETag"));
    if (answer.headers.get("X-Moorage-Live") !== "1") pre.removeAttribute("data-log"); // it has said its last
  }

  async function round() {
    if (asking) return;
    asking = true;
    try {
      for (const pre of [...document.querySelectorAll("[data-log]")].filter(wanted)) await ask(pre);
    } catch (error) {
      console.warn("moorage: a log was not read:", error.message); // the next round asks again
    } finally {
      asking = false;
      for (const pre of marks.keys()) if (!pre.isConnected) marks.delete(pre);
    }
  }

  for (const pre of document.querySelectorAll("[data-log]")) pre.scrollTop = pre.scrollHeight;
  setInterval(round, EVERY_MS);
})();
