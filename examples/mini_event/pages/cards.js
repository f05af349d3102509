// The cards: one for each event, in the order in which the events begin.

import { timesOf } from "./words.js";

const $ = (id) => document.getElementById(id);
const people = new Intl.NumberFormat();

/** Shows events; `on` has `attend(event)`, `share(event)`, `remove(event)`. */
export class Cards {
  #cards = new Map(); // by id: { event, node }
  #gone = new Set(); // ids are never given twice, so a late message cannot bring one back
  #listed = new Set(); // what came since the list began
  #complete = false;
  #isAdmin = false;
  #on;

  constructor(on) {
    this.#on = on;
    setInterval(() => this.#tick(), 20_000);
  }

  /** Begins a new list: what is not named until `endList` is no more. */
  beginList(isAdmin) {
    this.#isAdmin = isAdmin;
    this.#listed.clear();
  }

  endList() {
    this.#complete = true;
    for (const id of this.#cards.keys()) if (!this.#listed.has(id)) this.#drop(id);
    for (const ghost of document.querySelectorAll(".ghost")) ghost.remove();
    $("list").ariaBusy = "false";
    this.#tick();
  }

  /** Shows an event, unless a newer state of it is shown already. */
  show(event) {
    this.#listed.add(event.id);
    const known = this.#cards.get(event.id);
    if (this.#gone.has(event.id) || event.revision < known?.event.revision) return;
    const node = known?.node ?? this.#make(event.id);
    const before = known?.event;
    this.#cards.set(event.id, { event, node });
    this.#fill(node, event);
    if (before && before.attendees !== event.attendees) restart(node.querySelector(".people"), "changed");
    if (before?.start !== event.start) this.#place(node, event);
    this.#tick();
  }

  remove(id) {
    this.#gone.add(id);
    this.#drop(id);
    this.#tick();
  }

  /** Brings an event into view; says whether it is there. */
  choose(id) {
    const node = this.#cards.get(id)?.node;
    document.querySelector(".chosen")?.classList.remove("chosen");
    node?.classList.add("chosen");
    node?.scrollIntoView({ block: "start" });
    node?.focus({ preventScroll: true });
    return Boolean(node);
  }

  /** Marks an event as being changed, or no longer. */
  busy(id, busy) {
    const button = this.#cards.get(id)?.node.querySelector(".attend");
    if (button) button.disabled = busy;
  }

  #make(id) {
    const node = $("card").content.firstElementChild.cloneNode(true);
    const now = () => this.#cards.get(id).event;
    node.dataset.event = id;
    node.style.setProperty("--hue", (id * 67) % 360);
    node.querySelector(".attend").addEventListener("click", () => this.#on.attend(now()));
    node.querySelector(".share").addEventListener("click", () => this.#on.share(now()));
    node.querySelector(".delete").addEventListener("click", () => this.#on.remove(now()));
    const img = node.querySelector("img");
    img.addEventListener("error", () => (img.hidden = true)); // the letter behind it shows
    return node;
  }

  /** Fills in texts, never HTML: people write titles. */
  #fill(node, { title, description, image, attendees, attending }) {
    const set = (selector, text) => (node.querySelector(selector).textContent = text);
    set("h2", title);
    set(".description", description);
    set(".letter", [...title][0]?.toUpperCase() ?? "");
    set(".count", attendees ? `${people.format(attendees)} ${attendees === 1 ? "person goes" : "people go"}` : "nobody yet");
    set(".attend", attending ? "Going ✓" : "Attend");
    node.querySelector(".attend").ariaPressed = String(attending);
    node.querySelector(".attend").ariaLabel = `${attending ? "Going to" : "Attend"} ${title}`;
    node.querySelector(".share").ariaLabel = `Share ${title}`;
    node.querySelector(".delete").ariaLabel = `Delete ${title}`;
    const img = node.querySelector("img");
    if (image && img.getAttribute("src") !== image) {
      img.hidden = false;
      img.src = image;
    }
  }

  #place(node, event) {
    const isLater = (other) => (Date.parse(other.event.start) - Date.parse(event.start) || other.event.id - event.id) > 0;
    const later = [...this.#cards.values()].filter((other) => other.node !== node && isLater(other));
    const next = later.sort((a, b) => Date.parse(a.event.start) - Date.parse(b.event.start) || a.event.id - b.event.id)[0];
    $("list").insertBefore(node, next?.node ?? document.querySelector(".ghost"));
  }

  #drop(id) {
    this.#cards.get(id)?.node.remove();
    this.#cards.delete(id);
  }

  /** Shows how far away everything is now, and lets go of what is over. */
  #tick() {
    for (const [id, { event, node }] of this.#cards) {
      const times = timesOf(event);
      if (times.isOver) {
        this.#drop(id);
        continue;
      }
      node.querySelector(".day").dateTime = event.start;
      node.querySelector(".day b").textContent = times.day;
      node.querySelector(".day span").textContent = times.month;
      node.querySelector(".when").textContent = times.when;
      node.querySelector(".soon").textContent = times.soon;
      node.querySelector(".delete").hidden = !this.#isAdmin;
      node.classList.toggle("now", times.isNow);
    }
    $("empty").hidden = !this.#complete || this.#cards.size > 0;
    $("empty-text").textContent = this.#isAdmin ? "No events yet. Make the first one with the plus below." : "No events yet. Come back soon.";
  }
}

function restart(node, name) {
  node.classList.remove(name);
  void node.offsetWidth; // so that the animation begins anew
  node.classList.add(name);
}
