// What a message says, or shows.

import { el } from "./dom.js";
import { richText } from "./rich_text.js";

const FILES = ["document", "video", "audio", "voice", "video_note", "sticker"];

/**
 * The inside of a bubble.
 * @param {object} message
 * @param {object} on as in `Messages`
 */
export function content(message, on) {
  const { text, entities, invoice, poll, dice, contact, venue, location } = message;
  const attached = attachment(message);
  if (attached) return attached(on);
  if (text) return el("div", { class: "text" }, ...richText(text, entities, on));
  if (invoice) return card(invoice.title, invoice.description, el("span", { class: "amount" }, price(invoice)));
  if (poll) return ballot(message, on);
  if (dice) return el("div", { class: "dice", "aria-label": `${dice.emoji} ${dice.value}` }, dice.emoji, el("small", {}, String(dice.value)));
  if (contact) return card([contact.first_name, contact.last_name].filter(Boolean).join(" "), contact.phone_number);
  if (venue) return card(venue.title, venue.address, el("small", {}, point(venue.location)));
  if (location) return card("📍 A place", point(location));
  return el("div", { class: "text" }, el("i", {}, "This kind of message cannot be shown here."));
}

function card(title, text, ...more) {
  return el("div", { class: "text card" }, el("b", {}, title), el("span", {}, text), ...more);
}

function point({ latitude, longitude }) {
  return `${latitude.toFixed(4)}, ${longitude.toFixed(4)}`;
}

/** A photo to look at, or a file to save, with its caption. */
function attachment({ photo, caption, caption_entities, ...message }) {
  const kind = photo ? "photo" : FILES.find((name) => message[name]);
  if (!kind) return null;
  const file = photo ? photo[photo.length - 1] : message[kind];
  const href = `api/files/${encodeURIComponent(file.file_id)}`;
  const name = file.file_name ?? kind.replace("_", " ");
  const shown = photo
    ? el("img", { class: "photo", src: href, alt: caption ?? "Photo", width: file.width, height: file.height })
    : el("a", { class: "file", href, download: name }, el("b", {}, name), el("span", {}, bytes(file.file_size)));
  return (on) => el("div", { class: "attachment" }, shown, caption && el("div", { class: "text" }, ...richText(caption, caption_entities, on)));
}

function bytes(count) {
  if (count < 1024) return `${count} bytes`;
  return count < 1024 * 1024 ? `${(count / 1024).toFixed(1)} KB` : `${(count / 1024 / 1024).toFixed(1)} MB`;
}

function ballot(message, on) {
  const { question, options, total_voter_count, is_closed, is_anonymous, type } = message.poll;
  const rows = options.map((option, number) => {
    const share = total_voter_count ? Math.round((option.voter_count / total_voter_count) * 100) : 0;
    const bar = el("meter", { min: "0", max: "100", value: String(share), "aria-hidden": "true" });
    const vote = () => on.vote(message, [number]);
    return el("button", { type: "button", disabled: is_closed, on: { click: vote } }, el("span", {}, option.text), el("small", {}, `${share}%`), bar);
  });
  const kind = `${is_closed ? "Final results" : is_anonymous ? "Anonymous poll" : "Public poll"}${type === "quiz" ? ", quiz" : ""}`;
  const votes = total_voter_count === 1 ? "1 vote" : `${total_voter_count} votes`;
  return el("div", { class: "poll" }, el("b", {}, question), el("small", {}, kind), ...rows, el("small", {}, votes));
}

/** What an invoice or a payment comes to, as people read it. */
export function price({ currency, total_amount }) {
  return currency === "XTR" ? `★ ${total_amount}` : `${(total_amount / 100).toFixed(2)} ${currency}`;
}

/** What a service message says to one user, or "" for a message that is none. */
export function service(message, user) {
  const { from } = message;
  const you = from.id === user.id;
  const who = you ? "You" : from.first_name;
  const names = (people) => people.map((person) => (person.id === user.id ? "you" : person.first_name)).join(", ");
  if (message.new_chat_members) {
    const alone = message.new_chat_members.length === 1 && message.new_chat_members[0].id === from.id;
    return alone ? `${who} joined` : `${who} added ${names(message.new_chat_members)}`;
  }
  if (message.left_chat_member) return message.left_chat_member.id === from.id ? `${who} left` : `${who} removed ${names([message.left_chat_member])}`;
  if (message.group_chat_created || message.supergroup_chat_created) return `${who} made this group`;
  if (message.new_chat_title) return `${who} named it “${message.new_chat_title}”`;
  if (message.pinned_message) return `${who} pinned “${message.pinned_message.text ?? "a message"}”`;
  if (message.migrate_to_chat_id) return "This group became a supergroup";
  if (message.migrate_from_chat_id) return "It was a basic group before";
  if (message.web_app_data) return `Data from the “${message.web_app_data.button_text}” button was sent to the bot.`;
  if (message.successful_payment) return `You paid ${price(message.successful_payment)}.`;
  if (message.refunded_payment) return `You got ${price(message.refunded_payment)} back.`;
  if (message.write_access_allowed) return "You allowed this bot to message you.";
  if (message.users_shared) return `You shared ${message.users_shared.users.length} user with the bot.`;
  if (message.chat_shared) return "You shared a chat with the bot.";
  return "";
}
