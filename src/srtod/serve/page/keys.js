// Everything by keyboard, and the page that says so.

import { element } from "./element.js";

const PAN = 80;

/** actions: by name, see the table; arrows pan only where no control of the page needs them. */
export function keys(page, actions) {
  const table = [
    [["+", "="], "zoom in", actions["zoom-in"]],
    [["-"], "zoom out", actions["zoom-out"]],
    [["0"], "whole image", actions.fit],
    [["1"], "full size, pixel by pixel", actions.actual],
    [["ArrowLeft"], "move left", () => actions.pan(PAN, 0)],
    [["ArrowRight"], "move right", () => actions.pan(-PAN, 0)],
    [["ArrowUp"], "move up", () => actions.pan(0, PAN)],
    [["ArrowDown"], "move down", () => actions.pan(0, -PAN)],
    [["n"], "next detection", () => actions.step(1)],
    [["p"], "detection before", () => actions.step(-1)],
    [["Escape"], "choose none", actions.none],
    [["]", "PageDown"], "next image", () => actions.turn(1)],
    [["[", "PageUp"], "image before", () => actions.turn(-1)],
    [["o"], "next map over the picture", actions.layer],
    ...(actions.compare ? [[["c"], "side by side", actions.compare]] : []),
    [["b"], "boxes on or off", actions.boxes],
    [["?"], "this page", actions.help],
  ];
  const byKey = new Map(table.flatMap(([names, , action]) => names.map((name) => [name, action])));
  page.addEventListener("keydown", (event) => {
    const action = byKey.get(event.key.length === 1 ? event.key.toLowerCase() : event.key);
    if (!action || event.ctrlKey || event.metaKey || event.altKey || isTaken(event)) return;
    event.preventDefault();
    action();
  });
  page.querySelector("#keys dl").append(...table.flatMap(([names, text]) => [
    element("dt", {}, ...names.map((name) => element("kbd", {}, shown(name)))), element("dd", {}, text)]));
}

function isTaken({ key, target }) {
  if (target.closest("dialog[open]")) return true;
  return key.length > 1 && key !== "Escape" && target.matches("input, select, textarea, [role=listbox]");
}

function shown(name) {
  const arrows = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc" };
  return arrows[name] ?? (name.length === 1 ? name.toUpperCase() : name);
}
