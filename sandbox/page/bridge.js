// The WebApp protocol between a mini app in an iframe and the phone around it.
// Source: https://docs.telegram-mini-apps.com/platform/methods and /events; what Telegram Web speaks.

import { appEvent } from "./app_events.js";

export class Bridge {
  /**
   * @param {HTMLIFrameElement} frame
   * @param {string} who whose phone it is, for the traffic panel
   */
  constructor(frame, who) {
    this.frame = frame;
    this.who = who;
    this.handlers = {};
    this.origin = "";
    this.loaded = false; // before that the frame is an empty page of our own origin
    frame.addEventListener("load", () => (this.loaded = true));
    this.listener = (event) => this.receive(event);
    window.addEventListener("message", this.listener);
  }

  /** Only the origin that was launched is spoken to. */
  launched(url) {
    this.origin = new URL(url).origin;
  }

  post(eventType, eventData = {}) {
    if (!this.loaded || !this.frame.isConnected) return;
    appEvent(`${this.who} → app`, eventType, eventData);
    this.frame.contentWindow?.postMessage(JSON.stringify({ eventType, eventData }), this.origin);
  }

  receive(event) {
    if (event.source !== this.frame.contentWindow || event.origin !== this.origin) return;
    this.loaded = true; // scripts speak before the load event
    const { eventType, eventData } = parse(event.data);
    if (eventType) appEvent(`app → ${this.who}`, eventType, eventData ?? {});
    if (Object.hasOwn(this.handlers, eventType)) this.handlers[eventType](eventData ?? {});
  }

  close() {
    window.removeEventListener("message", this.listener);
  }
}

function parse(data) {
  try {
    const message = typeof data === "string" ? JSON.parse(data) : data;
    return { eventType: String(message?.eventType ?? ""), eventData: message?.eventData };
  } catch {
    return { eventType: "" };
  }
}
