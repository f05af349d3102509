// One phone: a user, their chats, and the mini app.

import { chatApi, Refused } from "./api.js";
import { Chat } from "./chat.js";
import { Dialogs } from "./dialogs.js";
import { avatar, el } from "./dom.js";
import { askGroup } from "./group_menu.js";
import { readTelegramLink } from "./links.js";
import { MiniApp } from "./mini_app.js";
import { isSafe } from "./rich_text.js";

export class Phone {
  /**
   * @param {{bot: object, user: object, themes: object, people: () => object[], onRemove: () => void}} options
   */
  constructor({ bot, user, themes, people, onRemove }) {
    Object.assign(this, { bot, user, people, onRemove });
    this.api = chatApi(bot, user);
    this.name = [user.first_name, user.last_name].filter(Boolean).join(" ");
    this.groups = [];
    this.opening = 0; // the group that was just made here
    this.node = el("article", { class: "phone", "aria-label": `Phone of ${this.name}`, data: { user: user.id } });
    this.dialogs = new Dialogs(this.node);
    this.private = new Chat(this, null);
    this.chats = new Map([[user.id, this.private]]);
    this.app = new MiniApp(bot, user, themes, this.dialogs, this.appActions());
    this.build();
    this.show(this.private);
  }

  build() {
    const { user } = this;
    this.tabs = el("div", { class: "chat-tabs", role: "tablist", "aria-label": `Chats of ${this.name}`, hidden: true });
    this.tabs.addEventListener("keydown", (event) => this.moveTab(event));
    const owner = el("div", { class: "owner" }, avatar(user.first_name, user.id, "small"), el("h2", {}, this.name), el("span", { class: "owner-id" }, `id ${user.id}`));
    this.place = el("div", { class: "chat-place" });
    this.node.prepend(owner, el("div", { class: "screen" }, this.tabs, this.place, this.app.node));
    this.node.addEventListener("click", (event) => {
      for (const chat of this.chats.values()) if (!chat.more.contains(event.target)) chat.menu.hidden = true;
    });
    this.node.addEventListener("keydown", (event) => {
      if (event.key === "Escape") for (const chat of this.chats.values()) chat.menu.hidden = true;
    });
  }

  async load() {
    await Promise.all([...this.chats.values()].map((chat) => chat.load()));
  }

  /** Takes an event of one of this phone's chats. */
  receive(kind, data) {
    const chat = this.chats.get(data.chat);
    if (!chat) return;
    chat.receive(kind, data);
    if (kind === "message" && chat !== this.shown) {
      chat.unread += 1;
      this.showTabs();
    }
  }

  /** Shows the groups this user is in, and no others. */
  setGroups(groups) {
    this.groups = groups.filter(({ members }) => members.some(({ user }) => user.id === this.user.id));
    const ids = new Set(this.groups.map(({ id }) => id));
    for (const group of this.groups) {
      const known = this.chats.get(group.id);
      if (known) {
        known.receive("chat");
        continue;
      }
      const chat = new Chat(this, group);
      this.chats.set(group.id, chat);
      chat.load();
      if (group.id === this.opening) this.show(chat);
    }
    for (const id of [...this.chats.keys()].filter((id) => id < 0 && !ids.has(id))) {
      if (this.chats.get(id) === this.shown) this.show(this.private);
      this.chats.delete(id);
    }
    this.showTabs();
  }

  show(chat) {
    this.shown = chat;
    chat.unread = 0;
    this.place.replaceChildren(chat.node);
    chat.messages.scrollToEnd();
    this.showTabs();
  }

  showTabs() {
    const chats = [...this.chats.values()];
    this.tabs.hidden = chats.length < 2;
    this.tabs.replaceChildren(...chats.map((chat) => this.tab(chat)));
  }

  tab(chat) {
    const shown = chat === this.shown;
    const badge = chat.unread > 0 && el("span", { class: "badge", "aria-label": `${chat.unread} new` }, String(chat.unread));
    const props = { type: "button", role: "tab", "aria-selected": String(shown), tabindex: shown ? "0" : "-1", on: { click: () => this.show(chat) } };
    return el("button", props, avatar(chat.title, chat.id || this.bot.id, "tiny"), el("span", {}, chat.title), badge);
  }

  moveTab(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const chats = [...this.chats.values()];
    this.show(chats.at((chats.indexOf(this.shown) + step) % chats.length));
    this.tabs.querySelector("[aria-selected=true]")?.focus();
  }

  async join(link) {
    const group = await this.attempt(() => this.api.join(link));
    if (group) this.opening = group.id;
    if (group && this.chats.has(group.id)) this.show(this.chats.get(group.id));
  }

  async askForGroup() {
    const wanted = await askGroup(this.dialogs, this.user, this.people());
    const made = wanted && (await this.attempt(() => this.api.newGroup(wanted)));
    if (made) this.opening = made.id;
    if (made && this.chats.has(made.id)) this.show(this.chats.get(made.id));
  }

  appActions() {
    return {
      launch: ({ buttonText, chatTitle, ...options }) => this.attempt(async () => (await this.api.launch(options)).url),
      link: (url) => this.followLink(url, this.shown),
      data: (buttonText, data) => this.attempt(() => this.api.sendWebAppData(buttonText, data)),
      inline: (query, kinds) => (kinds.length ? this.chooseInline(query) : this.shown.fillInline(query)),
      invoice: (slug) => this.private.checkout.open({ slug }),
      share: (id) => this.share(id),
      writeAccess: () => this.allowWriting(),
      contact: async () => (await this.attempt(() => this.api.shareContact()))?.response ?? null,
      opened: () => this.node.classList.add("with-app"),
      closed: () => this.node.classList.remove("with-app"),
      expanded: (expanded) => (this.place.inert = this.tabs.inert = expanded),
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

  copy(text) {
    this.app.requests.clipboard = text;
    navigator.clipboard?.writeText(text).catch(() => {});
    this.dialogs.toast("Copied.");
  }

  /** Lets the user choose where an inline query goes; with one chat there is nothing to choose. */
  async chooseInline(query) {
    const chat = await this.chooseChat("Where to?");
    if (!chat) return;
    this.show(chat);
    chat.fillInline(query);
  }

  async chooseChat(title) {
    if (this.chats.size === 1) return this.private;
    const items = [...this.chats].map(([id, chat]) => ({ id: String(id), text: chat.title }));
    return this.chats.get(Number(await this.dialogs.choose(title, items)));
  }

  /** Shares a message the bot prepared; gives why it could not be, as the mini app is told, or "". */
  async share(id) {
    const chats = [...this.chats.values()];
    const here = { id: "0", text: "Share it here" };
    const places = chats.length === 1 ? [here] : chats.map((chat) => ({ id: String(chat.id), text: chat.title }));
    const buttons = [...places, { id: "", text: "Cancel" }];
    const chosen = await this.dialogs.ask({ title: this.bot.title, message: "Share a message of this mini app?", buttons });
    if (!chosen) return "USER_DECLINED";
    const chat = this.chats.get(Number(chosen)) ?? this.private;
    return (await this.attempt(() => chat.api.share(id))) ? "" : "MESSAGE_EXPIRED";
  }

  async allowWriting() {
    const buttons = [{ id: "allow", text: "Allow" }, { id: "", text: "Cancel" }];
    const chosen = await this.dialogs.ask({ title: this.bot.title, message: "Allow this bot to message you?", buttons });
    return chosen === "allow" && Boolean(await this.attempt(() => this.api.allowWriting()));
  }

  start(parameter) {
    this.show(this.private);
    return this.private.send(`/start ${parameter}`.trim());
  }

  /** Follows a link; one to this bot's mini app opens it as from the chat in which it was tapped. */
  followLink(url, chat) {
    const link = readTelegramLink(url);
    if (link?.kind === "share") this.shareLink(link.text);
    else if (link?.kind === "join") this.join(link.link);
    else if (link?.kind === "invoice") chat.checkout.open({ slug: link.slug });
    else if (link && link.bot.toLowerCase() === this.bot.username.toLowerCase()) this.followBotLink(link, chat);
    else if (link) this.dialogs.toast(`${url} leads to a chat that is not in this sandbox.`);
    else if (isSafe(url)) window.open(url, "_blank", "noopener,noreferrer");
  }

  async shareLink(text) {
    const chat = await this.chooseChat("Share with");
    if (!chat) return;
    this.show(chat);
    chat.composer.fill(text);
  }

  followBotLink(link, chat) {
    if (link.kind === "app") {
      const from = chat.id ? { chat_id: chat.id, chatTitle: chat.title } : {};
      this.app.open({ source: "direct", start_param: link.param, ...from });
    } else if (link.kind === "start") this.start(link.param);
    else this.show(this.private);
  }
}
