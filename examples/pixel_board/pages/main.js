import { connect } from "../../client/mini-apps.js";
import { Board, SIDE, unpack } from "./board.js";
import { Camera } from "./camera.js";
import { drawChart } from "./chart.js";
import { end } from "./ended.js";
import { listen } from "./gestures.js";
import { Ink } from "./ink.js";
import { makePalette } from "./palette.js";
import { buzz, moveIn, share } from "./telegram.js";
import { View } from "./view.js";

const CHANNEL = "board";
const AGAIN = 2000; // ms after which a load that failed is tried again
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");
const board = new Board();
const camera = new Camera();
const view = new View($("board"), board, camera);
const ink = new Ink($("ink"));
let palette = null;
let link = null;
let stale = true; // the board is to be fetched
let loading = false;
let quiet; // the timer that takes the toast away

moveIn(() => view.ask());
const mesh = await connect();

// The connection

mesh.onState((state, { retryIn }) => {
  const words = { connecting: "connecting…", open: "live", waiting: "reconnecting…", closed: "not connected" };
  $("state").dataset.state = state;
  $("state").textContent = state === "waiting" && !navigator.onLine ? "you are offline" : words[state];
  $("state").title = state === "open" ? `node ${mesh.node}` : retryIn ? `next try in ${Math.ceil(retryIn / 1000)} s` : "";
  sayWaiting();
});

mesh.on("welcome", ({ name }) => {
  $("name").textContent = name; // never innerHTML: people choose their names
  $("initial").textContent = [...name][0]?.toUpperCase() ?? "?";
  if (board.loaded) load();
});

mesh.on("pixels", ({ version, pixels }) => look(board.apply(version, pixels)));
mesh.on("news", showNews);
mesh.on("error", ({ msg }) => say(msg));
mesh.on("disconnect", end);
mesh.on("resync", () => {
  stale = true;
  board.forgetVersions();
  load();
});
mesh.subscribe(CHANNEL).then(load, (error) => say(error.message));

/** Fetches what this page missed: the board only where the channel's history does not bring it. */
async function load() {
  if (loading) return;
  loading = true;
  const done = await fetchAll().then(() => true, () => false);
  loading = false;
  if (!done && mesh.state !== "closed") setTimeout(load, AGAIN);
  else if (done && stale) load(); // something was missed meanwhile
}

async function fetchAll() {
  if (stale) {
    stale = false;
    await mesh.request({ type: "board" }).then(open, (error) => {
      stale = true;
      throw error;
    });
  }
  const news = await mesh.request({ type: "news" });
  showNews(news);
  ink.learn(news.ink);
}

function open(answer) {
  board.load(unpack(answer.pixels), answer.version);
  ({ link } = answer);
  if (!palette) begin(answer);
  look();
}

/** Makes what needs the palette, and goes where the link that opened the page says. */
function begin({ palette: colours, place }) {
  palette = makePalette($("palette"), colours, (colour) => {
    view.brush = colour;
    view.ask();
  });
  view.useColours(colours);
  $("loading").hidden = true;
  $("play").classList.add("ready");
  const wanted = place ?? placeOf(new URLSearchParams(location.search).get("place"));
  if (wanted === null) return say("Tap to come closer, then tap to paint", 5000);
  view.cursor = wanted;
  camera.glide(camera.closeTo(wanted));
}

function placeOf(text) {
  const [, x, y] = /^(\d{1,3})_(\d{1,3})$/.exec(text ?? "") ?? [];
  return x < SIDE && y < SIDE ? y * SIDE + Number(x) : null;
}

// What is seen

function look(changed) {
  view.refresh(changed);
  showPlace();
}

function showNews({ here, total, minutes }) {
  $("here").textContent = number.format(here);
  $("people").textContent = here === 1 ? "is here" : "are here";
  $("total").textContent = number.format(total);
  $("rate").textContent = `${number.format(minutes.at(-1))} this minute`;
  drawChart($("chart"), minutes);
}

function showPlace() {
  if (!palette) return;
  const { name, colour } = palette.of(board.shown(view.cursor));
  $("where").textContent = `${view.cursor % SIDE}, ${Math.floor(view.cursor / SIDE)} · ${name}`;
  $("drop").style.background = colour;
}

function say(text, milliseconds = 3500) {
  $("toast").textContent = text;
  clearTimeout(quiet);
  if (milliseconds) quiet = setTimeout(sayWaiting, milliseconds);
}

function sayWaiting() {
  const waiting = board.hopes.length;
  const connected = mesh.state === "open";
  say(waiting && !connected ? `${waiting} ${waiting === 1 ? "pixel waits" : "pixels wait"} for the connection` : "", 0);
}

// What people do

async function paint(place) {
  const colour = palette.colour;
  if (board.shown(place) === colour) return;
  const wait = ink.take();
  if (wait) {
    buzz("error");
    return say(`Out of ink: the next drop comes in ${Math.ceil(wait / 1000)} s`, 1500);
  }
  buzz("light");
  const known = board.hope(place, colour);
  look();
  const request = mesh.request({ type: "paint", place, colour }, { timeout: 0 });
  sayWaiting();
  try {
    const { painted, version, full, wait } = await request;
    if (painted) {
      board.apply(version, [place * 16 + colour]);
      ink.fullIn(full);
    } else {
      ink.dryFor(wait); // another tab of theirs paints too
      say("Out of ink", 1500);
    }
  } catch (error) {
    say(error.code === "unknown" ? "The connection broke; look whether your pixel is there" : error.message);
  }
  known();
  look();
}

function tap(place) {
  if (place === null || !palette) return;
  moveTo(place);
  if (camera.close) paint(place);
  else camera.glide(camera.closeTo(place));
}

function moveTo(place) {
  view.cursor = place;
  showPlace();
  view.ask();
}

async function tellWho() {
  const place = view.cursor;
  try {
    const found = await mesh.request({ type: "who", place }, { timeout: 5000 });
    say(found ? `Painted by ${found.name}, ${ago(found.ago)}` : "Nobody painted here yet");
  } catch {
    say("That is not known without a connection");
  }
}

function ago(seconds) {
  const units = [["second", 60], ["minute", 60], ["hour", 24], ["day", Infinity]];
  let value = seconds;
  for (const [unit, most] of units) {
    if (value < most) return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(-Math.floor(value), unit);
    value /= most;
  }
}

listen($("board"), {
  pan: (x, y) => see(camera.pan(x, y)),
  zoom: (factor, x, y) => see(camera.zoom(factor, x, y)),
  tap: (x, y) => tap(camera.placeAt(x, y)),
  hover: (x, y) => see((view.hover = camera.placeAt(x, y))),
  leave: () => see((view.hover = null)),
});

function see() {
  view.ask();
}

$("board").addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || !palette) return;
  const keys = {
    Enter: () => event.repeat || paint(view.cursor),
    " ": () => event.repeat || paint(view.cursor),
    w: tellWho,
    "+": () => see(camera.zoom(1.5)),
    "=": () => see(camera.zoom(1.5)),
    "-": () => see(camera.zoom(1 / 1.5)),
    0: () => see(camera.glide(camera.whole())),
    "[": () => palette.step(-1),
    "]": () => palette.step(1),
  };
  const step = STEPS[event.key];
  if (step) walk(step, event.shiftKey ? 8 : 1);
  else if (keys[event.key]) keys[event.key]();
  else return;
  event.preventDefault();
});

function walk([x, y], far) {
  const kept = (at) => Math.min(SIDE - 1, Math.max(0, at));
  moveTo(kept(Math.floor(view.cursor / SIDE) + y * far) * SIDE + kept((view.cursor % SIDE) + x * far));
  const goal = camera.towards(view.cursor);
  if (goal) camera.glide(goal);
}

$("in").addEventListener("click", () => see(camera.glide(camera.closeTo(view.cursor))));
$("out").addEventListener("click", () => see(camera.zoom(1 / 1.6)));
$("all").addEventListener("click", () => see(camera.glide(camera.whole())));
$("place").addEventListener("click", tellWho);
$("share").addEventListener("click", async () => {
  const address = `${view.cursor % SIDE}_${Math.floor(view.cursor / SIDE)}`;
  say(link ? await share(link + address, "Look at this place on our board") : "The bot is not connected yet, so there is no link");
});
