// Which map lies over the picture, and how much of it.

import { element } from "./element.js";

export const LAYERS = [
  ["none", "None"],
  ["difference", "Difference"],
  ["mask", "Mask"],
  ["p2_before", "Heat before"],
  ["p2_after", "Heat after"],
  ["reconstruction", "Rebuilt"],
];

export function layers(state, page) {
  page.querySelector("#no-maps").hidden = state.about.has_maps;
  page.querySelector("#no-maps").textContent = state.about.no_maps_because;
  page.querySelector("#with-maps").hidden = !state.about.has_maps;
  const shown = shownLayers(state);
  const radios = shown.map(([name, title]) => choice(state, name, title));
  page.querySelector("#layers").append(...radios.map(({ parentElement }) => parentElement));
  const opacity = page.querySelector("#opacity");
  opacity.value = state.opacity;
  opacity.addEventListener("input", () => state.set({ opacity: Number(opacity.value) }));
  const compare = page.querySelector("#compare");
  compare.closest("label").hidden = !state.about.has_enhancement;
  compare.addEventListener("change", () => state.set({ compare: compare.checked }));
  state.when(["compare"], () => {
    compare.checked = state.compare;
    page.querySelector("#compare-text").hidden = !state.compare;
  });
  state.when(["layer"], () => radios.forEach((radio) => { radio.checked = radio.value === state.layer; }));
  state.when(["layer", "items", "current"], () => explain(state, page));
}

/** The layer after the one that is shown. */
export function following(state) {
  const shown = shownLayers(state);
  const at = shown.findIndex(([name]) => name === state.layer);
  return shown[(at + 1) % shown.length][0];
}

/** Without an enhancement the level is the same after it. */
function shownLayers({ about }) {
  if (about.has_enhancement) return LAYERS;
  return LAYERS.filter(([name]) => name !== "p2_after").map(([name, title]) => [name, name === "p2_before" ? "Heat" : title]);
}

function choice(state, name, title) {
  const radio = element("input", { type: "radio", name: "layer", value: name, checked: name === "none" });
  radio.addEventListener("change", () => state.set({ layer: name }));
  element("label", {}, radio, element("span", {}, title));
  return radio;
}

function explain(state, page) {
  const layer = state.current?.layers?.get(state.layer);
  page.querySelector("#layer-more").hidden = state.layer === "none";
  const instead = state.current?.missed.layers ? "There are no maps of this image." : "The maps are being made …";
  page.querySelector("#layer-text").textContent = layer?.text
    ?? (state.current ? instead : "Open an image to see its maps.");
  const scale = page.querySelector("#scale");
  scale.hidden = !layer?.colours.length;
  if (scale.hidden) return;
  const [low, bar, high] = scale.children;
  low.textContent = layer.limits[0].toPrecision(2);
  high.textContent = layer.limits[1].toPrecision(2);
  bar.style.background = `linear-gradient(to right, ${layer.colours.join(", ")})`;
}
