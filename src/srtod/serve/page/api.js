// The routes of the server. A busy server is asked again after the time it names.

const TRIES = 20;

export async function about() {
  return (await answered(await fetch("/about"))).json();
}

/** Detections of a file: { width, height, found: [{ id, x, y, w, h, score, category }] }. */
export async function detect(file, { enhancement = true, ...patience } = {}) {
  const coco = await (await send(`/detect?enhancement=${enhancement}`, file, patience)).json();
  const found = coco.annotations.map(({ id, bbox: [x, y, w, h], score, category_id }) => (
    { id, x, y, w, h, score, category: category_id }));
  return { width: coco.images[0].width, height: coco.images[0].height, found };
}

/** Layers of a file by name, their pictures decoded. */
export async function maps(file, patience) {
  const { layers } = await (await send("/maps", file, patience)).json();
  await Promise.all(layers.map(async (layer) => {
    layer.picture = new Image();
    layer.picture.src = layer.url;
    await layer.picture.decode();
    delete layer.url;
  }));
  return new Map(layers.map((layer) => [layer.name, layer]));
}

/** The picture of a file as the detector sees it. */
export async function picture(file, patience) {
  return createImageBitmap(await (await send("/picture", file, patience)).blob());
}

/** The server drops a request whose signal is aborted. */
async function send(path, file, { onBusy, signal } = {}) {
  for (let left = TRIES; ; left -= 1) {
    const form = new FormData();
    // A file without a known ending has no type; the server judges its bytes.
    form.append("file", new Blob([file], { type: file.type || "application/octet-stream" }), file.name);
    const response = await fetch(path, { method: "POST", body: form, signal });
    if (response.status !== 503 || left === 1) return answered(response, `${file.name}: `);
    const seconds = Number(response.headers.get("Retry-After")) || 1;
    onBusy?.(seconds);
    await new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });
    signal?.throwIfAborted();
  }
}

/** The page says itself which image an error is about. */
async function answered(response, name = "") {
  if (response.ok) return response;
  const { detail = `the server answered ${response.status}` } = await response.json().catch(() => ({}));
  throw new Error(detail.startsWith(name) ? detail.slice(name.length) : detail);
}
