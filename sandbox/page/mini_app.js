// The mini app inside a phone: a sheet with title bar, iframe and main button.

import { Bridge } from "./bridge.js";
import { avatar, el, icon, iconButton } from "./dom.js";
import { current, onTheme } from "./theme.js";

const COLOUR = /^#[0-9a-f]{6}$/i;
const BUZZ_MS = 250;

export class MiniApp {
  /**
   * @param {object} bot
   * @param {object} themes ThemeParams by name
   * @param {import("./dialogs.js").Dialogs} dialogs
   * @param {object} on `launch(options)` gives a URL; `tgLink(url)`, `link(url)`, `data(button, data)`, `inline(text)`,
   *   `opened()`, `closed()`
   */
  constructor(bot, themes, dialogs, on) {
    Object.assign(this, { bot, themes, dialogs, on });
    this.build();
    onTheme((theme) => this.sendTheme(theme));
    new ResizeObserver(() => this.sendViewport()).observe(this.stage);
  }

  build() {
    const { bot } = this;
    this.back = iconButton("back", "Back in the mini app", () => this.bridge?.post("back_button_pressed"), { hidden: true });
    this.grow = iconButton("expand", "Expand the mini app", () => this.setExpanded(!this.expanded));
    this.bar = el(
      "div",
      { class: "app-bar" },
      iconButton("close", "Close the mini app", () => this.askToClose()),
      this.back,
      el("div", { class: "app-title" }, el("b", {}, bot.title), el("small", {}, "mini app")),
      iconButton("reload", "Reload the mini app", () => this.reload()),
      this.grow,
    );
    this.stage = el("div", { class: "app-stage" });
    this.mainButton = el("button", { type: "button", class: "main-button", hidden: true });
    this.mainButton.addEventListener("click", () => this.bridge?.post("main_button_pressed"));
    this.node = el("section", { class: "mini-app", hidden: true, "aria-label": `Mini app ${bot.title}` }, this.bar, this.stage, this.mainButton);
    this.expanded = false;
  }

  get isOpen() {
    return !this.node.hidden;
  }

  /** Opens the mini app with fresh, signed launch parameters. */
  async open(options = {}) {
    this.options = options;
    const url = await this.on.launch({ ...options, theme: current() });
    if (url === null) return;
    this.reset();
    const loading = el("div", { class: "app-loading" }, avatar(this.bot.title, this.bot.id, "large"));
    this.frame = el("iframe", {
      title: `${this.bot.title}, mini app`,
      sandbox: "allow-scripts allow-same-origin allow-forms allow-popups allow-popups-to-escape-sandbox allow-modals allow-downloads",
      allow: "clipboard-write; fullscreen; accelerometer; gyroscope; geolocation",
      on: { load: () => loading.remove() },
    });
    this.bridge = new Bridge(this.frame, this.handlers(loading));
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
    this.mainButton.hidden = true;
    this.back.hidden = true;
    for (const name of ["--app-bar", "--app-background"]) this.node.style.removeProperty(name);
    this.node.classList.remove("dark-bar");
  }

  setExpanded(expanded) {
    this.expanded = expanded;
    this.node.classList.toggle("expanded", expanded);
    const label = expanded ? "Shrink the mini app" : "Expand the mini app";
    this.grow.replaceChildren(icon(expanded ? "shrink" : "expand"));
    this.grow.setAttribute("aria-label", label);
    this.grow.title = label;
    this.on.expanded(expanded);
    this.sendViewport();
  }

  handlers(loading) {
    return {
      iframe_ready: () => {},
      iframe_will_reload: () => {},
      web_app_ready: () => loading.remove(),
      web_app_expand: () => this.setExpanded(true),
      web_app_close: () => this.close(),
      web_app_request_theme: () => this.sendTheme(current()),
      web_app_request_viewport: () => this.sendViewport(),
      web_app_setup_main_button: (data) => this.setMainButton(data),
      web_app_setup_back_button: ({ is_visible }) => (this.back.hidden = !is_visible),
      web_app_setup_closing_behavior: ({ need_confirmation }) => (this.confirmClosing = Boolean(need_confirmation)),
      web_app_set_header_color: (data) => {
        this.barColour = data;
        this.showBarColour();
      },
      web_app_set_background_color: ({ color }) => this.setColour("--app-background", color),
      web_app_trigger_haptic_feedback: () => this.buzz(),
      web_app_open_link: ({ url }) => this.on.link(String(url)),
      web_app_open_tg_link: ({ path_full }) => this.on.tgLink(`https://t.me${path_full}`),
      web_app_open_popup: (data) => this.popup(data),
      web_app_open_invoice: ({ slug }) => this.refuseInvoice(slug),
      web_app_open_scan_qr_popup: () => this.refuse("scan_qr_popup_closed", "There is no camera here."),
      web_app_read_text_from_clipboard: ({ req_id }) => this.bridge.post("clipboard_text_received", { req_id, data: null }),
      web_app_data_send: ({ data }) => this.sendData(data),
      web_app_switch_inline_query: ({ query }) => this.switchInline(query),
    };
  }

  sendTheme(theme) {
    if (this.barColour) this.showBarColour();
    this.bridge?.post("theme_changed", { theme_params: this.themes[theme] });
  }

  sendViewport() {
    const { width, height } = this.stage.getBoundingClientRect();
    if (height > 0) this.bridge?.post("viewport_changed", { width, height, is_expanded: this.expanded, is_state_stable: true });
  }

  setMainButton(data) {
    const button = this.mainButton;
    const before = button.hidden;
    button.hidden = !data.is_visible || !String(data.text ?? "").trim();
    button.textContent = String(data.text ?? "");
    button.disabled = data.is_active === false;
    button.setAttribute("aria-busy", String(Boolean(data.is_progress_visible)));
    button.style.backgroundColor = COLOUR.test(data.color) ? data.color : "";
    button.style.color = COLOUR.test(data.text_color) ? data.text_color : "";
    if (before !== button.hidden) this.sendViewport();
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

  buzz() {
    this.node.classList.add("buzz");
    setTimeout(() => this.node.classList.remove("buzz"), BUZZ_MS);
  }

  async popup({ title, message, buttons }) {
    const bridge = this.bridge;
    const names = { ok: "OK", close: "Close", cancel: "Cancel" };
    const shown = (Array.isArray(buttons) ? buttons : []).slice(0, 3).map((button) => ({
      id: String(button.id ?? ""),
      type: button.type,
      text: names[button.type] ?? String(button.text ?? "OK"),
    }));
    if (shown.length === 0) shown.push({ id: "", text: "Close" });
    const id = await this.dialogs.ask({ title: title ? String(title) : "", message: String(message ?? ""), buttons: shown });
    bridge?.post("popup_closed", id ? { button_id: id } : {});
  }

  refuse(event, text) {
    this.dialogs.toast(text);
    this.bridge?.post(event);
  }

  refuseInvoice(slug) {
    this.dialogs.toast("Nobody can pay in this sandbox.");
    this.bridge?.post("invoice_closed", { slug, status: "cancelled" });
  }

  sendData(data) {
    if (!this.options.buttonText) {
      this.dialogs.toast("Only a mini app opened from a keyboard button can send data to the bot.");
      return;
    }
    this.on.data(this.options.buttonText, String(data ?? ""));
    this.close();
  }

  switchInline(query) {
    this.close();
    this.on.inline(String(query ?? ""));
  }
}

function isDark(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return red * 0.299 + green * 0.587 + blue * 0.114 < 140;
}
