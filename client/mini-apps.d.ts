/** The browser client of Mini Apps: one connection of a page to its app, kept alive across networks, nodes and deploys. */

/** A message: an object with a `type`; everything else is the app's. */
export interface Message {
  type: string;
  [field: string]: any;
}

/** Where the connection stands; `closed` is for good. */
export type State = "connecting" | "open" | "waiting" | "closed";

/** Why a state was entered, as far as it is known. */
export interface Why {
  /** The WebSocket close code, or `closed` after `close()`. */
  code?: number | "closed";
  reason?: string;
  /** `waiting` only: milliseconds until the next try. */
  retryIn?: number;
}

/** Who the server says this is. */
export interface User {
  telegram_id: number;
  name: string;
  is_admin: boolean;
}

/** How messages travel, if not as JSON; `msgpack` of `msgpack.js` is one. */
export interface Codec {
  /** The WebSocket subprotocol that tells the server. */
  protocol?: string;
  encode(message: Message): string | ArrayBufferView;
  /** Throws for what is no message. */
  decode(data: any): Message;
}

export interface Options {
  /** The app's name; by default what the settings say. */
  app?: string;
  /** Init data to use when the page was not opened by Telegram (for development). Telegram's own always goes first. */
  initData?: string;
  /** A WebSocket address (`wss://…/ws`): no settings are read and no gateway is asked. Needs `app`. */
  url?: string;
  /** Where the settings are that the gateway serves; by default `./settings.json` beside the page. */
  settings?: string | URL;
  /** How many messages may wait for a connection (default 64); at the bound the newest is refused. 0: none wait. */
  queue?: number;
  /** How messages travel, by default as JSON. */
  codec?: Codec;
}

/** Messages of the protocol a page may listen to, beside those of its app. */
export interface Events {
  /** Logged in, the first time and after every reconnect. Load what the page shows here. */
  welcome: { type: "welcome"; channels?: Record<string, { recovered: boolean; offset?: number; reason?: string }> } & User;
  /** The connection has ended for good: code 4500 and above (`reason` e.g. `expired`), never `close()`. */
  disconnect: { type: "disconnect"; code: number; reason?: string };
  /** The server could not do something that was not a request; code `dropped`: the queue was dropped after a 4003. */
  error: { type: "error"; code?: string; msg: string; [field: string]: any };
  /** Something was missed, in `channel` or (without one) among broadcasts: load the state again. */
  resync: { type: "resync"; channel?: string; reason?: string };
  joined: { type: "joined"; channel: string; offset?: number; grant?: string };
  left: { type: "left"; channel: string; reason?: string };
  presence: { type: "presence"; channel: string; event: "join" | "leave"; user: any };
}

/**
 * What a request, `ready` or a subscription ends with. `code` is the server's own, or
 * - `timeout`: no answer in time (if it still waited in the queue, it is not sent any more);
 * - `unknown`: the connection ended before the answer came; it may or may not have been done, and is not sent again;
 * - `queue-full`, `dropped`, `closed`: it was never sent;
 * - a number from 4500: the server ended the connection for good, for `reason`.
 */
export class MeshError extends Error {
  code: string | number;
  reason?: string;
}

export class Mesh implements AsyncIterable<Message> {
  /** Begins to connect; `connect(options)` is the same as a promise. */
  constructor(options?: Options);

  readonly state: State;
  /** Why it stands there; another object after each change of state. */
  readonly why: Why;
  /** The app's name, once known. */
  readonly app: string | undefined;
  /** The name of the WebSocket node this page is or was last on. */
  readonly node: string | null;
  /** The logged-in user; `null` before the first welcome. */
  readonly user: User | null;
  /** As given to `connect`, and what was found out since. */
  readonly options: Options;
  /**
   * The session token of the last login, with which `media.js` proves to the gateway who this is. Whoever has it is this
   * user until it expires: it belongs into no address and no log.
   */
  readonly session: string | undefined;
  /** How many messages wait for the connection. */
  readonly queued: number;
  /** Settles with the first login, or with the refusal (or `close()`) that came instead. */
  readonly ready: Promise<User>;

  /**
   * Calls `listener` for every message of a type, or of all for `*`; returns how to stop that.
   *
   * A message with an `ack` is acknowledged once the listeners are done, if one of them took it: it did not throw, its
   * promise did not reject, it did not return false ("not mine").
   */
  on<T extends keyof Events>(type: T, listener: (message: Events[T]) => unknown): () => void;
  on(type: string, listener: (message: Message) => unknown): () => void;

  /** Calls `watcher` now and at every change of state; returns how to stop that. */
  onState(watcher: (state: State, why: Why) => void): () => void;

  /**
   * Sends a message, or queues it while there is no connection.
   * Returns false if it was neither: the queue is full, or the connection has ended for good.
   */
  send(message: Message): boolean;

  /** Sends a message and returns what the app's `handle_message` returned. `timeout` in ms, by default 15,000; 0: none. */
  request<T = any>(message: Message & { id?: never }, options?: { timeout?: number }): Promise<T>;

  /** Enters a channel, and again after each reconnect; rejects with code `refused` if the app does not let this user in. */
  subscribe(channel: string, options?: { timeout?: number }): Promise<Events["joined"]>;

  /** Leaves a channel. */
  unsubscribe(channel: string): boolean;

  /** Ends the connection for good. */
  close(): void;

  /** All messages from now on; a loop 1,024 messages behind starts anew with a `resync`. Ends with the connection. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message>;
}

/** Connects this page to its app. Returns before the login, so that nothing is missed: listen, or await `mesh.ready`. */
export function connect(options?: Options): Promise<Mesh>;
