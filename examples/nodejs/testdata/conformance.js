// The functions of concert/executortest in JavaScript.
"use strict";

const fs = require("node:fs");
const { setTimeout: sleep } = require("node:timers/promises");
const cbor = require("../cbor.js");
const values = require("../values.js");

// failure returns an error with the fields of the protocol; see "Errors" in docs/wire.md.
function failure(text, { type, names, types, panicked, stack } = {}) {
  const wire = new Map([[2, text]]);
  if (type) wire.set(1, type);
  if (names) wire.set(3, names);
  if (types) wire.set(4, types);
  if (panicked) wire.set(5, true);
  if (stack) wire.set(6, stack);
  return Object.assign(new Error(text), { wire });
}

let marks = 0;

function mark(prefix) {
  fs.writeFileSync(`${prefix}.${process.pid}-${require("node:worker_threads").threadId}-${marks++}`, "");
}

async function hold(gate, { signal }) {
  mark(gate.Path + ".in");
  try {
    while (!fs.existsSync(gate.Path + ".open")) {
      if (signal?.aborted) throw new Error("canceled");
      await sleep(1);
    }
  } finally {
    mark(gate.Path + ".out");
  }
  return "passed";
}

function fail(how) {
  const ours = { names: ["executortest.errOurs"] };
  switch (how) {
    case "error":
      throw failure("a plain error");
    case "eof":
      throw failure("reading the test: unexpected EOF", { names: ["io.ErrUnexpectedEOF"] });
    case "sentinel":
      throw failure("wrapped: one of ours", ours);
    case "type": {
      const code = Buffer.concat([Buffer.of(0), cbor.encode({ Code: 99, Note: "teapot" })]);
      throw failure("wrapped: code 99: teapot", { types: { "executortest.codeError": code } });
    }
    case "panic":
      throw failure("out of cheese", { panicked: true, stack: "the stack of failFunc" });
    case "panic error":
      throw failure("wrapped: one of ours", { ...ours, panicked: true });
    case "goexit":
      throw failure("the function ended its goroutine", { names: ["concert.ErrGoexit"] });
  }
  return "no failure: " + how;
}

function blob(size) {
  const b = Buffer.alloc(size);
  for (let i = 0; i < size; i += 4096) b[i] = i >> 12;
  return b;
}

// misbehave fails in the same way as the methods of a value in a Go worker.
function misbehave(rogue) {
  const [at, how] = cbor.decode(rogue.bytes).toString().split("|");
  if (at !== "decoding the argument" && at !== "encoding the result") return rogue;
  const text = `concert: ${at.split(" ").pop()} of executortest.misbehave: `;
  switch (how) {
    case "panics":
      throw failure(text + "rogue: out of cheese", { panicked: true, stack: "the stack" });
    case "exits":
      throw failure(text + "runtime.Goexit", { names: ["concert.ErrGoexit"] });
    case "fails":
      throw failure(text + "rogue: refused");
  }
  return rogue;
}

misbehave.raw = true;

// echo returns the bytes of its argument, because JavaScript cannot decode all values.
const echo = (v) => v;
echo.raw = true;

function failOddly(how) {
  if (how === "panic value") throw failure("wrapped: out of cheese", { panicked: true, stack: "the stack" });
  throw failure("odd: " + how, { type: "*executortest.oddError" });
}

// shared returns the value of a handle of concert.Share: its second byte is the kind of the value,
// whose bytes begin at byte 8.
const shared = (h) => values.decode(h[1], Buffer.from(h.subarray(8)));

const total = (numbers) => numbers.reduce((sum, n) => sum + n, 0);

// real returns a function whose result is encoded as a float64, also if it is an integer.
function real(f) {
  const raw = async (arg, context) => {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(await f(values.decode(arg.kind, arg.bytes), context));
    return { kind: 15, bytes };
  };
  raw.raw = true;
  return raw;
}

const functions = {
  "executortest.sharedSum": real((part) => total(shared(part.Numbers).subarray(part.From, part.To))),
  "executortest.sharedAlone": real((h) => total(shared(h))),
  "executortest.sharedText": shared,
  "executortest.sharedSize": (h) => shared(h).length,
  "executortest.sharedKeys": (h) => Object.keys(shared(h)).length,
  "executortest.sharedRecord": (h) => shared(h).Name,
  "executortest.sharedNested": real((tree) => {
    if (tree.Nil !== null) throw failure("the nil handle has arrived");
    const handles = [tree.Value, ...tree.Slice, ...Object.values(tree.Map)];
    return total(handles.map((h) => total(shared(h))));
  }),
  "executortest.sharedHeld": real(async (arg, context) => {
    await hold(arg.Gate, context);
    return total(shared(arg.Numbers));
  }),
  "executortest.mappedNumbers": (n) => Float64Array.from({ length: n }, (_, i) => i),
  "executortest.square": (n) => n * n,
  "executortest.hold": hold,
  "executortest.holdSlow": hold,
  "executortest.stubborn": (gate) => hold(gate, {}),
  "executortest.fail": fail,
  "executortest.blob": blob,
  "executortest.misbehave": misbehave,
  "executortest.failOddly": failOddly,
  "executortest.scribble": (numbers) => {
    numbers[0][0] = 42; // a pointer to a slice arrives as an array with one item
    return numbers;
  },
  "executortest.deadline": (_, { deadline }) => deadline,
  "executortest.milestone": (n, { progress }) => {
    for (let i = 1; i <= n; i++) progress(i, n);
    return n;
  },
  "executortest.sizeOf": (b) => b.length,
  "executortest.appendLine": (line) => {
    fs.appendFileSync(line.Path, `${line.Number}\n`);
    return line.Number;
  },
};

// The suite has an echo function for each type, and echo implements all of them.
const one = (target, name) => (String(name).startsWith("executortest.echo") ? echo : target[name]);
module.exports = new Proxy(functions, {
  get: one,
  getOwnPropertyDescriptor(target, name) {
    const value = one(target, name);
    return value && { value, configurable: true, enumerable: true, writable: true };
  },
});
