// The traffic panel: updates, calls, frames and WebApp events, each with its correlation id.

import { followTraffic } from "./api.js";
import { onAppEvent } from "./app_events.js";
import { el, iconButton } from "./dom.js";

const MAX_ROWS = 1000;
const KINDS = { update: "Updates", call: "Calls", frame: "Frames", app: "App events" };

export class Traffic {
  /** @param {(id: number) => string} nameOf the title of a bot */
  constructor(nameOf) {
    this.nameOf = nameOf;
    this.rows = [];
    this.shown = new Set(Object.keys(KINDS));
    this.shown.delete("app");
    this.paused = false;
    this.source = null;
    this.last = 0;
    this.build();
    onAppEvent((event) => this.add({ ...event, kind: "app", at: Date.now() / 1000, trace: "", bot: 0 }));
  }

  build() {
    this.filter = el("input", { type: "search", placeholder: "Filter: an id, a name, a word", "aria-label": "Filter the traffic" });
    this.filter.addEventListener("input", () => this.apply());
    const kinds = Object.entries(KINDS).map(([kind, label]) => this.kindButton(kind, label));
    this.pause = iconButton("pause", "Pause", () => this.setPaused(!this.paused));
    const clear = iconButton("clear", "Clear", () => this.clear());
    this.count = el("small", { class: "traffic-count", role: "status" }, "");
    this.list = el("ol", { class: "traffic-list", "aria-label": "Traffic, the newest at the end", tabindex: "0" });
    this.hint = el("p", { class: "hint" }, "Nothing yet. Press a button in a mini app, or write to the bot.");
    const tools = el("div", { class: "traffic-tools" }, this.filter, this.pause, clear);
    this.node = el("div", { class: "traffic" }, tools, el("div", { class: "kinds", role: "group", "aria-label": "What is shown" }, ...kinds), this.hint, this.list, this.count);
  }

  kindButton(kind, label) {
    const button = el("button", { type: "button", class: "kind", "aria-pressed": String(this.shown.has(kind)), data: { kind } }, label);
    button.addEventListener("click", () => {
      if (!this.shown.delete(kind)) this.shown.add(kind);
      button.setAttribute("aria-pressed", String(this.shown.has(kind)));
      this.apply();
    });
    return button;
  }

  /** Follows only while somebody looks. */
  open() {
    requestAnimationFrame(() => (this.list.scrollTop = this.list.scrollHeight));
    this.source ??= followTraffic({
      open: () => {},
      entries: (entries) => {
        if (entries.at(-1).number < this.last) this.last = 0; // the sandbox was started anew
        for (const entry of entries) if (entry.number > this.last) this.take(entry);
      },
    });
  }

  close() {
    this.source?.close();
    this.source = null;
  }

  take(entry) {
    this.last = entry.number;
    this.add(entry);
  }

  setPaused(paused) {
    this.paused = paused;
    this.pause.replaceWith((this.pause = iconButton(paused ? "play" : "pause", paused ? "Go on" : "Pause", () => this.setPaused(!paused))));
    if (!paused) this.apply();
  }

  clear() {
    this.rows = [];
    this.list.replaceChildren();
    this.apply();
  }

  add(entry) {
    const atEnd = this.list.scrollTop + this.list.clientHeight >= this.list.scrollHeight - 30;
    const row = { entry, words: words(entry), node: this.row(entry) };
    this.rows.push(row);
    if (this.rows.length > MAX_ROWS) this.rows.shift().node.remove();
    row.node.hidden = this.paused || !this.fits(row);
    this.list.append(row.node);
    this.hint.hidden = true;
    this.tell();
    if (atEnd) this.list.scrollTop = this.list.scrollHeight;
  }

  fits({ entry, words }) {
    return this.shown.has(entry.kind) && words.includes(this.filter.value.trim().toLowerCase());
  }

  apply() {
    for (const row of this.rows) row.node.hidden = !this.fits(row);
    this.hint.hidden = this.rows.length > 0;
    this.list.scrollTop = this.list.scrollHeight;
    this.tell();
  }

  tell() {
    const shown = this.rows.filter(({ node }) => !node.hidden).length;
    this.count.textContent = shown === this.rows.length ? `${shown} shown` : `${shown} of ${this.rows.length} shown`;
  }

  row(entry) {
    const time = new Date(entry.at * 1000).toLocaleTimeString([], { hour12: false }) + `.${String(Math.floor((entry.at % 1) * 1000)).padStart(3, "0")}`;
    const bad = entry.status >= 400;
    const status = entry.kind === "call" && el("span", { class: bad ? "status bad" : "status" }, `${entry.status} · ${entry.milliseconds} ms`);
    const trace = entry.trace && el("button", { type: "button", class: "trace", title: "Show only what belongs to this", on: { click: (event) => this.follow(event, entry.trace) } }, entry.trace);
    const head = el(
      "summary",
      {},
      el("span", { class: "kind-mark", data: { kind: entry.kind } }, entry.kind),
      el("b", {}, entry.title),
      el("span", { class: "way" }, entry.bot && entry.kind !== "frame" ? entry.way.replace("bot", this.nameOf(entry.bot)) : entry.way),
      status,
      el("time", {}, time),
      trace,
    );
    const details = el("details", {}, head);
    details.addEventListener("toggle", () => {
      if (details.open && details.childElementCount === 1) details.append(el("pre", {}, JSON.stringify(entry.detail, null, 2)));
    });
    return el("li", { data: { kind: entry.kind } }, details);
  }

  follow(event, trace) {
    event.preventDefault();
    this.filter.value = this.filter.value === trace ? "" : trace;
    this.apply();
  }
}

function words(entry) {
  return [entry.kind, entry.title, entry.way, entry.trace, entry.status, JSON.stringify(entry.detail)].join(" ").toLowerCase();
}
