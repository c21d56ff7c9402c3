package cluster

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert"
	"concert/cluster/internal/wire"
)

// call is one call of a batch that is with the cluster, or on its way there.
//
//	entered --> posted --> started --> settled
//	   |           |          ^  |        ^
//	   |           +----------|--+--------+      what comes back settles it, or that nothing does
//	   +----------------------+------------      unwanted before it was posted
type call struct {
	batch    *concert.Batch
	i        int
	id       wire.TaskID
	try      string // unique in the session
	lane     *lane
	begin    time.Time
	contract string   // guarded by the executor's mu
	posted   bool     // likewise
	twin     *call    // likewise: another call of the same id
	rerouted bool     // likewise: a message of it is left that nobody has to run
	gone     bool     // likewise: nobody wants it any more
	also     []string // likewise: tries of twins that nobody wants any more, which may be what runs
	away     bool     // likewise: it has failed, and waits for another attempt
	again    bool     // likewise: it is being sent once more
	missed   int      // guarded by the executor's mu: how often it was sent again because its argument, result or task was lost
	message  string   // guarded by the executor's mu: the id of the message that was published last
	sequence uint64   // guarded by the executor's mu: the number of this message in the stream of tasks; 0 until the servers have stored it
	audited  *finding // guarded by the executor's auditing: of the last audit; nil before the first one

	mu       sync.Mutex  // guards the following, and is held while something is said about the call
	arg      wire.Value  // does not change once it is posted, unless the servers lose it
	worker   int         // that it is known to have begun on, -1 if none
	at       string      // the id of that, as far as it is known
	kept     bool        // Withdraw has said that it runs
	unwanted bool        // a tombstone is there, or on its way
	fetching bool        // its result is large, and on its way
	settled  bool        // which it does once
	timer    *time.Timer // of what is unwanted: then it settles without word
	watch    *watch      // over the context of its submitter; nil if that never ends
	unwatch  func() bool // ends the one over its own, which is there once it runs; may be nil
}

// enter registers a call. The caller holds mu.
func (e *Executor) enter(l *lane, batch *concert.Batch, i int, contract string) *call {
	c := &call{batch: batch, i: i, lane: l, contract: contract, begin: time.Now(), worker: -1}
	e.last++
	c.try = strconv.FormatUint(e.last, 36)
	c.id = e.name(c)
	c.twin = e.calls[c.id.Number]
	e.calls[c.id.Number] = c
	if t := batch.Task(); t != nil {
		e.tasks[t] = c
	}
	e.inflight[contract]++
	l.out[contract]++
	return c
}

// send publishes a call.
func (e *Executor) send(c *call) {
	if c.batch.Context().Err() != nil { // cancelled meanwhile
		e.abandon(c)
		return
	}
	if !e.attach(c) {
		// It goes by another way first, which takes its time.
		e.running.Go(func() { e.stow(c) })
		return
	}
	e.post(c)
}

// sendAll publishes calls, as many of them as possible together.
func (e *Executor) sendAll(calls []*call) {
	var together []*call
	for _, c := range calls {
		if c.batch.Context().Err() == nil && e.attach(c) {
			together = append(together, c)
		} else {
			e.send(c)
		}
	}
	e.post(together...)
}

// attach has an argument travel in the message, unless it is too large for that.
func (e *Executor) attach(c *call) bool {
	arg := c.batch.Args[c.i]
	if len(arg.Bytes) > wire.InlineBytes {
		return false
	}
	c.mu.Lock()
	c.arg = wire.Inline(arg)
	c.mu.Unlock()
	return true
}

// stow publishes a call after its large argument.
func (e *Executor) stow(c *call) {
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	defer context.AfterFunc(c.batch.Context(), cancel)()
	stowed, err := e.link.stow(ctx, wire.ArgumentName(e.client), c.batch.Args[c.i])
	switch {
	case err != nil && c.batch.Context().Err() != nil:
		e.abandon(c)
		return
	case err != nil:
		e.settle(c, -1, concert.Encoded{}, fmt.Errorf("cluster: the argument of %s: %w", c.batch.Name, err))
		return
	}
	c.mu.Lock()
	c.arg = stowed
	settled := c.settled
	c.mu.Unlock()
	if settled { // nobody else knows of it
		e.link.discard(stowed)
		return
	}
	e.post(c)
}

// post publishes the messages of calls, signed together. Whether the servers have them is known later: see unposted.
func (e *Executor) post(calls ...*call) {
	if len(calls) == 0 {
		return
	}
	posts := make([]wire.Post, len(calls))
	ids := make([]string, len(calls)) // by which the servers know what comes twice: the session is random, so nobody else says the same
	e.mu.Lock()
	for i, c := range calls {
		c.posted = true
		posts[i].Subject = wire.TaskSubject(c.contract, e.client)
		ids[i] = e.session + "." + c.try + "@" + c.contract
		if c.missed > 0 {
			ids[i] += "#" + strconv.Itoa(c.missed)
		}
		c.message, c.sequence = ids[i], 0
	}
	e.mu.Unlock()
	for i, c := range calls {
		posts[i].Envelope = e.envelope(c)
	}
	msgs, err := wire.Seal(posts, e.link.signer)
	for i, c := range calls {
		if err != nil {
			e.settle(c, -1, concert.Encoded{}, err)
			continue
		}
		e.link.post(&nats.Msg{Subject: posts[i].Subject, Data: msgs[i], Header: nats.Header{jetstream.MsgIDHeader: {ids[i]}}}, c)
	}
}

// posted is called when the servers have stored a message.
func (e *Executor) posted(msg *nats.Msg, note any, sequence uint64) {
	c, ok := note.(*call)
	if !ok {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if msg.Header[jetstream.MsgIDHeader][0] == c.message { // the call was not sent again in the meantime
		c.sequence = sequence
	}
}

// envelope is a call as it travels.
func (e *Executor) envelope(c *call) wire.Envelope {
	c.mu.Lock()
	arg := c.arg
	c.mu.Unlock()
	env := wire.Envelope{ID: c.id, Function: c.lane.function, Signature: c.lane.signature, Arg: arg, Session: e.session, Try: c.try}
	if d, ok := c.batch.Context().Deadline(); ok {
		env.Deadline = d.UnixMilli()
	}
	if in := c.batch.Input(c.i); in != nil {
		env.Input, env.Label = in.Index+1, in.Label
	}
	if r := retryOf(c.batch.Parent()); r.attempts > 1 {
		env.Attempts, env.Delay, env.MaxDelay = r.attempts, r.delay.Milliseconds(), r.most.Milliseconds()
	}
	return env
}

// unposted is told that a message was not stored, or that nothing was heard of it: it is published again until it is, or
// nobody wants it. If that of a call comes twice, the servers keep one; of a cancellation both, which is no harm.
func (e *Executor) unposted(msg *nats.Msg, note any, why error) {
	if e.ctx.Err() != nil {
		return
	}
	c, ok := note.(*call)
	if !ok {
		e.link.post(&nats.Msg{Subject: msg.Subject, Data: msg.Data}, note)
		return
	}
	if c.isSettled() {
		return
	}
	if errors.Is(why, jetstream.ErrStreamMessageExceedsMaximum) {
		e.settle(c, -1, concert.Encoded{}, fmt.Errorf("%w: the servers take no message of %d bytes", ErrTooLarge, len(msg.Data)))
		return
	}
	if c.batch.Context().Err() != nil {
		e.unwanted(c)
	}
	e.link.post(&nats.Msg{Subject: msg.Subject, Data: msg.Data, Header: msg.Header}, c)
}

// String names the task in what a person reads.
func (c *call) String() string {
	if in := c.batch.Input(c.i); in != nil {
		return in.String()
	}
	return c.batch.Name
}

func (c *call) isSettled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.settled
}

// reroute sends calls to workers of another contract, if there have been none for a while of the one that they were sent
// to: of an older version of their program, say. What was sent before stays where it is; should somebody run it after all, one result
// counts. since says how long contracts have been without workers.
func (e *Executor) reroute(since map[string]time.Time) {
	var moved []*call
	e.mu.Lock()
	for c := range e.inflight {
		if e.roster.staffed(c) {
			delete(since, c)
		} else if _, known := since[c]; !known {
			since[c] = time.Now()
		}
	}
	for _, c := range e.calls {
		if began, without := since[c.contract]; !c.posted || !without || time.Since(began) < silence {
			continue
		}
		for to := range e.roster.offers(c.lane.function, c.lane.signature) {
			e.setAway(c, false)
			e.inflight[c.contract]--
			e.inflight[to]++
			c.lane.out[c.contract]--
			c.lane.out[to]++
			c.contract, c.rerouted = to, true
			moved = append(moved, c)
			break
		}
	}
	e.mu.Unlock()
	e.post(moved...)
}

// signature is the digest of the types of a function.
func (e *Executor) signature(function string) string {
	f, err := concert.Find(function)
	if err != nil {
		return ""
	}
	return wire.Digest(f.Signature())
}
