package processes

import (
	"slices"

	"concert/executor"
	"concert/internal/frame"
	"concert/processes/internal/shm"
)

// bundle is encoded frames for a worker.
type bundle struct {
	buf    []byte
	placed []placed // large arguments that have a span in the arena
	parts  []part   // large arguments that have none
}

// part is an argument that is written from where it is, and not copied into the
// bundle.
type part struct {
	after int // its position: after that many bytes of buf
	bytes []byte
}

func (b *bundle) reset() {
	if cap(b.buf) > 1<<20 {
		b.buf = nil
	}
	clear(b.parts)
	clear(b.placed)
	b.buf, b.parts, b.placed = b.buf[:0], b.parts[:0], b.placed[:0]
}

// add adds a frame of calls. allocate, unless it is nil, allocates spans in the
// arena.
func (b *bundle) add(h frame.CallHead, args []executor.Encoded, allocate func(bytes int) (frame.Span, bool)) {
	start, apart := len(b.buf), 0
	h.Count = uint16(len(args))
	b.buf = frame.AppendCall(b.buf, h)
	for _, arg := range args {
		if len(arg.Bytes) <= shm.MaxInline {
			b.buf = frame.AppendArg(b.buf, frame.Inline(arg), 0)
			continue
		}
		if allocate != nil {
			if at, ok := allocate(len(arg.Bytes)); ok {
				b.placed = append(b.placed, placed{at: at, kind: arg.Kind, bytes: arg.Bytes, frame: start, arg: len(b.buf)})
				b.buf = frame.AppendArg(b.buf, frame.Payload{Kind: arg.Kind, Shared: true, Span: at}, 0)
				continue
			}
		}
		b.buf = frame.AppendArg(b.buf, frame.Payload{Kind: arg.Kind}, len(arg.Bytes))
		b.parts = append(b.parts, part{len(b.buf), arg.Bytes})
		apart += len(arg.Bytes)
	}
	b.buf = frame.EndCall(b.buf, start, apart)
}

// placed is an argument that has a span in the arena, and is not copied there
// yet.
type placed struct {
	at         frame.Span
	kind       byte
	bytes      []byte
	frame, arg int // offsets in buf: of the frame, and of the argument in it
}

// inline moves an argument from the arena into its frame. It must be called for
// later arguments first.
func (b *bundle) inline(number int) {
	p := b.placed[number]
	here := frame.AppendArg(nil, frame.Payload{Kind: p.kind}, len(p.bytes))
	there := frame.AppendArg(nil, frame.Payload{Kind: p.kind, Shared: true, Span: p.at}, 0)
	shorter := len(there) - len(here)
	b.buf = slices.Delete(b.buf, p.arg+len(here), p.arg+len(there))
	copy(b.buf[p.arg:], here)
	frame.Lengthen(b.buf, p.frame, len(p.bytes)-shorter)
	at := len(b.parts)
	for i := range b.parts {
		if b.parts[i].after > p.arg {
			b.parts[i].after -= shorter
			at = min(at, i)
		}
	}
	b.parts = slices.Insert(b.parts, at, part{p.arg + len(here), p.bytes})
	for i := range b.placed {
		if b.placed[i].arg > p.arg {
			b.placed[i].arg -= shorter
		}
		if b.placed[i].frame > p.arg {
			b.placed[i].frame -= shorter
		}
	}
}

// send copies the large arguments of a bundle into the arena, and writes the
// bundle to the pipe.
func (w *worker) send(b *bundle) error {
	for i := len(b.placed) - 1; i >= 0; i-- { // the last first, as inline requires
		if p := b.placed[i]; w.arena.WriteArgument(p.at, p.bytes) != nil {
			b.inline(i)
		}
	}
	sent := 0
	for _, p := range b.parts {
		if _, err := w.tasks.Write(b.buf[sent:p.after]); err != nil {
			return err
		}
		if err := w.sendLarge(p.bytes); err != nil {
			return err
		}
		sent = p.after
	}
	_, err := w.tasks.Write(b.buf[sent:])
	return err
}

// sendLarge writes an argument to the pipe, and counts the MiB that the worker
// has read. Up to one MiB may still be in the pipe.
func (w *worker) sendLarge(b []byte) error {
	for first := true; ; first = false {
		n, err := w.tasks.Write(b[:min(len(b), 1<<20)])
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
