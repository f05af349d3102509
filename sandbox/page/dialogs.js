// Toasts, alerts and popups inside one phone.

import { el } from "./dom.js";

const TOAST_MS = 3500;
const KINDS = new Set(["destructive", "emoji"]);

export class Dialogs {
  constructor(phone) {
    this.phone = phone;
    this.toasts = el("div", { class: "toasts", role: "status", "aria-live": "polite" });
    phone.append(this.toasts);
    this.closeOpen = null;
  }

  toast(text) {
    const node = el("p", { class: "toast" }, text);
    this.toasts.replaceChildren(node);
    setTimeout(() => node.remove(), TOAST_MS);
  }

  /**
   * Asks something; resolves with the id of the pressed button, or "" when dismissed.
   * @param {{title?: string, message?: string, body?: Node, buttons: Array<{id: string, text: string, type?: string}>}} popup
   *   `body` may hold fields; Enter in one presses the first button
   */
  ask({ title, message, body, buttons }) {
    this.closeOpen?.("");
    const before = document.activeElement;
    return new Promise((resolve) => {
      const close = (id) => {
        overlay.remove();
        this.closeOpen = null;
        before?.focus?.();
        resolve(id);
      };
      const overlay = this.overlay({ title, message, body, buttons }, close);
      this.closeOpen = close;
      this.phone.append(overlay);
      overlay.querySelector("input, button")?.focus();
    });
  }

  /** Lets one of several things be chosen; resolves with its id, or "". */
  choose(title, items) {
    return this.ask({ title, buttons: [...items, { id: "", text: "Cancel" }] });
  }

  /** Closes the question that is open, as if it was dismissed. */
  dismiss() {
    this.closeOpen?.("");
  }

  alert(message) {
    return this.ask({ message, buttons: [{ id: "ok", text: "OK" }] });
  }

  overlay({ title, message, body, buttons }, close) {
    const row = el("div", { class: buttons.length > 3 ? "popup-buttons stacked" : "popup-buttons" });
    for (const { id, text, type } of buttons) {
      row.append(el("button", { type: "button", class: KINDS.has(type) ? type : "", on: { click: () => close(id) } }, text));
    }
    const box = el("div", { class: "popup", role: "alertdialog", "aria-modal": "true", "aria-label": title || message }, title && el("h3", {}, title), message && el("p", {}, message), body, row);
    const keys = (event) => {
      if (event.key === "Escape") close("");
      if (event.key === "Tab") stayInside(event, box);
      if (event.key === "Enter" && event.target.matches("input:not([type=checkbox])")) close(buttons[0].id);
    };
    const outside = (event) => event.target === event.currentTarget && close("");
    return el("div", { class: "overlay", on: { keydown: keys, click: outside } }, box);
  }
}

function stayInside(event, box) {
  const places = [...box.querySelectorAll("button, input, select")];
  const index = places.indexOf(document.activeElement);
  event.preventDefault();
  places.at((index + (event.shiftKey ? -1 : 1)) % places.length)?.focus();
}
