// Draws the board, at most once a frame and only when something changed.

import { COLOURS, SIDE } from "./board.js";

const GRID_FROM = 10; // CSS pixels a pixel has
const PULSE = 700; // ms that a pixel somebody just painted is ringed
const MOST_PULSES = 200;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class View {
  cursor = (SIDE / 2) * SIDE + SIDE / 2;
  hover = null;
  brush = 0;
  #canvas;
  #context;
  #board;
  #camera;
  #sheet = new OffscreenCanvas(SIDE, SIDE);
  #image = new ImageData(SIDE, SIDE);
  #dyes = new Uint32Array(COLOURS);
  #names = [];
  #pulses = new Map();
  #asked = false;

  constructor(canvas, board, camera) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { alpha: false });
    this.#board = board;
    this.#camera = camera;
    new ResizeObserver(() => this.#resize()).observe(canvas);
    this.#resize();
  }

  /** Takes the palette: names and colours; nothing is drawn where the first is, the paper. */
  useColours(palette) {
    this.#names = palette.map(([, colour]) => colour);
    const bytes = new Uint8Array(this.#dyes.buffer);
    this.#names.forEach((colour, index) => {
      const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
      bytes.set([red, green, blue, index ? 255 : 0], index * 4);
    });
  }

  /** Shows the board as it is now, with a ring around some places. */
  refresh(changed = []) {
    const pixels = new Uint32Array(this.#image.data.buffer);
    this.#board.colours.forEach((colour, place) => (pixels[place] = this.#dyes[colour]));
    this.#sheet.getContext("2d").putImageData(this.#image, 0, 0);
    if (!calm.matches) for (const place of changed.slice(0, MOST_PULSES - this.#pulses.size)) this.#pulses.set(place, performance.now());
    this.ask();
  }

  /** Draws at the next frame. */
  ask() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame((now) => {
      this.#asked = false;
      this.#draw(now);
    });
  }

  #resize() {
    const { clientWidth, clientHeight } = this.#canvas;
    if (!clientWidth || !clientHeight) return;
    this.#canvas.width = Math.round(clientWidth * devicePixelRatio);
    this.#canvas.height = Math.round(clientHeight * devicePixelRatio);
    this.#camera.resize(clientWidth, clientHeight);
    this.#draw(performance.now()); // an empty canvas would flash
  }

  #draw(now) {
    const moving = this.#camera.step(calm.matches);
    const [context, { scale, left, top }] = [this.#context, this.#camera];
    const style = getComputedStyle(this.#canvas);
    const colour = (name) => style.getPropertyValue(name);
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.fillStyle = colour("--desk");
    context.fillRect(0, 0, this.#canvas.width, this.#canvas.height);
    context.setTransform(devicePixelRatio * scale, 0, 0, devicePixelRatio * scale, -left * scale * devicePixelRatio, -top * scale * devicePixelRatio);
    this.#drawPaper(context, colour("--paper"), colour("--shade"));
    context.imageSmoothingEnabled = scale * devicePixelRatio < 1;
    context.drawImage(this.#sheet, 0, 0);
    this.#drawHopes(context);
    if (scale >= GRID_FROM) this.#drawGrid(context, colour("--grid"));
    this.#drawPulses(context, now, colour("--accent"));
    this.#drawCursor(context);
    if (moving || this.#pulses.size) this.ask();
  }

  #drawPaper(context, paper, shade) {
    context.save();
    context.shadowColor = shade;
    context.shadowBlur = 18 * devicePixelRatio;
    context.fillStyle = paper;
    context.fillRect(0, 0, SIDE, SIDE);
    context.restore();
  }

  #drawHopes(context) {
    for (const [place, colour] of this.#board.hopes) {
      context.fillStyle = colour ? this.#names[colour] : getComputedStyle(this.#canvas).getPropertyValue("--paper");
      context.fillRect(place % SIDE, Math.floor(place / SIDE), 1, 1);
    }
    if (this.hover === null || !this.#camera.close) return;
    context.globalAlpha = 0.55;
    context.fillStyle = this.#names[this.brush] ?? "transparent";
    context.fillRect(this.hover % SIDE, Math.floor(this.hover / SIDE), 1, 1);
    context.globalAlpha = 1;
  }

  #drawGrid(context, grid) {
    const { left, top, scale } = this.#camera;
    const width = this.#canvas.clientWidth / scale;
    const height = this.#canvas.clientHeight / scale;
    const [from, to] = [(at) => Math.max(0, Math.floor(at)), (at) => Math.min(SIDE, Math.ceil(at))];
    context.strokeStyle = grid;
    context.lineWidth = 1 / scale;
    context.beginPath();
    for (let x = from(left); x <= to(left + width); x++) {
      context.moveTo(x, from(top));
      context.lineTo(x, to(top + height));
    }
    for (let y = from(top); y <= to(top + height); y++) {
      context.moveTo(from(left), y);
      context.lineTo(to(left + width), y);
    }
    context.stroke();
  }

  #drawPulses(context, now, accent) {
    const { scale } = this.#camera;
    context.strokeStyle = accent;
    for (const [place, since] of this.#pulses) {
      const age = (now - since) / PULSE;
      if (age >= 1) this.#pulses.delete(place);
      const grown = Math.max(0.15, 6 / scale) * Math.max(0, age);
      context.globalAlpha = Math.max(0, Math.min(1, 1 - age));
      context.lineWidth = 2 / scale;
      context.strokeRect((place % SIDE) - grown, Math.floor(place / SIDE) - grown, 1 + 2 * grown, 1 + 2 * grown);
    }
    context.globalAlpha = 1;
  }

  #drawCursor(context) {
    const { scale } = this.#camera;
    const [x, y, size] = [this.cursor % SIDE, Math.floor(this.cursor / SIDE), Math.max(1, 7 / scale)];
    const at = (size - 1) / 2;
    for (const [colour, width] of [["#ffffff", 4], ["#11151b", 1.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = width / scale;
      context.strokeRect(x - at, y - at, size, size);
    }
  }
}
