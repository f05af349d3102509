// `App` and `SocketConnection` for pages of the original library: its names, and a client that knows the close codes.

import { browser, findNode } from "./browser.js";
import { Backoff, isFinal } from "./policy.js";

/** A WebSocket whose messages are events: `type` names the event, `detail` is the message. */
export class SocketConnection extends EventTarget {
  connected = false;
  reconnect = true;
  url = null;
  socket = null;

  #find; // how to get an address, where the page gave none
  #backoff = new Backoff();
  #retryAfter;

  constructor(app_id) {
    super();
    this.app_id = app_id;
  }

  connect(url) {
    if (!this.reconnect) return;
    this.url = url;
    this.connected = true;
    this.socket = new WebSocket(url);
    this.socket.addEventListener("message", (event) => this.on_message_event(event));
    this.socket.addEventListener("close", (event) => this._recover_socket(event));
  }

  async connect_from_settings(settings = "./settings.json") {
    const known = { app: this.app_id, settings };
    this.#find = () => findNode(known, browser);
    await this.#again();
  }

  on_message_event(event) {
    const message = JSON.parse(event.data);
    if (message.type === "welcome") this.#backoff = new Backoff();
    if (message.type === "reconnect") this.#retryAfter = message.retry_after;
    this.dispatchEvent(new CustomEvent(message.type, { detail: message }));
  }

  send(data) {
    if (this.connected && this.socket.readyState === WebSocket.OPEN) {
      this.socket.send(JSON.stringify({ ...data, app: this.app_id }));
    }
  }

  _recover_socket({ code } = {}) {
    this.connected = false;
    if (isFinal(code)) this.reconnect = false;
    this.dispatchEvent(new CustomEvent("socket.disconnected"));
    const wait = this.#backoff.next(Math.random(), this.#retryAfter);
    this.#retryAfter = undefined;
    if (this.reconnect) setTimeout(() => this.#again(), wait);
  }

  /** Connects to the known address, or asks for a node anew: the last one may be dead. */
  async #again() {
    try {
      this.connect(this.#find ? await this.#find() : this.url);
    } catch (error) {
      this.#retryAfter = error.retryAfter;
      this._recover_socket();
    }
  }
}

/** Logs the user of the page in, again after each reconnect, until the server says `disconnect`. */
export class App {
  user = {};

  constructor(app_id, telegram = globalThis.Telegram) {
    this.webapp = telegram?.WebApp ?? { initData: browser.initData() };
    this.connection = new SocketConnection(app_id);
    this.connection.addEventListener("connect", (event) => this._on_connect(event));
    this.connection.addEventListener("disconnect", (event) => this._on_disconnect(event));
    this.connection.addEventListener("welcome", (event) => this._on_welcome(event));
  }

  connect(url) {
    this.connection.connect(url);
  }

  log_in(telegram_data) {
    this.connection.send({ type: "login", data: telegram_data.initData });
  }

  _on_connect() {
    this.log_in(this.webapp);
  }

  _on_disconnect() {
    this.connection.reconnect = false;
  }

  _on_welcome(event) {
    this.user = event.detail;
  }
}
