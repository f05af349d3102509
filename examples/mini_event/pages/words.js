// What people read: times in their language, and the end of a connection in their words.

const HOUR = 3_600_000;
const UNITS = [["day", 24 * HOUR], ["hour", HOUR], ["minute", 60_000]];

const day = new Intl.DateTimeFormat(undefined, { day: "numeric" });
const month = new Intl.DateTimeFormat(undefined, { month: "short" });
const moment = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", hour: "2-digit", minute: "2-digit" });
const distance = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });

/** Everything a card says about time; `soon` is empty when the event is far away. */
export function timesOf({ start, duration }, now = Date.now()) {
  const begins = new Date(start);
  const away = begins - now;
  return {
    day: day.format(begins),
    month: month.format(begins),
    when: `${moment.format(begins)} · ${duration === 1 ? "1 hour" : `${duration} hours`}`,
    soon: away <= 0 ? "happening now" : away < 7 * 24 * HOUR ? inWords(away) : "",
    isNow: away <= 0,
    isOver: away + duration * HOUR <= 0,
  };
}

function inWords(ms) {
  const [unit, size] = UNITS.find(([, size]) => ms >= size) ?? UNITS.at(-1);
  return distance.format(Math.max(1, Math.round(ms / size)), unit);
}

/** What to tell people when the connection has ended for good; `again` says whether trying again can help. */
export function goodbye(code, reason) {
  if (code === 4501) return { title: "You cannot join in", text: "The organiser has closed these events for you." };
  if (code === 4502) {
    return { title: "Open somewhere else", text: "You have the events open in too many places. They go on there.", again: true };
  }
  if (code !== 4500) return { title: "The events have stopped", text: `The server ended the connection (${reason || code}).`, again: true };
  if (reason === "expired") {
    return { title: "Please open me again", text: "This page has been open for too long. Close it and open it from Telegram once more.", isOld: true };
  }
  return { title: "Open me in Telegram", text: "Here nobody can tell who you are. Use the button that the bot sends you." };
}

/** What to tell people about something that failed. */
export function troubleOf({ code, message }) {
  if (code === "unknown" || code === "dropped") return "The connection broke off. Look whether it was done, then try again.";
  if (code === "timeout") return "The server takes too long. Please try again.";
  if (code === "unreachable") return "The server was not reached. Please try again.";
  if (code === "queue-full") return "You are offline, and too much is waiting already.";
  if (code === 413) return "This picture is too large.";
  return message;
}
