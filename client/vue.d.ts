/** Mini Apps in Vue (3.3 or newer): `app.use(miniApp(mesh))`, then the functions below in `setup`. */

import type { ComputedRef, MaybeRefOrGetter, Plugin } from "vue";
import type { ChannelStatus } from "./channels.js";
import type { Events, Mesh, Message, State, User, Why } from "./mini-apps.js";

/** Gives the connection to the functions below. It lives as long as the page: `const mesh = await connect()`. */
export function miniApp(mesh: Mesh): Plugin;

/** The connection and where it stands. */
export function useMiniApp(): {
  mesh: Mesh;
  state: ComputedRef<State>;
  why: ComputedRef<Why>;
  user: ComputedRef<User | null>;
  node: ComputedRef<string | null>;
};

/** Hears the messages of a type (`*`: all) while the component is there. */
export function useMessage<T extends keyof Events>(type: T, listener: (message: Events[T]) => unknown): void;
export function useMessage(type: string, listener: (message: Message) => unknown): void;

/**
 * Is in a channel while a component uses it, and hears its messages, `presence` and `resync` among them.
 * The name may be a ref or a getter, and change; no name (`null`, `undefined`, `""`): in none.
 */
export function useChannel(
  channel: MaybeRefOrGetter<string | null | undefined>,
  listener?: (message: Message) => unknown,
): { joined: ComputedRef<ChannelStatus["joined"]>; error: ComputedRef<ChannelStatus["error"]> };
