// Encodes and decodes the values of concert's protocol. An encoded value is a kind and bytes.
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
const JSON_TEXT = 17; // kind 17 is an encoding on which a program and its workers agree: here, JSON

// The type of array for each kind of a sequence of numbers.
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

// decode returns an argument. An integer that a number cannot represent exactly becomes a BigInt.
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
  if (array === undefined) throw new TypeError(`the argument has the unknown kind ${kind}`);
  return new array(new Uint8Array(b).buffer); // a copy, so that it is aligned
}

function small(n) {
  return Number.isSafeInteger(Number(n)) ? Number(n) : n;
}

// encode returns the kind and the bytes of a result. The parameter asked is the kind of the
// argument. A value without a kind of its own is encoded as CBOR if the argument was CBOR, as
// for functions that are registered in Go, and as JSON otherwise.
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

// text returns a string unchanged. It throws an error if the string contains a lone
// surrogate, because in UTF-8 that would become a replacement character.
function text(s) {
  if (/\p{Surrogate}/u.test(s)) throw new TypeError(`a string with a lone surrogate cannot be sent: ${JSON.stringify(s.slice(0, 100))}`);
  return s;
}

// exact is called by JSON.stringify with each key and value. It throws an error for a
// value that JSON cannot represent exactly.
function exact(key, v) {
  text(key);
  if (typeof v === "string") return text(v);
  if (typeof v === "number" && !Number.isFinite(v)) throw new TypeError(`${v} at ${JSON.stringify(key)} cannot be sent within other values: JSON would make it null`);
  if (v instanceof Map || v instanceof Set) throw new TypeError(`a ${v.constructor.name} at ${JSON.stringify(key)} cannot be sent: return an object or an array`);
  return v;
}

module.exports = { encode, decode };
