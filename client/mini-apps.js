// The browser client of Mini Apps; mini-apps.d.ts tells what each member means.

import { browser, findNode } from "./browser.js";
import { Backoff, isFinal, Positions } from "./policy.js";

const OPENING = 20_000; // ms for a node to say "connect", and again for the answer to a login
const STABLE = 5000; // a login that held so long starts the backoff anew
const WAKING = 5000; // for a link to answer after the page slept
const LATE = 1000; // where timers slept, they run before the messages that wait
const LAG = 1024; // messages a `for await` loop may be behind
const UNSENT = 1 << 20; // bytes a stuck link may hold
const REFUSED = 4500;
const TOO_MANY = 4003;
const NEVER = "The message was never sent";
const FULL = "queue-full";
const STATE = Symbol("state");

export class MeshError extends Error {
  constructor(message, code, reason) {
    super(message);
    Object.assign(this, { name: "MeshError", code, reason });
  }
}

export const connect = async (options) => new Mesh(options);

export class Mesh {
  state = "connecting";
  why = {};
  node = null;
  user = null;

  #options;
  #host;
  #socket;
  #loggedIn;
  #session;
  #told;
  #turn = 0; // a newer try ends an older one
  #timer;
  #silence;
  #ping; // ms of silence before the link is asked for a sign of life; 0: never
  #timeout;
  #unwatch;
  #backoff = new Backoff();
  #queue = [];
  #positions = new Positions();
  #requests = new Map();
  #ids = 0;
  #listeners = new Map();
  #settleReady;

  constructor(options = {}, host = browser) {
    this.#options = { codec: { encode: JSON.stringify, decode: JSON.parse }, queue: 64, ...options };
    this.#host = host;
    this.ready = new Promise((...settle) => (this.#settleReady = settle));
    this.ready.catch(() => {}); // a page may listen instead
    this.#unwatch = host.onWake(() => this.#wake());
    this.#connect();
  }

  get app() {
    return this.#options.app;
  }

  get options() {
    return this.#options;
  }

  get session() {
    return this.#session;
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
    this.#call(watcher, this.state, this.why);
    return this.on(STATE, watcher);
  }

  async *[Symbol.asyncIterator]() {
    let messages = [];
    let wake;
    const take = (message) => {
      if (messages.push(message) > LAG) messages = [{ type: "resync", reason: "slow reader" }, message];
      wake?.();
    };
    const stops = [this.on("*", take), this.onState(() => wake?.())];
    try {
      for (;;) {
        while (messages.length) yield messages.shift();
        if (this.state === "closed") return;
        await new Promise((resolve) => (wake = resolve));
      }
    } finally {
      stops.forEach((stop) => stop());
    }
  }

  send(message) {
    return !this.#transmit({ body: this.#encode(message) });
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
    const request = { id, repeatable, body: this.#encode({ ...message, id }) };
    return new Promise((resolve, reject) => {
      const late = () => this.#fail(id, `No answer to "${message.type}" within ${timeout} ms`, "timeout");
      Object.assign(request, { resolve, reject, timer: timeout && this.#host.after(timeout, late) });
      this.#requests.set(id, request);
      const refusal = this.#transmit(request);
      if (refusal) this.#fail(id, NEVER, refusal);
    });
  }

  /** Sends or queues; returns why neither was possible. The newest is refused: what is sent has no holes. */
  #transmit(entry) {
    if (this.state === "closed") return "closed";
    const open = this.#loggedIn && this.#socket.readyState < 2;
    if (open ? this.#socket.bufferedAmount > UNSENT : this.queued >= this.#options.queue) return FULL;
    if (open) this.#put(entry);
    else this.#queue.push(entry);
  }

  #put(entry) {
    this.#socket.send(entry.body);
    entry.sent = true;
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

  /** Nobody knows whether the server did what has no answer. Only subscribing again is safe. */
  #loseRequests() {
    for (const [id, request] of this.#requests) {
      if (!request.sent) continue;
      request.sent = false;
      if (!request.repeatable) this.#fail(id, "The connection ended before the answer", "unknown");
      else if (this.#transmit(request)) this.#fail(id, NEVER, FULL);
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
      const url = await findNode(this.#options, this.#host);
      if (turn === this.#turn) this.#open(url);
    } catch (error) {
      if (turn === this.#turn) this.#lose(undefined, error.message, error.retryAfter);
    }
  }

  #open(url) {
    this.#socket = this.#host.open(url, this.#options.codec.protocol);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onmessage = ({ data }) => this.#receive(data);
    this.#socket.onclose = ({ code, reason }) => this.#lose(code, reason);
  }

  #patience(ms = OPENING) {
    this.#host.cancel(this.#timer);
    this.#timer = this.#host.after(ms, () => this.#lose(1006, "no answer"));
  }

  // What the server says

  #receive(data) {
    let message;
    try {
      message = this.#options.codec.decode(data);
    } catch {} // not ours
    if (!message?.type) return;
    this.#hark();
    if (!this.#positions.note(message)) return;
    const { type, id, code, reason } = message;
    if (type === "connect") this.#login(message);
    else if (type === "welcome") this.#welcome(message);
    else if (type === "disconnect" || type === "reconnect") this.#lose(code, reason, message.retry_after);
    else if (type === "ping") this.#say({ type: "pong" });
    else if (type === "reply" && this.#requests.has(id)) this.#settle(id).resolve(message.data);
    else if (type === "error" && this.#requests.has(id)) this.#fail(id, message.msg, code);
    else if (type !== "pong") {
      if (type === "joined") this.#settle(id)?.resolve(message);
      this.#deliver(message);
    }
  }

  /** Tells the page, then the server if it asked and somebody took it. */
  async #deliver(message) {
    const socket = this.#socket;
    const taken = await Promise.all(this.#emit(message));
    if (message.ack && taken.includes(true)) this.#say({ type: "ack", ack: message.ack }, socket);
  }

  #say(message, socket = this.#socket) {
    socket.send(this.#encode(message));
  }

  #login({ node, ping, timeout }) {
    const proof = this.#session ? { session: this.#session } : { data: this.#host.initData() || this.#options.initData || "" };
    this.node = node;
    this.#ping = ping * 1000;
    this.#timeout = timeout * 1000;
    this.#say({ type: "login", app: this.app, ...proof, channels: this.#positions.forLogin() });
    this.#patience();
    this.#hark();
  }

  /** Waits for a sign of life, without a clock: people set clocks wrong. */
  #hark() {
    this.#host.cancel(this.#silence);
    if (this.#ping) this.#silence = this.#host.after(this.#ping, () => this.#probe(this.#timeout));
  }

  #probe(timeout) {
    const late = () => (this.#silence = this.#host.after(LATE, () => this.#lose(1006, "silent")));
    this.#say({ type: "ping" });
    this.#host.cancel(this.#silence);
    this.#silence = this.#host.after(timeout - LATE, late);
  }

  #welcome({ session, ...message }) {
    const { telegram_id, name, is_admin } = message;
    this.user = { telegram_id, name, is_admin };
    this.#session = session; // not for the page, which may log it
    this.#loggedIn = true;
    this.#host.cancel(this.#timer);
    this.#timer = this.#host.after(STABLE, () => (this.#backoff = new Backoff()));
    for (const entry of this.#queue.splice(0)) this.#put(entry);
    this.#setState("open");
    this.#settleReady[0](this.user);
    this.#emit(message);
    for (const news of this.#positions.welcome(message.channels)) this.#emit(news);
  }

  // The ways out

  #wake() {
    if (this.state === "connecting") this.#patience(WAKING);
    if (this.state === "waiting" && !this.#told) this.#connect();
    if (this.#loggedIn && this.#ping) this.#probe(Math.min(WAKING, this.#timeout));
  }

  #hangUp(code) {
    this.#turn++;
    this.#host.cancel(this.#timer);
    this.#host.cancel(this.#silence);
    if (this.#socket) this.#socket.onmessage = this.#socket.onclose = null; // closing a dead link takes minutes
    this.#socket?.close(code);
    this.#socket = this.#loggedIn = undefined;
  }

  #lose(code, reason, retryAfter) {
    const badSession = code === REFUSED && this.#session && !this.#loggedIn;
    this.#hangUp();
    this.#loseRequests();
    if (code === TOO_MANY) {
      this.#dropQueue("dropped");
      this.#emit({ type: "error", code: "dropped", msg: "Too many messages: those that waited were dropped" });
    }
    if (badSession) {
      this.#session = undefined; // init data decides
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
  }

  #setState(state, why = {}) {
    if (this.state === state) return;
    Object.assign(this, { state, why });
    this.#tell(STATE, state, why);
  }

  #emit(message) {
    return [...this.#tell(message.type, message), ...this.#tell("*", message)];
  }

  #tell(type, ...values) {
    return [...(this.#listeners.get(type) ?? [])].map((listener) => this.#call(listener, ...values));
  }

  /** Runs the page's code, whose mistakes must not end the connection; resolves to `true` where it took the values. */
  async #call(listener, ...values) {
    try {
      return (await listener(...values)) !== false;
    } catch (error) {
      this.#host.report(error);
    }
  }

  #encode(message) {
    if (typeof message?.type === "string" && message.type) return this.#options.codec.encode(message);
    throw new TypeError("a message needs a `type`, a non-empty string");
  }
}
