// A worker of a pool of package processes. It implements the protocol in docs/wire.md.
//
//     node worker.js FUNCTIONS
//
// FUNCTIONS is a module. The pool calls its exported functions by name, with the argument
// and an object:
//
//     signal                  an AbortSignal, which is aborted when the call is canceled
//     progress(done, total)   reports the progress of the call
//     deadline                whether the call has a deadline
//
// A function may return a promise. A function with a property raw receives the encoded
// argument, {kind, bytes}, and returns an encoded result. The worker has these threads:
//
//     main thread   reads calls and other messages of the pool, and writes results. It runs
//                   no functions, so it can read at any time.
//     lanes         threads that run functions, each of them one call at a time
//
// Node.js cannot map memory. So the worker does not use the journal, and results that it has
// not written are lost in a crash. It reads large arguments from the file of the arena.
"use strict";

const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");
const { isMainThread, parentPort, Worker, workerData } = require("node:worker_threads");
const cbor = require("./cbor.js");
const values = require("./values.js");

const VERSION = 1;
const LONGEST = (1 << 30) + 65599; // maximum number of bytes of a frame

// -- frames -----------------------------------------------------------------------

function frame(type, ...parts) {
  const head = Buffer.alloc(5);
  head.writeUInt32LE(parts.reduce((n, p) => n + p.length, 1));
  head.write(type, 4);
  return Buffer.concat([head, ...parts]);
}

// idOf returns the call ID of a call.
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

// open returns a pipe for reading. Reading begins at once, so the caller must add its listeners
// at once.
function open(fd) {
  return new net.Socket({ fd, readable: true, writable: false });
}

// frames calls take(type, body) for each frame of a pipe, and end() at the end of the pipe.
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
      if (length === 0 || length > LONGEST) fatal(`the pool has sent a frame of ${length} bytes`);
      if (size >= 4 + length) {
        take(String.fromCharCode(all[4]), all.subarray(5, 4 + length));
        all = all.subarray(4 + length);
      }
      chunks = [all];
      size = all.length;
      need = size < 4 ? 4 : 4 + all.readUInt32LE();
    }
  });
  pipe.on("end", () => (size > 0 ? fatal("a pipe of the pool has ended within a frame") : end()));
  pipe.on("error", () => process.exit(113)); // the pool has ended
}

function fatal(what) {
  console.error(`concert: ${what}`);
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
    this.ended = false; // whether the pipe of tasks has ended
    this.expected = 0; // the number of the next frame
    this.waiting = []; // frames that no lane runs yet
    this.frames = new Map(); // frames that have arrived and not ended, by number
    this.canceled = new Map(); // the reasons of canceled calls, by frame and call, until the calls end
    this.givenBack = new Map(); // for frames that have not arrived, the first call that the pool has taken back
    // done is called with the outcome of the call that a lane runs.
    this.lanes = Array.from({ length: this.threads }, () => ({ thread: null, frame: null, index: 0, done: () => {} }));
  }

  async run() {
    process.on("SIGINT", () => {}); // the pool decides what to do at an interrupt
    this.results.on("error", () => process.exit(113));
    frames(
      open(this.files[2]),
      (type, body) => {
        if (type === "X") this.cancel(body.readUInt32LE(), body.readUInt32LE(4), body[8]);
        if (type === "T") this.takeBack(body.readUInt32LE(), body.readUInt32LE(4));
        if (type === "W") this.report = true;
      },
      () => process.exit(113), // the pool has ended
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
        if (type !== "C") fatal(`the pool has sent a frame of type ${type} in the pipe of tasks`);
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

  // initialize runs the initializer on each lane, because lanes share no variables.
  async initialize(f) {
    for (const lane of this.lanes) {
      const [kind, bytes] = this.argument(f.args[0]);
      const { failure } = await this.ask(lane, { name: f.name, kind, bytes, deadline: false });
      if (failure) return this.results.write(frame("B", failure), () => process.exit(111));
    }
    this.results.write(frame("Y"));
  }

  // start starts the thread of a lane. Its promise settles when the thread is ready.
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
      thread.on("error", (e) => (error = e)); // an error of the module, or one that no function has caught
      thread.on("exit", () => {
        error ??= new Error("the function ended its thread");
        if (!ready) return reject(error);
        const done = lane.done;
        lane.done = () => {};
        this.start(lane).catch((e) => fatal(`a thread ended, and a new one did not start: ${e}`));
        done({ failure: describe(error), ran: 0n });
      });
    });
  }

  // ask makes a lane run a call. Its promise settles with the outcome.
  ask(lane, call) {
    return new Promise((done) => {
      lane.done = done;
      lane.thread.postMessage({ call });
    });
  }

  // next gives frames to idle lanes. It ends the process when all frames have ended and no more
  // frames will arrive.
  next() {
    for (const lane of this.lanes) {
      if (!lane.frame && this.waiting.length > 0) {
        lane.frame = this.waiting.shift();
        this.calls(lane);
      }
    }
    if (this.ended && this.frames.size === 0) this.results.end(() => process.exit(0));
  }

  // calls runs the calls of the frame that a lane has.
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
        // Started must be in the pipe before the call begins.
        await new Promise((written) => this.results.write(frame("S", id), written));
        const [kind, bytes] = this.argument(f.args[index]);
        const result = this.ask(lane, { name: f.name, kind, bytes, deadline: f.left !== 0n });
        const reason = this.reasonOf(f.seq, index); // a Cancel may have arrived since the check above
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
      if (n === 0) fatal("an argument is outside of the arena");
      got += n;
    }
    return [b[1], bytes];
  }

  progress(lane, done, total) {
    if (this.report && lane.frame) {
      this.results.write(frame("P", idOf(lane.frame.seq, lane.index), int64(done), int64(total)));
    }
  }

  // toCome reports whether a frame has not arrived yet. Numbers wrap around at 2^32.
  toCome(seq) {
    return (seq - this.expected) >>> 0 < 2 ** 31;
  }

  cancel(seq, index, reason) {
    const f = this.frames.get(seq);
    if (!f && !this.toCome(seq)) return; // the frame has ended
    if (f && index < f.begun - 1) return;
    this.canceled.set(`${seq} ${index}`, reason);
    const lane = this.lanes.find((l) => f && l.frame === f && l.index === index);
    if (lane) lane.thread.postMessage({ cancel: reason });
  }

  takeBack(seq, index) {
    const f = this.frames.get(seq);
    if (f) f.limit = index = Math.max(index, f.begun);
    else if (this.toCome(seq)) this.givenBack.set(seq, index);
    else index = 0xffffffff; // all calls of the frame have begun
    this.results.write(frame("G", idOf(seq, index)));
  }
}

// parse returns the fields of a Call.
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

// shortened shortens a text for an error. An error has three such texts, which together need
// less than 1 MiB, and every pool accepts an error of 1 MiB.
function shortened(text) {
  const most = 100_000;
  return text.length <= most ? text : `${text.slice(0, most)} ... (${text.length - most} characters more)`;
}

// describe encodes an error for a frame. If the error has a property wire, describe encodes
// this property instead.
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
