// Where the picture is looked at: the point of the image in the middle of the pane, and CSS pixels per pixel.

const LARGEST = 96;
const SMOOTH_MS = 90;

export class Camera extends EventTarget {
  scale = 1;
  x = 0;
  y = 0;
  image = { width: 1, height: 1 };
  pane = { width: 1, height: 1 };
  #goal = null;
  #last = 0;
  #fitted = true;

  get fitScale() {
    return Math.min(this.pane.width / this.image.width, this.pane.height / this.image.height) * 0.98;
  }

  /** Look at another image, the whole of it. */
  show(width, height) {
    this.image = { width, height };
    this.fit({ jump: true });
  }

  /** The pane has another size; a fitted picture stays fitted. */
  resize(width, height) {
    this.pane = { width, height };
    if (this.#fitted) this.fit({ jump: true });
    else this.#moved();
  }

  fit({ jump = false } = {}) {
    this.#go({ scale: Math.min(this.fitScale, 8), x: this.image.width / 2, y: this.image.height / 2 }, jump);
    this.#fitted = true;
  }

  /** Zoom by a factor; the point of the pane (from its middle, CSS pixels) stays where it is. */
  zoomBy(factor, at = { x: 0, y: 0 }) {
    const from = this.#goal ?? this;
    this.zoomTo(from.scale * factor, at);
  }

  zoomTo(scale, at = { x: 0, y: 0 }) {
    const from = this.#goal ?? this;
    const held = { x: from.x + at.x / from.scale, y: from.y + at.y / from.scale };
    const wanted = this.#bounded(scale);
    this.#go({ scale: wanted, x: held.x - at.x / wanted, y: held.y - at.y / wanted });
  }

  /** Move by CSS pixels; dragging is followed at once. */
  pan(dx, dy, { jump = false } = {}) {
    const from = this.#goal ?? this;
    this.#go({ scale: from.scale, x: from.x - dx / from.scale, y: from.y - dy / from.scale }, jump);
  }

  /** Go to a box so that it fills a fifth of the pane. */
  goTo({ x, y, w, h }) {
    const scale = Math.min(this.pane.width, this.pane.height) / 5 / Math.max(w, h, 1);
    this.#go({ scale: this.#bounded(Math.max(scale, this.fitScale)), x: x + w / 2, y: y + h / 2 });
  }

  /** Point of the image under a point of the pane (CSS pixels from its upper left). */
  toImage(px, py) {
    return {
      x: this.x + (px - this.pane.width / 2) / this.scale,
      y: this.y + (py - this.pane.height / 2) / this.scale,
    };
  }

  #bounded(scale) {
    return Math.min(Math.max(scale, Math.min(this.fitScale, 1) / 2), LARGEST);
  }

  #go(goal, jump = false) {
    const still = jump || matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#fitted = false;
    goal.x = Math.min(Math.max(goal.x, 0), this.image.width);
    goal.y = Math.min(Math.max(goal.y, 0), this.image.height);
    const resting = this.#goal === null;
    this.#goal = still ? null : goal;
    if (still) {
      Object.assign(this, goal);
      this.#moved();
    } else if (resting) {
      this.#last = performance.now();
      requestAnimationFrame((now) => this.#step(now));
    }
  }

  #step(now) {
    const goal = this.#goal;
    if (goal === null) return;
    const share = 1 - Math.exp(-Math.max(now - this.#last, 1) / SMOOTH_MS);
    this.#last = now;
    const scale = this.scale * (goal.scale / this.scale) ** share;
    // The point that stays in place while the scale changes, so that zooming does not sway.
    const far = Math.abs(goal.scale / this.scale - 1) > 1e-6;
    const way = far ? (1 / this.scale - 1 / scale) / (1 / this.scale - 1 / goal.scale) : share;
    this.x += (goal.x - this.x) * way;
    this.y += (goal.y - this.y) * way;
    this.scale = scale;
    if (Math.abs(Math.log(goal.scale / scale)) < 1e-3
      && Math.hypot(goal.x - this.x, goal.y - this.y) * scale < 0.3) {
      Object.assign(this, goal);
      this.#goal = null;
    } else {
      requestAnimationFrame((later) => this.#step(later));
    }
    this.#moved();
  }

  #moved() {
    this.dispatchEvent(new Event("move"));
  }
}
