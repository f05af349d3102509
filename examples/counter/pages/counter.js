import { connect } from "../../client/mini-apps.js";
import { moveIn, tap } from "./telegram.js";

const CLOCK = "M24 4a20 20 0 1 0 0 40a20 20 0 1 0 0-40M24 12v13l8 5";
const PLANE = "M44 6 4 22l14 6 5 15 21-37L18 28";

const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat();
const ripple = makeRipple();
let clicks = -1;

moveIn();
const mesh = await connect();

mesh.onState((state, { retryIn }) => {
  const words = { connecting: "connecting…", open: "live", waiting: "reconnecting…", closed: "not connected" };
  $("state").dataset.state = state;
  $("state").textContent = state === "waiting" && !navigator.onLine ? "you are offline" : words[state];
  $("node").textContent = state === "open" ? `node ${mesh.node}` : "";
  $("state").title = retryIn ? `next try in ${Math.ceil(retryIn / 1000)} s` : "";
  showQueued();
});

mesh.on("welcome", ({ name }) => {
  clicks = -1; // what comes now is the truth, even if somebody has set the count back meanwhile
  $("name").textContent = name; // never innerHTML: people choose their names
  $("initial").textContent = [...name][0]?.toUpperCase() ?? "?";
});

mesh.on("clicks-updated", (message) => show(message.clicks));
mesh.on("resync", () => mesh.request({ type: "clicks" }).then(show, () => {})); // if even this fails, a login follows
mesh.on("error", ({ msg }) => say(msg));
mesh.on("disconnect", ({ code, reason }) => end(code, reason));

$("press").addEventListener("click", () => {
  if (mesh.send({ type: "click" })) tap();
  showQueued();
});

$("press").addEventListener("keydown", (event) => {
  if (event.repeat) event.preventDefault(); // a key that is held down is one press
});

$("again").addEventListener("click", () => location.reload());

/**
 * Shows a count that came from a node. It only ever grows, and two nodes may announce 8 before 7:
 * so whichever order the messages take, every page ends at the largest number.
 */
function show(count) {
  if (count <= clicks) return;
  if (clicks >= 0) ripple.play();
  clicks = count;
  $("count").textContent = number.format(count);
  $("count").dataset.digits = Math.min(String(count).length, 9);
  $("unit").textContent = count === 1 ? "click" : "clicks";
  showQueued();
}

function showQueued() {
  const waiting = mesh.queued;
  say(waiting ? `${waiting} ${waiting === 1 ? "click waits" : "clicks wait"} for the connection` : "");
}

function say(text) {
  $("queued").textContent = text;
}

/** Makes the one ring that answers every press, so that a thousand presses do not make a thousand rings. */
function makeRipple() {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const frames = { scale: [1, 1.3], opacity: [0.7, 0] };
  const ring = $("press").animate(frames, { pseudoElement: "::after", duration: calm ? 0 : 520, easing: "ease-out" });
  ring.cancel();
  return ring;
}

function end(code, reason) {
  const [title, text, again] = goodbye(code, reason);
  $("ended-icon").setAttribute("d", reason === "expired" ? CLOCK : PLANE);
  $("ended-title").textContent = title;
  $("ended-text").textContent = text;
  $("again").hidden = !again;
  $("play").hidden = true;
  $("ended").hidden = false;
  $("ended-title").focus();
}

/** What to tell people, in their words; the last value says whether trying again can help. */
function goodbye(code, reason) {
  if (code === 4501) return ["You cannot join in", "The owner of this counter has closed it for you.", false];
  if (code === 4502) return ["Open somewhere else", "You have this counter open in too many places. It goes on there.", true];
  if (code !== 4500) return ["The counter has stopped", `The server ended the connection (${reason || code}).`, true];
  if (reason === "expired") {
    return ["Please open me again", "This page has been open for too long. Close it and open it from Telegram once more.", false];
  }
  return ["Open me in Telegram", "Here nobody can tell who you are. Use the button that the bot sends you.", false];
}
