// Paying on a phone: the invoice is shown, the bot is asked, and the answer is told to who opened it.

import { price } from "./contents.js";

const CHECKOUT_MS = 10_000; // the bot has to answer

export class Checkout {
  /**
   * @param {import("./dialogs.js").Dialogs} dialogs
   * @param {{invoice: (what: object) => Promise<object>, pay: (what: object) => Promise<{query_id: string}>}} api
   * @param {(action: () => Promise<any>) => Promise<any>} attempt shows a refusal and gives null
   */
  constructor(dialogs, api, attempt) {
    Object.assign(this, { dialogs, api, attempt });
    this.waiting = new Map();
    this.early = null; // an answer can be here before that of the request that asked
  }

  /**
   * Asks the person, then the bot.
   * @param {{slug?: string, message_id?: number}} what
   * @returns {Promise<"paid" | "cancelled" | "failed">}
   */
  async open(what) {
    const invoice = await this.attempt(() => this.api.invoice(what));
    if (!invoice) return "failed";
    const buttons = [{ id: "pay", text: `Pay ${price(invoice)}` }, { id: "", text: "Cancel" }];
    const chosen = await this.dialogs.ask({ title: invoice.title, message: invoice.description, buttons });
    if (chosen !== "pay") return "cancelled";
    const asked = await this.attempt(() => this.api.pay(what));
    if (!asked) return "failed";
    const { status, error } = await this.answer(asked.query_id);
    this.dialogs.toast(status === "paid" ? `You paid ${price(invoice)}.` : error);
    return status;
  }

  answer(id) {
    const late = { status: "failed", error: "The bot did not answer in time; nothing was paid." };
    return new Promise((resolve) => {
      const done = (answer) => {
        clearTimeout(timer);
        this.waiting.delete(id);
        resolve(answer);
      };
      const timer = setTimeout(() => done(late), CHECKOUT_MS);
      this.waiting.set(id, done);
      if (this.early?.query_id === id) done(this.early);
    });
  }

  /** Takes the bot's answer. */
  receive(data) {
    const done = this.waiting.get(data.query_id);
    if (done) done(data);
    else this.early = data;
  }
}
