// Encodes and decodes the part of CBOR (RFC 8949) that concert's protocol uses.
"use strict";

function head(major, n) {
  if (n < 24) return Buffer.of((major << 5) | n);
  if (n < 1 << 8) return Buffer.of((major << 5) | 24, n);
  if (n < 1 << 16) return Buffer.of((major << 5) | 25, n >> 8, n & 255);
  const b = Buffer.alloc(9);
  b[0] = (major << 5) | 27;
  b.writeBigUInt64BE(BigInt(n), 1);
  return b;
}

function encode(v) {
  if (v === null || v === undefined) return Buffer.of(0xf6);
  if (v === false || v === true) return Buffer.of(v ? 0xf5 : 0xf4);
  if (typeof v === "bigint" || Number.isSafeInteger(v)) {
    return v < 0 ? head(1, -1n - BigInt(v)) : head(0, v);
  }
  if (typeof v === "number") {
    const b = Buffer.alloc(9, 0xfb);
    b.writeDoubleBE(v, 1);
    return b;
  }
  if (typeof v === "string") return text(3, Buffer.from(v));
  if (v instanceof Uint8Array) return text(2, v);
  if (v instanceof Date) return Buffer.concat([Buffer.of(0xc0), encode(v.toISOString())]);
  if (Array.isArray(v)) return Buffer.concat([head(4, v.length), ...v.map(encode)]);
  if (typeof v !== "object") throw new TypeError(`a ${typeof v} cannot be sent: return plain data`);
  const pairs = v instanceof Map ? [...v] : Object.entries(v);
  return Buffer.concat([head(5, pairs.length), ...pairs.flat().map(encode)]);
}

function text(major, b) {
  return Buffer.concat([head(major, b.length), b]);
}

// decode returns the value that a buffer contains.
function decode(b) {
  let at = 0;
  function take(n) {
    if (n > b.length - at) throw new RangeError("CBOR ends too early");
    at += n;
    return b.subarray(at - n, at);
  }
  function number(extra) {
    if (extra < 24) return extra;
    if (extra > 27) throw new RangeError("CBOR with an indefinite or reserved length");
    const n = BigInt("0x" + take(1 << (extra - 24)).toString("hex"));
    return n <= Number.MAX_SAFE_INTEGER ? Number(n) : n;
  }
  function item(depth) {
    if (depth > 100) throw new RangeError("CBOR is nested too deeply");
    const [first] = take(1);
    const extra = first & 31;
    switch (first >> 5) {
      case 0:
        return number(extra);
      case 1: {
        const n = -1n - BigInt(number(extra));
        return n >= Number.MIN_SAFE_INTEGER ? Number(n) : n;
      }
      case 2:
        return Buffer.from(take(number(extra)));
      case 3:
        return take(number(extra)).toString();
      case 4: {
        const list = [];
        for (let n = number(extra); n > 0; n--) list.push(item(depth + 1));
        return list;
      }
      case 5: {
        const map = Object.create(null);
        for (let n = number(extra); n > 0; n--) {
          const key = item(depth + 1);
          map[key] = item(depth + 1);
        }
        return map;
      }
      case 6:
        return tagged(number(extra), item(depth + 1));
    }
    if (extra === 20 || extra === 21) return extra === 21;
    if (extra === 22 || extra === 23) return null;
    if (extra === 25) return half(take(2).readUInt16BE());
    if (extra === 26) return take(4).readFloatBE();
    if (extra === 27) return take(8).readDoubleBE();
    throw new RangeError(`CBOR with a simple value of ${extra}`);
  }
  const v = item(0);
  if (at !== b.length) throw new RangeError("CBOR with more than one value");
  return v;
}

// A sequence of sixteen or more numbers is encoded as the bytes of a typed array,
// with one of these tags (RFC 8746, little endian).
const ARRAYS = new Map([
  [69, Uint16Array],
  [70, Uint32Array],
  [71, BigUint64Array],
  [72, Int8Array],
  [77, Int16Array],
  [78, Int32Array],
  [79, BigInt64Array],
  [85, Float32Array],
  [86, Float64Array],
]);

// tagged returns the value of an item with a tag: numbers as an array, like a
// shorter sequence; a time as a Date; and a value in a Go interface without its
// type.
function tagged(tag, v) {
  const array = ARRAYS.get(tag);
  if (array) {
    const list = Array.from(new array(new Uint8Array(v).buffer)); // a copy, so that it is aligned
    return typeof list[0] === "bigint" ? list.map((n) => (Number.isSafeInteger(Number(n)) ? Number(n) : n)) : list;
  }
  if (tag === 27 && v[0] === "time.Time") return new Date(v[1] * 1000 + v[2] / 1e6);
  if (tag === 27) return v[1];
  if (tag === 262) return JSON.parse(v.toString());
  return v;
}

function half(n) {
  const fraction = n & 1023;
  const exponent = (n >> 10) & 31;
  const sign = n & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : (fraction / 1024) * 2 ** -14);
}

module.exports = { encode, decode };
