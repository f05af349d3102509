// What a phone keeps for one user of one bot: WebApp.CloudStorage, in this browser.
// Source: https://core.telegram.org/bots/webapps#cloudstorage

const MAX_KEYS = 1024;
const MAX_VALUE = 4096;
const KEY = /^[A-Za-z0-9_-]{1,128}$/;

export class CloudStorage {
  constructor(bot, user) {
    this.place = `sandbox.cloud.${bot.id}.${user.id}`;
  }

  /** Answers a custom method; undefined for one that is not about storage. Throws an Error with Telegram's code. */
  invoke(method, params) {
    const kept = this.read();
    switch (method) {
      case "saveStorageValue":
        if (!KEY.test(params.key)) throw new Error("KEY_INVALID");
        if (String(params.value).length > MAX_VALUE) throw new Error("VALUE_INVALID");
        if (!Object.hasOwn(kept, params.key) && Object.keys(kept).length >= MAX_KEYS) throw new Error("KEYS_TOO_MUCH");
        kept[params.key] = String(params.value);
        this.write(kept);
        return true;
      case "getStorageValues":
        return Object.fromEntries(params.keys.map((key) => [key, kept[key] ?? ""]));
      case "deleteStorageValues":
        for (const key of params.keys) delete kept[key];
        this.write(kept);
        return true;
      case "getStorageKeys":
        return Object.keys(kept);
      default:
        return undefined;
    }
  }

  read() {
    try {
      return JSON.parse(localStorage.getItem(this.place) ?? "{}");
    } catch {
      return {};
    }
  }

  write(kept) {
    localStorage.setItem(this.place, JSON.stringify(kept));
  }
}
