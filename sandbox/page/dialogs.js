// Toasts, alerts and popups inside one phone.

import { el } from "./dom.js";

const TOAST_MS = 3500;

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
   * @param {{title?: string, message: string, buttons: Array<{id: string, text: string, type?: string}>}} popup
   */
  ask({ title, message, buttons }) {
    this.closeOpen?.("");
    const before = document.activeElement;
    return new Promise((resolve) => {
      const close = (id) => {
        overlay.remove();
        this.closeOpen = null;
        before?.focus?.();
        resolve(id);
      };
      const overlay = this.overlay({ title, message, buttons }, close);
      this.closeOpen = close;
      this.phone.append(overlay);
      overlay.querySelector("button")?.focus();
    });
  }

  alert(message) {
    return this.ask({ message, buttons: [{ id: "ok", text: "OK" }] });
  }

  overlay({ title, message, buttons }, close) {
    const row = el("div", { class: "popup-buttons" });
    for (const { id, text, type } of buttons) {
      row.append(el("button", { type: "button", class: type === "destructive" ? "destructive" : "", on: { click: () => close(id) } }, text));
    }
    const box = el("div", { class: "popup", role: "alertdialog", "aria-modal": "true", "aria-label": title || message }, title && el("h3", {}, title), el("p", {}, message), row);
    const keys = (event) => {
      if (event.key === "Escape") close("");
      if (event.key === "Tab") stayInside(event, row);
    };
    const outside = (event) => event.target === event.currentTarget && close("");
    return el("div", { class: "overlay", on: { keydown: keys, click: outside } }, box);
  }
}

function stayInside(event, row) {
  const buttons = [...row.querySelectorAll("button")];
  const index = buttons.indexOf(document.activeElement);
  event.preventDefault();
  buttons.at((index + (event.shiftKey ? -1 : 1)) % buttons.length)?.focus();
}
