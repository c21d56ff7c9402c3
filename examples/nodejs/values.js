// Values as they are on concert's wire: a kind, and bytes.
"use strict";

const cbor = require("./cbor.js");

const CBOR = 0;
const BYTES = 1;
const TEXT = 2;
const NULL = 12;
const INT64 = 13;
const UINT64 = 14;
const FLOAT64 = 15;
const BOOL = 16;
const JSON_TEXT = 17; // what this program and its workers have made of "anything"

// Numbers in a row: each kind's array.
const ARRAYS = new Map([
  [3, Int8Array],
  [4, Int16Array],
  [5, Int32Array],
  [6, BigInt64Array],
  [7, Uint16Array],
  [8, Uint32Array],
  [9, BigUint64Array],
  [10, Float32Array],
  [11, Float64Array],
]);

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

// decode returns an argument. Integers beyond what a number has exactly are BigInts.
function decode(kind, b) {
  switch (kind) {
    case CBOR:
      return cbor.decode(b);
    case BYTES:
      return b;
    case TEXT:
      return UTF8.decode(b); // a TypeError if it is not UTF-8
    case NULL:
      return null;
    case INT64:
      return small(b.readBigInt64LE());
    case UINT64:
      return small(b.readBigUInt64LE());
    case FLOAT64:
      return b.readDoubleLE();
    case BOOL:
      return b[0] === 1;
    case JSON_TEXT:
      return JSON.parse(UTF8.decode(b));
  }
  const array = ARRAYS.get(kind);
  if (array === undefined) throw new TypeError(`the argument is of kind ${kind}`);
  return new array(new Uint8Array(b).buffer); // a copy, so that it is aligned
}

function small(n) {
  return Number.isSafeInteger(Number(n)) ? Number(n) : n;
}

// encode returns the kind and the bytes of a result. What has no kind of its own is CBOR
// if the argument was, as with functions that Go has as well, and else JSON.
function encode(v, asked) {
  if (typeof v === "boolean") return [BOOL, Buffer.of(v ? 1 : 0)];
  if (typeof v === "string") return [TEXT, Buffer.from(text(v))];
  if (typeof v === "bigint" || Number.isSafeInteger(v)) {
    const b = Buffer.alloc(8);
    if (Object.is(v, -0)) return [FLOAT64, Buffer.of(0, 0, 0, 0, 0, 0, 0, 128)];
    if (v < 1n << 63n) b.writeBigInt64LE(BigInt(v));
    else b.writeBigUInt64LE(v);
    return [v < 1n << 63n ? INT64 : UINT64, b];
  }
  if (typeof v === "number") {
    const b = Buffer.alloc(8);
    b.writeDoubleLE(v);
    return [FLOAT64, b];
  }
  if (v instanceof Uint8Array) return [BYTES, v];
  for (const [kind, array] of ARRAYS) {
    if (v instanceof array) return [kind, Buffer.from(v.buffer, v.byteOffset, v.byteLength)];
  }
  if (asked === CBOR) return [CBOR, cbor.encode(v)];
  const json = JSON.stringify(v === undefined ? null : v, exact);
  if (json === undefined) throw new TypeError(`a ${typeof v} cannot be sent: return plain data`);
  return [JSON_TEXT, Buffer.from(json)];
}

// text returns a string that UTF-8 can hold. In another one a surrogate would
// become a replacement character.
function text(s) {
  if (/\p{Surrogate}/u.test(s)) throw new TypeError(`a string with half a character cannot be sent: ${JSON.stringify(s.slice(0, 100))}`);
  return s;
}

// exact is called by JSON.stringify with each key and value. It refuses those that
// would arrive as something else.
function exact(key, v) {
  text(key);
  if (typeof v === "string") return text(v);
  if (typeof v === "number" && !Number.isFinite(v)) throw new TypeError(`${v} at ${JSON.stringify(key)} cannot be sent within other values: JSON would make it null`);
  if (v instanceof Map || v instanceof Set) throw new TypeError(`a ${v.constructor.name} at ${JSON.stringify(key)} cannot be sent: return an object or an array`);
  return v;
}

module.exports = { encode, decode };
