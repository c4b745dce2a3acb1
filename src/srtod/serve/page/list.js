// The list of detections: chosen with arrows, linked to the picture, each with what it looks like.

import { element } from "./element.js";

const SIDE = 40;
const LEAST = 12;

export class List {
  #rows = new Map();
  #of = null;
  #bitmap = null;

  constructor(state, { list, count, onHover, onOpen }) {
    Object.assign(this, { state, list, count, onOpen });
    this.seen = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) if (isIntersecting) this.#picture(target);
    }, { root: list });
    state.when(["items", "current", "picture"], () => this.#fill());
    state.when(["minScore", "hiddenClasses"], () => this.#filter());
    state.when(["selected", "hovered"], () => this.#mark());
    list.addEventListener("keydown", (event) => this.#key(event));
    list.addEventListener("pointerover", (event) => onHover(this.#detection(event)));
    list.addEventListener("pointerleave", () => onHover(null));
    list.addEventListener("click", (event) => this.#choose(this.#detection(event)));
  }

  /** Choose the next or the one before, as the list is shown. */
  step(by) {
    const shown = this.state.shown();
    const at = shown.findIndex(({ id }) => id === this.state.selected?.id);
    const first = by > 0 ? 0 : -1;
    this.#choose(shown.at(at < 0 ? first : (at + by) % shown.length));
  }

  #choose(detection) {
    if (detection) this.onOpen({ ...detection, side: "found" });
  }

  #fill() {
    const item = this.state.current;
    if (this.#of !== (item?.found ?? null)) {
      this.#of = item?.found ?? null;
      this.#rows = new Map((this.#of ?? []).map((detection) => [detection.id, this.#row(detection)]));
      this.list.replaceChildren(...this.#rows.values());
      this.#bitmap = null;
      this.#filter();
    }
    if (this.#bitmap !== (item?.bitmap ?? null)) {
      this.#bitmap = item?.bitmap ?? null;
      this.seen.disconnect();
      for (const row of this.#rows.values()) this.seen.observe(row);
    }
  }

  #row(detection) {
    const { name, colour } = this.state.classOf(detection);
    const swatch = element("i", { class: "swatch" });
    swatch.style.background = colour;
    const size = `${detection.w.toFixed(1)} × ${detection.h.toFixed(1)} px`;
    const row = element("li", { role: "option", id: `detection-${detection.id}`, "aria-selected": "false" },
      element("canvas", { width: SIDE * 2, height: SIDE * 2, "aria-hidden": "true" }),
      element("span", { class: "name" }, swatch, name, element("small", {}, size)),
      element("span", { class: "score" }, detection.score.toFixed(2)));
    row.detection = { ...detection, side: "found" };
    return row;
  }

  #filter() {
    const shown = new Set(this.state.shown().map(({ id }) => id));
    for (const [id, row] of this.#rows) row.hidden = !shown.has(id);
    this.count.value = this.#of ? `${shown.size} of ${this.#of.length}` : "";
    const { selected } = this.state;
    if (selected && !this.state.shows(selected)) this.state.set({ selected: null });
  }

  #mark() {
    const { selected, hovered } = this.state;
    const chosen = selected?.side === "found" ? this.#rows.get(selected.id) : undefined;
    for (const [id, row] of this.#rows) {
      row.setAttribute("aria-selected", String(row === chosen));
      row.classList.toggle("hovered", id === hovered?.id && hovered.side === "found");
    }
    if (chosen) this.list.setAttribute("aria-activedescendant", chosen.id);
    else this.list.removeAttribute("aria-activedescendant");
    chosen?.scrollIntoView({ block: "nearest" });
  }

  #key(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key in steps) this.step(steps[event.key]);
    else if (event.key === "Home") this.#choose(this.state.shown()[0]);
    else if (event.key === "End") this.#choose(this.state.shown().at(-1));
    else if (event.key === "Enter" || event.key === " ") this.#choose(this.state.selected);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #detection(event) {
    return event.target.closest("li")?.detection ?? null;
  }

  /** What is in and around the box, its pixels as squares. */
  #picture({ firstChild: canvas, detection: { x, y, w, h } }) {
    if (!this.#bitmap) return;
    const side = Math.max(w * 1.8, h * 1.8, LEAST);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = side > canvas.width;
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(this.#bitmap, x + w / 2 - side / 2, y + h / 2 - side / 2, side, side,
      0, 0, canvas.width, canvas.height);
  }
}
