package wire

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

// Audit is a request of a session for the states of tasks.
type Audit struct {
	Session string    `cbor:"1,keyasint"`
	Tasks   []Audited `cbor:"2,keyasint"` // at most MaxAudited
}

// Audited is a task in an Audit. It identifies the message by which the task
// was published.
type Audited struct {
	Try      string `cbor:"1,keyasint"`
	Sequence uint64 `cbor:"2,keyasint"` // sequence number of the message in TaskStream
	ID       string `cbor:"3,keyasint"` // id of the message; the servers find duplicates by it
}

// State says what the servers have stored about a task.
type State uint8

// The states of a task. A worker stores its result before it acknowledges the
// task, and the acknowledgment removes the task. So if a task is Absent, either
// the session has acknowledged the result of the task, or the task was lost.
const (
	Absent   State = iota // neither the task nor a result
	Queued                // the task: it waits for a worker, or a worker runs it
	Answered              // a result that the session has not acknowledged, and no task
)

// Limits of the cost of an Audit.
const (
	MaxAudited    = 256 // maximum number of tasks
	maxAuditReads = 4   // maximum number of concurrent reads of tasks, of up to MaxMessageBytes bytes each
)

// Check returns an error if Find does not accept the Audit.
func (a *Audit) Check() error {
	if !ValidToken(a.Session) {
		return fmt.Errorf("invalid name of a session: %q", a.Session)
	}
	if len(a.Tasks) > MaxAudited {
		return fmt.Errorf("the audit has %d tasks: at most %d are allowed", len(a.Tasks), MaxAudited)
	}
	for _, t := range a.Tasks {
		if !ValidToken(t.Try) {
			return fmt.Errorf("invalid name of a submission: %q", t.Try)
		}
	}
	return nil
}

// Find returns the states of the tasks of an Audit by a client, in the order of
// the tasks. It reads the tasks before the results, so it finds a result that a
// worker stores in the meantime.
func (a *Audit) Find(ctx context.Context, js jetstream.JetStream, client string) ([]State, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	stream, err := js.Stream(ctx, TaskStream)
	if err != nil {
		return nil, err
	}
	states := make([]State, len(a.Tasks))
	slots := make(chan struct{}, maxAuditReads)
	var reading sync.WaitGroup
	stored := stream.CachedInfo().State
	for i, t := range a.Tasks {
		if t.Sequence < stored.FirstSeq || t.Sequence > stored.LastSeq {
			continue
		}
		slots <- struct{}{}
		reading.Go(func() {
			defer func() { <-slots }()
			msg, err := stream.GetMsg(ctx, t.Sequence)
			switch {
			case errors.Is(err, jetstream.ErrMsgNotFound):
			case err != nil:
				fail(err)
			case t.isIn(msg, client):
				states[i] = Queued
			}
		})
	}
	reading.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return states, a.findResults(ctx, js, client, states)
}

// isIn reports whether a message contains the task, and is from this client. If
// the stream was deleted and created again, another message can have the same
// sequence number.
func (t *Audited) isIn(msg *jetstream.RawStreamMsg, client string) bool {
	return strings.HasSuffix(msg.Subject, "."+client) && msg.Header.Get(jetstream.MsgIDHeader) == t.ID
}

// findResults sets the state of each Absent task that has a result to Answered.
func (a *Audit) findResults(ctx context.Context, js jetstream.JetStream, client string, states []State) error {
	if !slices.Contains(states, Absent) {
		return nil
	}
	stream, err := js.Stream(ctx, ResultStream)
	if err != nil {
		return err
	}
	id := TaskID{Client: client, Session: a.Session, Number: "*"}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(ResultSubject(id)))
	if err != nil {
		return err
	}
	for i, t := range a.Tasks {
		id.Number = t.Try
		if states[i] == Absent && info.State.Subjects[ResultSubject(id)] > 0 {
			states[i] = Answered
		}
	}
	return nil
}
