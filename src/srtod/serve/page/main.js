// Puts the parts together.

import * as api from "./api.js";
import { Camera } from "./camera.js";
import { downloads } from "./downloads.js";
import { element } from "./element.js";
import { filters } from "./filters.js";
import { keys } from "./keys.js";
import { following, layers } from "./layers.js";
import { List } from "./list.js";
import { onOpen } from "./open.js";
import { Pane } from "./pane.js";
import { SIDES, countOf, problemOf, sceneOf } from "./scene.js";
import { State } from "./state.js";
import { strip } from "./strip.js";
import { theme } from "./theme.js";
import { Work } from "./work.js";

const find = (selector) => document.querySelector(selector);
const state = new State();
const camera = new Camera();
const probe = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

const say = (text) => { find("#status").textContent = text; };

function point(at) {
  const item = state.current;
  const inside = at && item?.bitmap && at.x >= 0 && at.y >= 0 && at.x < item.width && at.y < item.height;
  if (!inside) {
    find("#readout").textContent = item ? `${item.width} × ${item.height}` : "";
    return;
  }
  const [x, y] = [Math.floor(at.x), Math.floor(at.y)];
  probe.drawImage(item.bitmap, x, y, 1, 1, 0, 0, 1, 1);
  const [red, green, blue] = probe.getImageData(0, 0, 1, 1).data;
  find("#readout").textContent = `x ${x}  y ${y}  rgb ${red} ${green} ${blue}`;
}

/** Lift a detection out in picture and list; null lifts none. */
function hover(box) {
  const same = state.hovered?.id === box?.id && state.hovered?.side === box?.side;
  if (!same) state.set({ hovered: box });
}

/** Choose a detection and say so. */
function select(box) {
  state.set({ selected: box && { ...box, side: box.side ?? "found" } });
  if (!box) return;
  const size = `${box.w.toFixed(1)} by ${box.h.toFixed(1)} pixels`;
  const place = `at ${box.x.toFixed(0)}, ${box.y.toFixed(0)}`;
  say(`${state.classOf(box).name}, score ${box.score.toFixed(2)}, ${size} ${place}`);
}

function open(box) {
  select(box);
  camera.goTo(box);
}

function turn(by) {
  const at = state.items.indexOf(state.current);
  const item = state.items[at + by];
  if (item) state.set({ current: item, selected: null, hovered: null });
}

function caption(pane, side) {
  const { current: item, compare } = state;
  const words = compare ? `${SIDES[side]}: ` : "";
  pane.caption.hidden = !compare;
  pane.caption.replaceChildren(element("b", {}, SIDES[side]), ` ${countOf(state, side)}`);
  const size = item?.width ? `${item.width} by ${item.height} pixels, ` : "";
  pane.canvas.setAttribute("aria-label", item
    ? `${item.name}, ${size}${words}${countOf(state, side)}` : "No image yet");
}

function show(panes) {
  const item = state.current;
  find("#welcome").hidden = Boolean(item);
  find("#hud").hidden = !item?.bitmap;
  const problem = problemOf(state);
  find("#problem").hidden = !problem;
  find("#problem").textContent = problem && `${item.name}: ${problem}`;
  panes.plain.figure.hidden = !(state.compare && item);
  find("#stage").classList.toggle("busy", Boolean(item?.working));
  find("#cancel").hidden = !state.items.some(({ working }) => working);
  for (const [side, pane] of Object.entries(panes)) {
    caption(pane, side);
    pane.redraw();
  }
}

function add(files, given) {
  if (!files.length) {
    say(given ? "There is no image among these files." : "");
    return;
  }
  const items = files.map(itemOf);
  state.set({ items: [...new Set([...state.items, ...items])], current: items[0], selected: null, hovered: null });
}

/** The item of a file: that of before where it is opened again, to be asked for what failed; else a new one. */
function itemOf({ file, name }) {
  const { size, lastModified } = file;
  const same = (item) => item.name === name && item.file.size === size && item.file.lastModified === lastModified;
  const item = state.items.find(same) ?? { file, name, found: null, plain: null, layers: null, bitmap: null };
  return Object.assign(item, { problem: null, missed: {} });
}

function build() {
  const handlers = {
    onHover: hover, onSelect: select, onOpen: open, onPoint: point };
  const panes = Object.fromEntries(Object.keys(SIDES).map((side) => (
    [side, new Pane(find(`#pane-${side}`), camera, { scene: () => sceneOf(state, side), ...handlers })])));
  const list = new List(state, { list: find("#detections"), count: find("#count"), onHover: hover, onOpen: open });
  filters(state, document);
  layers(state, document);
  strip(state, find("#strip"));
  downloads(state, document, () => sceneOf(state, "found"));
  const actions = {
    "zoom-in": () => camera.zoomBy(1.5),
    "zoom-out": () => camera.zoomBy(1 / 1.5),
    fit: () => camera.fit(),
    actual: () => camera.zoomTo(1 / devicePixelRatio),
    pan: (dx, dy) => camera.pan(dx, dy),
    step: (by) => list.step(by),
    none: () => select(null),
    turn,
    layer: () => state.about.has_maps && state.set({ layer: following(state) }),
    compare: state.about.has_enhancement && (() => state.set({ compare: !state.compare })),
    boxes: () => state.set({ boxes: !state.boxes }),
    help: () => find("#keys").showModal(),
  };
  keys(document, actions);
  find("#help").addEventListener("click", actions.help);
  for (const button of document.querySelectorAll("[data-do]")) {
    button.addEventListener("click", actions[button.dataset.do]);
  }
  camera.addEventListener("move", () => {
    find("#zoom").textContent = `${Math.round(camera.scale * devicePixelRatio * 100)} %`;
  });
  let shown = null;
  state.when(["picture", "current"], () => {
    if (!state.current?.bitmap || shown === state.current.bitmap) return;
    shown = state.current.bitmap;
    camera.show(shown.width, shown.height);
    point(null);
  });
  state.addEventListener("change", () => show(panes));
  const work = new Work(state, { say });
  find("#cancel").addEventListener("click", () => work.cancel());
}

theme(document);
onOpen(document, add);
try {
  state.about = await api.about();
  const { model, max_pixels: pixels, max_upload_bytes: bytes } = state.about;
  find("#model").textContent = model;
  find("#where").textContent = `the server at ${location.host}`;
  find("#takes").textContent = `Up to ${bytes / 1e6} MB and ${pixels / 1e6} million pixels.`;
  build();
  document.documentElement.dataset.ready = "yes";
} catch (error) {
  find("#problem").hidden = false;
  find("#problem").textContent = `The page could not start: ${error.message}`;
}
