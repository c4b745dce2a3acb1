// What the page knows, and one event, "change", that tells which part of it is new.

export class State extends EventTarget {
  about = null;
  items = [];
  current = null;
  minScore = 0.3;
  hiddenClasses = new Set();
  layer = "none";
  opacity = 0.7;
  compare = false;
  boxes = true;
  selected = null;
  hovered = null;

  /** Set some parts and tell everybody which. */
  set(changes) {
    const changed = Object.keys(changes).filter((key) => this[key] !== changes[key]);
    Object.assign(this, changes);
    if (changed.length) this.tell(...changed);
  }

  /** Tell that parts are new, such as an item that was worked on ("items"). */
  tell(...parts) {
    this.dispatchEvent(new CustomEvent("change", { detail: new Set(parts) }));
  }

  /** Call back when one of some parts is new. */
  when(parts, callback) {
    this.addEventListener("change", ({ detail }) => {
      if (parts.some((part) => detail.has(part))) callback();
    });
  }

  /** Whether score and class let a detection be shown. */
  shows(detection) {
    return detection.score >= this.minScore && !this.hiddenClasses.has(detection.category);
  }

  /** The detections of an item that are shown; side is "found" or "plain". */
  shown(item = this.current, side = "found") {
    return item?.[side]?.filter((detection) => this.shows(detection)) ?? [];
  }

  classOf(detection) {
    return this.about.classes[detection.category - 1];
  }
}
