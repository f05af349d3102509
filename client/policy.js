// What the client decides, without socket, clock or timer. Times are milliseconds and come in as arguments.

/** Whether a close code means "do not come back". The range says it, so new codes need no new client. */
export const isFinal = (code) => code >= 4500;

/** How long to wait before the next try: as told, else exponential; jitter spreads a herd. */
export class Backoff {
  #tries = 0;

  /** `random` is in 0…1; `told` is the server's `retry_after` in seconds, and the least wait. */
  next(random, told) {
    return 100 + (told >= 0 ? told * 1000 * (1 + random / 4) : random * Math.min(30_000, 1000 * 2 ** this.#tries++));
  }
}

/** Tells when a silent link needs a ping, and when it is dead: `ping + timeout` after the last word. */
export class Heartbeat {
  #last;
  #due = 0; // when the answer to our ping must be here

  constructor(ping, timeout, now) {
    this.ping = ping;
    this.timeout = timeout;
    this.#last = now;
  }

  heard(now) {
    this.#last = now;
    this.#due = 0;
  }

  /** Returns what to do now (`wait`, `ping` or `dead`) and after how many ms to check again. */
  check(now) {
    const left = (this.#due || this.#last + this.ping) - now;
    if (left > 0) return { act: "wait", again: left };
    // A sleeping phone or hidden tab runs timers late: the answer may stand in line behind this very timer.
    if (!this.#due || left < -2000) return this.ask(now, this.timeout);
    return { act: "dead" };
  }

  ask(now, patience) {
    this.#due = now + patience;
    return { act: "ping", again: patience };
  }
}

/** The channels this client is in, and how far it has read each: what the next login carries. */
export class Positions {
  #channels = new Map();

  note({ type, channel, offset, grant }) {
    const known = this.#channels.get(channel);
    if (type === "joined") this.#channels.set(channel, { offset, grant });
    else if (type === "left") this.#channels.delete(channel);
    else if (known && offset !== undefined) known.offset = offset;
  }

  /** Takes the channels of a welcome; returns what the page must hear: channels it lost, messages it missed. */
  welcome(answer = {}) {
    const news = [];
    for (const [channel, position] of this.#channels) {
      const now = answer[channel];
      if (!now) news.push({ type: "left", channel, reason: "refused" });
      else if (!now.recovered) news.push({ type: "resync", channel, reason: now.reason });
      position.offset = now?.offset ?? position.offset;
    }
    news.forEach((message) => this.note(message));
    return news;
  }

  forLogin() {
    return this.#channels.size ? Object.fromEntries(this.#channels) : undefined;
  }
}
