package processes

import (
	"fmt"
	"time"

	"concert"
	"concert/internal/frame"
)

// feed gives the worker calls until it shall leave, or is dead.
func (w *worker) feed() {
	var b batch
	for w.pool.next(w, &b) {
		if w.send(&b) != nil {
			break // it is dead: wait sees to the rest
		}
	}
	w.tasks.Close()
}

// batch is calls on their way to a worker, as bytes.
type batch struct {
	buf   []byte
	parts []part
}

// part is a large argument, which is not copied.
type part struct {
	after int // it belongs after so many bytes of buf
	bytes []byte
}

// large arguments are written from where they are.
const large = 64 << 10

func (b *batch) reset() {
	if cap(b.buf) > 1<<20 {
		b.buf = nil
	}
	clear(b.parts)
	b.buf, b.parts = b.buf[:0], b.parts[:0]
}

func (b *batch) add(c frame.CallBody, arg []byte) {
	if len(arg) <= large {
		c.Arg.Bytes = arg
		b.buf = frame.AppendCall(b.buf, c)
		return
	}
	b.buf = frame.CallHead(b.buf, c, len(arg))
	b.parts = append(b.parts, part{len(b.buf), arg})
}

func (w *worker) send(b *batch) error {
	sent := 0
	for _, p := range b.parts {
		if _, err := w.tasks.Write(b.buf[sent:p.after]); err != nil {
			return err
		}
		if _, err := w.tasks.Write(p.bytes); err != nil {
			return err
		}
		sent = p.after
	}
	_, err := w.tasks.Write(b.buf[sent:])
	return err
}

// next fills b with calls for the worker, when there are some. It reports false
// when there will be none for this one.
//
// Two feeders may claim from two tasks at the same time, without the lock. A
// task that is cancelled meanwhile is remembered in withdrawn, until the calls are in
// a worker's table, where Withdraw finds them.
func (p *Pool) next(w *worker, b *batch) bool {
	b.reset()
	p.mu.Lock()
	defer p.mu.Unlock()
	for w.state == seated {
		if m := p.opts.MaxTasks; m > 0 && w.total+w.count >= m {
			p.retire(w)
			break
		}
		room := w.room()
		switch {
		case room <= 0 || len(b.buf) >= inPipe/4:
		case len(p.again) > 0:
			n := min(room, len(p.again))
			calls := p.again[:n:n]
			p.again = p.again[n:]
			p.enroll(w, b, calls)
			continue
		case len(p.queue) > 0 && (w.count == 0 || !p.idleElsewhere(w)):
			if calls := p.claim(w, room); len(calls) > 0 {
				if w.state != seated {
					p.again = append(p.again, calls...)
					p.nudge()
					break
				}
				p.enroll(w, b, calls)
			}
			continue
		case w.count == 0 && p.steal(w):
			continue
		}
		if len(b.buf) > 0 {
			return true // send these first
		}
		if w.state != seated {
			break
		}
		w.asleep = true
		p.mu.Unlock()
		<-w.wake
		p.mu.Lock()
		w.asleep = false
	}
	return len(b.buf) > 0
}

// claim takes calls from the task at the head of the queue. The caller holds
// mu, which is free meanwhile.
func (p *Pool) claim(w *worker, room int) []*concert.Call {
	t := p.queue[0]
	p.queue[0] = nil
	p.queue = p.queue[1:]
	p.makeRoom()
	p.claiming++
	size := max(large, inPipe-w.bytes)
	p.mu.Unlock()
	claimed, again := t.Claim(room, size)
	p.mu.Lock()
	p.claiming--
	p.unsettled += len(claimed)
	if again {
		if p.closed != nil {
			err := p.closed
			p.mu.Unlock()
			t.Fail(err)
			p.mu.Lock()
		} else {
			p.queue = append(p.queue, t)
			p.nudge()
		}
	}
	calls := p.admit(claimed)
	if p.claiming == 0 && len(p.withdrawn) > 0 {
		clear(p.withdrawn)
	}
	p.checkEnd()
	return calls
}

// admit returns the calls without those that were withdrawn meanwhile, or are too
// large. The caller holds mu.
func (p *Pool) admit(claimed []concert.Call) []*concert.Call {
	kept := make([]*concert.Call, 0, len(claimed))
	for i := range claimed {
		c := &claimed[i]
		switch {
		case c.Task() != nil && p.withdrawn[c.Task()]:
			p.unsettled--
		case len(c.Arg.Bytes) > maxPayload:
			err := fmt.Errorf("%w: the argument of %s has %d bytes, more than %d", ErrTooLarge, c.Name, len(c.Arg.Bytes), maxPayload)
			p.unsettled--
			p.mu.Unlock()
			c.Settle(concert.Encoded{}, err)
			p.mu.Lock()
		default:
			kept = append(kept, c)
		}
	}
	return kept
}

// enroll enters calls into the worker's table and encodes them. The caller
// holds mu.
func (p *Pool) enroll(w *worker, b *batch, calls []*concert.Call) {
	now := time.Now()
	var last *parent
	for _, c := range calls {
		seq := w.next
		w.next++
		f := w.flight(seq)
		if ctx := c.Parent(); last == nil || !sameContext(ctx, last.ctx) {
			last = p.watch(ctx)
		}
		last.calls++
		*f = flight{call: c, seq: seq, bytes: int32(len(c.Arg.Bytes)), parent: last}
		w.count++
		w.bytes += int(f.bytes)
		if w.journal.mem != nil {
			w.journal.queue(seq)
		}
		body := frame.CallBody{Seq: seq, Name: c.Name, Worker: uint32(w.id), Arg: frame.Payload{Kind: c.Arg.Kind}}
		if d, ok := c.Context().Deadline(); ok {
			if body.Left = d.Sub(now); body.Left == 0 {
				body.Left = -1
			}
		}
		b.add(body, c.Arg.Bytes)
	}
	if w.journal.mem != nil {
		w.wakeAt(now.Add(lookOut))
	}
	if len(p.queue)+len(p.again) > 0 {
		p.nudge()
	}
}

// idleElsewhere reports whether another worker has nothing to do, and wakes
// it: the task at the head of the queue is for that one, which then wakes
// others. The caller holds mu.
func (p *Pool) idleElsewhere(w *worker) bool {
	for _, other := range p.seats {
		if other != nil && other != w && other.state == seated && other.count == 0 {
			if other.asleep {
				other.rouse()
			}
			return true
		}
	}
	return false
}

// steal takes calls that have not begun from the worker that has most work
// before it, for one that has none. The caller holds mu.
func (p *Pool) steal(w *worker) bool {
	var victim *worker
	load := atHand / 4 // not worth it below
	for _, other := range p.seats {
		if other == nil || other.journal.mem == nil || other.count < 2 {
			continue
		}
		ahead := time.Duration(other.count) * other.runTime
		if f := other.running(); f != nil && f.begun {
			ahead = max(ahead, time.Second) // it has run for some time, and who knows
		}
		if ahead > load {
			victim, load = other, ahead
		}
	}
	if victim == nil {
		return false
	}
	var calls []*concert.Call
	for seq, want := victim.next-1, victim.count/2; want > 0 && seq != victim.first-1; seq-- {
		f := victim.flight(seq)
		if f.call == nil {
			continue
		}
		c := f.call
		if !victim.withdraw(f) {
			break // it has begun, and all before it
		}
		calls = append(calls, c)
		want--
	}
	for i := len(calls) - 1; i >= 0; i-- {
		p.again = append(p.again, calls[i])
	}
	return len(calls) > 0
}

// retire has a worker that has run its number of tasks leave, and another one
// take its seat. The caller holds mu.
func (p *Pool) retire(w *worker) {
	w.state = leaving
	if w.count == 0 {
		w.limit(p.opts.Grace, "it did not end")
	}
	p.refill(w.id)
}
