// One picture on a canvas: image, map, grid of pixels, boxes.

const LEAST_SIDE = 9;
const LABEL_FROM = 90;
const GRID_FROM = 14;
const [THIN, BOLD] = [1.5, 2.5];
const [DARK, LIGHT] = ["rgb(0 0 0 / 0.8)", "rgb(255 255 255 / 0.95)"];

/**
 * Draw a scene.
 *
 * scene: { bitmap, width, height, layer, opacity, boxes: [{ x, y, w, h, score, id, colour, name, only }],
 * selected, hovered }; view: { scale, x, y, width, height } in CSS pixels; ratio: canvas pixels per CSS pixel.
 */
export function draw(context, scene, view, ratio) {
  const { canvas } = context;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (!scene.bitmap) return;
  const scale = view.scale * ratio;
  const left = (view.width / 2) * ratio - view.x * scale;
  const top = (view.height / 2) * ratio - view.y * scale;
  context.setTransform(scale, 0, 0, scale, left, top);
  context.imageSmoothingEnabled = scale < 1;
  context.imageSmoothingQuality = "high";
  drawPart(context, scene, { left: -left / scale, top: -top / scale, scale });
  if (scene.layer) drawLayer(context, scene);
  if (view.scale >= GRID_FROM) drawGrid(context, scene, view);
  context.setTransform(ratio, 0, 0, ratio, left, top);
  const marked = (box) => box && scene.boxes.find((own) => own.id === box.id);
  const [hovered, selected] = [marked(scene.hovered), marked(scene.selected)];
  drawBoxes(context, scene.boxes.filter((box) => box !== hovered && box !== selected), view);
  for (const box of new Set([hovered, selected])) if (box) drawMarked(context, box, view, box === selected);
}

/** Draw the part of the image that is seen, which is fast at any zoom. */
function drawPart(context, scene, { left, top, scale }) {
  const x = Math.max(0, Math.floor(left));
  const y = Math.max(0, Math.floor(top));
  const w = Math.min(scene.width, Math.ceil(left + context.canvas.width / scale) + 1) - x;
  const h = Math.min(scene.height, Math.ceil(top + context.canvas.height / scale) + 1) - y;
  if (w > 0 && h > 0) context.drawImage(scene.bitmap, x, y, w, h, x, y, w, h);
}

function drawLayer(context, { layer, opacity, width, height }) {
  context.save();
  context.beginPath();
  context.rect(0, 0, width, height);
  context.clip();
  context.globalAlpha = opacity;
  context.drawImage(layer.picture, 0, 0, layer.reach[0], layer.reach[1]);
  context.restore();
}

function drawGrid(context, scene, view) {
  const halfWide = view.width / 2 / view.scale;
  const halfHigh = view.height / 2 / view.scale;
  const [x0, x1] = [Math.max(0, Math.floor(view.x - halfWide)), Math.min(scene.width, view.x + halfWide + 1)];
  const [y0, y1] = [Math.max(0, Math.floor(view.y - halfHigh)), Math.min(scene.height, view.y + halfHigh + 1)];
  context.beginPath();
  for (let x = x0; x <= x1; x += 1) { context.moveTo(x, y0); context.lineTo(x, y1); }
  for (let y = y0; y <= y1; y += 1) { context.moveTo(x0, y); context.lineTo(x1, y); }
  context.lineWidth = 1 / view.scale / 2;
  context.strokeStyle = "rgb(128 128 128 / 0.35)";
  context.stroke();
}

/** All boxes of a colour and width are one path: thousands are drawn as fast as one. */
function drawBoxes(context, boxes, view) {
  const groups = Map.groupBy(boxes, ({ colour, only }) => `${colour} ${only ? BOLD : THIN}`);
  for (const group of groups.values()) {
    const line = group[0].only ? BOLD : THIN;
    stroke(context, group.map((box) => frame(box, view.scale, line)), group[0].colour, line, 1);
  }
  for (const box of boxes) {
    if (box.w * view.scale >= LABEL_FROM) drawLabel(context, box, frame(box, view.scale, THIN));
  }
}

/** A box that is pointed at or chosen: a wider light rim, and what it is. */
function drawMarked(context, box, view, selected) {
  const line = selected || box.only ? BOLD : THIN;
  const own = frame(box, view.scale, line);
  stroke(context, [own], box.colour, line, 2);
  drawLabel(context, box, own);
}

/** Around a box, in CSS pixels from the image's corner; what is too small to be seen gets a larger one. */
function frame(box, scale, line) {
  const away = line / 2 + 0.5;
  const w = Math.max(box.w * scale, LEAST_SIDE) + 2 * away;
  const h = Math.max(box.h * scale, LEAST_SIDE) + 2 * away;
  return [(box.x + box.w / 2) * scale - w / 2, (box.y + box.h / 2) * scale - h / 2, w, h];
}

/** A line of a colour between a light rim and a dark one: one of the two is seen on any ground. */
function stroke(context, frames, colour, line, rim) {
  context.beginPath();
  for (const own of frames) context.rect(...own);
  context.lineJoin = "round";
  for (const [width, style] of [[line + 2 * rim + 1, DARK], [line + 2 * rim, LIGHT], [line, colour]]) {
    context.lineWidth = width;
    context.strokeStyle = style;
    context.stroke();
  }
}

function drawLabel(context, box, [x, y]) {
  const text = `${box.name} ${box.score.toFixed(2)}`;
  context.font = "600 12px system-ui, sans-serif";
  const width = context.measureText(text).width + 10;
  context.fillStyle = "rgb(15 18 22 / 0.85)";
  context.beginPath();
  context.roundRect(x - 1, y - 23, width, 19, 4);
  context.fill();
  context.fillStyle = "#fff";
  context.fillText(text, x + 4, y - 9.5);
}
