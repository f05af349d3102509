/** Mini Apps in React (18 or newer): `<MiniApp mesh={mesh}>` around the page, hooks inside. */

import type { ReactElement, ReactNode } from "react";
import type { ChannelStatus } from "./channels.js";
import type { Events, Mesh, Message, State, User, Why } from "./mini-apps.js";

/** Gives the connection to the hooks inside. It lives as long as the page: `const mesh = await connect()`. */
export function MiniApp(props: { mesh: Mesh; children?: ReactNode }): ReactElement;

/** The connection and where it stands; renders anew when that changes. */
export function useMiniApp(): { mesh: Mesh; state: State; why: Why; user: User | null; node: string | null };

/** Hears the messages of a type (`*`: all) while the component is there; always the newest listener. */
export function useMessage<T extends keyof Events>(type: T, listener: (message: Events[T]) => unknown): void;
export function useMessage(type: string, listener: (message: Message) => unknown): void;

/**
 * Is in a channel while a component uses it, and hears its messages, `presence` and `resync` among them.
 * No name (`null`, `undefined`, `""`): in none.
 */
export function useChannel(channel: string | null | undefined, listener?: (message: Message) => unknown): ChannelStatus;
