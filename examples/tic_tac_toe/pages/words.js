// What the page says, in words for people. Nothing here touches the page.

/** Says how a game stands for whoever looks at it: the sentence, and its tone. `isHere(id)` tells who is at the table. */
export function sentence(game, me, isHere) {
  if (game.status === "empty") return ["Nobody sits at this table. Be the host!"];
  if (game.status === "waiting") return waiting(game, me, isHere);
  const other = opponent(game, me);
  if (game.status === "playing") return playing(game, me, other, isHere);
  if (other && game.again.includes(other.id)) return [`${result(game, me)[0]} ${other.name} wants a rematch!`, result(game, me)[1]];
  if (game.again.includes(me)) return [`Asked ${other.name} for a rematch…`];
  return result(game, me);
}

function waiting(game, me, isHere) {
  const { host, left } = game;
  const gone = left ? `${left.name} has left. ` : "";
  if (host.id === me && game.asking.length) return [`${gone}Whom do you want to play with?`];
  if (host.id === me) return [gone + (isRoom(game) ? "Waiting for somebody of this group." : "Invite somebody to play with.")];
  if (game.asking.some(({ id }) => id === me)) {
    return [isHere(host.id) ? `Asked ${host.name}. Wait for them to let you in.` : `${host.name} is away. The bot tells them that you wait.`];
  }
  if (game.declined.includes(me)) return [`${host.name} would rather not play with you now. You can watch.`];
  return [`${gone}${host.name} is looking for somebody to play with.`];
}

function playing(game, me, other, isHere) {
  const mover = playerOf(game, game.next);
  if (game.next === me) return ["Your turn", "good"];
  if (other && !isHere(other.id)) return [`${other.name} is away. The bot tells them that it is their turn.`];
  return [other ? `${mover.name} is thinking…` : `${mover.name} is to move.`];
}

function result(game, me) {
  if (game.status === "draw") return ["A draw!"];
  if (game.winner === me) return ["You win!", "good"];
  return [`${playerOf(game, game.winner).name} wins.`, opponent(game, me) ? "bad" : ""];
}

/** Whether a game is the table of a group. */
export const isRoom = ({ id }) => id.startsWith("r");

export const playerOf = ({ host, guest }, id) => [host, guest].find((player) => player?.id === id);

/** Who plays against this one; undefined for who does not play. */
export function opponent({ host, guest }, me) {
  if (host?.id === me) return guest ?? undefined;
  return guest?.id === me ? host : undefined;
}

/** Says how a game stands in a list of games. */
export function summary(game, me) {
  const other = opponent(game, me);
  const who = other ? `With ${other.name}` : isRoom(game) ? "At the table of a group" : "Open for a friend";
  const asking = game.asking.length;
  const how = {
    waiting: asking ? `${asking} ${asking === 1 ? "wants" : "want"} to play` : "nobody has come yet",
    playing: game.next === me ? "your turn" : "their turn",
    won: game.winner === me ? "you won" : "you lost",
    draw: "a draw",
  };
  return [who, how[game.status] ?? ""];
}

/** What went wrong with something the page asked for; null where the page shows it by itself. */
export function trouble({ code, message }) {
  if (code === "timeout") return "The server takes its time. Try again.";
  if (code === "queue-full" || code === "dropped") return "Too much at once. Try again.";
  if (code === "unavailable" || code === "internal") return "That did not work. Try again in a moment.";
  if (code === "unknown" || code === "closed" || code === "late") return null;
  return message;
}

/** What to tell people at the end; the last value says whether trying again can help. */
export function goodbye(code, reason) {
  if (code === 4501) return ["You cannot join in", "The owner of this game has closed it for you.", false];
  if (code === 4502) return ["Open somewhere else", "You have this game open in too many places. It goes on there.", true];
  if (code !== 4500) return ["The game has stopped", `The server ended the connection (${reason || code}).`, true];
  if (reason === "expired") {
    return ["Please open me again", "This page has been open for too long. Close it and open it from Telegram once more.", false];
  }
  return ["Open me in Telegram", "Here nobody can tell who you are. Use the button that the bot sends you.", false];
}
