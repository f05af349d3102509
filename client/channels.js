// Shares the channels of a connection among the parts of a page: it is in one while anybody uses it.

/** What a part knows before it is in. */
export const OUTSIDE = Object.freeze({ joined: false, error: null });

const rooms = new WeakMap();

/**
 * Uses a channel: `listener` hears its messages, `watcher` hears `{ joined, error }` now and at each change.
 * Returns how to stop; the last to stop leaves the channel.
 */
export function enter(mesh, channel, listener, watcher) {
  if (!rooms.has(mesh)) rooms.set(mesh, new Map());
  const all = rooms.get(mesh);
  if (!all.has(channel)) all.set(channel, new Room(mesh, channel));
  const room = all.get(channel);
  const part = { listener, watcher };
  room.parts.add(part);
  watcher(room.status);
  return () => {
    room.parts.delete(part);
    // A part that is only made anew, as frameworks do, is back before this runs.
    queueMicrotask(() => {
      if (room.parts.size || all.get(channel) !== room) return;
      all.delete(channel);
      room.leave();
    });
  };
}

class Room {
  parts = new Set();
  status = OUTSIDE;
  #mesh;
  #channel;
  #stop;

  constructor(mesh, channel) {
    this.#mesh = mesh;
    this.#channel = channel;
    this.#stop = mesh.on("*", (message) => message.channel === channel && this.#hear(message));
    mesh.subscribe(channel).catch((error) => this.#set({ joined: false, error }));
  }

  leave() {
    this.#stop();
    this.#mesh.unsubscribe(this.#channel);
  }

  #hear(message) {
    if (message.type === "joined") this.#set({ joined: true, error: null });
    else if (message.type === "left") this.#set({ joined: false, error: message });
    else return Promise.all([...this.parts].map(({ listener }) => listener?.(message)));
  }

  #set(status) {
    this.status = status;
    for (const { watcher } of this.parts) watcher(status);
  }
}
