// "New task": looks at the request while the form is filled in. Without this file the button "Look at it first" does.
//
// What is typed stays as it is: only the element [data-look] beside the form is replaced. The repository is asked when
// where it is has changed, and never twice at once.
"use strict";

(() => {
  const PAUSE_MS = 600;
  const form = document.querySelector("form[data-look-at]");
  if (!form) return;
  const look = form.querySelector("[data-look]");
  const added = form.querySelector("[data-new-project]");
  let timer = 0;
  let turn = 0;
  let asked = null;

  const where = () => ["project", "repository_url", "base_branch"].map((name) => form.elements[name].value.trim()).join("\n");
  const isNew = () => form.elements.project.value === "";

  function place(html, { keepRemote }) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    for (const part of fresh.querySelectorAll("[data-look-part]")) {
      if (keepRemote && part.dataset.lookPart === "remote") continue;
      const old = look.querySelector(`[data-look-part="${CSS.escape(part.dataset.lookPart)}"]`);
      if (old && old.innerHTML !== part.innerHTML) old.replaceChildren(...document.importNode(part, true).childNodes);
    }
  }

  async function ask({ remote }) {
    const mine = ++turn;
    const asking = where();
    const body = new FormData(form);
    if (remote) { body.set("remote", "1"); look.setAttribute("aria-busy", "true"); }
    try {
      const answer = await fetch(form.dataset.lookAt, { method: "POST", body, credentials: "same-origin", redirect: "error" });
      if (!answer.ok) return;
      const html = await answer.text();
      if (mine !== turn) return; // something was typed meanwhile: its own answer follows
      place(html, { keepRemote: !remote });
      if (remote) asked = asking;
    } catch (error) {
      console.warn("moorage: no look at the request:", error.message); // the form works without
    } finally {
      if (mine === turn) look.removeAttribute("aria-busy");
    }
  }

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(() => ask({ remote: where() !== asked && (!isNew() || form.elements.repository_url.value.trim() !== "") }), PAUSE_MS);
  }

  function arrange() { added.hidden = !isNew(); }

  form.addEventListener("input", soon);
  form.addEventListener("change", () => { arrange(); soon(); });
  form.addEventListener("submit", (event) => {
    if (event.submitter?.value !== "look") return;
    event.preventDefault();
    clearTimeout(timer);
    ask({ remote: true });
  });
  arrange();
  soon();
})();
