"use strict";
(() => {
  const root = document.documentElement.dataset.root;
  const main = document.querySelector("main");
  const said = document.getElementById("updated");
  let busy = false, again = false;

  // Parts that somebody is typing in, or has opened, stay as they are.
  const inUse = (part) =>
    (part.contains(document.activeElement) && document.activeElement.matches("input,select,button")) ||
    [...part.querySelectorAll("input:not([type=hidden])")].some((input) => input.value !== input.defaultValue);

  const swap = (next) => {
    let changed = false;
    for (const part of main.querySelectorAll("[data-live]")) {
      const fresh = next.getElementById(part.id);
      if (!fresh || inUse(part)) continue;
      for (const details of fresh.querySelectorAll("details[id]"))
        details.open = document.getElementById(details.id)?.open ?? details.open;
      if (fresh.isEqualNode(part)) continue;
      const active = part.contains(document.activeElement) ? document.activeElement : null;
      const href = active?.getAttribute("href"), folded = active?.matches("summary") && active.parentElement.id;
      const scrolled = [...part.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
      part.replaceWith(fresh);
      fresh.querySelectorAll(".scroll").forEach((box, place) => (box.scrollLeft = scrolled[place] ?? 0));
      if (href) fresh.querySelector(`a[href="${CSS.escape(href)}"]`)?.focus();
      if (folded) document.getElementById(folded)?.querySelector("summary").focus();
      changed = true;
    }
    for (const id of ["top", "trouble"]) document.getElementById(id).replaceChildren(...next.getElementById(id).childNodes);
    if (changed) said.textContent = "Updated at " + new Date().toLocaleTimeString() + ".";
  };

  const refresh = async () => {
    if (busy) return void (again = true);
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (answer.ok) swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch { /* The service is away; the next event or the next half minute asks again. */ }
    busy = false;
    if (again) { again = false; setTimeout(refresh, 500); }
  };

  const events = new EventSource(root + "/events");
  events.addEventListener("change", (event) => {
    const { models, alerts } = JSON.parse(event.data);
    const { model, alerts: wanted } = main.dataset;
    if ((alerts && wanted) || (model && (!models || model === "*" || models.includes(model)))) refresh();
  });
  let lost = false;
  events.addEventListener("error", () => (lost = true));
  events.addEventListener("open", () => { document.documentElement.dataset.listening = "yes"; if (lost) refresh(); lost = false; });
  setInterval(() => document.visibilityState === "visible" && refresh(), 30000);
})();
