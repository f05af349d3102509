// What the client decides, without socket or timer. Times are milliseconds.

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

/** The channels this client is in, and how far it has read each: what the next login carries. */
export class Positions {
  #channels = new Map();

  /** Takes note of a message; returns whether it is news, and not what its channel has brought before. */
  note({ type, channel, offset, grant }) {
    const known = this.#channels.get(channel);
    if (type === "joined") this.#channels.set(channel, { offset, grant });
    else if (type === "left") this.#channels.delete(channel);
    else if (offset <= known?.offset) return false;
    else if (known && (offset || type === "resync")) known.offset = offset;
    return true;
  }

  /** Takes the channels of a welcome; returns what the page must hear: channels it lost, messages it missed. */
  welcome(answer = {}) {
    const news = [];
    for (const [channel, position] of this.#channels) {
      const now = answer[channel];
      if (!now) news.push({ type: "left", channel, reason: "refused" });
      else if (!now.recovered) news.push({ type: "resync", channel, reason: now.reason });
      position.offset = now?.offset ?? position.offset;
      position.grant = now?.grant ?? position.grant;
      if (!now) this.#channels.delete(channel);
    }
    return news;
  }

  forLogin() {
    return this.#channels.size ? Object.fromEntries(this.#channels) : undefined;
  }
}
