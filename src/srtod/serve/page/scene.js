// What each side of the picture shows: "found", and "plain" for the detector without its enhancement.

import { alone } from "./match.js";

export const SIDES = { found: "With self-reconstruction", plain: "Enhancement switched off" };

let matched = { key: [], sets: null };

/** What a pane draws, see draw.js. */
export function sceneOf(state, side) {
  const item = state.current;
  if (!item?.bitmap) return { bitmap: null, boxes: [] };
  const only = onlyHere(state, side);
  const boxes = state.boxes ? state.shown(item, side) : [];
  return {
    bitmap: item.bitmap,
    width: item.width,
    height: item.height,
    layer: side === "found" ? item.layers?.get(state.layer) : null,
    opacity: state.opacity,
    boxes: boxes.map((box) => {
      const { name, colour } = state.classOf(box);
      return { ...box, name, colour, only: only?.has(box.id), side };
    }),
    selected: state.selected?.side === side ? state.selected : null,
    hovered: state.hovered?.side === side ? state.hovered : null,
  };
}

/** How many detections a side shows, in words. */
export function countOf(state, side) {
  const item = state.current;
  if (item?.problem || item?.missed[side]) return "not looked at";
  if (!item?.[side]) return "looking …";
  const only = onlyHere(state, side);
  return `${state.shown(item, side).length} found${only ? `, ${only.size} only here` : ""}`;
}

/** Why something that is asked for is not there; empty where nothing failed. */
export function problemOf({ current: item, compare, layer }) {
  if (!item) return "";
  const { bitmap, plain, layers } = item.missed;
  return item.problem || bitmap || (compare && plain) || (layer !== "none" && layers) || "";
}

/** Ids of what the other side has not; null where the sides are not compared. */
function onlyHere(state, side) {
  const { current: item, minScore, hiddenClasses } = state;
  if (!state.compare || !item?.found || !item.plain) return null;
  const key = [item.found, item.plain, minScore, hiddenClasses];
  if (key.some((part, at) => part !== matched.key[at])) {
    matched = { key, sets: alone(state.shown(item, "found"), state.shown(item, "plain")) };
  }
  return matched.sets[side === "found" ? 0 : 1];
}
