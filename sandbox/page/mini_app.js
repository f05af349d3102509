// The mini app inside a phone: a sheet with title bar, iframe and bottom buttons.

import { BottomButtons } from "./bottom_buttons.js";
import { Bridge } from "./bridge.js";
import { avatar, el, icon, iconButton } from "./dom.js";
import { refusals } from "./refusals.js";
import { Requests } from "./requests.js";
import { CloudStorage } from "./storage.js";
import { current, onTheme } from "./theme.js";

const COLOUR = /^#[0-9a-f]{6}$/i;
const FLASH_MS = 320;
const RIGHTS = "allow-scripts allow-same-origin allow-forms allow-popups allow-popups-to-escape-sandbox allow-modals allow-downloads";

export class MiniApp {
  /**
   * @param {object} bot
   * @param {object} user whose phone this is
   * @param {object} themes ThemeParams by name
   * @param {import("./dialogs.js").Dialogs} dialogs
   * @param {object} on `launch(options)` gives a URL; `link(url)`, `data(button, data)`, `inline(text, kinds)`, what `Requests`
   *   asks for, `opened()`, `closed()`, `expanded(whether)`
   */
  constructor(bot, user, themes, dialogs, on) {
    Object.assign(this, { bot, user, themes, dialogs, on });
    this.requests = new Requests(bot, dialogs, new CloudStorage(bot, user), on);
    this.build();
    onTheme((theme) => this.sendTheme(theme));
    new ResizeObserver(() => this.sendViewport()).observe(this.stage);
  }

  build() {
    const { bot } = this;
    const press = (event) => () => this.bridge?.post(event);
    this.back = iconButton("back", "Back in the mini app", press("back_button_pressed"), { hidden: true });
    this.settings = iconButton("settings", "Settings of the mini app", press("settings_button_pressed"), { hidden: true });
    this.grow = iconButton("expand", "Expand the mini app", () => this.toggleSize());
    this.place = el("small", {}, "mini app");
    this.bar = el(
      "div",
      { class: "app-bar" },
      iconButton("close", "Close the mini app", () => this.askToClose()),
      this.back,
      el("div", { class: "app-title" }, el("b", {}, bot.title), this.place),
      this.settings,
      iconButton("reload", "Reload the mini app", () => this.reload()),
      this.grow,
    );
    this.stage = el("div", { class: "app-stage" });
    this.buttons = new BottomButtons({ pressed: (event) => this.bridge?.post(event), changed: () => this.sendViewport() });
    this.node = el("section", { class: "mini-app", hidden: true, "aria-label": `Mini app ${bot.title}` }, this.bar, this.stage, this.buttons.node);
    this.expanded = this.fullscreen = false;
  }

  get isOpen() {
    return !this.node.hidden;
  }

  /**
   * Opens the mini app with fresh, signed launch parameters.
   * @param {{source?: string, url?: string, start_param?: string, buttonText?: string, chat_id?: number, chatTitle?: string}} options
   */
  async open(options = {}) {
    this.options = options;
    const url = await this.on.launch({ ...options, theme: current() });
    if (url === null) return;
    this.reset();
    this.place.textContent = options.chatTitle ? `mini app, from ${options.chatTitle}` : "mini app";
    const loading = el("div", { class: "app-loading" }, avatar(this.bot.title, this.bot.id, "large"));
    this.frame = el("iframe", {
      title: `${this.bot.title}, mini app`,
      sandbox: RIGHTS,
      allow: "clipboard-write; fullscreen; accelerometer; gyroscope; geolocation",
      on: { load: () => loading.remove() },
    });
    this.bridge = new Bridge(this.frame, this.user.first_name);
    this.bridge.handlers = this.handlers(this.bridge, loading);
    this.bridge.launched(url);
    this.frame.src = url;
    this.stage.replaceChildren(this.frame, loading);
    this.node.hidden = false;
    this.on.opened();
  }

  /** Opens again as it was opened, with new init data. */
  reload() {
    return this.open(this.options);
  }

  async askToClose() {
    if (this.confirmClosing) {
      const buttons = [{ id: "close", text: "Close anyway", type: "destructive" }, { id: "", text: "Cancel" }];
      const answer = await this.dialogs.ask({ title: this.bot.title, message: "Changes that you made may not be saved.", buttons });
      if (answer !== "close") return;
    }
    this.close();
  }

  close() {
    this.reset();
    this.stage.replaceChildren();
    this.node.hidden = true;
    this.setExpanded(false);
    this.on.closed();
  }

  reset() {
    this.bridge?.close();
    this.bridge = null;
    this.frame = null;
    this.confirmClosing = false;
    this.barColour = null;
    this.buttons.reset();
    this.back.hidden = this.settings.hidden = true;
    for (const name of ["--app-bar", "--app-background", "--app-bottom"]) this.node.style.removeProperty(name);
    this.node.classList.remove("dark-bar");
    this.setFullscreen(false);
  }

  toggleSize() {
    if (this.fullscreen) this.setFullscreen(false);
    else this.setExpanded(!this.expanded);
  }

  setExpanded(expanded) {
    this.expanded = expanded;
    this.showSize();
    this.sendViewport();
  }

  setFullscreen(fullscreen) {
    if (fullscreen === this.fullscreen) return;
    this.fullscreen = fullscreen;
    this.showSize();
    this.bridge?.post("fullscreen_changed", { is_fullscreen: fullscreen });
    this.sendViewport();
  }

  showSize() {
    const large = this.expanded || this.fullscreen;
    this.node.classList.toggle("expanded", large);
    this.node.classList.toggle("fullscreen", this.fullscreen);
    const label = large ? "Shrink the mini app" : "Expand the mini app";
    this.grow.replaceChildren(icon(large ? "shrink" : "expand"));
    this.grow.setAttribute("aria-label", label);
    this.grow.title = label;
    this.on.expanded(large);
  }

  handlers(bridge, loading) {
    const post = (event, data) => bridge.post(event, data);
    return {
      ...refusals(post),
      ...this.requests.handlers(post),
      iframe_ready: () => {},
      iframe_will_reload: () => {},
      web_app_ready: () => loading.remove(),
      web_app_expand: () => this.setExpanded(true),
      web_app_close: () => this.close(),
      web_app_request_theme: () => this.sendTheme(current()),
      web_app_request_viewport: () => this.sendViewport(),
      web_app_request_fullscreen: () => (this.fullscreen ? post("fullscreen_failed", { error: "ALREADY_FULLSCREEN" }) : this.setFullscreen(true)),
      web_app_exit_fullscreen: () => this.setFullscreen(false),
      web_app_setup_main_button: (data) => this.buttons.set("main", data),
      web_app_setup_secondary_button: (data) => this.buttons.set("secondary", data),
      web_app_setup_back_button: ({ is_visible }) => (this.back.hidden = !is_visible),
      web_app_setup_settings_button: ({ is_visible }) => (this.settings.hidden = !is_visible),
      web_app_setup_closing_behavior: ({ need_confirmation }) => (this.confirmClosing = Boolean(need_confirmation)),
      web_app_set_header_color: (data) => {
        this.barColour = data;
        this.showBarColour();
      },
      web_app_set_background_color: ({ color }) => this.setColour("--app-background", color),
      web_app_set_bottom_bar_color: ({ color }) => this.setColour("--app-bottom", color),
      web_app_trigger_haptic_feedback: (data) => this.flash(data),
      web_app_open_link: ({ url }) => this.on.link(String(url)),
      web_app_open_tg_link: ({ path_full }) => this.on.link(`https://t.me${path_full}`),
      web_app_data_send: ({ data }) => this.sendData(data),
      web_app_switch_inline_query: ({ query, chat_types }) => this.switchInline(query, chat_types),
    };
  }

  sendTheme(theme) {
    if (this.barColour) this.showBarColour();
    this.bridge?.post("theme_changed", { theme_params: this.themes[theme] });
  }

  sendViewport() {
    const { width, height } = this.stage.getBoundingClientRect();
    if (height > 0) this.bridge?.post("viewport_changed", { width, height, is_expanded: this.expanded || this.fullscreen, is_state_stable: true });
  }

  /** A key follows the theme, a colour stays. */
  showBarColour() {
    const { color, color_key } = this.barColour;
    const value = color ?? this.themes[current()][color_key];
    this.setColour("--app-bar", value);
    this.node.classList.toggle("dark-bar", COLOUR.test(value) && isDark(value));
  }

  setColour(name, value) {
    if (COLOUR.test(value)) this.node.style.setProperty(name, value);
  }

  /** Nobody feels this phone, so it flashes; how strongly, or in which colour, says what it would have felt like. */
  flash({ type, impact_style, notification_type }) {
    const kind = notification_type ?? impact_style ?? type ?? "light";
    const light = el("div", { class: "flash", data: { kind }, "aria-hidden": "true" });
    this.node.append(light);
    this.node.classList.add("buzz");
    setTimeout(() => {
      light.remove();
      this.node.classList.remove("buzz");
    }, FLASH_MS);
  }

  sendData(data) {
    if (!this.options.buttonText) {
      this.dialogs.toast("Only a mini app opened from a keyboard button can send data to the bot.");
      return;
    }
    this.on.data(this.options.buttonText, String(data ?? ""));
    this.close();
  }

  switchInline(query, kinds) {
    this.close();
    this.on.inline(String(query ?? ""), Array.isArray(kinds) ? kinds : []);
  }
}

function isDark(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return red * 0.299 + green * 0.587 + blue * 0.114 < 140;
}
