package processes

import (
	"slices"

	"concert/executor"
	"concert/internal/frame"
	"concert/processes/internal/shm"
)

// bundle is frames on their way to a worker, as bytes.
type bundle struct {
	buf    []byte
	placed []placed // large arguments that have a place in the arena,
	parts  []part   // and those that have none
}

// part is an argument in a frame that is not copied.
type part struct {
	after int // it belongs after so many bytes of buf
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

// add adds a Call with arguments. take, unless nil, finds places in the arena.
func (b *bundle) add(h frame.CallHead, args []executor.Encoded, take func(bytes int) (frame.Span, bool)) {
	start, apart := len(b.buf), 0
	h.Count = uint16(len(args))
	b.buf = frame.AppendCall(b.buf, h)
	for _, arg := range args {
		if len(arg.Bytes) <= shm.MaxInline {
			b.buf = frame.AppendArg(b.buf, frame.Inline(arg), 0)
			continue
		}
		if take != nil {
			if at, ok := take(len(arg.Bytes)); ok {
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

// placed is bytes that have a place in the arena, and are not there yet.
type placed struct {
	at         frame.Span
	kind       byte
	bytes      []byte
	frame, arg int // where in the bundle the frame begins, and the argument that says where they are
}

// inline has an argument that was to be in the arena follow in the frame. Those
// that were placed after it must have been put right before.
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

func (w *worker) send(b *bundle) error {
	for i := len(b.placed) - 1; i >= 0; i-- { // as inline needs it
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

// sendLarge writes bytes to the worker, and counts those that the worker has
// read. A MiB may be in the pipe.
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
