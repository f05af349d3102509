// Which part of the board is seen, and how large. Pure geometry: CSS pixels and board pixels.

import { SIDE } from "./board.js";

export const CLOSE = 7; // CSS pixels a pixel has where a tap paints; farther away it comes closer
const CLOSER = 18;
const LARGEST = 48;
const MARGIN = 0.94; // of the window, for the whole board

export class Camera {
  scale = 1;
  left = 0; // of the window, in board pixels
  top = 0;
  #width = 1;
  #height = 1;
  #goal = null;

  resize(width, height) {
    const middle = this.#middle();
    const whole = this.#sized && this.scale <= this.#fitting * 1.01;
    [this.#width, this.#height] = [width, height];
    if (whole || !this.#sized) this.#become(this.whole());
    else this.#become(this.#around(middle.x, middle.y, this.scale));
    this.#sized = true;
  }
  #sized = false;

  get close() {
    return this.scale >= CLOSE;
  }

  /** The board pixel under a point of the window, or null beside the board. */
  placeAt(x, y) {
    const column = Math.floor(this.left + x / this.scale);
    const row = Math.floor(this.top + y / this.scale);
    return column >= 0 && row >= 0 && column < SIDE && row < SIDE ? row * SIDE + column : null;
  }

  pan(x, y) {
    const { left, top, scale } = this;
    this.#goal = null;
    this.#become({ left: left - x / scale, top: top - y / scale, scale });
  }

  zoom(factor, x = this.#width / 2, y = this.#height / 2) {
    const scale = Math.min(LARGEST, Math.max(this.#fitting * 0.7, this.scale * factor));
    const left = this.left + x / this.scale - x / scale;
    const top = this.top + y / this.scale - y / scale;
    this.#goal = null;
    this.#become({ left, top, scale });
  }

  /** Goes somewhere smoothly; `step` brings it there. */
  glide(goal) {
    this.#goal = this.#kept(goal);
  }

  whole() {
    return this.#around(SIDE / 2, SIDE / 2, this.#fitting);
  }

  closeTo(place) {
    return this.#around((place % SIDE) + 0.5, Math.floor(place / SIDE) + 0.5, Math.max(CLOSER, this.scale));
  }

  /** Where to go so that a place is in sight, or null if it is. */
  towards(place) {
    const x = ((place % SIDE) - this.left) * this.scale;
    const y = (Math.floor(place / SIDE) - this.top) * this.scale;
    const inside = x >= 0 && y >= 0 && x + this.scale <= this.#width && y + this.scale <= this.#height - 56;
    return inside ? null : this.#around((place % SIDE) + 0.5, Math.floor(place / SIDE) + 0.5, this.scale);
  }

  /** Moves a part of the way; returns whether there is more to go. `at once` for who wants no motion. */
  step(atOnce) {
    if (!this.#goal) return false;
    const share = atOnce ? 1 : 0.28;
    const next = Object.fromEntries(["left", "top", "scale"].map((key) => [key, this[key] + (this.#goal[key] - this[key]) * share]));
    const there = Math.abs(next.scale - this.#goal.scale) < 0.01 * this.#goal.scale && Math.abs(next.left - this.#goal.left) < 0.02;
    Object.assign(this, there ? this.#goal : next);
    if (there) this.#goal = null;
    return !there;
  }

  get #fitting() {
    return (Math.min(this.#width, this.#height) / SIDE) * MARGIN;
  }

  #middle() {
    return { x: this.left + this.#width / 2 / this.scale, y: this.top + this.#height / 2 / this.scale };
  }

  #around(x, y, scale) {
    return { left: x - this.#width / 2 / scale, top: y - this.#height / 2 / scale, scale };
  }

  #become(view) {
    Object.assign(this, this.#kept(view));
  }

  /** Keeps the middle of the window over the board. */
  #kept({ left, top, scale }) {
    const [x, y] = [this.#width / 2 / scale, this.#height / 2 / scale];
    return { left: Math.min(SIDE - x, Math.max(-x, left)), top: Math.min(SIDE - y, Math.max(-y, top)), scale };
  }
}
