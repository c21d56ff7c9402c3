package processes

import (
	"slices"
	"time"

	"concert/executor"
	"concert/internal/frame"
	"concert/processes/internal/shm"
)

// outgoing contains encoded frames that dispatch will write to a worker. Small
// arguments are in buf. Large arguments are not copied into buf. An argument
// with a span in the arena is copied into the arena. Any other large argument
// is written to the pipe without a copy. A shared value is written like such an
// argument, or is a file that is sent through the socket of shared values.
type outgoing struct {
	buf     []byte
	inArena []arenaArg // large arguments with a span in the arena
	inPipe  []pipeArg  // large arguments without a span, and shared values
	shares  int        // number of shared values in inPipe
}

// pipeArg is a large argument that is written to the pipe after the first n
// bytes of buf.
type pipeArg struct {
	after  int // n
	bytes  []byte
	shared *sharedValue // the shared value, or nil; if bytes is nil, its file is sent
}

func (b *outgoing) reset() {
	if cap(b.buf) > 1<<20 {
		b.buf = nil
	}
	clear(b.inPipe)
	clear(b.inArena)
	b.buf, b.inPipe, b.inArena, b.shares = b.buf[:0], b.inPipe[:0], b.inArena[:0], 0
}

// addList adds a frame of calls. canList must be true for their arguments.
func (b *outgoing) addList(h frame.CallHead, args []executor.Encoded) {
	h.Count = uint16(len(args))
	b.buf = frame.AppendCallList(b.buf, h, args)
}

// add adds a frame of calls. Unless allocate is nil, it allocates spans in the
// arena.
func (b *outgoing) add(h frame.CallHead, args []executor.Encoded, allocate func(bytes int) (frame.Span, bool)) {
	start, inPipe := len(b.buf), 0
	h.Count = uint16(len(args))
	b.buf = frame.AppendCall(b.buf, h)
	for _, arg := range args {
		if len(arg.Bytes) <= shm.MaxInline {
			b.buf = frame.AppendInline(b.buf, arg)
			continue
		}
		if allocate != nil {
			if at, ok := allocate(len(arg.Bytes)); ok {
				b.inArena = append(b.inArena, arenaArg{at: at, kind: arg.Kind, bytes: arg.Bytes, frame: start, arg: len(b.buf)})
				b.buf = frame.AppendArg(b.buf, frame.Payload{Encoded: executor.Encoded{Kind: arg.Kind}, Shared: true, Span: at}, 0)
				continue
			}
		}
		b.buf = frame.AppendArg(b.buf, frame.Payload{Encoded: executor.Encoded{Kind: arg.Kind}}, len(arg.Bytes))
		b.inPipe = append(b.inPipe, pipeArg{after: len(b.buf), bytes: arg.Bytes})
		inPipe += len(arg.Bytes)
	}
	b.buf = frame.EndCall(b.buf, start, inPipe)
}

// arenaArg is a large argument with a span in the arena. send copies its bytes
// to the span.
type arenaArg struct {
	at         frame.Span
	kind       byte
	bytes      []byte
	frame, arg int // offsets in buf of the frame and of the argument
}

// inline changes the frame of an argument whose span in the arena cannot be
// used: the argument is sent in the pipe instead. The caller must call inline
// for the last argument first, and then for earlier ones.
func (b *outgoing) inline(number int) {
	p := b.inArena[number]
	here := frame.AppendArg(nil, frame.Payload{Encoded: executor.Encoded{Kind: p.kind}}, len(p.bytes))
	there := frame.AppendArg(nil, frame.Payload{Encoded: executor.Encoded{Kind: p.kind}, Shared: true, Span: p.at}, 0)
	shorter := len(there) - len(here)
	b.buf = slices.Delete(b.buf, p.arg+len(here), p.arg+len(there))
	copy(b.buf[p.arg:], here)
	frame.Lengthen(b.buf, p.frame, len(p.bytes)-shorter)
	at := len(b.inPipe)
	for i := range b.inPipe {
		if b.inPipe[i].after > p.arg {
			b.inPipe[i].after -= shorter
			at = min(at, i)
		}
	}
	b.inPipe = slices.Insert(b.inPipe, at, pipeArg{after: p.arg + len(here), bytes: p.bytes})
	for i := range b.inArena {
		if b.inArena[i].arg > p.arg {
			b.inArena[i].arg -= shorter
		}
		if b.inArena[i].frame > p.arg {
			b.inArena[i].frame -= shorter
		}
	}
}

// addCallsLocked adds calls to the table of the worker, as one frame, and
// appends this frame to b.
func (p *Pool) addCallsLocked(w *worker, b *outgoing, s callRange) {
	if len(w.unshare) > 0 {
		w.addUnsharesLocked(b)
	}
	if s.batch.UsesShared() {
		p.addSharesLocked(w, b, s.batch)
	}
	now := time.Now()
	args := s.batch.Args[s.from:s.to]
	f := w.frames.add(callFrame{batch: s.batch, submitter: p.watchLocked(s.batch.Parent()), from: s.from, n: s.len(), begun: -1, canceledEarly: -1, deaths: s.deaths, unbegun: s.unbegun, died: s.died})
	f.submitter.refs++
	for _, arg := range args {
		f.bytes += len(arg.Bytes)
	}
	w.count += s.len()
	w.bytes += f.bytes
	before := len(b.inArena)
	h := frame.CallHead{Seq: f.seq, Name: s.batch.Name}
	if d, ok := s.batch.Context().Deadline(); ok {
		if h.Left = d.Sub(now); h.Left == 0 {
			h.Left = -1
		}
	}
	h.Mapped = w.mapsResults && s.batch.MapsResults()
	if trace := s.batch.Trace(); trace != "" && w.readsTrace {
		b.buf = frame.AppendTrace(b.buf, trace)
	}
	if w.usesList && len(args) > 1 && !h.Mapped && canList(args) {
		b.addList(h, args)
	} else {
		b.add(h, args, w.placeLocked)
	}
	f.arenaSpans = len(b.inArena) - before
	if w.showsBegunLocked() || w.usesGate {
		w.journal.Offer(f.seq, f.n)
	}
	if w.count > s.len() {
		w.checkAtLocked(now.Add(longCall)) // if an earlier call is slow, another worker may take these calls
	} else {
		w.checkAtLocked(now.Add(w.untilCheckLocked()))
	}
	if p.queue.LenLocked()+len(p.returned) > 0 {
		p.wakeWorkerLocked()
	}
}

// send writes the frames of b to the pipe of tasks, after it has copied large
// arguments into the arena.
func (w *worker) send(b *outgoing) error {
	for i := len(b.inArena) - 1; i >= 0; i-- { // the last argument first, as inline requires
		if p := b.inArena[i]; w.arena.WriteArgument(p.at, p.bytes) != nil {
			b.inline(i)
		} else {
			w.sent.Add(int64(len(p.bytes)))
		}
	}
	sent := 0
	for _, p := range b.inPipe {
		if _, err := w.tasks.Write(b.buf[sent:p.after]); err != nil {
			return err
		}
		if err := w.sendAfter(p); err != nil {
			return err
		}
		sent = p.after
	}
	_, err := w.tasks.Write(b.buf[sent:])
	w.sent.Add(int64(len(b.buf)))
	return err
}

// sendAfter sends what follows the first bytes of outgoing.buf: a large
// argument, or a shared value.
func (w *worker) sendAfter(p pipeArg) error {
	if p.shared != nil && p.bytes == nil {
		return shm.SendFile(w.files, p.shared.file)
	}
	return w.sendLarge(p.bytes)
}

// sendLarge writes a large argument to the pipe, in steps of 1 MiB, and
// stores in w.readMiB the number of MiB that the worker has read. The last
// MiB that sendLarge has written does not count, because it may still be in
// the pipe.
func (w *worker) sendLarge(b []byte) error {
	for first := true; ; first = false {
		n, err := w.tasks.Write(b[:min(len(b), 1<<20)])
		w.sent.Add(int64(n))
		if err != nil {
			return err
		}
		if b = b[n:]; len(b) == 0 {
			return nil
		}
		if !first {
			w.readMiB.Add(1)
		}
	}
}
