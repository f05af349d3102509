// The nine cells: buttons that a finger, a mouse or the arrow keys reach.

const SVG = "http://www.w3.org/2000/svg";
const MARKS = { X: "M26 26 74 74M74 26 26 74", O: "M50 22a28 28 0 1 1-.1 0" };
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Board {
  #cells;
  #strike;

  /** Fills `node`; `play(cell)` is called for cells that are pressed while they may be. */
  constructor(node, play) {
    this.#cells = Array.from({ length: 9 }, (_, cell) => this.#make(cell, play));
    this.#strike = drawing("");
    this.#strike.classList.add("strike");
    node.append(...this.#cells, this.#strike);
    node.addEventListener("keydown", (event) => this.#walk(event));
  }

  /**
   * Shows `board`, nine of `X`, `O` and `.`; a move on its way as `{ cell, mark }`, the winning `line`, and whose mark
   * goes where it is `mine` to move.
   */
  show({ board, line, pending, mine }) {
    this.#cells.forEach((button, cell) => {
      const mark = pending?.cell === cell ? pending.mark : board[cell].replace(".", "");
      if (button.dataset.mark !== mark) {
        button.dataset.mark = mark;
        button.replaceChildren(...(mark ? [drawing(MARKS[mark])] : []));
      }
      button.classList.toggle("pending", pending?.cell === cell);
      button.classList.toggle("won", line.includes(cell));
      button.setAttribute("aria-disabled", String(!mine || Boolean(mark)));
      button.setAttribute("aria-label", `Row ${1 + Math.floor(cell / 3)}, column ${1 + (cell % 3)}: ${mark || "empty"}`);
    });
    this.#strike.toggleAttribute("hidden", !line.length);
    if (line.length) this.#strike.firstChild.setAttribute("d", across(line));
  }

  #make(cell, play) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "cell";
    button.dataset.mark = "";
    button.tabIndex = cell === 4 ? 0 : -1; // one stop of the tab key; the arrows go on from there
    button.addEventListener("click", () => button.getAttribute("aria-disabled") === "true" || play(cell));
    button.addEventListener("focus", () => this.#cells.forEach((other) => (other.tabIndex = other === button ? 0 : -1)));
    return button;
  }

  #walk(event) {
    const step = STEPS[event.key];
    const from = this.#cells.indexOf(document.activeElement);
    if (!step || from < 0) return;
    event.preventDefault();
    const [x, y] = [(from % 3) + step[0], Math.floor(from / 3) + step[1]];
    if (x >= 0 && x < 3 && y >= 0 && y < 3) this.#cells[y * 3 + x].focus();
  }
}

/** A mark to be shown beside a name. */
export function mark(name) {
  const shown = drawing(MARKS[name]);
  shown.dataset.mark = name;
  return shown;
}

function drawing(d) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 100 100");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", d);
  path.setAttribute("pathLength", "1");
  svg.append(path);
  return svg;
}

/** The stroke through three cells, a little beyond the middle of the outer ones. */
function across(line) {
  const [from, to] = [line[0], line[2]].map((cell) => [(cell % 3) * 33.33 + 16.67, Math.floor(cell / 3) * 33.33 + 16.67]);
  const over = (a, b) => a + Math.sign(a - b) * 10;
  return `M${over(from[0], to[0])} ${over(from[1], to[1])} ${over(to[0], from[0])} ${over(to[1], from[1])}`;
}
