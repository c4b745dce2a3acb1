// Score and classes.

import { element } from "./element.js";

const BINS = 50;

export function filters(state, page) {
  const slider = page.querySelector("#score");
  slider.addEventListener("input", () => state.set({ minScore: Number(slider.value) }));
  const bars = Array.from({ length: BINS }, () => element("i"));
  page.querySelector("#histogram").append(...bars);
  state.when(["minScore"], () => showScore(state, page, bars));
  state.when(["items", "current", "hiddenClasses"], () => {
    showHistogram(state, bars);
    showCounts(state, page);
  });
  state.when(["minScore"], () => showCounts(state, page));
  addClasses(state, page);
  slider.value = state.minScore;
  showScore(state, page, bars);
}

function showScore(state, page, bars) {
  page.querySelector("#score").value = state.minScore;
  page.querySelector("#score-shown").textContent = state.minScore.toFixed(2);
  bars.forEach((bar, at) => bar.classList.toggle("out", (at + 1) / BINS <= state.minScore + 1e-9));
}

function showHistogram(state, bars) {
  const counts = new Array(BINS).fill(0);
  for (const { score, category } of state.current?.found ?? []) {
    if (!state.hiddenClasses.has(category)) counts[Math.min(Math.floor(score * BINS), BINS - 1)] += 1;
  }
  const most = Math.sqrt(Math.max(1, ...counts)); // roots, so that single detections are seen beside many
  bars.forEach((bar, at) => { bar.style.height = `${(100 * Math.sqrt(counts[at])) / most}%`; });
}

function addClasses(state, page) {
  page.querySelector("#classes").append(...state.about.classes.map(({ id, name, colour }) => {
    const box = element("input", { type: "checkbox", checked: true });
    box.addEventListener("change", () => {
      const hidden = new Set(state.hiddenClasses);
      if (box.checked) hidden.delete(id);
      else hidden.add(id);
      state.set({ hiddenClasses: hidden });
    });
    const swatch = element("i", { class: "swatch" });
    swatch.style.background = colour;
    return element("label", { class: "row" }, box, swatch, element("span", {}, name),
      element("span", { "data-class": id }));
  }));
}

function showCounts(state, page) {
  for (const count of page.querySelectorAll("#classes [data-class]")) {
    const own = (state.current?.found ?? []).filter(({ category, score }) => (
      category === Number(count.dataset.class) && score >= state.minScore));
    count.textContent = state.current?.found ? own.length : "";
  }
}
