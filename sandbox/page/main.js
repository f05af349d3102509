// Starts the page: phones side by side, one for each user, all with the same bot.

import { addUser, botApi, follow, loadState, Refused } from "./api.js";
import { el, icon } from "./dom.js";
import { Phone } from "./phone.js";
import { Side } from "./side.js";
import { setUpThemeSwitch } from "./theme.js";
import { Traffic } from "./traffic.js";
import { Trouble } from "./trouble.js";

const KEY = "sandbox.phones";
const FIRST_PHONES = 2;
const NAMES = ["Cleo", "Dan", "Edda", "Finn", "Gia", "Hugo", "Ines", "Jon"];

const page = {
  phones: document.getElementById("phones"),
  bot: document.getElementById("bot"),
  add: document.getElementById("add-phone"),
  offline: document.getElementById("offline"),
  theme: document.getElementById("theme"),
  traffic: document.getElementById("traffic"),
  trouble: document.getElementById("trouble"),
  side: document.getElementById("side"),
};
const wanted = new URLSearchParams(location.search);
const shown = new Map();
let state = null;
let groups = [];

function chosenBot() {
  return state.bots.find((bot) => bot.name === wanted.get("bot")) ?? state.bots[0];
}

function remembered() {
  try {
    const ids = JSON.parse(localStorage.getItem(KEY) ?? "null");
    return state.users.filter((user) => ids.includes(user.id));
  } catch {
    return [];
  }
}

function remember() {
  localStorage.setItem(KEY, JSON.stringify([...shown.keys()]));
}

function showPhone(user) {
  const bot = chosenBot();
  const onRemove = () => {
    phone.app.close();
    phone.node.remove();
    shown.delete(user.id);
    remember();
  };
  const phone = new Phone({ bot, user, themes: state.themes, people: () => state.users, onRemove });
  shown.set(user.id, phone);
  page.phones.append(phone.node);
  phone.load();
  phone.setGroups(groups);
  if (bot.url) phone.app.open({ start_param: wanted.get("startapp") ?? "" });
  return phone;
}

async function addPhone() {
  let user = state.users.find(({ id }) => !shown.has(id));
  if (!user) {
    const taken = new Set(state.users.map(({ first_name }) => first_name));
    const name = NAMES.find((candidate) => !taken.has(candidate)) ?? `User ${state.users.length + 1}`;
    user = await addUser({ first_name: name });
    if (!state.users.some(({ id }) => id === user.id)) state.users.push(user);
  }
  const phone = showPhone(user);
  remember();
  phone.node.scrollIntoView({ behavior: "smooth", block: "nearest", inline: "end" });
}

function showBots() {
  const bot = chosenBot();
  document.title = `${bot.title}: Sandbox`;
  page.bot.replaceChildren(...state.bots.map((item) => el("option", { value: item.name, selected: item === bot }, item.title)));
  page.bot.closest("label").hidden = state.bots.length < 2;
}

async function start() {
  state = await loadState();
  if (state.bots.length === 0) {
    page.phones.replaceChildren(el("p", { class: "no-bots" }, "No bots here. Start the sandbox with --app name=token,url."));
    return;
  }
  showBots();
  showSide();
  await loadGroups();
  const users = remembered();
  for (const user of users.length ? users : state.users.slice(0, FIRST_PHONES)) showPhone(user);
}

function showSide() {
  const traffic = new Traffic((id) => state.bots.find((bot) => bot.id === id)?.title ?? "bot");
  page.traffic.prepend(icon("wires"));
  page.trouble.prepend(icon("bolt"));
  new Side(page.side, {
    traffic: { title: "Traffic", button: page.traffic, content: traffic },
    trouble: { title: "Trouble", button: page.trouble, content: new Trouble(chosenBot()) },
  });
}

async function loadGroups() {
  groups = await botApi(chosenBot()).groups();
  for (const phone of shown.values()) phone.setGroups(groups);
}

async function connected() {
  page.offline.hidden = true;
  if (state === null) return start();
  // After a restart of the sandbox users made on this page are gone, and with them their phones.
  state = await loadState();
  const known = new Set(state.users.map(({ id }) => id));
  for (const [id, phone] of shown) {
    if (known.has(id)) phone.load();
    else phone.onRemove();
  }
  await loadGroups();
}

function received(kind, data) {
  if (kind === "user") {
    if (!state.users.some(({ id }) => id === data.user.id)) state.users.push(data.user);
  } else if (state && data.bot === chosenBot()?.id) {
    if (kind === "group") loadGroups().catch(report);
    else for (const phone of shown.values()) phone.receive(kind, data);
  }
}

function report(error) {
  if (!(error instanceof Refused)) throw error;
  page.offline.hidden = false;
}

setUpThemeSwitch(page.theme);
page.bot.addEventListener("change", () => {
  wanted.set("bot", page.bot.value);
  location.search = wanted.toString();
});
page.add.addEventListener("click", () => addPhone().catch(report));
follow({
  open: () => connected().catch(report),
  lost: () => (page.offline.hidden = false),
  event: received,
});
