package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	changesAhead = 1 << 12 // that wait here
	batchSize    = 512     // messages of a snapshot that are asked for at a time
)

// reader gives take what a stream has now: link.snapshot or, if clients write to it, link.replay.
type reader func(ctx context.Context, stream, prefix string, take func(subject string, m *nats.Msg)) error

// follow gives take what a stream has under subjects that begin with a prefix, one message after the other: the rest of the
// subject, the content, and whether that says that it is gone. First come those that are there, until then it blocks; then, until life ends, each as it is
// published.
//
// Steps: 1. it subscribes to the subjects themselves, 2. reads what the stream has, 3. and then takes what has been published since 1. So of a subject the
// last one that take is given is the newest there is. It does 2 once more whenever a message may have been missed: after the connection was lost, or if
// there were too many. What is published may not be stored in the end, if servers are lost at that moment: it is for news that are repeated, or
// wishes. It takes nothing from the servers but that subscription.
func (l *link) follow(ctx, life context.Context, stream, prefix string, read reader, take func(key string, value []byte, gone bool)) error {
	changes := make(chan *nats.Msg, changesAhead)
	missed := l.missed.wait()
	sub, err := l.nc.ChanSubscribe(prefix+".>", changes)
	if err != nil {
		return fmt.Errorf("cluster: following %s: %w", stream, err)
	}
	give := func(subject string, m *nats.Msg) {
		op := m.Header.Get("KV-Operation")
		take(strings.TrimPrefix(subject, prefix+"."), m.Data, op == "PURGE" || op == "DEL")
	}
	if err := read(ctx, stream, prefix, give); err != nil {
		sub.Unsubscribe()
		return fmt.Errorf("cluster: reading %s: %w", stream, err)
	}
	l.background.Go(func() {
		defer sub.Unsubscribe()
		for {
			select {
			case m := <-changes:
				give(m.Subject, m)
			case <-missed:
				missed = l.missed.wait()
				if read(life, stream, prefix, give) != nil {
					time.AfterFunc(time.Second, l.missed.fire)
				}
			case <-life.Done():
				return
			}
		}
	})
	return nil
}

// snapshot gives take what a stream has now. It takes headers for the servers' word, so it is for what workers and servers have written.
func (l *link) snapshot(ctx context.Context, stream, prefix string, take func(subject string, m *nats.Msg)) error {
	for next, more := uint64(1), true; more; {
		err := l.patiently(ctx, func(ctx context.Context) error {
			last, pending, err := l.batch(ctx, stream, prefix, next, take)
			if err == nil && pending && last < next {
				err = errors.New("the servers say that there is more, and give nothing")
			}
			if err == nil {
				next, more = last+1, pending
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// batch reads some messages of a stream, from a number on, and returns the number of the last one, and whether there are more: it is the servers that
// decide how many they give at a time. See ADR-31 of NATS: "JetStream direct get".
func (l *link) batch(ctx context.Context, stream, prefix string, from uint64, take func(subject string, m *nats.Msg)) (last uint64, more bool, err error) {
	inbox := l.nc.NewInbox()
	sub, err := l.nc.SubscribeSync(inbox)
	if err != nil {
		return 0, false, err
	}
	defer sub.Unsubscribe()
	body, err := json.Marshal(map[string]any{"seq": from, "batch": batchSize, "next_by_subj": prefix + ".>"})
	if err != nil {
		return 0, false, err
	}
	if err := l.nc.PublishRequest(l.api+"DIRECT.GET."+stream, inbox, body); err != nil {
		return 0, false, err
	}
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return 0, false, err
		}
		switch status := m.Header.Get("Status"); status {
		case "":
			last, err = strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
			if err != nil {
				return 0, false, fmt.Errorf("a message without a number: %w", err)
			}
			take(m.Header.Get(jetstream.SubjectHeader), m)
		case "204": // the end of what it gives
			pending := m.Header.Get("Nats-Num-Pending")
			return last, pending != "" && pending != "0", nil
		case "404": // there is nothing
			return last, false, nil
		case "503":
			return 0, false, nats.ErrNoResponders
		default:
			return 0, false, fmt.Errorf("%s %s", status, m.Header.Get("Description"))
		}
	}
}
