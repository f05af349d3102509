// One phone: a user, their chat with the bot, and the mini app.

import { chatApi, Refused } from "./api.js";
import { Composer } from "./composer.js";
import { Dialogs } from "./dialogs.js";
import { avatar, el, iconButton } from "./dom.js";
import { readTelegramLink } from "./links.js";
import { Messages } from "./messages.js";
import { MiniApp } from "./mini_app.js";
import { isSafe } from "./rich_text.js";

const ACTION_MS = 5000;

export class Phone {
  /**
   * @param {{bot: object, user: object, themes: object, onRemove: () => void}} options
   */
  constructor({ bot, user, themes, onRemove }) {
    Object.assign(this, { bot, user, onRemove });
    this.api = chatApi(bot, user);
    this.waiting = new Map();
    this.name = [user.first_name, user.last_name].filter(Boolean).join(" ");
    this.node = el("article", { class: "phone", "aria-label": `Phone of ${this.name}`, data: { user: user.id } });
    this.dialogs = new Dialogs(this.node);
    this.messages = new Messages(user, {
      command: (text) => this.send(text),
      mention: (text) => this.composer.fill(`${text} `),
      link: (url) => this.followLink(url),
      button: (message, button, done) => this.pressInline(message, button, done),
    });
    this.composer = new Composer(bot, this.composerActions(), `Message of ${user.first_name} to ${bot.title}`);
    this.app = new MiniApp(bot, themes, this.dialogs, this.appActions());
    this.build();
  }

  build() {
    this.status = el("small", {}, "bot");
    this.actions = el("div", { class: "menu", hidden: true });
    const more = iconButton("more", "More", () => (this.actions.hidden = !this.actions.hidden), { "aria-haspopup": "true" });
    const owner = el("div", { class: "owner" }, avatar(this.user.first_name, this.user.id, "small"), el("h2", {}, this.name), el("span", { class: "owner-id" }, `id ${this.user.id}`));
    const head = el("div", { class: "chat-head" }, avatar(this.bot.title, this.bot.id), el("div", { class: "chat-title" }, el("b", {}, this.bot.title), this.status), more, this.actions);
    this.empty = el(
      "div",
      { class: "empty" },
      avatar(this.bot.title, this.bot.id, "large"),
      el("b", {}, this.bot.title),
      el("span", {}, `@${this.bot.username}`),
      el("p", {}, "Press START, or write something."),
    );
    this.chat = el("section", { class: "chat", "aria-label": `Chat with ${this.bot.title}` }, head, el("div", { class: "history" }, this.messages.list, this.empty), this.composer.node);
    this.node.prepend(owner, el("div", { class: "screen" }, this.chat, this.app.node));
    this.node.addEventListener("click", (event) => {
      if (!more.contains(event.target)) this.actions.hidden = true;
    });
  }

  /** Loads the chat; called at the start and whenever the event stream was interrupted. */
  async load() {
    await this.attempt(async () => {
      const chat = await this.api.load();
      this.messages.load(chat.messages);
      this.update(chat);
    });
  }

  /** Takes an event of this phone's chat. */
  receive(kind, data) {
    switch (kind) {
      case "message":
      case "edited":
        this.messages.show(data.message);
        this.empty.hidden = !this.messages.isEmpty;
        if (data.message.from.is_bot) this.showAction("");
        break;
      case "deleted":
        this.messages.remove(data.message_id);
        this.empty.hidden = !this.messages.isEmpty;
        break;
      case "chat":
        this.attempt(async () => this.update(await this.api.load()));
        break;
      case "action":
        this.showAction(data.action);
        break;
      case "callback_answer":
        this.showAnswer(data);
        break;
      case "inline_answer":
        if (data.query_id === this.inlineQuery) this.composer.showResults(data);
        break;
    }
  }

  update(chat) {
    this.composer.update(chat);
    this.empty.hidden = !this.messages.isEmpty;
    const blockItem = el("button", { type: "button", on: { click: () => this.attempt(() => this.api.block(!chat.blocked)) } }, chat.blocked ? "Unblock the bot" : "Block the bot");
    const removeItem = el("button", { type: "button", on: { click: () => this.onRemove() } }, "Put this phone away");
    this.actions.replaceChildren(blockItem, removeItem);
  }

  composerActions() {
    return {
      send: (text) => this.send(text),
      unblock: () => this.attempt(() => this.api.block(false)),
      menu: (button) => this.app.open({ source: "menu", url: button.web_app.url }),
      keyboardApp: (button) => this.app.open({ source: "keyboard_button", url: button.web_app.url, buttonText: button.text }),
      inline: (query) => this.askInline(query),
      choose: (resultId) => this.attempt(() => this.api.choose(this.inlineQuery, resultId)),
      resultsButton: (button) => {
        if (button.web_app) this.app.open({ source: "inline_button", url: button.web_app.url });
        else this.send(`/start ${button.start_parameter ?? ""}`.trim());
      },
    };
  }

  appActions() {
    return {
      launch: ({ buttonText, ...options }) => this.attempt(async () => (await this.api.launch(options)).url),
      link: (url) => this.followLink(url),
      tgLink: (url) => this.followLink(url),
      data: (buttonText, data) => this.attempt(() => this.api.sendWebAppData(buttonText, data)),
      inline: (query) => this.composer.fill(`@${this.bot.username} ${query}`),
      opened: () => this.node.classList.add("with-app"),
      closed: () => this.node.classList.remove("with-app"),
      expanded: (expanded) => (this.chat.inert = expanded),
    };
  }

  /** Runs something that may be refused; the refusal is shown as a toast and gives null. */
  async attempt(action) {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.dialogs.toast(error.message);
      return null;
    }
  }

  send(text) {
    return this.attempt(() => this.api.send(text));
  }

  async askInline(query) {
    const asked = await this.attempt(() => this.api.inline(query));
    if (asked) this.inlineQuery = asked.query_id;
  }

  async pressInline(message, button, done) {
    if (button.callback_data !== undefined) {
      const pressed = await this.attempt(() => this.api.press(message.message_id, button.callback_data));
      if (pressed) this.waiting.set(pressed.query_id, done);
      else done();
      return;
    }
    if (button.web_app) this.app.open({ source: "inline_button", url: button.web_app.url });
    else if (button.url) this.followLink(button.url);
    else if (button.copy_text) await navigator.clipboard?.writeText(button.copy_text.text);
    else {
      const query = button.switch_inline_query_current_chat ?? button.switch_inline_query;
      if (query !== undefined) this.composer.fill(`@${this.bot.username} ${query}`);
    }
    done();
  }

  showAnswer({ query_id, text, show_alert, url }) {
    this.waiting.get(query_id)?.();
    this.waiting.delete(query_id);
    if (url) this.followLink(url);
    if (!text) return;
    if (show_alert) this.dialogs.alert(text);
    else this.dialogs.toast(text);
  }

  showAction(action) {
    clearTimeout(this.actionTimer);
    this.status.textContent = action === "typing" ? "typing…" : action ? `${action.replaceAll("_", " ")}…` : "bot";
    this.status.classList.toggle("active", Boolean(action));
    if (action) this.actionTimer = setTimeout(() => this.showAction(""), ACTION_MS);
  }

  followLink(url) {
    const link = readTelegramLink(url);
    if (link?.kind === "share") this.composer.fill(link.text);
    else if (link && link.bot.toLowerCase() === this.bot.username.toLowerCase()) this.followBotLink(link);
    else if (link) this.dialogs.toast(`${url} leads to a chat that is not in this sandbox.`);
    else if (isSafe(url)) window.open(url, "_blank", "noopener,noreferrer");
  }

  followBotLink(link) {
    if (link.kind === "app") this.app.open({ source: "direct", start_param: link.param });
    else if (link.kind === "start") this.send(`/start ${link.param}`.trim());
  }
}
