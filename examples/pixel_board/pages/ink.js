// The drops of ink somebody has: used by painting, back one after the other. The truth is with the server.

export class Ink {
  #node;
  #drops = 0;
  #each = 1000;
  #full = 0; // when all are back, by performance.now()
  #timer;

  constructor(node) {
    this.#node = node;
  }

  /** Takes what the server says: how many drops there are, ms that each takes, ms until all are back. */
  learn({ drops, each, full }) {
    if (this.#node.childElementCount !== drops) this.#node.replaceChildren(...Array.from({ length: drops }, () => document.createElement("i")));
    this.#node.hidden = !drops;
    this.#node.ariaValueMax = drops;
    [this.#drops, this.#each] = [drops, each];
    this.fullIn(full);
  }

  fullIn(milliseconds) {
    this.#full = performance.now() + milliseconds;
    this.#show();
  }

  /** None is left, and the next comes in so many ms. */
  dryFor(milliseconds) {
    this.fullIn(milliseconds + (this.#drops - 1) * this.#each);
  }

  /** Takes a drop; returns 0, or the ms until there is one. */
  take() {
    if (!this.#drops) return 0;
    const now = performance.now();
    const wait = Math.max(now, this.#full) - now - (this.#drops - 1) * this.#each;
    if (wait > 0) {
      this.#node.animate({ translate: ["0", "-5px", "5px", "-3px", "0"] }, { duration: 260 });
      return wait;
    }
    this.#full = Math.max(now, this.#full) + this.#each;
    this.#show();
    return 0;
  }

  #show() {
    const missing = Math.max(0, this.#full - performance.now()) / this.#each;
    const left = Math.max(0, this.#drops - Math.ceil(missing));
    [...this.#node.children].forEach((drop, index) => {
      drop.style.setProperty("--filled", index < left ? 1 : index === left ? 1 - (missing % 1 || 1) : 0);
    });
    this.#node.ariaValueNow = left;
    this.#node.ariaValueText = `${left} of ${this.#drops}`;
    clearTimeout(this.#timer);
    if (missing > 0) this.#timer = setTimeout(() => this.#show(), Math.min(120, this.#each / 8));
  }
}
