// What people read when the connection has ended for good.

const CLOCK = "M24 4a20 20 0 1 0 0 40a20 20 0 1 0 0-40M24 12v13l8 5";
const PLANE = "M44 6 4 22l14 6 5 15 21-37L18 28";

const $ = (id) => document.getElementById(id);

export function end({ code, reason }) {
  const [title, text, again] = goodbye(code, reason);
  $("ended-icon").setAttribute("d", reason === "expired" ? CLOCK : PLANE);
  $("ended-title").textContent = title;
  $("ended-text").textContent = text;
  $("again").hidden = !again;
  $("again").addEventListener("click", () => location.reload());
  $("play").hidden = true;
  $("ended").hidden = false;
  $("ended-title").focus();
}

/** What to tell people, in their words; the last value says whether trying again can help. */
function goodbye(code, reason) {
  if (code === 4501) return ["You cannot paint here", "The owner of this board has closed it for you.", false];
  if (code === 4502) return ["Open somewhere else", "You have the board open in too many places. It goes on there.", true];
  if (code !== 4500) return ["The board has stopped", `The server ended the connection (${reason || code}).`, true];
  if (reason === "expired") {
    return ["Please open me again", "This page has been open for too long. Close it and open it from Telegram once more.", false];
  }
  return ["Open me in Telegram", "Here nobody can tell who you are. Use the button that the bot sends you.", false];
}
