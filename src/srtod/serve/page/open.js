// Files from pickers and from what is dropped, folders with all that is below them.

const IMAGE = /\.(jpe?g|png|bmp|gif|tiff?|webp|avif|jp2|ppm|pgm)$/i;

const SAMPLE = "/page/sample.jpg";

/** Call back with the image files that were picked or dropped, in natural order; or with the sample. */
export function onOpen(page, callback) {
  const give = (files) => callback(sorted(files.filter(({ file }) => isImage(file))), files.length);
  for (const name of ["images", "folder"]) {
    const input = page.querySelector(`#${name}-input`);
    page.querySelector(`#open-${name}`).addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      give([...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name })));
      input.value = "";
    });
  }
  page.querySelector("#sample").addEventListener("click", async () => {
    const file = new File([await (await fetch(SAMPLE)).blob()], "sample.jpg", { type: "image/jpeg" });
    give([{ file, name: file.name }]);
  });
  page.addEventListener("dragover", (event) => {
    event.preventDefault();
    page.body.classList.add("over");
  });
  page.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) page.body.classList.remove("over");
  });
  page.addEventListener("drop", async (event) => {
    event.preventDefault();
    page.body.classList.remove("over");
    give(await dropped(event.dataTransfer));
  });
}

function isImage(file) {
  return file.type.startsWith("image/") || IMAGE.test(file.name);
}

function sorted(files) {
  const order = new Intl.Collator(undefined, { numeric: true });
  return files.sort((a, b) => order.compare(a.name, b.name));
}

async function dropped(transfer) {
  // Entries must be asked for before the first wait: the transfer is empty after it.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, name: file.name }));
  return (await Promise.all(entries.map(below))).flat();
}

async function below(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => { entry.file(resolve, reject); });
    return [{ file, name: entry.fullPath.replace(/^\//, "") }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) { // a reader gives a hundred entries at a time
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!some.length) return (await Promise.all(found.map(below))).flat();
    found.push(...some);
  }
}
