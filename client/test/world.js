// A browser for the tests: timers that run when told to, sockets whose other end is the test, a gateway of plain values.

import { Mesh } from "../mini-apps.js";

export class World {
  time = 1_800_000_000_000;
  timers = [];
  sockets = [];
  fetched = [];
  wakers = new Set();
  reported = [];
  data = "init-data";
  chance = 0.5;
  answers = {
    "/apps/counter/settings.json": { protocol: 1, socket: "ws://fallback/ws", negotiate: "/negotiate", app: "counter" },
    "/negotiate": { url: "ws://node-1/ws", node: "ws-1" },
  };

  random = () => this.chance;
  base = () => "http://gateway/apps/counter/";
  initData = () => this.data;
  report = (error) => this.reported.push(error);

  after(ms, call) {
    const timer = { at: this.time + ms, call };
    this.timers.push(timer);
    return timer;
  }

  cancel(timer) {
    this.timers = this.timers.filter((other) => other !== timer);
  }

  open(url, protocol) {
    const socket = new Socket(url, protocol);
    this.sockets.push(socket);
    return socket;
  }

  async fetch(address) {
    const url = new URL(address);
    this.fetched.push(url.pathname + url.search);
    const answer = this.answers[url.pathname];
    if (answer instanceof Error) throw answer;
    const { status = 200, headers = {}, ...body } = answer ?? { status: 404 };
    return new Response(JSON.stringify(body), { status, headers });
  }

  onWake(wake) {
    this.wakers.add(wake);
    return () => this.wakers.delete(wake);
  }

  wake() {
    for (const wake of this.wakers) wake();
  }

  /** Runs timers in order until `ms` later, each with whatever promises it sets going. */
  async pass(ms) {
    const until = this.time + ms;
    for (;;) {
      const next = this.timers.filter((timer) => timer.at <= until).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.cancel(next);
      this.time = Math.max(this.time, next.at);
      next.call();
      await settled();
    }
    this.time = until;
    await settled();
  }

  get socket() {
    return this.sockets.at(-1);
  }

  async start(options = {}) {
    const mesh = new Mesh(options, this);
    mesh.seen = [];
    mesh.onState((state, why) => mesh.seen.push([state, why]));
    await settled();
    return mesh;
  }

  /** Lets the server greet and welcome on the newest socket. */
  async welcome({ ping = 25, timeout = 10, session = "token-1", ...more } = {}) {
    this.socket.says({ type: "connect", protocol: 1, node: "ws-1", ping, timeout });
    const expires = Math.floor(this.time / 1000) + 3600;
    this.socket.says({
      type: "welcome", telegram_id: 1, name: "Ada", is_admin: false, session, session_expires: expires, channels: {}, ...more,
    });
    await settled();
  }

  async online(options, welcome) {
    const mesh = await this.start(options);
    await this.welcome(welcome);
    return mesh;
  }
}

class Socket {
  readyState = 1;
  bufferedAmount = 0;
  sent = [];
  closedWith = null;
  decode = JSON.parse;

  constructor(url, protocol) {
    this.url = url;
    this.protocol = protocol;
  }

  send(text) {
    this.sent.push(this.decode(text));
  }

  close(code) {
    this.readyState = 3;
    this.closedWith = code ?? 1005;
  }

  says(message) {
    this.onmessage?.({ data: typeof message === "string" ? message : JSON.stringify(message) });
  }

  ends(code = 1006, reason = "") {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }

  of(type) {
    return this.sent.filter((message) => message.type === type);
  }
}

/** Lets every promise that can settle do so. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));
