// What people do with groups: make them, bring others in, throw them out, make the bot an administrator.

import { el } from "./dom.js";

/** Says how many are in a group. */
export function peopleOf({ members, bot }) {
  const count = members.length + (bot === "left" || bot === "kicked" ? 0 : 1);
  return count === 1 ? "1 member" : `${count} members`;
}

/**
 * The items of a group's menu.
 * @param {import("./chat.js").Chat} chat
 * @returns {{text: string, run: () => void}[]}
 */
export function groupItems(chat) {
  const { group, bot, user, api } = chat;
  const set = (id, status) => () => chat.attempt(() => api.setMember(id, status));
  const there = !["left", "kicked"].includes(group.bot);
  const items = [{ text: "Members", run: () => askMembers(chat) }];
  if (!there) items.push({ text: "Add the bot again", run: set(bot.id, "member") });
  if (group.bot === "member") items.push({ text: "Make the bot an administrator", run: set(bot.id, "administrator") });
  if (group.bot === "administrator") items.push({ text: "Make the bot a member", run: set(bot.id, "member") });
  if (there) items.push({ text: "Throw the bot out", run: set(bot.id, "kicked") });
  if (group.type === "group") items.push({ text: "Make it a supergroup", run: () => chat.attempt(() => api.upgrade()) });
  items.push({ text: "Leave the group", run: set(user.id, "left") });
  return items;
}

async function askMembers(chat) {
  const inside = new Set(chat.group.members.map(({ user }) => user.id));
  const boxes = chat.phone.people().map((person) => {
    const box = el("input", { type: "checkbox", checked: inside.has(person.id), disabled: person.id === chat.user.id });
    return { person, box, row: el("label", { class: "check" }, box, person.first_name) };
  });
  const body = el("div", { class: "fields" }, ...boxes.map(({ row }) => row));
  const buttons = [{ id: "ok", text: "Done" }, { id: "", text: "Cancel" }];
  if (!(await chat.dialogs.ask({ title: `Members of ${chat.title}`, body, buttons }))) return;
  for (const { person, box } of boxes) {
    if (box.checked !== inside.has(person.id)) {
      await chat.attempt(() => chat.api.setMember(person.id, box.checked ? "member" : "kicked"));
    }
  }
}

/** Asks for title, kind and members of a new group; null when nobody wants one. */
export async function askGroup(dialogs, user, people) {
  const title = el("input", { type: "text", "aria-label": "Title of the group", placeholder: "Title", maxlength: "128", value: "Our group" });
  const basic = el("input", { type: "checkbox" });
  const boxes = people.filter(({ id }) => id !== user.id).map((person) => ({ person, box: el("input", { type: "checkbox", checked: true }) }));
  const rows = boxes.map(({ person, box }) => el("label", { class: "check" }, box, person.first_name));
  const body = el("div", { class: "fields" }, title, ...rows, el("label", { class: "check quiet" }, basic, "A basic group, which may become a supergroup"));
  const buttons = [{ id: "make", text: "Make the group" }, { id: "", text: "Cancel" }];
  if (!(await dialogs.ask({ title: "New group", body, buttons }))) return null;
  const members = boxes.filter(({ box }) => box.checked).map(({ person }) => person.id);
  return { title: title.value, type: basic.checked ? "group" : "supergroup", members };
}
