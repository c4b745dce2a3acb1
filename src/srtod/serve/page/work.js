// Asks the server for what is missing, one request at a time, the image that is looked at first.

import * as api from "./api.js";

const KEPT = 4;
const THUMBNAIL = 96;
const CANCELLED = "cancelled; open the image again to look at it";

export class Work {
  #busy = false;
  #doing = "opening …";
  #stop = new AbortController();
  #recent = [];

  constructor(state, { say }) {
    this.state = state;
    this.say = say;
    state.when(["items", "current", "compare", "layer"], () => this.#go());
  }

  async #go() {
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (let task = this.#next(); task; task = this.#next()) await task();
    } finally {
      this.#busy = false;
    }
  }

  /** What to do next: the picture, its boxes, what was asked for beside them, then the other images. */
  #next() {
    const { state } = this;
    const item = state.current;
    if (item && !item.problem) {
      const lacks = (part) => !item[part] && !item.missed[part];
      if (lacks("bitmap")) return () => this.#try(item, "bitmap", () => this.#picture(item));
      if (lacks("found")) return () => this.#try(item, "found", () => this.#found(item));
      if (state.about.has_enhancement && state.compare && lacks("plain")) {
        return () => this.#try(item, "plain", () => this.#plain(item));
      }
      if (state.about.has_maps && state.layer !== "none" && lacks("layers")) {
        return () => this.#try(item, "layers", () => this.#layers(item));
      }
    }
    const other = state.items.find(({ found, problem }) => !found && !problem);
    return other && (() => this.#try(other, "found", async () => {
      if (!other.thumbnail) await this.#preview(other);
      await this.#found(other);
    }));
  }

  /** What fails is not asked for again; an image is a failed one only while nothing was found in it. */
  async #try(item, part, step) {
    item.working = true;
    this.state.tell("items");
    const watch = this.#clock(item);
    try {
      await step();
    } catch (error) {
      const reason = this.#reason(error);
      if (item.found) item.missed[part] = reason;
      else item.problem = reason;
      this.#tell(item, reason);
    }
    clearInterval(watch);
    item.working = false;
    this.state.tell("items");
  }

  /** End the request that runs and drop those to come; each image can be opened again. */
  cancel() {
    this.#stop.abort();
    this.#stop = new AbortController();
    for (const item of this.state.items) if (!item.found) item.problem ??= CANCELLED;
    this.state.tell("items");
  }

  #reason(error) {
    if (error.name === "AbortError") return CANCELLED;
    return error instanceof TypeError ? "the server cannot be reached; open the image again when it runs" : error.message;
  }

  /** Say how long it takes, once it takes long. */
  #clock(item) {
    const begun = performance.now();
    return setInterval(() => {
      this.#tell(item, `${this.#doing} ${Math.round((performance.now() - begun) / 1000)} s`);
    }, 1000);
  }

  #begin(item, doing) {
    this.#doing = doing;
    this.#tell(item, doing);
  }

  async #picture(item) {
    item.bitmap = await this.#decode(item);
    Object.assign(item, { width: item.bitmap.width, height: item.bitmap.height });
    item.thumbnail ??= await thumbnail(item.bitmap);
    this.#forgetOldest(item);
    this.state.tell("picture");
  }

  async #preview(item) {
    const bitmap = await this.#decode(item);
    item.thumbnail = await thumbnail(bitmap);
    bitmap.close();
  }

  /** The browser's own decoding, or the server's for kinds that the browser does not know. */
  async #decode(item) {
    const { max_upload_bytes: limit } = this.state.about;
    if (item.file.size > limit) {
      throw new Error(`the file is too large; this server takes ${limit / 1e6} MB at most`);
    }
    return createImageBitmap(item.file).catch(() => api.picture(item.file, this.#patience(item)));
  }

  async #found(item) {
    this.#begin(item, "looking …");
    const answer = await api.detect(item.file, this.#patience(item));
    if (item.bitmap && (item.bitmap.width !== answer.width || item.bitmap.height !== answer.height)) {
      item.bitmap = await api.picture(item.file, this.#patience(item));
      this.state.tell("picture");
    }
    Object.assign(item, answer);
    this.#tell(item, "");
  }

  async #plain(item) {
    this.#begin(item, "looking with the enhancement switched off …");
    item.plain = (await api.detect(item.file, { enhancement: false, ...this.#patience(item) })).found;
    this.#tell(item, "");
  }

  async #layers(item) {
    this.#begin(item, "the maps are being made …");
    item.layers = await api.maps(item.file, this.#patience(item));
    this.#tell(item, "");
  }

  #patience(item) {
    const onBusy = (seconds) => this.#begin(item, `the server is busy; again in ${seconds} s`);
    return { onBusy, signal: this.#stop.signal };
  }

  /** Say how it goes with the image that is looked at; the others show it in their row. */
  #tell(item, text) {
    if (item === this.state.current) this.say(text && `${item.name}: ${text}`);
  }

  /** Pictures and maps are large: those of the last few images stay. */
  #forgetOldest(item) {
    this.#recent = [item, ...this.#recent.filter((other) => other !== item)];
    for (const old of this.#recent.splice(KEPT)) {
      old.bitmap.close();
      Object.assign(old, { bitmap: null, layers: null });
    }
  }
}

async function thumbnail(bitmap) {
  const width = Math.round(THUMBNAIL * bitmap.width / bitmap.height);
  return createImageBitmap(bitmap, {
    resizeWidth: Math.min(Math.max(width, THUMBNAIL / 2), THUMBNAIL * 2.5),
    resizeHeight: THUMBNAIL,
    resizeQuality: "medium",
  });
}
