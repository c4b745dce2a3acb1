// Light, dark, or as the system is.

const NEXT = { system: "light", light: "dark", dark: "system" };
const SIGNS = { system: "◐", light: "☀", dark: "☾" };

export function theme(page) {
  const button = page.querySelector("#theme");
  const show = (name) => {
    page.documentElement.dataset.theme = name;
    button.textContent = SIGNS[name];
    button.setAttribute("aria-label", `Colours: ${name}`);
    button.title = `Colours: ${name}`;
  };
  button.addEventListener("click", () => {
    const name = NEXT[page.documentElement.dataset.theme];
    localStorage.setItem("theme", name);
    show(name);
  });
  const stored = localStorage.getItem("theme");
  show(stored in NEXT ? stored : "system");
}
