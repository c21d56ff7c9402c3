package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert/cluster/internal/jet"
	"concert/cluster/internal/wire"
)

// What a dead letter says beside the task.
const (
	reasonHeader = "Concert-Reason"
	workerHeader = "Concert-Worker"
)

const longestReason = 1000 // bytes

// oneLine is text as it may be in a header.
func oneLine(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r < ' ' }), " ")
	if len(text) > longestReason {
		text = strings.ToValidUTF8(text[:longestReason], "") + "..."
	}
	return text
}

// bury makes a dead letter of a message that is no task, or by a client that
// the authority does not know. It gives notice of the first one of each client.
func (w *worker) bury(msg *jet.Message, why error) {
	client := msg.Subject()[strings.LastIndexByte(msg.Subject(), '.')+1:]
	w.mu.Lock()
	known := w.refused.Has(client)
	w.refused.Add(client)
	w.mu.Unlock()
	if !known {
		w.opts.Notice(printable(fmt.Sprintf("refused a message of client %s and stored it as a dead letter; further refused messages of this client are not reported: %v", client, why)))
	}
	if w.letter(msg, "a message that is no task", why) {
		msg.Ack(jet.AckReject + " " + oneLine(why.Error()))
		return
	}
	msg.Redeliver(time.Second)
}

// giveUp makes a dead letter of a task, and tells its submitter the outcome. It
// does not wait for that.
func (w *worker) giveUp(d *delivery, why error, o wire.Outcome) {
	w.conn.Background.Go(func() {
		w.mu.Lock()
		msg := d.msg
		w.mu.Unlock()
		if !w.letter(msg, "a task of "+d.String(), why) {
			w.back(d)
			return
		}
		o.Dead = true
		w.publish(d, o)
	})
}

// letter publishes a dead letter, and reports whether it is stored. If it is
// not, letter gives a notice that names the message by what.
func (w *worker) letter(msg *jet.Message, what string, why error) bool {
	header := nats.Header{reasonHeader: {oneLine(why.Error())}, workerHeader: {w.id}}
	subject := wire.DeadSubject(msg.Subject(), w.conn.Owner())
	header.Set(jetstream.MsgIDHeader, fmt.Sprintf("dead.%d.%d", msg.Position().Sequence, msg.Position().Time))
	ctx, cancel := context.WithTimeout(w.life, jet.RequestTimeout)
	defer cancel()
	_, err := w.conn.JS.PublishMsg(ctx, &nats.Msg{Subject: subject, Data: msg.Data(), Header: header})
	if err != nil {
		w.opts.Notice(fmt.Sprintf("abandoned %s (%s), and could not store it as a dead letter: %v", what, oneLine(why.Error()), err))
	}
	return err == nil
}

// erred takes the outcome of a task whose function has returned an error, or
// was not called. If its submitter wants that, it runs once more later; if it
// has for the last time, it is a dead letter.
func (w *worker) erred(d *delivery, began bool, err error, o wire.Outcome) {
	if !began || d.Attempts <= 1 || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		w.publish(d, o)
		return
	}
	retry := retrying{attempts: d.Attempts, delay: time.Duration(d.Delay) * time.Millisecond, most: time.Duration(d.MaxDelay) * time.Millisecond}
	pause, again := retry.after(d.attempt, err)
	if again && (d.Deadline == 0 || time.Now().Add(pause).UnixMilli() < d.Deadline) {
		w.later(d, pause)
		return
	}
	w.giveUp(d, fmt.Errorf("failed %d times: %w", d.attempt, err), o)
}

// pause is a task that has failed, and is with the servers until it is tried
// again. There may be many, so what it holds is what one has to know to say
// that it is canceled: neither the argument nor the message.
type pause struct {
	task *delivery
	over *time.Timer
}

// later gives a task back to the servers, to be had again after a delay. If it
// is canceled in that time, this worker says so.
func (w *worker) later(d *delivery, delay time.Duration) {
	w.mu.Lock()
	msg, waiting := w.unhold(d)
	if w.unwanted(d) {
		delay = 0 // whoever gets it drops it
	} else {
		p := &pause{task: &delivery{Envelope: wire.Envelope{ID: d.ID, Session: d.Session, Try: d.Try}, key: d.key, in: d.in, try: d.try, left: msg.Receipt}}
		p.over = time.AfterFunc(delay, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.paused[p.task.try] == p {
				delete(w.paused, p.task.try)
			}
		})
		w.paused[d.try] = p
	}
	w.mu.Unlock()
	msg.Redeliver(delay)
	w.tell(d, wire.Hint{Retrying: true})
	w.said(waiting)
}
