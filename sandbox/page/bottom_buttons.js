// The main and the secondary button below a mini app.
// Source: https://core.telegram.org/bots/webapps#bottombutton

import { el } from "./dom.js";

const COLOUR = /^#[0-9a-f]{6}$/i;

export class BottomButtons {
  /** @param {{pressed: (event: string) => void, changed: () => void}} on `changed` when one appeared or went */
  constructor(on) {
    this.on = on;
    this.main = this.make("main");
    this.secondary = this.make("secondary");
    this.node = el("div", { class: "bottom-buttons", hidden: true, data: { position: "left" } }, this.secondary, this.main);
  }

  make(kind) {
    return el("button", { type: "button", class: `${kind}-button`, hidden: true, on: { click: () => this.on.pressed(`${kind}_button_pressed`) } });
  }

  /** Takes the state of one of them. */
  set(kind, data) {
    const button = this[kind];
    const before = this.node.hidden;
    button.hidden = !data.is_visible || !String(data.text ?? "").trim();
    button.replaceChildren(el("span", {}, String(data.text ?? "")));
    button.disabled = data.is_active === false;
    button.setAttribute("aria-busy", String(Boolean(data.is_progress_visible)));
    button.classList.toggle("shine", Boolean(data.has_shine_effect));
    button.style.backgroundColor = COLOUR.test(data.color) ? data.color : "";
    button.style.color = COLOUR.test(data.text_color) ? data.text_color : "";
    if (kind === "secondary" && data.position) this.node.dataset.position = data.position;
    this.node.hidden = this.main.hidden && this.secondary.hidden;
    if (before !== this.node.hidden) this.on.changed();
  }

  reset() {
    this.main.hidden = this.secondary.hidden = this.node.hidden = true;
  }
}
