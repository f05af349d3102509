// msgpack for `connect({ codec: msgpack })`: what JSON can say, and in the same way, so that pages need not care.

export const msgpack = { protocol: "mini-apps.msgpack", encode, decode };

const UTF8 = new TextEncoder();
const NIL = 0xc0;

// Encoding

function encode(message) {
  const bytes = [];
  write(bytes, message);
  return Uint8Array.from(bytes);
}

function write(bytes, value) {
  const plain = value?.toJSON ? value.toJSON() : value;
  if (plain === true || plain === false) bytes.push(plain ? 0xc3 : 0xc2);
  else if (typeof plain === "number") writeNumber(bytes, plain);
  else if (typeof plain === "string") writeText(bytes, UTF8.encode(plain));
  else if (typeof plain === "bigint") throw new TypeError("a BigInt has no place in a message; send it as a string");
  else if (Array.isArray(plain)) {
    writeLength(bytes, plain.length, [0x90, 15], [0xdc, 0xdd]);
    for (const item of plain) write(bytes, item);
  } else if (plain && typeof plain === "object") {
    const fields = Object.entries(plain).filter(([, field]) => field !== undefined && typeof field !== "function");
    writeLength(bytes, fields.length, [0x80, 15], [0xde, 0xdf]);
    for (const [name, field] of fields) {
      writeText(bytes, UTF8.encode(name));
      write(bytes, field);
    }
  } else bytes.push(NIL); // null, and what JSON makes null of
}

function writeNumber(bytes, number) {
  if (!Number.isFinite(number)) bytes.push(NIL);
  else if (!Number.isSafeInteger(number)) append(bytes, 0xcb, 8, (view) => view.setFloat64(0, number));
  else if (number >= -32 && number < 128) bytes.push(number & 0xff);
  else if (number === (number | 0)) append(bytes, 0xd2, 4, (view) => view.setInt32(0, number));
  else append(bytes, 0xd3, 8, (view) => view.setBigInt64(0, BigInt(number)));
}

function writeText(bytes, text) {
  if (text.length > 31 && text.length < 256) bytes.push(0xd9, text.length);
  else writeLength(bytes, text.length, [0xa0, 31], [0xda, 0xdb]);
  for (const byte of text) bytes.push(byte);
}

function writeLength(bytes, length, [small, most], [two, four]) {
  if (length <= most) bytes.push(small | length);
  else if (length < 2 ** 16) append(bytes, two, 2, (view) => view.setUint16(0, length));
  else append(bytes, four, 4, (view) => view.setUint32(0, length));
}

function append(bytes, head, size, set) {
  const view = new DataView(new ArrayBuffer(size));
  set(view);
  bytes.push(head, ...new Uint8Array(view.buffer));
}

// Decoding

function decode(data) {
  const reader = new Reader(data);
  const message = reader.value();
  if (reader.left) throw new RangeError("bytes after the message");
  return message;
}

class Reader {
  #view;
  #at = 0;

  constructor(data) {
    this.#view = new DataView(data);
  }

  get left() {
    return this.#view.byteLength - this.#at;
  }

  value() {
    const head = this.#number("Uint8", 1);
    if (head < 0x80) return head;
    if (head < 0x90) return this.#map(head & 15);
    if (head < 0xa0) return this.#list(head & 15);
    if (head < 0xc0) return this.#text(head & 31);
    if (head >= 0xe0) return head - 256;
    switch (head) {
      case NIL: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xca: return this.#number("Float32", 4);
      case 0xcb: return this.#number("Float64", 8);
      case 0xcc: return this.#number("Uint8", 1);
      case 0xcd: return this.#number("Uint16", 2);
      case 0xce: return this.#number("Uint32", 4);
      case 0xcf: return Number(this.#number("BigUint64", 8));
      case 0xd0: return this.#number("Int8", 1);
      case 0xd1: return this.#number("Int16", 2);
      case 0xd2: return this.#number("Int32", 4);
      case 0xd3: return Number(this.#number("BigInt64", 8));
      case 0xd9: return this.#text(this.#number("Uint8", 1));
      case 0xda: return this.#text(this.#number("Uint16", 2));
      case 0xdb: return this.#text(this.#number("Uint32", 4));
      case 0xdc: return this.#list(this.#number("Uint16", 2));
      case 0xdd: return this.#list(this.#number("Uint32", 4));
      case 0xde: return this.#map(this.#number("Uint16", 2));
      case 0xdf: return this.#map(this.#number("Uint32", 4));
    }
    throw new TypeError(`msgpack type 0x${head.toString(16)} has no place in a message`); // bytes, extensions
  }

  #number(type, size) {
    this.#at += size;
    return this.#view["get" + type](this.#at - size);
  }

  #text(size) {
    this.#at += size;
    return new TextDecoder().decode(new Uint8Array(this.#view.buffer, this.#at - size, size));
  }

  #list(length) {
    const items = [];
    while (items.length < length) items.push(this.value());
    return items;
  }

  #map(length) {
    const fields = [];
    while (fields.length < length) fields.push([this.value(), this.value()]);
    return Object.fromEntries(fields); // which, unlike an assignment, makes `__proto__` a field like others
  }
}
