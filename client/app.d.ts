/** `App` and `SocketConnection` with the original library's names. New pages use `connect` of `mini-apps.js`. */

import type { Message, User } from "./mini-apps.js";

/**
 * A WebSocket whose messages are events: `type` names the event, `detail` is the message.
 *
 * Beside the server's messages there is `socket.disconnected`. It comes back by itself, later and later, or when a
 * `reconnect` message says so; not after a close code from 4500. What is sent while there is no connection is lost.
 */
export class SocketConnection extends EventTarget {
  constructor(app_id: string);
  readonly app_id: string;
  /** There is a socket, though maybe no login yet. */
  connected: boolean;
  /** Whether to come back after the connection ends. */
  reconnect: boolean;
  url: string | null;
  socket: WebSocket | null;
  /** Connects to a WebSocket address and comes back to it; does nothing where `reconnect` is false. */
  connect(url: string): void;
  /** Connects to the node that the gateway names, and asks for another one after each end. */
  connect_from_settings(settings?: string | URL): Promise<void>;
  /** Dispatches the event of a message; a subclass may do more. */
  on_message_event(event: MessageEvent): void;
  /** Sends a message, with the app's name in it. */
  send(data: Message): void;
}

/** Logs the user of the page in, again after each reconnect, until the server says `disconnect`. */
export class App {
  /** `telegram` is `window.Telegram`; without that script the init data is taken from the page's address. */
  constructor(app_id: string, telegram?: { WebApp: { initData: string } });
  webapp: { initData: string };
  connection: SocketConnection;
  /** The welcome, once logged in. */
  user: Partial<Message & User>;
  connect(url: string): void;
  log_in(telegram_data: { initData: string }): void;
  /** The server is there: logs in. A subclass may do more. */
  protected _on_connect(event: CustomEvent<Message>): void;
  protected _on_disconnect(event: CustomEvent<Message>): void;
  protected _on_welcome(event: CustomEvent<Message & User>): void;
}
