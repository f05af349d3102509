// The browser client of Mini Apps (MIT). mini-apps.d.ts tells types and meaning of every member.

import { browser } from "./browser.js";
import { Backoff, Heartbeat, isFinal, Positions } from "./policy.js";

const OPENING = 20_000; // ms for a node to say "connect", and again for the answer to a login
const STABLE = 5000; // a login that held so long starts the backoff anew
const WAKING = 5000; // for a link to show life after the page slept
const LAG = 1024; // messages a `for await` loop may be behind
const UNSENT = 1 << 20; // bytes a stuck link may hold
const REFUSED = 4500;
const TOO_MANY = 4003;
const NEVER = "The message was never sent";
const FULL = "queue-full";

export class MeshError extends Error {
  constructor(message, code, reason) {
    super(message);
    Object.assign(this, { name: "MeshError", code, reason });
  }
}

export const connect = async (options) => new Mesh(options);

export class Mesh {
  state = "connecting";
  node = null;
  user = null;

  #options;
  #host;
  #settings;
  #socket;
  #loggedIn = 0; // since when
  #session;
  #usedSession;
  #told;
  #turn = 0; // a newer try makes an older one stop
  #timer;
  #beat;
  #heartbeat;
  #unwatch;
  #backoff = new Backoff();
  #queue = [];
  #positions = new Positions();
  #requests = new Map();
  #ids = 0;
  #listeners = new Map();
  #watchers = new Set();
  #readers = new Set();
  #settleReady;

  constructor(options = {}, host = browser) {
    this.#options = options;
    this.#host = host;
    this.app = options.app;
    this.ready = new Promise((...settle) => (this.#settleReady = settle));
    this.ready.catch(() => {}); // a page that listens instead sees no "unhandled rejection"
    this.#unwatch = host.onWake(() => this.#wake());
    this.#connect();
  }

  get queued() {
    return this.#queue.length;
  }

  on(type, listener) {
    if (!this.#listeners.has(type)) this.#listeners.set(type, new Set());
    this.#listeners.get(type).add(listener);
    return () => this.#listeners.get(type).delete(listener);
  }

  onState(watcher) {
    this.#watchers.add(watcher);
    this.#call(watcher, this.state, {});
    return () => this.#watchers.delete(watcher);
  }

  async *[Symbol.asyncIterator]() {
    const reader = { messages: [], wake() {} };
    this.#readers.add(reader);
    try {
      for (;;) {
        while (reader.messages.length) yield reader.messages.shift();
        if (this.state === "closed") return;
        await new Promise((wake) => (reader.wake = wake));
      }
    } finally {
      this.#readers.delete(reader);
    }
  }

  send(message) {
    return !this.#transmit(encode(message));
  }

  request(message, { timeout = 15_000 } = {}) {
    if (message.id !== undefined) throw new TypeError("`id` numbers the request; give your field another name");
    return this.#ask(message, timeout);
  }

  subscribe(channel, { timeout = 0 } = {}) {
    return this.#ask({ type: "subscribe", channel }, timeout, true);
  }

  unsubscribe(channel) {
    this.#positions.note({ type: "left", channel });
    return this.send({ type: "unsubscribe", channel });
  }

  close() {
    if (this.state === "closed") return;
    this.#hangUp(1000);
    this.#end(new MeshError("The page closed the connection", "closed"));
  }

  // Requests

  #ask(message, timeout, repeatable) {
    const id = "r" + ++this.#ids;
    const body = encode({ ...message, id });
    return new Promise((resolve, reject) => {
      const late = () => this.#fail(id, `No answer to "${message.type}" within ${timeout} ms`, "timeout");
      this.#requests.set(id, { resolve, reject, body, repeatable, timer: timeout && this.#host.after(timeout, late) });
      const refusal = this.#transmit(body, id);
      if (refusal) this.#fail(id, NEVER, refusal);
    });
  }

  /** Sends or queues; returns why neither was possible. */
  #transmit(body, id) {
    if (this.state === "closed") return "closed";
    if (this.#loggedIn && this.#socket.readyState < 2) {
      if (this.#socket.bufferedAmount > UNSENT) return FULL;
      this.#socket.send(body);
      if (id) this.#requests.get(id).sent = true;
    } else {
      if (this.queued >= (this.#options.queue ?? 64)) return FULL; // the newest goes, so what is sent has no holes
      this.#queue.push({ body, id });
    }
  }

  #settle(id) {
    const request = this.#requests.get(id);
    this.#requests.delete(id);
    this.#host.cancel(request?.timer);
    return request;
  }

  #fail(id, text, code) {
    this.#queue = this.#queue.filter((waiting) => waiting.id !== id);
    this.#settle(id)?.reject(new MeshError(text, code));
  }

  /** Ends what has no answer yet: nobody knows whether the server took it. Subscribing again is safe. */
  #loseRequests() {
    for (const [id, request] of this.#requests) {
      if (!request.sent) continue;
      request.sent = false;
      if (!request.repeatable) this.#fail(id, "The connection ended before the answer", "unknown");
      else if (this.#transmit(request.body, id)) this.#fail(id, NEVER, FULL);
    }
  }

  #dropQueue(code) {
    this.#queue = [];
    for (const id of this.#requests.keys()) this.#fail(id, NEVER, code);
  }

  // The way to a node

  async #connect() {
    const turn = ++this.#turn;
    this.#patience();
    this.#setState("connecting");
    try {
      const url = await this.#address();
      if (turn === this.#turn) this.#open(url);
    } catch (error) {
      if (turn === this.#turn) this.#lose(undefined, error.message, error.retryAfter);
    }
  }

  /** Asks the gateway for a node, anew each time, so that the clients of a dead node go elsewhere. */
  async #address() {
    const { url, settings = "./settings.json" } = this.#options;
    if (url) return url;
    const base = new URL(settings, this.#host.base());
    const { app, negotiate, socket } = (this.#settings ??= await this.#fetch(base));
    this.app ??= app;
    if (!this.app) throw new Error("the settings name no app; give connect({ app })");
    if (!negotiate) return socket;
    const question = new URL(negotiate, base);
    question.searchParams.set("app", this.app);
    try {
      return (await this.#fetch(question)).url;
    } catch (error) {
      if (error.status || !socket) throw error;
      return socket; // the gateway is down, which is no reason for a node to be
    }
  }

  async #fetch(url) {
    const response = await this.#host.fetch(url.href);
    if (response.ok) return response.json();
    const { status } = response;
    const { error, retry_after: retryAfter } = await response.json().catch(() => ({}));
    throw Object.assign(new Error(error ?? `${url.pathname} answered ${status}`), { status, retryAfter });
  }

  #open(url) {
    this.#socket = this.#host.open(url);
    this.#socket.onmessage = ({ data }) => this.#receive(data);
    this.#socket.onclose = ({ code, reason }) => this.#lose(code, reason);
  }

  #patience() {
    this.#host.cancel(this.#timer);
    this.#timer = this.#host.after(OPENING, () => this.#lose(1006, "no answer"));
  }

  // What the server says

  #receive(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {} // not ours, as a proxy's greeting
    if (!message?.type) return;
    this.#heartbeat?.heard(this.#host.now());
    if (message.ack) this.#socket.send(encode({ type: "ack", ack: message.ack }));
    this.#positions.note(message);
    const { type, id, code, reason } = message;
    if (type === "connect") this.#login(message);
    else if (type === "welcome") this.#welcome(message);
    else if (type === "disconnect" || type === "reconnect") this.#lose(code, reason, message.retry_after);
    else if (type === "ping") this.#socket.send('{"type":"pong"}');
    else if (type === "reply" && this.#requests.has(id)) this.#settle(id).resolve(message.data);
    else if (type === "error" && this.#requests.has(id)) this.#fail(id, message.msg, code);
    else if (type !== "pong") {
      if (type === "joined") this.#settle(id)?.resolve(message);
      this.#emit(message);
    }
  }

  #login({ node, ping, timeout }) {
    const now = this.#host.now();
    const login = { type: "login", app: this.app, channels: this.#positions.forLogin() };
    this.node = node;
    this.#usedSession = this.#session?.expires * 1000 > now;
    if (this.#usedSession) login.session = this.#session.token;
    else login.data = this.#host.initData() || this.#options.initData || "";
    this.#socket.send(encode(login));
    this.#patience();
    if (!ping) return;
    this.#heartbeat = new Heartbeat(ping * 1000, timeout * 1000, now);
    this.#listen(this.#heartbeat.check(now));
  }

  #listen({ act, again }) {
    if (act === "dead") return this.#lose(1006, "silent");
    if (act === "ping") this.#socket.send('{"type":"ping"}');
    this.#host.cancel(this.#beat);
    this.#beat = this.#host.after(again, () => this.#listen(this.#heartbeat.check(this.#host.now())));
  }

  #welcome({ session: token, session_expires: expires, ...message }) {
    const { telegram_id, name, is_admin } = message;
    this.user = { telegram_id, name, is_admin };
    this.#session = { token, expires }; // stays here: pages log what they are given
    this.#host.cancel(this.#timer);
    this.#loggedIn = this.#host.now();
    for (const { body, id } of this.#queue.splice(0)) this.#transmit(body, id);
    this.#setState("open");
    this.#settleReady[0](this.user);
    this.#emit(message);
    for (const news of this.#positions.welcome(message.channels)) this.#emit(news);
  }

  // The ways out

  #wake() {
    if (this.state === "waiting" && !this.#told) this.#connect();
    if (!this.#loggedIn || !this.#heartbeat) return;
    this.#listen(this.#heartbeat.ask(this.#host.now(), Math.min(WAKING, this.#heartbeat.timeout)));
  }

  #hangUp(code) {
    this.#turn++;
    this.#host.cancel(this.#timer);
    this.#host.cancel(this.#beat);
    if (this.#socket) this.#socket.onmessage = this.#socket.onclose = null; // a dead link's closing can take minutes
    this.#socket?.close(code);
    this.#heartbeat = this.#socket = undefined;
    this.#loggedIn = 0;
  }

  #lose(code, reason, retryAfter) {
    const badSession = code === REFUSED && this.#usedSession && !this.#loggedIn;
    if (this.#loggedIn && this.#host.now() - this.#loggedIn >= STABLE) this.#backoff = new Backoff();
    this.#hangUp();
    this.#loseRequests();
    if (code === TOO_MANY) {
      this.#dropQueue("dropped");
      this.#emit({ type: "error", code: "dropped", msg: "Too many messages: those that waited were dropped" });
    }
    if (badSession) {
      this.#session = undefined; // revoked or too old; init data decides
      this.#connect();
    } else if (isFinal(code)) {
      this.#end(new MeshError("The server refused: " + reason, code, reason));
      this.#emit({ type: "disconnect", code, reason });
    } else {
      this.#told = retryAfter >= 0;
      const retryIn = this.#backoff.next(this.#host.random(), retryAfter);
      this.#timer = this.#host.after(retryIn, () => this.#connect());
      this.#setState("waiting", { code, reason, retryIn });
    }
  }

  #end(error) {
    this.#unwatch();
    this.#setState("closed", error);
    this.#loseRequests();
    this.#dropQueue("closed");
    this.#settleReady[1](error);
    this.#readers.forEach((reader) => reader.wake());
  }

  // Telling the page

  #setState(state, why = {}) {
    if (this.state === state) return;
    this.state = state;
    for (const watcher of [...this.#watchers]) this.#call(watcher, state, why);
  }

  #emit(message) {
    for (const reader of this.#readers) {
      if (reader.messages.push(message) > LAG) reader.messages = [{ type: "resync", reason: "slow reader" }, message];
      reader.wake();
    }
    for (const listener of [...(this.#listeners.get(message.type) ?? [])]) this.#call(listener, message);
  }

  /** Runs the page's code, whose mistakes are the page's: they are reported, and the connection lives on. */
  #call(listener, ...values) {
    try {
      listener(...values);
    } catch (error) {
      this.#host.report(error);
    }
  }
}

function encode(message) {
  if (typeof message?.type === "string" && message.type) return JSON.stringify(message);
  throw new TypeError("a message needs a `type`, a non-empty string");
}
