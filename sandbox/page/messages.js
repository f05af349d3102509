// The bubbles of one chat.

import { content, service } from "./contents.js";
import { avatar, el, iconButton } from "./dom.js";

const SPINNER_MS = 10_000;
const END_PX = 40; // so near to the newest message counts as reading it

export class Messages {
  /**
   * @param {{id: number}} user whose phone this is: their messages are on the right
   * @param {boolean} isGroup whether others' names are shown
   * @param {object} on `command`, `link`, `mention` for texts, `button(message, button, done)` for inline buttons,
   *   `menu(message)`, `vote(message, options)`, `react(message, emoji)`
   */
  constructor(user, isGroup, on) {
    Object.assign(this, { user, isGroup, on });
    this.byId = new Map();
    this.list = el("ol", { class: isGroup ? "messages in-group" : "messages", role: "log", "aria-label": "Messages", tabindex: "0" });
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

  scrollTo(id) {
    this.byId.get(id)?.node.scrollIntoView({ block: "center", behavior: "smooth" });
  }

  load(messages, reactions = {}) {
    this.byId.clear();
    this.list.replaceChildren();
    for (const message of messages) this.show(message);
    for (const [id, counts] of Object.entries(reactions)) this.showReactions(Number(id), counts);
  }

  /** Adds a message, or puts an edited one in its place. */
  show(message) {
    const old = this.byId.get(message.message_id);
    const reactions = old?.reactions ?? el("div", { class: "reactions", hidden: true });
    const node = this.bubble(message, reactions);
    this.byId.set(message.message_id, { node, reactions, message });
    if (old) {
      old.node.replaceWith(node);
      return;
    }
    this.list.append(node);
    this.scrollToEnd();
  }

  remove(id) {
    this.byId.get(id)?.node.remove();
    this.byId.delete(id);
  }

  /** @param {Record<string, number>} counts by emoji */
  showReactions(id, counts) {
    const shown = this.byId.get(id);
    if (!shown) return;
    const items = Object.entries(counts).map(([emoji, count]) =>
      el("button", { type: "button", "aria-label": `${emoji}, ${count}`, on: { click: () => this.on.react(shown.message, emoji) } }, `${emoji} ${count}`),
    );
    shown.reactions.replaceChildren(...items);
    shown.reactions.hidden = items.length === 0;
  }

  get isEmpty() {
    return this.byId.size === 0;
  }

  bubble(message, reactions) {
    const said = service(message, this.user);
    if (said) return el("li", { class: "service", data: { id: message.message_id } }, el("span", {}, said));
    const mine = message.from.id === this.user.id;
    const time = new Date(message.date * 1000);
    const clock = time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    const name = this.isGroup && !mine && sender(message.from);
    const bubble = el(
      "div",
      { class: "bubble" },
      name,
      message.forward_origin && el("span", { class: "via" }, `Forwarded from ${message.forward_origin.sender_user.first_name}`),
      message.via_bot && el("span", { class: "via" }, `via @${message.via_bot.username}`),
      message.reply_to_message && quote(message.reply_to_message),
      content(message, this.on),
      reactions,
      el("time", { datetime: time.toISOString() }, message.edit_date ? `edited ${clock}` : clock),
    );
    const open = (event) => {
      event.preventDefault();
      this.on.menu(message);
    };
    bubble.addEventListener("contextmenu", open);
    const menu = iconButton("more", `More about the message of ${message.from.first_name}`, open, { class: "icon-button message-menu" });
    const face = this.isGroup && !mine && avatar(message.from.first_name, message.from.id, "tiny");
    return el("li", { class: mine ? "message mine" : "message", data: { id: message.message_id } }, face, el("div", { class: "bubble-row" }, bubble, menu), this.keyboard(message));
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

function sender({ first_name, id }) {
  const node = el("span", { class: "sender" }, first_name);
  node.style.setProperty("--hue", String((Number(id) * 137) % 360));
  return node;
}

function quote(message) {
  return el("div", { class: "quote" }, el("b", {}, message.from.first_name), el("span", {}, message.text ?? message.caption ?? "a message"));
}
