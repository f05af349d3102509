// Light and dark: the system's choice until the switch is used, then remembered.

import { icon } from "./dom.js";

const KEY = "sandbox.theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();

export function current() {
  return localStorage.getItem(KEY) ?? (system.matches ? "dark" : "light");
}

/** Calls back with "light" or "dark" on every change. */
export function onTheme(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function setUpThemeSwitch(button) {
  const show = () => {
    const theme = current();
    document.documentElement.dataset.theme = theme;
    const label = theme === "dark" ? "Switch to light" : "Switch to dark";
    button.replaceChildren(icon(theme === "dark" ? "sun" : "moon"));
    button.setAttribute("aria-label", label);
    button.title = label;
    for (const listener of listeners) listener(theme);
  };
  button.addEventListener("click", () => {
    localStorage.setItem(KEY, current() === "dark" ? "light" : "dark");
    show();
  });
  system.addEventListener("change", show);
  show();
}
