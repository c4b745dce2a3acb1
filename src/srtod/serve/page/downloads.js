// What is shown, as files: results as `srtod predict` writes them, a COCO data set, a picture.

import { draw } from "./draw.js";

const PICTURE_SIDE = 2400;
const LARGEST_ZOOM = 4;

export function downloads(state, page, scene) {
  const buttons = [...page.querySelectorAll("[data-save]")];
  const makers = {
    json: () => [blob(results(state)), "detections.json"],
    coco: () => [blob(coco(state)), "coco.json"],
    png: async () => [await picture(scene()), `${base(state.current.name)}.png`],
  };
  for (const button of buttons) {
    button.addEventListener("click", async () => save(...await makers[button.dataset.save]()));
  }
  state.when(["items", "current"], () => {
    for (const button of buttons) {
      button.disabled = button.dataset.save === "png"
        ? !(state.current?.bitmap && state.current.found) : !looked(state).length;
    }
  });
}

function looked(state) {
  return state.items.filter(({ found }) => found);
}

/** COCO results with names, of all images that were looked at. */
export function results(state) {
  return looked(state).flatMap((item, at) => state.shown(item).map((detection) => ({
    image_id: at + 1,
    file_name: item.name,
    category_id: detection.category,
    category_name: state.classOf(detection).name,
    bbox: [detection.x, detection.y, detection.w, detection.h],
    score: detection.score,
  })));
}

/** A COCO data set with scores, as labelling tools read it. */
export function coco(state) {
  const items = looked(state);
  return {
    images: items.map(({ name, width, height }, at) => ({ id: at + 1, file_name: name, width, height })),
    categories: state.about.classes.map(({ id, name }) => ({ id, name })),
    annotations: items.flatMap((item, at) => state.shown(item).map(({ x, y, w, h, score, category }) => (
      { image_id: at + 1, category_id: category, bbox: [x, y, w, h], area: Number((w * h).toFixed(3)), iscrowd: 0, score }
    ))).map((annotation, at) => ({ id: at + 1, ...annotation })),
  };
}

/** The whole image with map and boxes, enlarged where it is small. */
async function picture(scene) {
  const longest = Math.max(scene.width, scene.height);
  const scale = Math.min(Math.max(Math.floor(PICTURE_SIDE / longest), 1), LARGEST_ZOOM);
  const [width, height] = [scene.width * scale, scene.height * scale];
  const canvas = new OffscreenCanvas(width, height);
  const view = { scale, x: scene.width / 2, y: scene.height / 2, width, height };
  draw(canvas.getContext("2d"), { ...scene, hovered: null, selected: null }, view, 1);
  return canvas.convertToBlob({ type: "image/png" });
}

function blob(value) {
  return new Blob([JSON.stringify(value, null, 1)], { type: "application/json" });
}

function base(name) {
  return name.split("/").at(-1).replace(/\.[^.]*$/, "");
}

function save(content, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
