// The bottom of a chat: menu button, text box, commands, inline results, reply keyboard.

import { el, icon, iconButton } from "./dom.js";

const INLINE_DELAY_MS = 300;

export class Composer {
  /**
   * @param {object} bot
   * @param {object} on `send(text, replyTo)`, `edit(id, text)`, `file(kind, file, caption)`, `unblock()`, `menu(button)`,
   *   `keyboard(button)`, `inline(query)`, `choose(id)`, `resultsButton(button)`
   * @param {string} label of the text box
   * @param {boolean} isGroup whether this is no private chat: nothing is to be started or blocked
   */
  constructor(bot, on, label, isGroup) {
    Object.assign(this, { bot, on, isGroup });
    this.about = null; // the message that is replied to, or edited
    this.commands = [];
    this.menuButton = { type: "commands" };
    this.build(label);
  }

  build(label) {
    this.panel = el("div", { class: "panel", hidden: true });
    this.keyboard = el("div", { class: "reply-keyboard", hidden: true });
    this.menu = el("button", { type: "button", class: "menu-button", on: { click: () => this.pressMenu() } });
    this.input = el("textarea", { rows: "1", placeholder: "Message", "aria-label": label, autocomplete: "off", maxlength: "4096" });
    this.sendButton = iconButton("send", "Send", () => this.submit(), { class: "icon-button send" });
    this.start = el("button", { type: "button", class: "start", hidden: true, on: { click: () => this.on.send("/start") } }, "START");
    this.unblock = el("button", { type: "button", class: "start", hidden: true, on: { click: () => this.on.unblock() } }, "UNBLOCK");
    this.file = el("input", { type: "file", hidden: true, "aria-label": "File to send" });
    this.file.addEventListener("change", () => this.sendFile());
    this.clip = iconButton("clip", "Send a file", () => this.file.click());
    this.note = el("span", {});
    this.aboutBar = el("div", { class: "about", hidden: true }, this.note, iconButton("close", "Never mind", () => this.forget()));
    this.input.addEventListener("input", () => this.changed());
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.row = el("div", { class: "composer-row" }, this.menu, this.start, this.unblock, this.input, this.clip, this.file, this.sendButton);
    this.node = el("div", { class: "composer" }, this.panel, this.aboutBar, this.row, this.keyboard);
  }

  /** Shows what the chat offers: its commands, menu button, keyboard and whether it was started. */
  update(chat) {
    this.commands = chat.commands;
    this.menuButton = chat.menu_button;
    this.showMenu();
    const blocked = chat.blocked && !this.isGroup;
    this.start.hidden = this.isGroup || chat.started || chat.blocked || Boolean(this.input.value);
    this.unblock.hidden = !blocked;
    for (const part of [this.input, this.sendButton, this.clip]) part.hidden = blocked;
    this.node.classList.toggle("fresh", !chat.started && !chat.blocked && !this.isGroup);
    this.chat = chat;
    this.showKeyboard(chat.keyboard);
  }

  showMenu() {
    const isApp = this.menuButton.type === "web_app";
    this.menu.classList.toggle("opens-app", isApp);
    this.menu.replaceChildren(isApp ? document.createTextNode(this.menuButton.text) : icon("slash"));
    this.menu.setAttribute("aria-label", isApp ? `${this.menuButton.text}: open the mini app` : "Commands");
    this.menu.hidden = !isApp && this.commands.length === 0;
  }

  showKeyboard(keyboard) {
    const rows = keyboard?.keyboard ?? [];
    this.keyboard.hidden = rows.length === 0;
    this.input.placeholder = keyboard?.input_field_placeholder || "Message";
    this.keyboard.replaceChildren(
      ...rows.map((row) => el("div", { class: "row" }, ...row.map((button) => this.keyboardButton(button, keyboard)))),
    );
  }

  keyboardButton(button, keyboard) {
    const press = () => {
      this.on.keyboard(button);
      if (keyboard.one_time_keyboard) this.keyboard.hidden = true;
    };
    return el("button", { type: "button", class: button.web_app ? "opens-app" : "", on: { click: press } }, button.text);
  }

  pressMenu() {
    if (this.menuButton.type === "web_app") this.on.menu(this.menuButton);
    else if (this.panel.hidden) this.showCommands(this.commands);
    else this.hidePanel();
  }

  /** Puts a text into the box, as a share or switch-inline button does. */
  fill(text) {
    this.input.value = text;
    this.input.focus();
    this.changed();
  }

  async submit() {
    const text = this.input.value.trim();
    if (!text) return;
    this.hidePanel();
    const { about } = this;
    if (await (about?.edited ? this.on.edit(about.id, text) : this.on.send(text, about?.id))) {
      this.input.value = "";
      this.forget();
      this.changed();
    }
    this.input.focus();
  }

  async sendFile() {
    const [file] = this.file.files;
    this.file.value = "";
    if (!file) return;
    const kind = ["image/png", "image/jpeg", "image/webp"].includes(file.type) ? "photo" : "document";
    if (await this.on.file(kind, file, this.input.value.trim())) {
      this.input.value = "";
      this.changed();
    }
  }

  /** Lets the next text be a reply. */
  replyTo(message) {
    this.aim({ id: message.message_id, edited: false }, `Reply to ${message.from.first_name}: ${message.text ?? message.caption ?? "a message"}`);
  }

  /** Lets the next text take the place of one that was sent. */
  edit(message) {
    this.aim({ id: message.message_id, edited: true }, "Edit the message");
    this.fill(message.text);
  }

  aim(about, note) {
    this.about = about;
    this.note.textContent = note;
    this.aboutBar.hidden = false;
    this.input.focus();
  }

  forget() {
    this.about = null;
    this.aboutBar.hidden = true;
  }

  key(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.submit();
    } else if (event.key === "Escape") {
      this.hidePanel();
      this.forget();
    } else if (event.key === "ArrowUp" && !this.panel.hidden) {
      event.preventDefault();
      this.panel.querySelector("button:last-of-type")?.focus();
    }
  }

  changed() {
    const text = this.input.value;
    this.input.style.height = "auto";
    this.input.style.height = `${Math.min(this.input.scrollHeight, 120)}px`;
    if (this.chat && !this.isGroup) this.start.hidden = this.chat.started || this.chat.blocked || Boolean(text);
    clearTimeout(this.inlineTimer);
    const prefix = `@${this.bot.username} `.toLowerCase();
    if (text.toLowerCase().startsWith(prefix)) {
      const query = text.slice(prefix.length);
      this.inlineTimer = setTimeout(() => this.on.inline(query), INLINE_DELAY_MS);
    } else if (/^\/\w*$/.test(text)) {
      this.showCommands(this.commands.filter(({ command }) => command.startsWith(text.slice(1))));
    } else {
      this.hidePanel();
    }
  }

  showCommands(commands) {
    const items = commands.map(({ command, description }) => {
      const send = () => this.take(`/${command}`);
      return el("button", { type: "button", on: { click: send } }, el("b", {}, `/${command}`), el("span", {}, description));
    });
    this.showPanel(items, "Commands");
  }

  take(text) {
    this.hidePanel();
    this.on.send(text);
    this.input.value = "";
    this.changed();
    this.input.focus();
  }

  showResults({ results, button }) {
    const items = results.map((result) => {
      const choose = () => {
        this.hidePanel();
        this.input.value = "";
        this.changed();
        this.on.choose(result.id);
      };
      const title = result.title || result.input_message_content?.message_text || result.type;
      return el("button", { type: "button", on: { click: choose } }, el("b", {}, title), el("span", {}, result.description ?? ""));
    });
    if (button) items.unshift(el("button", { type: "button", class: "panel-top", on: { click: () => this.on.resultsButton(button) } }, button.text));
    if (items.length === 0) items.push(el("p", { class: "nothing" }, "No results"));
    this.showPanel(items, "Results");
  }

  showPanel(items, label) {
    this.panel.replaceChildren(...items);
    this.panel.setAttribute("aria-label", label);
    this.panel.hidden = items.length === 0;
  }

  hidePanel() {
    this.panel.hidden = true;
  }
}
