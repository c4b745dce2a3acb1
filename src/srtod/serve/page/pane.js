// A canvas that shows one side, and turns pointer and wheel into looking and choosing.

import { draw } from "./draw.js";

const REACH = 6;
const STILL = 4;

export class Pane {
  #frame = 0;
  #fingers = new Map();
  #travelled = 0;

  /** figure: holds canvas and caption; camera: shared by all panes; scene: gives what is to be drawn. */
  constructor(figure, camera, { scene, onHover, onSelect, onOpen, onPoint }) {
    this.figure = figure;
    this.canvas = figure.querySelector("canvas");
    this.caption = figure.querySelector("figcaption");
    this.camera = camera;
    this.scene = scene;
    this.on = { hover: onHover, select: onSelect, open: onOpen, point: onPoint };
    camera.addEventListener("move", () => this.redraw());
    new ResizeObserver(() => this.#resize()).observe(this.canvas);
    this.#listen();
  }

  /** Draw with the next frame; any number of calls until then are one. */
  redraw() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      const { width, height } = this.camera.pane;
      const view = { scale: this.camera.scale, x: this.camera.x, y: this.camera.y, width, height };
      draw(this.canvas.getContext("2d"), this.scene(), view, devicePixelRatio);
    });
  }

  #resize() {
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth || !clientHeight) return;
    this.canvas.width = Math.round(clientWidth * devicePixelRatio);
    this.canvas.height = Math.round(clientHeight * devicePixelRatio);
    this.camera.resize(clientWidth, clientHeight);
    this.redraw();
  }

  #listen() {
    const { canvas, camera } = this;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 20 : 1;
      camera.zoomBy(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.002)), this.#fromMiddle(event));
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", (event) => this.#fingers.delete(event.pointerId));
    canvas.addEventListener("pointerleave", () => { this.on.hover(null); this.on.point(null); });
    canvas.addEventListener("dblclick", (event) => {
      const box = this.#under(event);
      if (box) this.on.open(box);
      else camera.zoomBy(2, this.#fromMiddle(event));
    });
  }

  #down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.#fingers.set(event.pointerId, event);
    this.#travelled = 0;
  }

  #move(event) {
    const before = this.#fingers.get(event.pointerId);
    if (!before) {
      this.on.hover(this.#under(event));
      this.on.point(this.camera.toImage(event.offsetX, event.offsetY));
      return;
    }
    const other = [...this.#fingers.values()].find(({ pointerId }) => pointerId !== event.pointerId);
    const [dx, dy] = [event.offsetX - before.offsetX, event.offsetY - before.offsetY];
    this.#travelled += Math.hypot(dx, dy);
    if (other) {
      const spread = (at) => Math.hypot(at.offsetX - other.offsetX, at.offsetY - other.offsetY) || 1;
      this.camera.zoomBy(spread(event) / spread(before), this.#fromMiddle(other));
    } else if (this.#travelled > STILL) {
      this.canvas.classList.add("dragged");
      this.camera.pan(dx, dy, { jump: true });
    }
    this.#fingers.set(event.pointerId, event);
  }

  #up(event) {
    if (this.#fingers.delete(event.pointerId) && this.#travelled <= STILL) this.on.select(this.#under(event));
    this.canvas.classList.remove("dragged");
  }

  #fromMiddle({ offsetX, offsetY }) {
    return { x: offsetX - this.camera.pane.width / 2, y: offsetY - this.camera.pane.height / 2 };
  }

  /** The smallest box under the pointer, or within a finger's breadth of it. */
  #under({ offsetX, offsetY }) {
    const { x, y } = this.camera.toImage(offsetX, offsetY);
    const reach = REACH / this.camera.scale;
    const near = this.scene().boxes.filter((box) => (
      x > box.x - reach && x < box.x + box.w + reach && y > box.y - reach && y < box.y + box.h + reach));
    return near.sort((a, b) => a.w * a.h - b.w * b.h)[0] ?? null;
  }
}
