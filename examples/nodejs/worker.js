// A worker of concert's process pool: it speaks what docs/wire.md describes.
//
//     node worker.js FUNCTIONS
//
// FUNCTIONS is a module; what it exports can be called by name, with the argument and an
// object:
//
//     signal          an AbortSignal, which says that nobody waits any more
//     progress(done, total)
//     deadline        whether there is one
//
// It may return a promise. A function with a property raw is given the argument as it
// travels, {kind, bytes}, and returns such a value. Here is who does what:
//
//     main thread     reads calls and what the pool says of them, writes results. It runs no
//                     functions, so it always listens.
//     lanes           threads that run functions, one call at a time each
//
// Node cannot map memory, so results leave the journal alone and do not outlive a crash, and
// arguments are read from the arena's file.
"use strict";

const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");
const { isMainThread, parentPort, Worker, workerData } = require("node:worker_threads");
const cbor = require("./cbor.js");
const values = require("./values.js");

const VERSION = 1;
const LONGEST = (1 << 30) + 65599; // bytes of a frame

// -- frames -----------------------------------------------------------------------

function frame(type, ...parts) {
  const head = Buffer.alloc(5);
  head.writeUInt32LE(parts.reduce((n, p) => n + p.length, 1));
  head.write(type, 4);
  return Buffer.concat([head, ...parts]);
}

// idOf returns a call as frames have it.
function idOf(seq, index) {
  const b = Buffer.alloc(8);
  b.writeUInt32LE(seq);
  b.writeUInt32LE(index, 4);
  return b;
}

function int64(n) {
  const b = Buffer.alloc(8);
  b.writeBigInt64LE(BigInt(n));
  return b;
}

// open returns a pipe to read. It reads at once, so who wants to hear of its end listens now.
function open(fd) {
  return new net.Socket({ fd, readable: true, writable: false });
}

// frames calls take(type, body) for each frame that a pipe brings, and end() at its end.
function frames(pipe, take, end) {
  let chunks = [];
  let size = 0;
  let need = 4;
  pipe.on("data", (chunk) => {
    chunks.push(chunk);
    size += chunk.length;
    while (size >= need) {
      let all = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
      const length = all.readUInt32LE();
      if (length === 0 || length > LONGEST) fatal(`a frame of ${length} bytes`);
      if (size >= 4 + length) {
        take(String.fromCharCode(all[4]), all.subarray(5, 4 + length));
        all = all.subarray(4 + length);
      }
      chunks = [all];
      size = all.length;
      need = size < 4 ? 4 : 4 + all.readUInt32LE();
    }
  });
  pipe.on("end", () => (size > 0 ? fatal("the end of a pipe within a frame") : end()));
  pipe.on("error", () => process.exit(113)); // the pool has gone
}

function fatal(what) {
  console.error(`concert: from the pool came ${what}`);
  process.exit(112);
}

// -- the main thread ----------------------------------------------------------------

class Main {
  constructor() {
    const setup = {};
    for (const part of process.env.CONCERT_WORKER.split(" ").slice(1)) {
      const [name, value] = part.split(/=(.*)/s);
      setup[name] = value;
    }
    delete process.env.CONCERT_WORKER;
    const files = setup.files.split(",").map(Number);
    this.files = files.slice(0, 3);
    this.results = new net.Socket({ fd: files[1], readable: false, writable: true });
    this.arena = files[4];
    this.prepare = setup.prepare === "true";
    this.report = setup.report === "true";
    this.confine = setup.sandbox !== "-";
    this.threads = Number(setup.threads);
    this.ended = false; // no frames will come
    this.expected = 0; // the number of the next frame
    this.waiting = []; // frames that no lane has
    this.frames = new Map(); // those that have come and not ended, by number
    this.canceled = new Map(); // calls that have not begun; the reason
    this.givenBack = new Map(); // of frames that have not come, from which call on
    // done is what is told of the call that a lane runs.
    this.lanes = Array.from({ length: this.threads }, () => ({ thread: null, frame: null, index: 0, done: () => {} }));
  }

  async run() {
    process.on("SIGINT", () => {}); // the pool decides
    this.results.on("error", () => process.exit(113));
    frames(
      open(this.files[2]),
      (type, body) => {
        if (type === "X") this.cancel(body.readUInt32LE(), body.readUInt32LE(4), body[8]);
        if (type === "T") this.takeBack(body.readUInt32LE(), body.readUInt32LE(4));
      },
      () => process.exit(113), // the pool has gone
    );
    this.results.write(frame("H", Buffer.from("concert"), idOf(VERSION, 0)));
    if (this.confine) return this.broken(new Error("Node.js does not confine itself"));
    try {
      await Promise.all(this.lanes.map((lane) => this.start(lane)));
    } catch (e) {
      return this.broken(e);
    }
    let first = this.prepare;
    if (!first) this.results.write(frame("Y"));
    frames(
      open(this.files[0]),
      (type, body) => {
        if (type !== "C") fatal(`a frame of type ${type}`);
        const f = parse(body);
        if (first) {
          first = false;
          this.initialize(f);
          return;
        }
        this.expected = (f.seq + 1) >>> 0;
        f.limit = this.givenBack.get(f.seq) ?? f.args.length;
        this.givenBack.delete(f.seq);
        this.frames.set(f.seq, f);
        this.waiting.push(f);
        this.next();
      },
      () => {
        this.ended = true;
        this.next();
      },
    );
  }

  broken(e) {
    this.results.write(frame("B", describe(e)), () => process.exit(111));
  }

  // initialize runs the initializer on each lane, as they share no variables.
  async initialize(f) {
    for (const lane of this.lanes) {
      const [kind, bytes] = this.argument(f.args[0]);
      const { failure } = await this.ask(lane, { name: f.name, kind, bytes, deadline: false });
      if (failure) return this.results.write(frame("B", failure), () => process.exit(111));
    }
    this.results.write(frame("Y"));
  }

  // start gives a lane a thread, and settles when that is ready.
  start(lane) {
    return new Promise((resolve, reject) => {
      const thread = new Worker(__filename, { workerData: { functions: process.argv[2] } });
      let error;
      let ready = false;
      lane.thread = thread;
      thread.on("message", (m) => {
        if (m.ready) resolve((ready = true));
        else if (m.progress) this.progress(lane, ...m.progress);
        else lane.done(m);
      });
      thread.on("error", (e) => (error = e)); // of the module, or one that a function left behind
      thread.on("exit", () => {
        error ??= new Error("the function ended its thread");
        if (!ready) return reject(error);
        const done = lane.done;
        lane.done = () => {};
        this.start(lane).catch((e) => fatal(`calls, and no thread can run them: ${e}`));
        done({ failure: describe(error), ran: 0n });
      });
    });
  }

  // ask has a lane run a call.
  ask(lane, call) {
    return new Promise((done) => {
      lane.done = done;
      lane.thread.postMessage({ call });
    });
  }

  // next gives frames to lanes that have none, and ends when nothing is left to do.
  next() {
    for (const lane of this.lanes) {
      if (!lane.frame && this.waiting.length > 0) {
        lane.frame = this.waiting.shift();
        this.calls(lane);
      }
    }
    if (this.ended && this.frames.size === 0) this.results.end(() => process.exit(0));
  }

  // calls runs the calls of a lane's frame.
  async calls(lane) {
    const f = lane.frame;
    while (f.begun < f.limit) {
      const index = f.begun++;
      lane.index = index;
      const id = idOf(f.seq, index);
      let outcome;
      if (this.canceled.has(`${f.seq} ${index}`)) {
        outcome = { failure: describe(new Error("canceled"), this.reasonOf(f.seq, index)), ran: 0n };
      } else {
        // The pool has to know what runs before it runs.
        await new Promise((written) => this.results.write(frame("S", id), written));
        const [kind, bytes] = this.argument(f.args[index]);
        const result = this.ask(lane, { name: f.name, kind, bytes, deadline: f.left !== 0n });
        const reason = this.reasonOf(f.seq, index); // which may have come meanwhile
        if (reason) lane.thread.postMessage({ cancel: reason });
        outcome = await result;
      }
      const head = Buffer.concat([id, int64(outcome.ran)]);
      if (outcome.failure) this.results.write(frame("F", head, outcome.failure));
      else this.results.write(frame("R", head, Buffer.of(0, outcome.kind), outcome.bytes));
      this.canceled.delete(`${f.seq} ${index}`);
    }
    this.frames.delete(f.seq);
    lane.frame = null;
    this.next();
  }

  reasonOf(seq, index) {
    return this.canceled.get(`${seq} ${index}`);
  }

  argument(b) {
    if (b[0] === 0) return [b[1], b.subarray(2)];
    const bytes = Buffer.alloc(Number(b.readBigUInt64LE(10)));
    const at = Number(b.readBigUInt64LE(2));
    for (let got = 0; got < bytes.length; ) {
      const n = fs.readSync(this.arena, bytes, got, bytes.length - got, at + got);
      if (n === 0) fatal("an argument where no memory is");
      got += n;
    }
    return [b[1], bytes];
  }

  progress(lane, done, total) {
    if (this.report && lane.frame) {
      this.results.write(frame("P", idOf(lane.frame.seq, lane.index), int64(done), int64(total)));
    }
  }

  // toCome reports whether a frame has not come yet: numbers begin again after 2^32.
  toCome(seq) {
    return (seq - this.expected) >>> 0 < 2 ** 31;
  }

  cancel(seq, index, reason) {
    const f = this.frames.get(seq);
    if (!f && !this.toCome(seq)) return; // it has ended
    if (f && index < f.begun - 1) return;
    this.canceled.set(`${seq} ${index}`, reason);
    const lane = this.lanes.find((l) => f && l.frame === f && l.index === index);
    if (lane) lane.thread.postMessage({ cancel: reason });
  }

  takeBack(seq, index) {
    const f = this.frames.get(seq);
    if (f) f.limit = index = Math.max(index, f.begun);
    else if (this.toCome(seq)) this.givenBack.set(seq, index);
    else index = 0xffffffff; // all have begun
    this.results.write(frame("G", idOf(seq, index)));
  }
}

// parse returns what a Call says.
function parse(body) {
  const n = body.readUInt16LE(12);
  const f = { seq: body.readUInt32LE(), left: body.readBigInt64LE(4), name: body.toString("utf8", 14, 14 + n), args: [], begun: 0, limit: 0 };
  let at = 16 + n;
  for (let count = body.readUInt16LE(14 + n); count > 0; count--) {
    const size = body.readUInt32LE(at);
    f.args.push(body.subarray(at + 4, at + 4 + size));
    at += 4 + size;
  }
  return f;
}

// shortened returns a text that, three times, needs less than the 1 MiB that every pool
// accepts of an error.
function shortened(text) {
  const most = 100_000;
  return text.length <= most ? text : `${text.slice(0, most)} ... (${text.length - most} characters more)`;
}

// describe returns an error as frames have it. One that knows better has a property wire.
function describe(e, reason) {
  if (e?.wire) return cbor.encode(e.wire);
  const known = e instanceof Error;
  const name = known ? e.name : typeof e;
  const message = shortened(known ? e.message : String(e));
  const wire = new Map([
    [1, "javascript." + name],
    [2, `${name}: ${message}`],
    [4, { "javascript.Error": Buffer.concat([Buffer.of(0), cbor.encode({ Name: name, Message: message, Stack: known ? shortened(String(e.stack)) : "" })]) }],
  ]);
  if (reason) wire.set(3, reason === 2 ? ["context.DeadlineExceeded"] : ["context.Canceled", "concert.ErrCanceled"]);
  return cbor.encode(wire);
}

// -- a lane ------------------------------------------------------------------------

function lane() {
  const functions = require(path.resolve(workerData.functions));
  let abort;
  let reason;
  async function run({ name, kind, bytes, deadline }) {
    const begun = process.hrtime.bigint();
    const ran = () => process.hrtime.bigint() - begun;
    abort = new AbortController();
    reason = undefined;
    try {
      const f = Object.hasOwn(functions, name) ? functions[name] : undefined;
      if (typeof f !== "function") throw new ReferenceError(`there is no function ${name}`);
      const progress = (done, total = 0) => parentPort.postMessage({ progress: [done, total] });
      const arg = f.raw ? { kind, bytes: Buffer.from(bytes) } : values.decode(kind, Buffer.from(bytes));
      const v = await f(arg, { signal: abort.signal, progress, deadline });
      const [as, b] = f.raw ? [v.kind, v.bytes] : values.encode(v, kind);
      parentPort.postMessage({ kind: as, bytes: b, ran: ran() });
    } catch (e) {
      parentPort.postMessage({ failure: describe(e, reason), ran: ran() });
    }
  }
  parentPort.on("message", (m) => {
    if (m.call) run(m.call);
    else if (abort) {
      reason = m.cancel;
      abort.abort();
    }
  });
  parentPort.postMessage({ ready: true });
}

if (isMainThread) new Main().run();
else lane();
