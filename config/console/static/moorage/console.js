// Parts of a page that follow the live stream without reloading it.
//
//   <div data-parts="/admin/…/parts/" data-parts-on="operation.7f… queue">   fetch that fragment when one of these moves
//     <section data-part="timeline">…</section>                             replaced when its own HTML has changed
//
// data-parts-every="15" also asks every so many seconds, for what no event tells: a host that falls silent.
// A name without a dot in data-parts-on stands for every topic of its type. A part that somebody types in, or is about
// to press a button of, stays as it is until the next time. live.js has the socket; this file has none.
"use strict";

(() => {
  const PAUSE_MS = 350; // several events of one moment make one request
  const POLL_EVERY_MS = 5000;

  function busy(part) {
    if (part.contains(document.activeElement) && document.activeElement.closest("form, select, input, textarea")) return true;
    return [...part.querySelectorAll("textarea, input:not([type=hidden])")].some((field) => field.value !== field.defaultValue);
  }

  // The token in each form is masked anew for every answer: it says nothing about a change.
  function essence(part) {
    const copy = part.cloneNode(true);
    for (const token of copy.querySelectorAll("input[name=csrfmiddlewaretoken]")) token.remove();
    for (const details of copy.querySelectorAll("details")) details.removeAttribute("open");
    for (const log of copy.querySelectorAll("[data-log-topic]")) { log.removeAttribute("data-log-cursor"); log.replaceChildren(); }
    return copy.innerHTML;
  }

  // What tells a link, a summary or a button from the others of its part, before a change and after it.
  function sign(element) {
    return [element.tagName, element.getAttribute("href"), element.closest("[data-key]")?.dataset.key, element.textContent].join("\n");
  }

  function adopt(old, fresh) {
    const focused = old.contains(document.activeElement) ? sign(document.activeElement) : null;
    const open = new Map([...old.querySelectorAll("details[data-key]")].map((each) => [each.dataset.key, each.open]));
    for (const each of fresh.querySelectorAll("details[data-key]")) {
      if (open.has(each.dataset.key)) each.open = open.get(each.dataset.key);
    }
    const scrolled = new Map([...old.querySelectorAll("pre")].map((each, index) => [index, each.scrollTop]));
    // A log that goes on (logs.js) is further than what was read for this answer, and stays.
    for (const log of fresh.querySelectorAll("[data-log-topic]")) {
      const known = old.querySelector(`[data-log-topic="${CSS.escape(log.dataset.logTopic)}"]`);
      if (known) log.replaceWith(known);
    }
    old.replaceChildren(...fresh.childNodes);
    for (const [index, top] of scrolled) {
      const pre = old.querySelectorAll("pre")[index];
      if (pre && top) pre.scrollTop = top;
    }
    if (focused) [...old.querySelectorAll("a, summary, button, [tabindex]")].find((each) => sign(each) === focused)?.focus({ preventScroll: true });
    window.moorageLive?.followPage(old);
  }

  function place(root, fresh) {
    const name = fresh.dataset.part;
    const known = root.querySelector(`[data-part="${CSS.escape(name)}"]`);
    if (!known) return false;
    if (!busy(known) && essence(known) !== essence(fresh)) adopt(known, fresh);
    return true;
  }

  class Parts {
    constructor(root) {
      this.root = root;
      this.topics = root.dataset.partsOn.split(/\s+/);
      this.timer = 0;
      this.fetching = false;
      this.again = false;
      this.last = "";
    }

    concerns(message) {
      const type = message.topic.split(".", 1)[0];
      if (!this.topics.includes(message.topic) && !this.topics.includes(type)) return false;
      if (message.topic !== "queue") return true;
      // The queue is told every few seconds; only what it says counts, not how long it has been so.
      const { average_wait_s: _average, oldest_wait_s: _oldest, ...said } = message.payload;
      const now = JSON.stringify(said);
      const news = now !== this.last;
      this.last = now;
      return news;
    }

    soon() {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.refresh(), PAUSE_MS);
    }

    async refresh() {
      if (this.fetching) { this.again = true; return; }
      this.fetching = true;
      try {
        const answer = await fetch(this.root.dataset.parts, { credentials: "same-origin", redirect: "error" });
        if (answer.ok) this.show(await answer.text());
      } catch (error) {
        console.warn("moorage: parts were not refreshed:", error.message); // the next event asks again
      } finally {
        this.fetching = false;
        if (this.again) { this.again = false; this.soon(); }
      }
    }

    show(html) {
      const fresh = new DOMParser().parseFromString(html, "text/html");
      const parts = [...fresh.querySelectorAll("[data-part]")];
      const missing = parts.filter((part) => !place(this.root, document.importNode(part, true)));
      const gone = [...this.root.querySelectorAll("[data-part]")].filter(
        (part) => !fresh.querySelector(`[data-part="${CSS.escape(part.dataset.part)}"]`) && !busy(part));
      for (const part of gone) part.remove();
      // A part that is new here (the result of an operation that has just ended) goes before the one it precedes there;
      // the last of them first, for it may be what another one precedes.
      for (const part of missing.reverse()) {
        const next = part.nextElementSibling?.dataset?.part;
        const before = next ? this.root.querySelector(`[data-part="${CSS.escape(next)}"]`) : null;
        if (before) before.before(document.importNode(part, true));
      }
    }
  }

  function keepAsking(parts) {
    const every = Number(parts.root.dataset.partsEvery || 0);
    if (every > 0) setInterval(() => { if (!document.hidden) parts.refresh(); }, every * 1000);
  }

  const all = [...document.querySelectorAll("[data-parts]")].map((root) => new Parts(root));
  if (!all.length) return;
  all.forEach(keepAsking);
  document.addEventListener("moorage:event", (event) => {
    for (const parts of all) if (parts.concerns(event.detail)) parts.soon();
  });
  document.addEventListener("moorage:refresh", () => all.forEach((parts) => parts.refresh()));
  setInterval(() => { // where websockets do not get through, live.js says so
    if (!document.hidden && document.querySelector('[data-live-status="polling"]')) all.forEach((parts) => parts.refresh());
  }, POLL_EVERY_MS);
})();
