import type { MeshError, Message } from "./mini-apps.js";

/** Where a component stands with its channel. */
export interface ChannelStatus {
  /** It is in, and stays in across reconnects. */
  readonly joined: boolean;
  /** Why it is not: a `MeshError` (code `refused`: the app does not let this user in), or the `left` that ended it. */
  readonly error: MeshError | (Message & { type: "left"; reason?: string }) | null;
}
