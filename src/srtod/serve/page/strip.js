// The row of images, where there are several.

import { element } from "./element.js";

const HEIGHT = 48;

export function strip(state, nav) {
  const buttons = new Map();
  state.when(["items", "current", "minScore", "hiddenClasses"], () => {
    nav.hidden = state.items.length < 2;
    if (nav.hidden) return;
    for (const item of state.items) {
      if (!buttons.has(item)) nav.append(buttons.set(item, button(state, item)).get(item));
      show(state, item, buttons.get(item));
    }
  });
  state.when(["current"], () => buttons.get(state.current)?.scrollIntoView({ block: "nearest", inline: "nearest" }));
}

function button(state, item) {
  const made = element("button", { type: "button", title: item.name },
    element("canvas", { height: HEIGHT * 2, width: HEIGHT * 2, "aria-hidden": "true" }),
    element("span", { class: "name" }, item.name.split("/").at(-1)), element("span", { class: "count" }));
  made.addEventListener("click", () => state.set({ current: item, selected: null, hovered: null }));
  return made;
}

function show(state, item, made) {
  const [canvas, , count] = made.children;
  if (item === state.current) made.setAttribute("aria-current", "true");
  else made.removeAttribute("aria-current");
  made.classList.toggle("failed", Boolean(item.problem));
  const text = item.found ? String(state.shown(item).length) : "…";
  count.textContent = item.problem ? "!" : text;
  if (item.thumbnail && !canvas.dataset.drawn) {
    canvas.dataset.drawn = "yes";
    canvas.width = item.thumbnail.width;
    canvas.getContext("2d").drawImage(item.thumbnail, 0, 0);
  }
}
