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

// decode returns an argument. Integers beyond what a number has exactly are BigInts.
function decode(kind, b) {
  switch (kind) {
    case CBOR:
      return cbor.decode(b);
    case BYTES:
      return b;
    case TEXT:
      return b.toString();
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
      return JSON.parse(b.toString());
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
  if (typeof v === "string") return [TEXT, Buffer.from(v)];
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
  const text = JSON.stringify(v === undefined ? null : v);
  if (text === undefined) throw new TypeError(`a ${typeof v} cannot be sent: return plain data`);
  return [JSON_TEXT, Buffer.from(text)];
}

module.exports = { encode, decode };
