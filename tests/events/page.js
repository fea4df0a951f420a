"use strict";
let seen = 0;
document.addEventListener("moorage:event", (event) => {
  seen += 1;
  document.title = `${event.detail.payload.kind} ${seen}`;
});
