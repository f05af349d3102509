import { browser } from "../../client/browser.js";
import { upload } from "../../client/media.js";
import { connect } from "../../client/mini-apps.js";
import { Cards } from "./cards.js";
import { confirmDelete, newEventDialog } from "./dialogs.js";
import { askToWrite, inTelegram, moveIn, shareInline, tap } from "./telegram.js";
import { goodbye, troubleOf } from "./words.js";

const CLOCK = "M24 4a20 20 0 1 0 0 40a20 20 0 1 0 0-40M24 12v13l8 5";
const PLANE = "M44 6 4 22l14 6 5 15 21-37L18 28";
const SLOW = 6000; // ms until people are told that nothing answers

const $ = (id) => document.getElementById(id);
const initData = browser.initData();
let wanted = Number(new URLSearchParams(location.search).get("event")); // a button of the bot opened this event
let made; // the event this page made last, which it shows as soon as it comes

moveIn();
const mesh = await connect();
const cards = new Cards({ attend, share, remove });
const openForm = newEventDialog(create);
const slow = setTimeout(() => ($("slow").hidden = false), SLOW);

mesh.onState((state, { retryIn }) => {
  const words = { connecting: "connecting…", open: "live", waiting: "reconnecting…", closed: "not connected" };
  $("state").dataset.state = state;
  $("state").textContent = state === "waiting" && !navigator.onLine ? "you are offline" : words[state];
  $("state").title = retryIn ? `next try in ${Math.ceil(retryIn / 1000)} s` : mesh.node ? `node ${mesh.node}` : "";
});

mesh.on("welcome", begin);
mesh.on("event", (event) => {
  cards.show(event);
  if (event.id === made) cards.choose(event.id);
});
mesh.on("delete-event", ({ id }) => cards.remove(id));

mesh.on("events-loaded", ({ selected }) => {
  cards.endList();
  wanted ||= selected;
  if (wanted && wanted !== -1 && !cards.choose(wanted)) toast("The event you came for is over or was deleted.");
  wanted = -1; // only once: a reconnect leaves people where they are
});

mesh.on("resync", () => {
  begin();
  mesh.send({ type: "events" });
});

mesh.on("notify", ({ event, title }) => toast(`${title} is starting!`, "Open", () => cards.choose(event)));
mesh.on("error", (error) => toast(troubleOf({ code: error.code, message: error.msg })));
mesh.on("disconnect", ({ code, reason }) => end(goodbye(code, reason)));

$("add").addEventListener("click", openForm);
$("again").addEventListener("click", () => location.reload());

function begin() {
  clearTimeout(slow);
  $("slow").hidden = true;
  $("add").hidden = !mesh.user.is_admin;
  cards.beginList(mesh.user.is_admin);
}

async function attend({ id, attending }) {
  tap();
  if (!attending) askToWrite(initData);
  cards.busy(id, true);
  try {
    const event = await mesh.request({ type: attending ? "leave" : "attend", event: id }, { timeout: 0 }); // offline it waits
    if (event) cards.show(event);
  } catch (error) {
    if (error.code !== "unknown") toast(troubleOf(error)); // else the next list tells what became of it
  }
  cards.busy(id, false);
}

async function share({ id }) {
  if (inTelegram) return shareInline(`event:${id}`);
  const address = new URL(location.pathname, location.href);
  address.searchParams.set("event", id);
  await navigator.clipboard?.writeText(address.href);
  toast("The address was copied.");
}

async function remove(event) {
  if (!(await confirmDelete(event))) return;
  await mesh.request({ type: "delete-event", event: event.id }).catch((error) => toast(troubleOf(error)));
}

async function create(fields, picture) {
  const image = picture ? (await upload(mesh, picture)).url : "";
  made = await mesh.request({ type: "create-event", ...fields, image });
  cards.choose(made);
}

function toast(text, action, act) {
  const node = Object.assign(document.createElement("div"), { className: "toast" });
  node.append(Object.assign(document.createElement("span"), { textContent: text }));
  if (action) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: action });
    button.addEventListener("click", () => {
      node.remove();
      act();
    });
    node.append(button);
  }
  $("toasts").append(node);
  while ($("toasts").children.length > 3) $("toasts").firstChild.remove();
  setTimeout(() => node.remove(), action ? 15_000 : 5000);
}

function end({ title, text, again = false, isOld = false }) {
  clearTimeout(slow);
  document.querySelector("dialog[open]")?.close();
  $("ended-icon").setAttribute("d", isOld ? CLOCK : PLANE);
  $("ended-title").textContent = title;
  $("ended-text").textContent = text;
  $("again").hidden = !again;
  for (const id of ["page", "add"]) $(id).hidden = true;
  $("ended").hidden = false;
  $("ended-title").focus();
}
