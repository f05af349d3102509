// The bubbles of one chat.

import { el } from "./dom.js";
import { richText } from "./rich_text.js";

const SPINNER_MS = 10_000;
const END_PX = 40; // so near to the newest message counts as reading it

export class Messages {
  /**
   * @param {{id: number}} user whose phone this is: their messages are on the right
   * @param {object} on `command`, `link`, `mention` for texts, `button(message, button)` for inline buttons
   */
  constructor(user, on) {
    this.user = user;
    this.on = on;
    this.byId = new Map();
    this.list = el("ol", { class: "messages", role: "log", "aria-label": "Messages", tabindex: "0" });
    this.atEnd = true;
    this.list.addEventListener("scroll", () => {
      this.atEnd = this.list.scrollTop + this.list.clientHeight >= this.list.scrollHeight - END_PX;
    });
    // Opening the mini app takes room from the chat: whoever read the newest message still sees it.
    new ResizeObserver(() => this.atEnd && this.scrollToEnd()).observe(this.list);
  }

  scrollToEnd() {
    this.list.scrollTop = this.list.scrollHeight;
  }

  load(messages) {
    this.byId.clear();
    this.list.replaceChildren();
    for (const message of messages) this.show(message);
  }

  /** Adds a message, or puts an edited one in its place. */
  show(message) {
    const node = this.bubble(message);
    const old = this.byId.get(message.message_id);
    this.byId.set(message.message_id, node);
    if (old) {
      old.replaceWith(node);
      return;
    }
    this.list.append(node);
    this.scrollToEnd();
  }

  remove(id) {
    this.byId.get(id)?.remove();
    this.byId.delete(id);
  }

  get isEmpty() {
    return this.byId.size === 0;
  }

  bubble(message) {
    const mine = message.from.id === this.user.id;
    const time = new Date(message.date * 1000);
    const clock = time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    const bubble = el(
      "div",
      { class: "bubble" },
      message.via_bot && el("span", { class: "via" }, `via @${message.via_bot.username}`),
      message.reply_to_message && quote(message.reply_to_message),
      message.text ? el("div", { class: "text" }, ...richText(message.text, message.entities, this.on)) : service(message),
      el("time", { datetime: time.toISOString() }, message.edit_date ? `edited ${clock}` : clock),
    );
    return el("li", { class: mine ? "message mine" : "message", data: { id: message.message_id } }, bubble, this.keyboard(message));
  }

  keyboard(message) {
    const rows = message.reply_markup?.inline_keyboard;
    if (!rows) return null;
    const grid = el("div", { class: "inline-keyboard" });
    for (const row of rows) grid.append(el("div", { class: "row" }, ...row.map((button) => this.button(message, button))));
    return grid;
  }

  button(message, button) {
    const kind = button.web_app ? "opens-app" : button.url ? "opens-link" : "";
    const node = el("button", { type: "button", class: kind }, button.text);
    node.addEventListener("click", async () => {
      if (button.callback_data !== undefined) node.setAttribute("aria-busy", "true");
      const done = () => node.removeAttribute("aria-busy");
      setTimeout(done, SPINNER_MS);
      this.on.button(message, button, done);
    });
    return node;
  }
}

function quote(message) {
  return el("div", { class: "quote" }, el("b", {}, message.from.first_name), el("span", {}, message.text ?? ""));
}

function service(message) {
  const text = message.web_app_data
    ? `Data from the “${message.web_app_data.button_text}” button was sent to the bot.`
    : "This kind of message cannot be shown here.";
  return el("div", { class: "text service" }, text);
}
