/** Sending pictures from the page to the app's media folder. */

import type { Mesh } from "./mini-apps.js";

export interface UploadOptions {
  /**
   * The longest side in pixels (default 1600): a larger picture is made smaller, and whatever the camera wrote into the
   * file, such as the place, is left out. 0 sends the file as it is.
   */
  side?: number;
  /** Where the gateway is, for a page that comes from elsewhere; by default where the page is from. */
  gateway?: string | URL;
  /** Ends the upload. */
  signal?: AbortSignal;
}

export interface Uploaded {
  /** The picture's address, as the app's `media-url` has it; for `<img src>` and for `App.owns_image`. */
  url: string;
  type: "image/png" | "image/jpeg" | "image/webp" | "image/gif";
  width: number;
  height: number;
  bytes: number;
}

/**
 * Sends a picture and returns its address. Logs in anew if the session has ended meanwhile.
 *
 * Throws a `MeshError`; its `code` is `unreadable` (no picture), `unreachable` (no answer), what the login ended with, or
 * the gateway's status: 403 (not allowed), 413 (too large), 415 or 422 (no whole picture), 429, 503 (`retryAfter` says in
 * how many seconds to come back), 501 (the deployment takes none), 507 (no room).
 */
export function upload(mesh: Mesh, file: Blob, options?: UploadOptions): Promise<Uploaded>;

/** Returns a picture with no side longer than `side` pixels and nothing but its pixels; GIFs stay as they are. */
export function shrink(file: Blob, side?: number): Promise<Blob>;
