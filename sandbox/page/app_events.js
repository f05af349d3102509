// WebApp events of all phones on this page, for the traffic panel: the sandbox's server never sees them.

const listeners = new Set();

/** @param {(event: {way: string, title: string, detail: object}) => void} listener */
export function onAppEvent(listener) {
  listeners.add(listener);
}

/** Tells of an event between a mini app and the phone around it. */
export function appEvent(way, title, detail) {
  for (const listener of listeners) listener({ way, title, detail });
}
