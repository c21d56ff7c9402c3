package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert/cluster/internal/jet"
	"concert/cluster/internal/wire"
)

// DeadLetter is a task that was abandoned: its workers were lost five times, or
// its last attempt failed. It can also be a message that is not a task.
type DeadLetter struct {
	Number       uint64    `json:"number"`   // for Replay and Discard
	Function     string    `json:"function"` // "" if it is not a task
	Index        int64     `json:"index"`    // of the input in its Map, from 0 up; -1 for a task of Submit, or if unknown
	Label        string    `json:"label"`    // the first 256 bytes of the label that the submitter set; or ""
	Capabilities string    `json:"capabilities"`
	Client       string    `json:"client"`
	Reason       string    `json:"reason"`
	Worker       string    `json:"worker"` // the worker that abandoned the task
	At           time.Time `json:"at"`
	Bytes        int       `json:"bytes"` // the size of its message
}

// Dead returns the number of dead letters.
func (in *Inspector) Dead(ctx context.Context) (int, error) {
	stream, err := in.conn.JS.Stream(ctx, wire.DeadStream)
	if err != nil {
		return 0, fmt.Errorf("cluster: accessing the dead letters: %w", err)
	}
	return int(stream.CachedInfo().State.Msgs), nil
}

// DeadLetters returns dead letters in the order of their numbers. The
// parameter from is the lowest number: dead letters with a lower number are
// skipped. The parameter limit is the maximum number of results.
func (in *Inspector) DeadLetters(ctx context.Context, from uint64, limit int) (all []DeadLetter, err error) {
	stream, err := in.conn.JS.Stream(ctx, wire.DeadStream)
	if err != nil {
		return nil, fmt.Errorf("cluster: accessing the dead letters: %w", err)
	}
	for next := max(from, 1); len(all) < limit; {
		msg, err := stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject("concert.dead.*.*.*"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return all, fmt.Errorf("cluster: accessing the dead letters: %w", err)
		}
		all = append(all, newDeadLetter(msg))
		next = msg.Sequence + 1
	}
	return all, nil
}

func newDeadLetter(msg *jetstream.RawStreamMsg) DeadLetter {
	d := DeadLetter{
		Number: msg.Sequence, Reason: wire.Printable(msg.Header.Get(wire.ReasonHeader)), Worker: wire.Printable(msg.Header.Get(wire.WorkerHeader)),
		At: msg.Time, Bytes: len(msg.Data), Index: -1,
	}
	if set, client, ok := wire.DeadTask(msg.Subject); ok {
		d.Capabilities, d.Client = wire.Printable(set), wire.Printable(client)
	}
	if e, err := new(wire.Verifier).Open(msg.Data, taskSubject(msg), false); err == nil {
		d.Function, d.Index, d.Label = wire.Printable(e.Function), e.Input-1, wire.Printable(e.Label)
	}
	return d
}

// taskSubject returns the subject of the task of a dead letter.
func taskSubject(letter *jetstream.RawStreamMsg) string {
	set, client, _ := wire.DeadTask(letter.Subject)
	return wire.TaskSubject(set, client)
}

// Replay runs the task of a dead letter again, on workers with the capability
// set for which the task was sent, and removes all dead letters of the task. If
// Replay returns an error, or two calls of Replay for one dead letter run
// concurrently, the task may run twice. The submitter has already received the
// error of the task, and receives nothing more. But the result of a task with
// an id can be found by the id, see [WithID].
func (in *Inspector) Replay(ctx context.Context, number uint64) error {
	stream, err := in.conn.JS.Stream(ctx, wire.DeadStream)
	if err != nil {
		return fmt.Errorf("cluster: accessing the dead letters: %w", err)
	}
	msg, err := stream.GetMsg(ctx, number)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("cluster: there is no dead letter %d", number)
	}
	if err != nil {
		return fmt.Errorf("cluster: reading dead letter %d: %w", number, err)
	}
	d := newDeadLetter(msg)
	if d.Function == "" {
		return fmt.Errorf("cluster: dead letter %d is not a task (%s): discard it", number, d.Reason)
	}
	_, err = in.conn.JS.PublishMsg(ctx, &nats.Msg{
		Subject: taskSubject(msg), Data: msg.Data,
		Header: nats.Header{jetstream.MsgIDHeader: {fmt.Sprintf("replay.%d.%s", number, wire.Digest(string(msg.Data)))}},
	})
	if err != nil {
		return fmt.Errorf("cluster: replaying dead letter %d: %w", number, err)
	}
	if err := in.Discard(ctx, number); err != nil {
		return err
	}
	return in.discardDuplicates(ctx, stream, msg)
}

// discardDuplicates removes the other dead letters of the same task. A task can
// have several dead letters: a worker stores a dead letter, and then is lost,
// or does not receive the acknowledgment. Then another worker gets the task,
// and stores another dead letter.
func (in *Inspector) discardDuplicates(ctx context.Context, stream jetstream.Stream, letter *jetstream.RawStreamMsg) error {
	set, client, ok := wire.DeadTask(letter.Subject)
	id := letter.Header.Get(jetstream.MsgIDHeader)
	if !ok || id == "" {
		return nil
	}
	all, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{wire.DeadSubject(wire.TaskSubject(set, client), "*")}, HeadersOnly: true,
	})
	if err != nil {
		return fmt.Errorf("cluster: accessing the dead letters: %w", err)
	}
	for more := true; more; {
		more = false
		batch, err := all.FetchNoWait(jet.BatchSize)
		if err != nil {
			return fmt.Errorf("cluster: accessing the dead letters: %w", err)
		}
		for msg := range batch.Messages() {
			more = true
			meta, err := msg.Metadata()
			if err == nil && msg.Headers().Get(jetstream.MsgIDHeader) == id {
				err = in.Discard(ctx, meta.Sequence.Stream)
			}
			if err != nil {
				return fmt.Errorf("cluster: accessing the dead letters: %w", err)
			}
		}
		if err := batch.Error(); err != nil {
			return fmt.Errorf("cluster: accessing the dead letters: %w", err)
		}
	}
	return nil
}

// Discard removes a dead letter.
func (in *Inspector) Discard(ctx context.Context, number uint64) error {
	stream, err := in.conn.JS.Stream(ctx, wire.DeadStream)
	if err == nil {
		err = stream.DeleteMsg(ctx, number)
	}
	if errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		if _, getErr := stream.GetMsg(ctx, number); errors.Is(getErr, jetstream.ErrMsgNotFound) {
			return fmt.Errorf("cluster: there is no dead letter %d", number)
		}
	}
	if err != nil {
		return fmt.Errorf("cluster: removing dead letter %d: %w", number, err)
	}
	return nil
}
