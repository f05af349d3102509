// What is painted where, as far as this page knows. No drawing, no connection.

export const SIDE = 256;
export const COLOURS = 16;

/**
 * Keeps the version of each pixel. Nodes paint in one order and tell of it each by itself, so a batch may come after a
 * newer one; whichever way they come, every page ends at the same board.
 */
export class Board {
  colours = new Uint8Array(SIDE * SIDE);
  loaded = false;
  #versions = new Float64Array(SIDE * SIDE);
  #hopes = new Map();

  /** Takes what a node read at a version; pixels that are known to be newer stay. */
  load(bytes, version) {
    for (let place = 0; place < this.colours.length; place++) {
      if (this.#versions[place] > version) continue;
      const two = bytes[place >> 1];
      this.colours[place] = place & 1 ? two & 15 : two >> 4;
      this.#versions[place] = version;
    }
    this.loaded = true;
  }

  /** Takes pixels (16 times the place, and the colour) of a version; returns the places that look different now. */
  apply(version, pixels) {
    const changed = [];
    for (const pixel of pixels) {
      const [place, colour] = [pixel >> 4, pixel & 15];
      if (version < this.#versions[place]) continue;
      if (this.colours[place] !== colour) changed.push(place);
      this.colours[place] = colour;
      this.#versions[place] = version;
    }
    return changed;
  }

  /** Believes whatever comes next: the numbers may have begun anew. */
  forgetVersions() {
    this.#versions.fill(0);
  }

  /** Shows a pixel that was not painted yet; call what this returns once it is known. */
  hope(place, colour) {
    const hope = { colour };
    this.#hopes.set(place, hope);
    return () => this.#hopes.get(place) === hope && this.#hopes.delete(place);
  }

  get hopes() {
    return [...this.#hopes].map(([place, { colour }]) => [place, colour]);
  }

  /** The colour that a place shows. */
  shown(place) {
    return this.#hopes.get(place)?.colour ?? this.colours[place];
  }
}

/** Unpacks the base64 of two pixels a byte. */
export function unpack(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
