package cluster

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"concert/cluster/internal/jet"
	"concert/cluster/internal/members"
	"concert/cluster/internal/wire"
)

// putContract announces the functions. Servers that ask for keys do it
// themselves, when the worker asks for its consumer.
func (w *worker) putContract(ctx context.Context) error {
	if w.conn.HasKey() {
		return nil
	}
	text, err := wire.Marshal(&w.offers)
	if err != nil {
		return err
	}
	if _, err := w.conn.JS.Publish(ctx, wire.BucketPrefix(wire.CapabilityBucket)+"."+w.contract, text); err != nil {
		return fmt.Errorf("cluster: announcing the functions: %w", err)
	}
	return nil
}

// advert says how the worker gets on.
func (w *worker) advert(ctx context.Context) error {
	host, _ := os.Hostname()
	w.mu.Lock()
	w.adverts++
	a := members.Heartbeat{
		Capabilities: w.contract, Host: host, Pid: os.Getpid(), Slots: w.opts.Places, Running: w.opts.Places - len(w.free),
		Finished: w.finished, Failed: w.failed, Since: w.since, Draining: w.draining, Number: w.adverts,
	}
	w.mu.Unlock()
	text, err := wire.Marshal(&a)
	if err != nil {
		return err
	}
	if _, err := w.conn.JS.Publish(ctx, w.advertSubject(), text); err != nil {
		return fmt.Errorf("cluster: announcing the worker: %w", err)
	}
	return nil
}

// advertSubject is where the worker's adverts go: directly into the bucket, or
// to servers that ask for keys, which store them there.
func (w *worker) advertSubject() string {
	if w.conn.HasKey() {
		return wire.HeartbeatSubject(w.id)
	}
	return wire.BucketPrefix(wire.WorkerBucket) + "." + w.id
}

// advertise says so every now and then, and once in a while what the functions
// are.
func (w *worker) advertise(life context.Context) {
	tick := time.NewTicker(jet.HeartbeatPeriod)
	defer tick.Stop()
	announced := time.Now()
	reconnected := w.conn.Reconnected.Wait()
	for {
		select {
		case <-tick.C:
		case <-reconnected:
			reconnected = w.conn.Reconnected.Wait()
			w.conn.Background.Go(func() { // it may take longer than workers may be silent
				if w.isForgotten() {
					w.registerAgain()
				}
			})
			continue
		case <-life.Done():
			return
		}
		soon, cancel := context.WithTimeout(life, jet.HeartbeatPeriod)
		w.advert(soon) // if it fails, those that follow it will notice
		cancel()
		if time.Since(announced) > announceBeats*jet.HeartbeatPeriod {
			announced = time.Now()
			w.conn.Background.Go(func() { w.announceAgain(life) })
		}
	}
}

// announceBeats is the number of heartbeats between two announcements of the
// functions: five minutes.
const announceBeats = 100

// announceAgain announces the functions again. The servers forget them after a
// day, or at once when the clock of the servers jumps forward by a day.
func (w *worker) announceAgain(life context.Context) {
	ctx, cancel := context.WithTimeout(life, jet.RequestTimeout)
	defer cancel()
	if w.putContract(ctx) == nil {
		w.makeConsumer(ctx)
	}
}

// depart says that the worker is not there any more; even if it never said that
// it was, as far as it knows: it may have.
func (w *worker) depart() {
	ctx, cancel := context.WithTimeout(context.Background(), jet.RequestTimeout)
	defer cancel()
	gone := &nats.Msg{Subject: w.advertSubject()}
	if !w.conn.HasKey() {
		gone.Header = wire.DeleteHeader()
	}
	if _, err := w.conn.JS.PublishMsg(ctx, gone); err != nil {
		w.opts.Notice("could not deregister: clients list this worker for another " + jet.WorkerTimeout.String() + ": " + err.Error())
	}
}
