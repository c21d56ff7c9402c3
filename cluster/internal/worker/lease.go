package worker

import (
	"context"
	"time"

	"concert/cluster/internal/jet"
)

// renewLeases renews the leases of held tasks until its context ends.
func (w *worker) renewLeases(life context.Context) {
	tick := time.NewTicker(w.conn.Times.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-life.Done():
			return
		}
		w.mu.Lock()
		var msgs []*jet.Message
		for _, d := range w.held {
			if d.msg != nil && time.Since(d.received) >= w.conn.Times.Lease/6 {
				msgs = append(msgs, d.msg)
			}
			for _, o := range d.waiting {
				msgs = append(msgs, o.msg)
			}
		}
		w.mu.Unlock()
		for _, m := range msgs {
			m.Ack(jet.AckProgress)
		}
	}
}
