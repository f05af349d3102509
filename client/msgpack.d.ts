/** msgpack instead of JSON, smaller on the wire: `connect({ codec: msgpack })`. Messages look the same to the page. */

import type { Codec } from "./mini-apps.js";

export const msgpack: Codec & { protocol: "mini-apps.msgpack" };
