// The page: which game it shows, and what it asks the app for.

import { connect } from "../../client/mini-apps.js";
import { Table } from "./table.js";
import { askToWrite, inTelegram, mayAskToWrite, moveIn, onBack } from "./telegram.js";
import { shareLink, shareMessage, sharesMessages, showBack, tap } from "./telegram.js";
import { goodbye, isRoom, opponent, summary, trouble } from "./words.js";

const CLOCK = "M24 4a20 20 0 1 0 0 40a20 20 0 1 0 0-40M24 12v13l8 5";
const PLANE = "M44 6 4 22l14 6 5 15 21-37L18 28";
const TOAST_MS = 5000;

const $ = (id) => document.getElementById(id);
const table = new Table({
  play,
  ask: () => change({ type: "ask" }),
  approve: (player) => change({ type: "approve", player }),
  decline: (player) => change({ type: "decline", player }),
  rematch: () => change({ type: "rematch", round: game.round }),
  cancel: () => change({ type: "leave" }),
  leave,
  invite,
  copy,
});

let me; // Telegram id
let wanted = new URLSearchParams(location.search).get("game"); // the game to show; "" is the list of games
let game; // as last seen
let room; // the game of the group this was opened in
let link; // of the invitation to the game
let here = new Map(); // who is at the table: id to name
let pending; // a move of ours the app has not confirmed

moveIn();
onBack(() => go(""));
const mesh = await connect();

mesh.onState((state, { retryIn }) => {
  const words = { connecting: "connecting…", open: "live", waiting: "reconnecting…", closed: "not connected" };
  $("state").dataset.state = state;
  $("state").textContent = state === "waiting" && !navigator.onLine ? "you are offline" : words[state];
  $("state").title = retryIn ? `next try in ${Math.ceil(retryIn / 1000)} s` : "";
  $("node").textContent = state === "open" ? `node ${mesh.node}` : "";
});

mesh.on("welcome", ({ telegram_id, name }) => {
  me = telegram_id;
  $("name").textContent = name;
});

// Comes after every welcome, also when the page comes back after its node died.
mesh.on("hello", (hello) => {
  room = hello.room;
  wanted ??= hello.wanted ?? "";
  showGames(hello.games);
  return wanted ? enter() : showScreen("home");
});
mesh.on("game", (message) => show(message.game));
mesh.on("presence", ({ channel, event, user }) => {
  if (channel !== `game:${wanted}`) return;
  if (event === "join") here.set(user.telegram_id, user.name);
  else here.delete(user.telegram_id);
  render();
});
mesh.on("resync", () => wanted && enter());
mesh.on("left", ({ channel }) => channel === `game:${wanted}` && enter());
mesh.on("notify", ({ text, game }) => {
  if (document.hidden) return false; // nobody looks: the bot shall write
  if (game !== wanted) toast(text, () => go(game));
});
mesh.on("error", (error) => toast(trouble(error)));
mesh.on("disconnect", ({ code, reason }) => end(code, reason));

$("new").addEventListener("click", () => busy($("new"), async () => show(await ask({ type: "new" }), true)));
$("room").addEventListener("click", () => go(room));
$("back").addEventListener("click", () => go(""));
$("tell-me").hidden = !mayAskToWrite();
$("tell-me").addEventListener("click", () => askToWrite(() => ($("tell-me").hidden = true)));
$("again").addEventListener("click", () => location.reload());

/** Asks the app; undefined where it could not, which people are told. */
async function ask(message, options) {
  try {
    return await mesh.request(message, options);
  } catch (error) {
    toast(trouble(error));
    if (error.code === "unknown" && wanted) enter(); // it may have been done
  }
}

/** Changes the game; what comes of it, the whole table is told. */
async function change(message) {
  const changed = await ask({ ...message, game: wanted });
  show(changed);
  return changed;
}

/** Goes to a game, or with "" to the list of games. */
function go(id) {
  if (wanted && wanted !== id) mesh.unsubscribe(`game:${wanted}`);
  wanted = id;
  game = link = pending = undefined;
  here = new Map();
  const address = new URL(location.href);
  address.searchParams.set("game", id); // so that a reload stays here
  history.replaceState(null, "", address);
  if (id) return enter();
  showScreen("home");
  return ask({ type: "games" }).then((games) => games && showGames(games));
}

/** Sits down at the table that is wanted, again after each time the connection was lost. */
async function enter() {
  const id = wanted;
  try {
    const entered = await mesh.request({ type: "enter", game: id }, { timeout: 0 });
    if (id !== wanted) return;
    here = new Map(entered.here.map(({ telegram_id, name }) => [telegram_id, name]));
    show(entered.game);
    settle();
  } catch (error) {
    if (id !== wanted || error.code === "unknown") return; // after the next welcome
    toast(trouble(error));
    if (error.code === "gone" || error.code === "room" || !game) go("");
  }
}

/** Shows a game as it came from a node, unless a newer one is shown: two nodes may tell of their moves in either order. */
function show(news, follow = false) {
  if (!news) return;
  if (follow && news.id !== wanted) return go(news.id);
  if (news.id !== wanted || news.version < game?.version) return;
  if (game && news.version > game.version) feel(news);
  game = news;
  if (pending && (game.round !== pending.round || game.turn > pending.turn)) pending = undefined;
  showScreen("table");
  render();
  if (game.status === "waiting" && game.host.id === me && !link && !isRoom(game)) prepareLink(game.id);
}

function render() {
  if (game) table.show({ game, me, here, pending, link });
}

/** Lets the phone answer what the others do. */
function feel(news) {
  if (news.winner && news.winner !== game.winner) tap(news.winner === me || !opponent(news, me) ? "success" : "error");
  else if (news.next === me || news.asking.length > game.asking.length) tap();
}

function play(cell) {
  pending = { type: "move", game: game.id, round: game.round, turn: game.turn, cell };
  tap();
  render();
  settle();
}

/** Sends the move that is not confirmed. It says which one it is, so that sent twice it counts once. */
async function settle() {
  const move = pending;
  if (!move) return;
  try {
    show(await mesh.request(move, { timeout: 0 }));
  } catch (error) {
    if (error.code === "unknown") return; // the connection ended: the next `enter` shows whether it was made, or sends it again
    if (pending === move) pending = undefined;
    toast(trouble(error));
    if (error.code === "late" || error.code === "unavailable") enter();
  }
  render();
}

async function leave() {
  const left = await change({ type: "leave" });
  if (left && left.id === wanted) go("");
}

async function prepareLink(id) {
  try {
    const invitation = await mesh.request({ type: "invite", game: id });
    if (id !== wanted) return;
    link = invitation.link;
    render();
  } catch {} // then without a link: the button tells what is wrong
}

async function invite() {
  const id = wanted;
  if (sharesMessages) {
    const message = await ask({ type: "share", game: id });
    if (message) return shareMessage(message);
  }
  const invitation = await ask({ type: "invite", game: id });
  if (invitation && inTelegram) shareLink(invitation.link, invitation.text);
  else if (invitation) copy();
}

async function copy() {
  $("link").select();
  try {
    await navigator.clipboard.writeText($("link").value);
    toast("Copied. Send it to your friend.");
  } catch {
    toast("Copy the marked text.");
  }
}

async function busy(button, action) {
  button.disabled = true;
  try {
    await action();
  } finally {
    button.disabled = false;
  }
}

function showGames(games) {
  $("room").hidden = !room;
  $("games").hidden = !games.length;
  const rows = games.map((one) => {
    const [who, how] = summary(one, me);
    const row = document.createElement("li");
    const open = document.createElement("button");
    open.type = "button";
    open.classList.toggle("yours", one.next === me || (one.host?.id === me && one.asking.length > 0));
    for (const text of [who, how]) open.append(Object.assign(document.createElement("span"), { textContent: text }));
    open.addEventListener("click", () => go(one.id));
    row.append(open);
    return row;
  });
  $("games-list").replaceChildren(...rows);
}

function showScreen(name) {
  if (mesh.state === "closed") return;
  for (const screen of ["home", "table"]) $(screen).hidden = screen !== name;
  $("back").hidden = name !== "table";
  $("name").hidden = name === "table";
  if (name === "home") $("watching").textContent = "";
  showBack(name === "table");
}

let hideToast;
function toast(text, open) {
  if (!text) return;
  clearTimeout(hideToast);
  const words = Object.assign(document.createElement("span"), { textContent: text });
  $("toast").replaceChildren(words);
  if (open) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Open" });
    button.addEventListener("click", () => {
      $("toast").hidden = true;
      open();
    });
    $("toast").append(button);
  }
  $("toast").hidden = false;
  hideToast = setTimeout(() => ($("toast").hidden = true), TOAST_MS);
}

function end(code, reason) {
  const [title, text, again] = goodbye(code, reason);
  $("ended-icon").setAttribute("d", reason === "expired" ? CLOCK : PLANE);
  $("ended-title").textContent = title;
  $("ended-text").textContent = text;
  $("again").hidden = !again;
  for (const part of ["home", "table", "back", "toast"]) $(part).hidden = true;
  $("ended").hidden = false;
  $("ended-title").focus();
}
