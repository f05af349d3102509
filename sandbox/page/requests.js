// What a mini app asks its user for: each becomes a question on the phone, and the answer an event.
// Source: https://core.telegram.org/bots/webapps#initializing-mini-apps

import { el } from "./dom.js";

const NAMES = { ok: "OK", close: "Close", cancel: "Cancel" };
const HERE = { latitude: 52.52, longitude: 13.405, horizontal_accuracy: 20 };

export class Requests {
  /**
   * @param {object} bot
   * @param {import("./dialogs.js").Dialogs} dialogs
   * @param {import("./storage.js").CloudStorage} storage
   * @param {object} on `invoice(slug)` gives its status, `share(id)` why not, `writeAccess()` whether, `contact()` the signed
   *   contact or null, `link(url)`
   */
  constructor(bot, dialogs, storage, on) {
    Object.assign(this, { bot, dialogs, storage, on });
    this.home = false;
    this.located = null;
    this.contact = "";
    this.clipboard = "";
  }

  /** @param {(event: string, data?: object) => void} post answers the mini app that asked, and no later one */
  handlers(post) {
    return {
      web_app_open_popup: (data) => this.popup(data, post),
      web_app_open_invoice: async ({ slug }) => post("invoice_closed", { slug, status: await this.on.invoice(String(slug ?? "")) }),
      web_app_send_prepared_message: async ({ id }) => {
        const error = await this.on.share(String(id ?? ""));
        post(error ? "prepared_message_failed" : "prepared_message_sent", error ? { error } : {});
      },
      web_app_request_write_access: async () => post("write_access_requested", { status: (await this.on.writeAccess()) ? "allowed" : "cancelled" }),
      web_app_request_phone: () => this.phone(post),
      web_app_open_scan_qr_popup: ({ text }) => this.scan(text, post),
      web_app_close_scan_qr_popup: () => this.dialogs.dismiss(),
      web_app_read_text_from_clipboard: async ({ req_id }) => post("clipboard_text_received", { req_id, data: await this.read() }),
      web_app_invoke_custom_method: (data) => this.invoke(data, post),
      web_app_request_file_download: (data) => this.download(data, post),
      web_app_share_to_story: ({ media_url }) => this.dialogs.alert(`A story with ${media_url} would open now.`),
      web_app_check_home_screen: () => post("home_screen_checked", { status: this.home ? "added" : "missed" }),
      web_app_add_to_home_screen: () => this.addToHome(post),
      web_app_request_emoji_status_access: async () => post("emoji_status_access_requested", { status: (await this.agrees("Let this bot set your emoji status?")) ? "allowed" : "cancelled" }),
      web_app_set_emoji_status: async () => {
        if (await this.agrees("Set your emoji status?")) post("emoji_status_set");
        else post("emoji_status_failed", { error: "USER_DECLINED" });
      },
      web_app_check_location: () => post("location_checked", { available: true, access_requested: this.located !== null, access_granted: Boolean(this.located) }),
      web_app_request_location: () => this.location(post),
      web_app_open_location_settings: () => (this.located = null),
    };
  }

  async agrees(message) {
    const buttons = [{ id: "allow", text: "Allow" }, { id: "", text: "Cancel" }];
    return (await this.dialogs.ask({ title: this.bot.title, message, buttons })) === "allow";
  }

  async popup({ title, message, buttons }, post) {
    const shown = (Array.isArray(buttons) ? buttons : []).slice(0, 3).map((button) => ({
      id: String(button.id ?? ""),
      type: button.type,
      text: NAMES[button.type] ?? String(button.text ?? "OK"),
    }));
    if (shown.length === 0) shown.push({ id: "", text: "Close" });
    const id = await this.dialogs.ask({ title: title ? String(title) : "", message: String(message ?? ""), buttons: shown });
    post("popup_closed", id ? { button_id: id } : {});
  }

  async phone(post) {
    this.contact = (await this.agrees("Share your phone number with this bot?")) ? ((await this.on.contact()) ?? "") : "";
    post("phone_requested", { status: this.contact ? "sent" : "cancelled" });
  }

  async scan(text, post) {
    const field = el("input", { type: "text", "aria-label": "Text of the code", placeholder: "Text of the code", autocomplete: "off" });
    const buttons = [{ id: "scan", text: "Scan it" }, { id: "", text: "Cancel" }];
    const chosen = await this.dialogs.ask({ title: "Scan a QR code", message: String(text ?? "There is no camera here: say what the code holds."), body: field, buttons });
    if (chosen && field.value) post("qr_text_received", { data: field.value });
    post("scan_qr_popup_closed");
  }

  /** The browser's clipboard where it lets us, else what was copied on this page. */
  async read() {
    try {
      return await navigator.clipboard.readText();
    } catch {
      return this.clipboard;
    }
  }

  invoke({ req_id, method, params }, post) {
    try {
      const result = method === "getRequestedContact" ? this.contact : this.storage.invoke(method, params ?? {});
      post("custom_method_invoked", result === undefined ? { req_id, error: "METHOD_INVALID" } : { req_id, result });
    } catch (error) {
      post("custom_method_invoked", { req_id, error: error.message });
    }
  }

  async download({ url, file_name }, post) {
    const agreed = await this.agrees(`Download ${file_name}?`);
    post("file_download_requested", { status: agreed ? "downloading" : "cancelled" });
    if (agreed && /^https?:/i.test(url)) el("a", { href: url, download: file_name, target: "_blank", rel: "noopener noreferrer" }).click();
  }

  async addToHome(post) {
    this.home = await this.agrees("Add this mini app to the home screen?");
    if (this.home) post("home_screen_added");
    else post("home_screen_failed", { error: "USER_DECLINED" });
  }

  async location(post) {
    this.located ??= (await this.agrees("Tell this mini app where you are?")) && HERE;
    post("location_requested", this.located ? { available: true, ...this.located } : { available: false });
  }
}
