package worker

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert/cluster/internal/jet"
	"concert/cluster/internal/wire"
)

const maxReasonBytes = 1000

// oneLine returns a text without control characters, for a header.
func oneLine(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r < ' ' }), " ")
	if len(text) > maxReasonBytes {
		text = strings.ToValidUTF8(text[:maxReasonBytes], "") + "..."
	}
	return text
}

// deadLetterMessage stores a message as a dead letter, because it is not a
// valid task, or because its client has no valid certificate. It calls
// Options.Notice for the first such message of each client.
func (w *worker) deadLetterMessage(msg *jet.Message, why error) {
	client := msg.Subject()[strings.LastIndexByte(msg.Subject(), '.')+1:]
	w.mu.Lock()
	known := w.refused.Has(client)
	w.refused.Add(client)
	w.mu.Unlock()
	if !known {
		w.opts.Notice(wire.Printable(fmt.Sprintf("refused a message of client %s and stored it as a dead letter; further refused messages of this client are not reported: %v", client, why)))
	}
	if w.publishDeadLetter(msg, "a message that is not a task", why) {
		msg.Ack(jet.AckReject + " " + oneLine(why.Error()))
		return
	}
	msg.Redeliver(time.Second)
}

// deadLetterTask stores a task as a dead letter, and then publishes its
// outcome. It does not block.
func (w *worker) deadLetterTask(d *heldTask, why error, o wire.Outcome) {
	w.conn.Background.Go(func() {
		w.mu.Lock()
		msg := d.msg
		w.mu.Unlock()
		if !w.publishDeadLetter(msg, "a task of "+d.String(), why) {
			w.release(d)
			return
		}
		o.Dead = true
		w.publishOutcome(d, o)
	})
}

// publishDeadLetter publishes a dead letter, and reports whether it is
// stored. If the dead letter could not be stored, publishDeadLetter calls
// Options.Notice. The parameter what is the description of the message in
// this notice.
func (w *worker) publishDeadLetter(msg *jet.Message, what string, why error) bool {
	header := nats.Header{wire.ReasonHeader: {oneLine(why.Error())}, wire.WorkerHeader: {w.id}}
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
