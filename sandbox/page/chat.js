// One chat on a phone, the private one with the bot or a group: head, messages, text box.

import { chatApi } from "./api.js";
import { Checkout } from "./checkout.js";
import { Composer } from "./composer.js";
import { avatar, el, iconButton } from "./dom.js";
import { groupItems, peopleOf } from "./group_menu.js";
import { Messages } from "./messages.js";

const ACTION_MS = 5000;

export class Chat {
  /**
   * @param {import("./phone.js").Phone} phone that shows it
   * @param {object | null} group null for the private chat
   */
  constructor(phone, group) {
    Object.assign(this, { phone, group, bot: phone.bot, user: phone.user, dialogs: phone.dialogs });
    this.id = group?.id ?? 0;
    this.api = chatApi(this.bot, this.user, this.id);
    this.attempt = (action) => phone.attempt(action);
    this.waiting = new Map();
    this.unread = 0;
    this.checkout = new Checkout(this.dialogs, this.api, this.attempt);
    this.messages = new Messages(this.user, Boolean(group), {
      command: (text) => this.send(text),
      mention: (text) => this.composer.fill(`${text} `),
      link: (url) => phone.followLink(url, this),
      button: (message, button, done) => this.pressInline(message, button, done),
      menu: (message) => this.messageMenu(message),
      vote: (message, options) => this.attempt(() => this.api.vote(message.message_id, options)),
      react: (message, emoji) => this.attempt(() => this.api.react(message.message_id, emoji)),
    });
    const label = `Message of ${this.user.first_name} to ${this.title}`;
    this.composer = new Composer(this.bot, this.composerActions(), label, Boolean(group));
    this.build();
  }

  get title() {
    return this.group?.title ?? this.bot.title;
  }

  build() {
    this.heading = el("b", {}, this.title);
    this.status = el("small", {});
    this.menu = el("div", { class: "menu", hidden: true });
    this.more = iconButton("more", "More", () => this.toggleMenu(), { "aria-haspopup": "true" });
    this.pinned = el("button", { type: "button", class: "pinned", hidden: true });
    const face = avatar(this.title, this.id || this.bot.id);
    const head = el("div", { class: "chat-head" }, face, el("div", { class: "chat-title" }, this.heading, this.status), this.more, this.menu);
    this.empty = el(
      "div",
      { class: "empty" },
      avatar(this.title, this.id || this.bot.id, "large"),
      el("b", {}, this.title),
      el("span", {}, this.group ? "A group" : `@${this.bot.username}`),
      el("p", {}, this.group ? "Write something." : "Press START, or write something."),
    );
    const history = el("div", { class: "history" }, this.messages.list, this.empty);
    this.node = el("section", { class: "chat", "aria-label": `Chat with ${this.title}` }, head, this.pinned, history, this.composer.node);
    this.showAction("");
  }

  /** Loads the chat; called at the start and whenever the event stream was interrupted. */
  async load() {
    await this.attempt(async () => {
      const chat = await this.api.load();
      this.messages.load(chat.messages, chat.reactions);
      this.update(chat);
    });
  }

  /** Takes an event of this chat. */
  receive(kind, data) {
    switch (kind) {
      case "message":
        if (data.message.from.id === this.bot.id) this.showAction("");
      // falls through
      case "edited":
        this.messages.show(data.message);
        this.empty.hidden = !this.messages.isEmpty;
        break;
      case "deleted":
        this.messages.remove(data.message_id);
        this.empty.hidden = !this.messages.isEmpty;
        break;
      case "reactions":
        this.messages.showReactions(data.message_id, data.reactions);
        break;
      case "chat":
        this.attempt(async () => this.update(await this.api.load()));
        break;
      case "action":
        this.showAction(data.action);
        break;
      case "checkout":
        this.checkout.receive(data);
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
    this.state = chat;
    if (chat.group) this.group = chat.group;
    this.heading.textContent = this.title;
    this.composer.update(chat);
    this.showAction("");
    this.empty.hidden = !this.messages.isEmpty;
    const [pinned] = chat.pinned;
    const message = chat.messages.find(({ message_id }) => message_id === pinned);
    this.pinned.hidden = !message;
    this.pinned.textContent = `📌 ${message?.text ?? "Pinned message"}`;
    this.pinned.onclick = () => this.messages.scrollTo(pinned);
  }

  toggleMenu() {
    const items = this.group ? groupItems(this) : this.privateItems();
    const remove = { text: "Put this phone away", run: () => this.phone.onRemove() };
    const button = ({ text, run }) => el("button", { type: "button", on: { click: run } }, text);
    this.menu.replaceChildren(...[...items, remove].map(button));
    this.menu.hidden = !this.menu.hidden;
  }

  privateItems() {
    const blocked = this.state?.blocked;
    return [
      { text: "New group with the bot", run: () => this.phone.askForGroup() },
      { text: blocked ? "Unblock the bot" : "Block the bot", run: () => this.attempt(() => this.api.block(!blocked)) },
    ];
  }

  composerActions() {
    const { phone } = this;
    return {
      send: (text, replyTo) => this.attempt(() => this.api.send(text, replyTo)),
      edit: (id, text) => this.attempt(() => this.api.edit(id, text)),
      file: (kind, file, caption) => this.attempt(() => this.api.sendFile(kind, file, caption)),
      unblock: () => this.attempt(() => this.api.block(false)),
      menu: (button) => phone.app.open({ source: "menu", url: button.web_app.url }),
      keyboard: (button) => this.pressKeyboard(button),
      inline: (query) => this.askInline(query),
      choose: (resultId) => this.attempt(() => this.api.choose(this.inlineQuery, resultId)),
      resultsButton: (button) => {
        if (button.web_app) phone.app.open({ source: "inline_button", url: button.web_app.url });
        else phone.start(button.start_parameter ?? "");
      },
    };
  }

  send(text) {
    return this.attempt(() => this.api.send(text));
  }

  async askInline(query) {
    const asked = await this.attempt(() => this.api.inline(query));
    if (asked) this.inlineQuery = asked.query_id;
  }

  async pressKeyboard(button) {
    if (button.web_app) this.phone.app.open({ source: "keyboard_button", url: button.web_app.url, buttonText: button.text });
    else if (button.request_contact) await this.giveContact();
    else if (button.request_location) await this.attempt(() => this.api.shareLocation());
    else if (button.request_users) await this.giveUsers(button);
    else if (button.request_chat) await this.giveChat(button);
    else await this.send(button.text);
  }

  async giveContact() {
    const buttons = [{ id: "share", text: "Share" }, { id: "", text: "Cancel" }];
    const chosen = await this.dialogs.ask({ title: this.title, message: "Share your phone number with this bot?", buttons });
    return chosen ? this.attempt(() => this.api.shareContact()) : null;
  }

  async giveUsers(button) {
    const others = this.phone.people().filter(({ id }) => id !== this.user.id);
    const chosen = await this.dialogs.choose(button.text, others.map(({ id, first_name }) => ({ id: String(id), text: first_name })));
    if (chosen) await this.attempt(() => this.api.shareUsers(button.text, [Number(chosen)]));
  }

  async giveChat(button) {
    const groups = this.phone.groups.map(({ id, title }) => ({ id: String(id), text: title }));
    const chosen = await this.dialogs.choose(groups.length ? button.text : "You are in no group", groups);
    if (chosen) await this.attempt(() => this.api.shareChat(button.text, Number(chosen)));
  }

  async pressInline(message, button, done) {
    const { phone } = this;
    if (button.callback_data !== undefined) {
      const pressed = await this.attempt(() => this.api.press(message.message_id, button.callback_data));
      if (pressed) this.waiting.set(pressed.query_id, done);
      else done();
      return;
    }
    if (button.pay) await this.checkout.open({ message_id: message.message_id });
    else if (button.web_app) phone.app.open({ source: "inline_button", url: button.web_app.url });
    else if (button.url) phone.followLink(button.url, this);
    else if (button.copy_text) phone.copy(button.copy_text.text);
    else if (button.switch_inline_query_current_chat !== undefined) this.fillInline(button.switch_inline_query_current_chat);
    else phone.chooseInline(button.switch_inline_query ?? button.switch_inline_query_chosen_chat?.query ?? "");
    done();
  }

  fillInline(query) {
    this.composer.fill(`@${this.bot.username} ${query}`);
  }

  async messageMenu(message) {
    const mine = message.from.id === this.user.id;
    const items = [
      ...["👍", "❤", "🔥", "😁"].map((emoji) => ({ id: emoji, text: emoji, type: "emoji" })),
      { id: "reply", text: "Reply" },
      mine && message.text && !message.via_bot && { id: "edit", text: "Edit" },
      (mine || !this.group) && { id: "delete", text: "Delete", type: "destructive" },
    ].filter(Boolean);
    const chosen = await this.dialogs.choose("", items);
    if (chosen === "reply") this.composer.replyTo(message);
    else if (chosen === "edit") this.composer.edit(message);
    else if (chosen === "delete") await this.attempt(() => this.api.remove(message.message_id));
    else if (chosen) await this.attempt(() => this.api.react(message.message_id, chosen));
  }

  showAnswer({ query_id, text, show_alert, url }) {
    if (!this.waiting.has(query_id)) return; // somebody else's, in a group
    this.waiting.get(query_id)();
    this.waiting.delete(query_id);
    if (url) this.phone.followLink(url, this);
    if (!text) return;
    if (show_alert) this.dialogs.alert(text);
    else this.dialogs.toast(text);
  }

  showAction(action) {
    clearTimeout(this.actionTimer);
    const idle = this.group ? peopleOf(this.group) : "bot";
    this.status.textContent = action === "typing" ? "typing…" : action ? `${action.replaceAll("_", " ")}…` : idle;
    this.status.classList.toggle("active", Boolean(action));
    if (action) this.actionTimer = setTimeout(() => this.showAction(""), ACTION_MS);
  }
}
