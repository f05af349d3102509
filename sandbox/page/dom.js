// Builds DOM nodes. Text only ever goes in as text, so names and messages cannot become markup.

/**
 * @param {string} tag
 * @param {Record<string, unknown>} props `class`, `on` (events by name), `data`, attributes; false and null are left out
 * @param {...(Node|string|null|undefined|false)} children
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === false || value === null || value === undefined) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name === "class") node.className = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const PATHS = {
  close: "M6 6l12 12M18 6L6 18",
  back: "M15 5l-7 7 7 7",
  reload: "M20 11a8 8 0 1 0-2.3 6.3M20 5v6h-6",
  expand: "M7 14l5-5 5 5",
  shrink: "M7 10l5 5 5-5",
  send: "M4 12l16-8-5 17-3.5-6.5zM11.5 14.5L20 4",
  more: "M12 5.5v.01M12 12v.01M12 18.5v.01",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6L19 19M5 19l1.4-1.4M17.6 6.4L19 5",
  moon: "M20 14.5A8.5 8.5 0 1 1 9.5 4a7 7 0 0 0 10.5 10.5z",
  slash: "M15 5L9 19",
  clip: "M20 11.5l-8.2 8.2a5 5 0 0 1-7-7l8.9-9a3.4 3.4 0 0 1 4.8 4.8l-8.8 8.8a1.7 1.7 0 0 1-2.4-2.4l8-8",
  wires: "M3 7h13l-3-3M21 17H8l3 3",
  bolt: "M13 3L5 14h6l-1 7 8-11h-6z",
  people: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 20a6.5 6.5 0 0 1 13 0M16 4.5a3.5 3.5 0 0 1 0 6.5M18 14a6.5 6.5 0 0 1 3.5 6",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.5v5M9 14.5v5",
  pause: "M8 5v14M16 5v14",
  play: "M7 5l12 7-12 7z",
  clear: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  pin: "M9 4h6l-1 6 3 3H7l3-3zM12 13v7",
};

/** An icon of the page, drawn with the text's colour. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" })) {
    svg.setAttribute(key, value);
  }
  const path = document.createElementNS(svg.namespaceURI, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** A round button with an icon and a name for screen readers. */
export function iconButton(name, label, onClick, extra = {}) {
  return el("button", { type: "button", class: "icon-button", "aria-label": label, title: label, ...extra, on: { click: onClick } }, icon(name));
}

/** A coloured circle with initials; the colour follows from the id. */
export function avatar(name, id, size = "") {
  const initials = [...name.trim()].slice(0, 1).join("").toUpperCase() || "?";
  const node = el("span", { class: `avatar ${size}`, "aria-hidden": "true" }, initials);
  node.style.setProperty("--hue", String((Number(id) * 137) % 360));
  return node;
}
