// The trouble panel: limits and faults of a bot, and what it hears in groups.

import { botApi } from "./api.js";
import { el } from "./dom.js";

const PRESETS = [
  { label: "The next call gets a 500", fault: { kind: "error", code: 500 } },
  { label: "The next message meets a flood wait of 5 s", fault: { kind: "flood", method: "sendMessage", seconds: 5 } },
  { label: "The next call gets no answer for 10 s", fault: { kind: "silence", seconds: 10 } },
  { label: "The next call breaks, though it was made", fault: { kind: "cut" } },
  { label: "The next call breaks before it is made", fault: { kind: "reset" } },
  { label: "Every call takes 2 s", fault: { kind: "slow", seconds: 2, times: 0 } },
];

export class Trouble {
  /** @param {object} bot as the sandbox describes it */
  constructor(bot) {
    this.bot = bot;
    this.api = botApi(bot);
    this.build();
  }

  build() {
    const { bot } = this;
    const limits = this.toggle("Telegram's sending limits", "30 a second, one a second in a chat, 20 a minute in a group: else 429", bot.limits, (on) => this.api.limits(on));
    const privacy = this.toggle("Privacy mode", "In groups it hears only what is meant for it", bot.privacy, (on) => this.api.privacy(on));
    const presets = PRESETS.map(({ label, fault }) => el("button", { type: "button", class: "preset", on: { click: () => this.attempt(() => this.api.addFault(fault)) } }, label));
    this.faults = el("ul", { class: "faults" });
    this.counts = el("p", { class: "hint", role: "status" });
    this.error = el("p", { class: "problem", role: "alert", hidden: true });
    const clear = el("button", { type: "button", class: "preset", on: { click: () => this.attempt(() => this.api.clearFaults()) } }, "Take all of them away");
    this.node = el("div", { class: "trouble" }, el("h3", {}, `@${bot.username}`), limits, privacy, el("h3", {}, "Let something go wrong"), ...presets, el("h3", {}, "What is left to go wrong"), this.faults, clear, this.error, this.counts);
  }

  toggle(title, text, on, set) {
    const box = el("input", { type: "checkbox", checked: on, role: "switch" });
    box.addEventListener("change", () => this.attempt(() => set(box.checked)));
    return el("label", { class: "toggle" }, el("span", {}, el("b", {}, title), el("small", {}, text)), box);
  }

  async open() {
    await this.attempt(() => null);
  }

  close() {}

  /** Does something, and shows what is left to go wrong. */
  async attempt(action) {
    this.error.hidden = true;
    try {
      await action();
      this.show(await this.api.faults(), await this.api.counts());
    } catch (error) {
      this.error.textContent = error.message;
      this.error.hidden = false;
    }
  }

  show(faults, { calls, refused }) {
    const rows = faults.map(({ kind, method, times, seconds, code }) => {
      const often = times === 0 ? "every time" : times === 1 ? "once" : `${times} times`;
      const what = kind === "error" ? `${kind} ${code}` : ["flood", "silence", "slow"].includes(kind) ? `${kind}, ${seconds} s` : kind;
      return el("li", {}, el("b", {}, what), el("span", {}, `${method || "any method"}, ${often}`));
    });
    this.faults.replaceChildren(...(rows.length ? rows : [el("li", { class: "hint" }, "Nothing")]));
    const sum = (numbers) => Object.values(numbers).reduce((total, number) => total + number, 0);
    this.counts.textContent = `${sum(calls)} calls so far, ${sum(refused)} refused.`;
  }
}
