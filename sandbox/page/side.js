// The panel beside the phones: one thing to look at, or none.

import { el, iconButton } from "./dom.js";

const KEY = "sandbox.side";

export class Side {
  /**
   * @param {HTMLElement} place that holds it
   * @param {Record<string, {title: string, button: HTMLElement, content: {node: Node, open: () => void, close: () => void}}>} parts
   */
  constructor(place, parts) {
    Object.assign(this, { place, parts });
    this.heading = el("h2", {});
    this.body = el("div", { class: "side-body" });
    place.replaceChildren(el("div", { class: "side-head" }, this.heading, iconButton("close", "Close the panel", () => this.show(""))), this.body);
    for (const [name, { button }] of Object.entries(parts)) button.addEventListener("click", () => this.show(name === this.shown ? "" : name));
    place.addEventListener("keydown", (event) => event.key === "Escape" && event.target.tagName !== "INPUT" && this.show(""));
    this.shown = "";
    this.show(localStorage.getItem(KEY) ?? "");
  }

  show(name) {
    const before = this.parts[this.shown];
    const now = this.parts[name];
    before?.content.close();
    this.shown = now ? name : "";
    localStorage.setItem(KEY, this.shown);
    this.place.hidden = !now;
    for (const [other, { button }] of Object.entries(this.parts)) button.setAttribute("aria-expanded", String(other === this.shown));
    if (!now) {
      before?.button.focus();
      return;
    }
    this.heading.textContent = now.title;
    this.body.replaceChildren(now.content.node);
    now.content.open();
  }
}
