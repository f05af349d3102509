// The screen with the game: who plays, the board, what there is to do.

import { Board, mark } from "./board.js";
import { isRoom, opponent, sentence } from "./words.js";

const $ = (id) => document.getElementById(id);

export class Table {
  #board;
  #do;

  /** `act` has a function for everything a person may do here: `play(cell)`, `ask()`, `approve(id)`, … */
  constructor(act) {
    this.#do = act;
    this.#board = new Board($("board"), act.play);
    $("copy").addEventListener("click", () => act.copy());
    $("send").addEventListener("click", () => act.invite());
  }

  /** Shows `game` to `me`; `here` are ids and names at the table, `pending` is a move on its way, `link` the invitation. */
  show({ game, me, here, pending, link }) {
    const isHere = (id) => id === me || here.has(id);
    const mine = game.next === me && !pending;
    const moving = pending && { cell: pending.cell, mark: "XO"[pending.turn % 2] };
    this.#board.show({ board: game.board, line: game.line, pending: moving, mine });
    $("board").hidden = !game.guest; // while nobody plays there is more to say than to see
    $("board").classList.toggle("mine", mine);
    $("board").classList.toggle("idle", game.status !== "playing");
    this.#showPlayers(game, me, isHere);
    const [text, tone = ""] = pending ? ["Your move is on its way…"] : sentence(game, me, isHere);
    if ($("status").textContent !== text) $("status").textContent = text; // or it would be read out again
    $("status").dataset.tone = tone;
    const hosts = game.status === "waiting" && game.host.id === me;
    $("invite").hidden = !hosts || isRoom(game) || game.asking.length > 0;
    $("own-link").hidden = !link;
    $("link").value = link ?? "";
    this.#showAsking(game, me);
    arrange($("actions"), this.#actions(game, me));
    $("watching").textContent = watchers(game, me, here);
  }

  #showPlayers(game, me, isHere) {
    // Whoever plays sees themselves on the left.
    const [one, two] = game.guest?.id === me ? [game.guest, game.host] : [game.host, game.guest];
    showPlayer($("one"), one, game, me, isHere);
    showPlayer($("two"), two, game, me, isHere);
    const [host, guest, draws] = game.wins;
    const [left, right] = one === game.guest ? [guest, host] : [host, guest];
    $("score").textContent = game.guest ? `${left} : ${right}` : "";
    $("score").title = draws ? `${draws} drawn` : "";
  }

  #showAsking(game, me) {
    const decides = game.host?.id === me && !game.guest;
    $("asking").hidden = !decides || !game.asking.length;
    if (!decides) return $("asking").replaceChildren();
    const rows = game.asking.map(({ id, name }) => {
      const row = document.createElement("div");
      const text = document.createElement("span");
      text.textContent = name; // never innerHTML: people choose their names
      row.className = "request";
      row.append(text, button("Play", () => this.#do.approve(id), "primary", `Play with ${name}`));
      row.append(button("Not now", () => this.#do.decline(id), "secondary", `Not now: ${name}`));
      return row;
    });
    $("asking").replaceChildren(...rows);
  }

  #actions(game, me) {
    const act = this.#do;
    const other = opponent(game, me);
    const asks = game.asking.some(({ id }) => id === me);
    if (game.status === "empty") return [["ask", "Sit down", act.ask, "primary"]];
    if (game.status === "waiting" && game.host.id === me) {
      return [["leave", isRoom(game) ? "Get up" : "Close this game", act.leave]];
    }
    if (asks) return [["leave", "Ask no more", act.cancel]];
    if (game.status === "waiting") return game.declined.includes(me) ? [] : [["ask", `Play with ${game.host.name}`, act.ask, "primary"]];
    if (!other) return [["ask", "I want to play next", act.ask, "secondary"]];
    if (game.status === "playing") return [["leave", "Give up", act.leave]];
    const again = game.again.includes(me) ? [] : [["rematch", "Rematch", act.rematch, "primary"]];
    return [...again, ["leave", "Leave", act.leave]];
  }
}

function showPlayer(node, player, game, me, isHere) {
  const sign = Object.keys(game.marks).find((name) => game.marks[name] === player?.id);
  const name = document.createElement("span");
  name.className = "who";
  name.textContent = !player ? "free" : player.id === me ? "You" : player.name;
  const away = player && !isHere(player.id);
  const note = document.createElement("small");
  note.textContent = away ? "away" : sign ? `plays ${sign}` : player ? "host" : "";
  node.classList.toggle("next", Boolean(player) && game.next === player.id);
  node.classList.toggle("away", Boolean(away));
  node.classList.toggle("free", !player);
  node.dataset.mark = sign ?? "";
  node.replaceChildren(...(sign ? [mark(sign)] : []), name, note);
}

function watchers({ host, guest, asking }, me, here) {
  const others = new Set([me, host?.id, guest?.id, ...asking.map(({ id }) => id)]);
  const many = [...here.keys()].filter((id) => !others.has(id)).length;
  return many ? `${many} ${many === 1 ? "watches" : "watch"}` : "";
}

/** Shows these buttons; those that were there stay, so that the keyboard does not lose its place. */
function arrange(node, wanted) {
  const before = new Map([...node.children].map((child) => [child.dataset.key, child]));
  const lost = node.contains(document.activeElement);
  const buttons = wanted.map(([key, text, run, kind = "quiet"]) => {
    const shown = before.get(key) ?? button(text, run, kind);
    shown.dataset.key = key;
    if (shown.textContent !== text) shown.textContent = text;
    shown.className = kind;
    shown.onclick = run;
    return shown;
  });
  if (buttons.length === node.children.length && buttons.every((child, at) => child === node.children[at])) return;
  node.replaceChildren(...buttons);
  if (lost && !node.contains(document.activeElement)) (buttons[0] ?? document.getElementById("back")).focus();
}

function button(text, run, kind, label) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = kind;
  made.textContent = text;
  made.onclick = run;
  if (label) made.setAttribute("aria-label", label);
  return made;
}
