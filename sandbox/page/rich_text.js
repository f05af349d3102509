// Turns a text with entities into DOM nodes. Offsets count UTF-16 units, as JavaScript strings do.

import { el } from "./dom.js";

const TAGS = {
  bold: "strong",
  italic: "em",
  underline: "u",
  strikethrough: "s",
  code: "code",
  blockquote: "blockquote",
  expandable_blockquote: "blockquote",
};

/**
 * @param {string} text
 * @param {Array<{type: string, offset: number, length: number}>} entities
 * @param {{command: (text: string) => void, link: (url: string) => void, mention: (text: string) => void}} on
 * @returns {Node[]}
 */
export function richText(text, entities, on) {
  const sorted = [...(entities ?? [])].sort((a, b) => a.offset - b.offset || b.length - a.length);
  return pieces(text, 0, text.length, sorted, on);
}

function pieces(text, start, end, entities, on) {
  const nodes = [];
  let at = start;
  for (let i = 0; i < entities.length; ) {
    const entity = entities[i];
    const from = Math.max(entity.offset, at);
    const to = Math.min(entity.offset + entity.length, end);
    let next = i + 1;
    while (next < entities.length && entities[next].offset < to) next += 1;
    if (to > from) {
      if (from > at) nodes.push(document.createTextNode(text.slice(at, from)));
      const inner = pieces(text, from, to, entities.slice(i + 1, next), on);
      nodes.push(wrap(entity, text.slice(from, to), inner, on));
      at = to;
    }
    i = next;
  }
  if (at < end) nodes.push(document.createTextNode(text.slice(at, end)));
  return nodes;
}

function wrap(entity, text, inner, on) {
  switch (entity.type) {
    case "text_link":
      return anchor(entity.url, inner, on);
    case "url":
      return anchor(/^[a-z]+:/i.test(text) ? text : `https://${text}`, inner, on);
    case "bot_command":
      return el("button", { type: "button", class: "as-link", on: { click: () => on.command(text) } }, ...inner);
    case "mention":
      return el("button", { type: "button", class: "as-link", on: { click: () => on.mention(text) } }, ...inner);
    case "spoiler":
      return spoiler(inner);
    case "pre":
      return el("pre", { data: { language: entity.language ?? "" } }, el("code", {}, ...inner));
    default:
      return TAGS[entity.type] ? el(TAGS[entity.type], {}, ...inner) : el("span", { class: `entity-${entity.type}` }, ...inner);
  }
}

function anchor(url, inner, on) {
  if (!isSafe(url)) return el("span", {}, ...inner);
  const open = (event) => {
    event.preventDefault();
    on.link(url);
  };
  return el("a", { href: url, target: "_blank", rel: "noopener noreferrer", on: { click: open } }, ...inner);
}

function spoiler(inner) {
  const node = el("span", { class: "spoiler", role: "button", tabindex: "0", "aria-label": "Hidden text, press to show" }, ...inner);
  const reveal = () => {
    node.classList.add("shown");
    for (const name of ["role", "tabindex", "aria-label"]) node.removeAttribute(name);
  };
  node.addEventListener("click", reveal);
  node.addEventListener("keydown", (event) => (event.key === "Enter" || event.key === " ") && reveal());
  return node;
}

/** Only links that lead somewhere, never `javascript:` and the like. */
export function isSafe(url) {
  try {
    return ["http:", "https:", "tg:", "mailto:", "tel:"].includes(new URL(url).protocol);
  } catch {
    return false;
  }
}
