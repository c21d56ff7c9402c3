package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert/cluster/internal/jet"
	"concert/cluster/internal/wire"
	"concert/executor"
)

// call is a call that was sent to the cluster, or is about to be sent. Its
// subscribers wait for its outcome: see subscriber.go.
//
//	added --> published --> started --> ended
//	  |           |                       ^
//	  |           +-----------------------+      by an outcome from the cluster, or after a timeout
//	  +-----------------------------------+      canceled before it was published
type call struct {
	id     wire.TaskID
	try    string // unique in the session
	queue  *funcQueue
	sentAt time.Time

	// The executor's mu guards the following.
	subscribers      []*subscriber      // at least one; the slice is replaced by a copy when a subscriber is removed
	arg              wire.Value         // does not change after it was published, unless the servers lose it
	values           []wire.SharedValue // the shared values of arg
	valuesAt         time.Time          // when values was set
	earliestDeadline int64              // the earliest published deadline; 0 if no deadline was published, or if the call has no id
	setName          string             // the capability set to which the call was sent
	published        bool               // publish was called
	canceled         bool               // the last subscriber is canceled: a cancellation was published, or will be
	ended            bool               // removed from Executor.calls
	timer            *time.Timer        // for a canceled call: calls timeoutCancel
	slotNumber       int                // the number of the slot that runs the call, or -1 if it is unknown
	workerID         string             // the worker with this slot
	rerouted         bool               // the call was published earlier for another capability set; the task of the earlier message must not run
	retrying         bool               // an attempt has failed, and the call waits for the next one
	resending        bool               // the call is being sent again
	downloading      bool               // the large result is being downloaded
	resends          int                // the number of times that the call was sent again because its argument, result or task was lost
	message          string             // the id of the message that was published last
	sequence         uint64             // the sequence number of this message in TaskStream; 0 until the servers have stored it

	finding *finding // guarded by Executor.auditMu: the outcome of the last audit; nil before the first one

	own subscriber     // the subscriber for which the call was made; a field to save an allocation
	one [1]*subscriber // the array of subscribers while there is one subscriber; a field to save an allocation
}

// shared reports whether other Submits can subscribe to the call.
func (c *call) shared() bool { return c.id.Number != "" && c.id.Session == "" }

// addLocked adds a new call to Executor.calls.
func (e *Executor) addLocked(c *call) {
	e.lastCall++
	c.try = strconv.FormatUint(e.lastCall, 36)
	if !c.shared() {
		c.id = wire.TaskID{Client: e.client, Session: e.session, Number: c.try}
	}
	e.calls[c.id.Number] = c
	e.inflight[c.setName]++
	c.queue.sent[c.setName]++
}

// send publishes a call. Before that, it uploads a large argument, and the
// shared values of the argument that the servers do not have.
func (e *Executor) send(c *call) {
	if e.inlineArg(c) {
		e.publish(c)
	} else { // the upload may take long
		e.background.Go(func() { e.uploadArg(c) })
	}
}

// sendAll publishes calls without ids, as many as possible together.
func (e *Executor) sendAll(calls []*call) {
	together := make([]*call, 0, len(calls))
	for _, c := range calls {
		switch {
		case c.own.batch.Context().Err() != nil:
			e.cancelSubscriber(&c.own)
		case e.inlineArg(c):
			together = append(together, c)
		default:
			e.send(c)
		}
	}
	e.publish(together...)
}

// inlineArg puts the argument of a call into its message. It reports false
// if the argument is too large, or refers to a shared value that is not
// stored. It does not change a canceled call: such a call is published for
// one purpose: a worker drops it, and reports this.
func (e *Executor) inlineArg(c *call) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c.ended || c.canceled {
		return true
	}
	s := c.subscribers[0]
	arg := s.batch.Args[s.i]
	if len(arg.Bytes) > wire.MaxInlineBytes || !e.setSharedLocked(c, s) {
		return false
	}
	c.arg = wire.Value{Encoded: arg}
	return true
}

// uploadArg uploads the shared values and the large argument of a call, and
// publishes the call. If the subscriber with this argument is canceled,
// uploadArg uploads the argument of another subscriber instead.
func (e *Executor) uploadArg(c *call) {
	for {
		e.mu.Lock()
		if c.ended || c.canceled {
			e.mu.Unlock()
			e.publish(c)
			return
		}
		s := c.subscribers[0]
		if s.ctx == nil {
			s.ctx, s.stop = context.WithCancel(e.ctx)
		}
		ctx := s.ctx
		s.argUses.Add(1)
		e.mu.Unlock()
		uploaded, err := e.uploadParts(ctx, s)
		s.argUses.Done()
		e.mu.Lock()
		left, ended := s.canceled, c.ended
		set := err == nil && !ended && e.setSharedLocked(c, s)
		if set {
			c.arg = uploaded
		}
		e.mu.Unlock()
		if err == nil && !set && uploaded.Blob != "" { // the uploaded argument has no other reference
			e.conn.Delete(uploaded)
		}
		switch {
		case ended:
			return
		case set:
			e.publish(c)
			return
		case err != nil && !left:
			e.settle(c, -1, executor.Encoded{}, err)
			return
		}
	}
}

// uploadParts uploads the shared values of a subscriber's argument, and the
// argument itself if it is large.
func (e *Executor) uploadParts(ctx context.Context, s *subscriber) (wire.Value, error) {
	if s.batch.UsesShared() {
		if err := e.uploadShared(ctx, s); err != nil {
			return wire.Value{}, err
		}
	}
	arg := s.batch.Args[s.i]
	if len(arg.Bytes) <= wire.MaxInlineBytes {
		return wire.Value{Encoded: arg}, nil
	}
	uploaded, err := e.conn.Upload(ctx, wire.ArgumentName(e.client), arg)
	if err != nil {
		return wire.Value{}, fmt.Errorf("cluster: uploading the argument of %s: %w", s.batch.Name, err)
	}
	return uploaded, nil
}

// publish publishes the messages of calls that have not ended, signed together.
// It does not wait for acknowledgments: see the method nacked.
func (e *Executor) publish(calls ...*call) {
	e.mu.Lock()
	calls = slices.DeleteFunc(calls, func(c *call) bool { return c.ended })
	tasks := make([]wire.OutgoingTask, len(calls))
	ids := make([]string, len(calls)) // the servers find duplicates by these ids; the ids are unique, because the name of the session is random
	for i, c := range calls {
		c.published = true
		tasks[i].Subject = wire.TaskSubject(c.setName, e.client)
		ids[i] = e.session + "." + c.try + "@" + c.setName
		if c.resends > 0 {
			ids[i] += "#" + strconv.Itoa(c.resends)
		}
		c.message, c.sequence = ids[i], 0
	}
	e.mu.Unlock()
	if len(calls) == 0 {
		return
	}
	for i, c := range calls {
		tasks[i].Envelope = e.envelope(c)
	}
	msgs, err := wire.EncodeTasks(tasks, e.conn.Signer)
	for i, c := range calls {
		if err != nil {
			e.settle(c, -1, executor.Encoded{}, err)
			continue
		}
		e.conn.Publish(&nats.Msg{Subject: tasks[i].Subject, Data: msgs[i], Header: nats.Header{jetstream.MsgIDHeader: {ids[i]}}}, c)
	}
}

// acked records the sequence number of a message that the servers have
// stored.
func (e *Executor) acked(msg *nats.Msg, note any, sequence uint64) {
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

// envelope returns a call as a message.
func (e *Executor) envelope(c *call) wire.Envelope {
	e.mu.Lock()
	s, arg, values := c.subscribers[0], c.arg, c.values
	if c.shared() && s.deadline != 0 && (c.earliestDeadline == 0 || s.deadline < c.earliestDeadline) {
		c.earliestDeadline = s.deadline
	}
	e.mu.Unlock()
	env := wire.Envelope{ID: c.id, Function: c.queue.function, Signature: c.queue.signature, Arg: arg, Shared: values, Session: e.session, Try: c.try, Trace: s.trace}
	if d, ok := s.batch.Context().Deadline(); ok {
		env.Deadline = d.UnixMilli()
	}
	if in := s.batch.Input(s.i); in != nil {
		env.Input, env.Label = in.Index+1, in.Label
	}
	if r, _ := s.batch.Parent().Value(retryKey{}).(Retry); r.Attempts > 1 {
		env.Attempts, env.Delay, env.MaxDelay = r.Attempts, r.Delay.Milliseconds(), r.MaxDelay.Milliseconds()
	}
	return env
}

// nacked handles a message that was not stored, or was not acknowledged in
// time. It publishes a task again until the task is stored or its call has
// ended. It publishes a cancellation again until the cancellation is stored
// or the Executor has ended. It settles a task that is too long for the
// stream. A task that is stored twice may run twice. The servers drop the
// second message only if it arrives soon after the first one. A worker drops
// it only while the worker holds the task. Two equal cancellations do no
// harm.
func (e *Executor) nacked(msg *nats.Msg, note any, why error) {
	if e.ctx.Err() != nil {
		return
	}
	c, ok := note.(*call)
	if !ok {
		e.conn.Publish(&nats.Msg{Subject: msg.Subject, Data: msg.Data}, note)
		return
	}
	if e.hasEnded(c) {
		return
	}
	if errors.Is(why, jetstream.ErrStreamMessageExceedsMaximum) {
		e.settle(c, -1, executor.Encoded{}, fmt.Errorf("%w: the servers accept no message of %d bytes", jet.ErrTooLarge, len(msg.Data)))
		return
	}
	e.conn.Publish(&nats.Msg{Subject: msg.Subject, Data: msg.Data, Header: msg.Header}, c)
}

// describe returns the name of a call, for errors and notices.
func (e *Executor) describe(c *call) string {
	e.mu.Lock()
	s := c.subscribers[0]
	e.mu.Unlock()
	if in := s.batch.Input(s.i); in != nil {
		return in.String()
	}
	return s.batch.Name
}

func (e *Executor) hasEnded(c *call) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return c.ended
}

// signature returns the digest of the types of a function.
func (e *Executor) signature(function string) string {
	f, err := executor.Find(function)
	if err != nil {
		return ""
	}
	return wire.Digest(f.Signature())
}
