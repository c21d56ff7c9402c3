package worker

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

// publishSet publishes the capability set. Servers that require keys store the
// set themselves, when the worker requests its consumer.
func (w *worker) publishSet(ctx context.Context) error {
	if w.conn.HasKey() {
		return nil
	}
	text, err := wire.Marshal(&w.set)
	if err != nil {
		return err
	}
	if _, err := w.conn.JS.Publish(ctx, wire.BucketPrefix(wire.CapabilityBucket)+"."+w.setName, text); err != nil {
		return fmt.Errorf("cluster: publishing the functions: %w", err)
	}
	return nil
}

func (w *worker) sendHeartbeat(ctx context.Context) error {
	host, _ := os.Hostname()
	w.mu.Lock()
	w.heartbeats++
	a := members.Heartbeat{
		Capabilities: w.setName, Host: host, Pid: os.Getpid(), Slots: w.opts.Slots, Running: w.opts.Slots - len(w.free),
		Finished: w.finished, Failed: w.failed, Since: w.since, Draining: w.draining, Number: w.heartbeats,
	}
	w.mu.Unlock()
	text, err := wire.Marshal(&a)
	if err != nil {
		return err
	}
	if _, err := w.conn.JS.Publish(ctx, w.heartbeatSubject(), text); err != nil {
		return fmt.Errorf("cluster: publishing a heartbeat: %w", err)
	}
	return nil
}

// heartbeatSubject returns the subject of the worker's heartbeats. Without a
// key, it is a subject of WorkerBucket. With a key, the worker sends heartbeats
// to another subject, and the servers store them in the bucket.
func (w *worker) heartbeatSubject() string {
	if w.conn.HasKey() {
		return wire.HeartbeatSubject(w.id)
	}
	return wire.BucketPrefix(wire.WorkerBucket) + "." + w.id
}

// sendHeartbeats sends a heartbeat every HeartbeatPeriod, and publishes the
// capability set from time to time, until its context ends.
func (w *worker) sendHeartbeats(life context.Context) {
	tick := time.NewTicker(w.conn.Times.HeartbeatPeriod)
	defer tick.Stop()
	announced := time.Now()
	reconnected := w.conn.Reconnected.Wait()
	for {
		select {
		case <-tick.C:
		case <-reconnected:
			reconnected = w.conn.Reconnected.Wait()
			w.conn.Background.Go(func() { // on another goroutine, because it may take longer than WorkerTimeout
				if w.consumerMissing() {
					w.reregister()
				}
			})
			continue
		case <-life.Done():
			return
		}
		soon, cancel := context.WithTimeout(life, w.conn.Times.HeartbeatPeriod)
		w.sendHeartbeat(soon) // if it fails, clients notice the missing heartbeats
		cancel()
		w.evictIdle()
		if time.Since(announced) > setBeats*w.conn.Times.HeartbeatPeriod {
			announced = time.Now()
			w.conn.Background.Go(func() { w.republishSet(life) })
		}
	}
}

// setBeats is the number of heartbeats between two publications of the
// capability set, which are five minutes apart.
const setBeats = 100

// republishSet publishes the capability set again. The servers remove the set
// after a day, or at once if their clock jumps forward by a day.
func (w *worker) republishSet(life context.Context) {
	ctx, cancel := context.WithTimeout(life, jet.RequestTimeout)
	defer cancel()
	if w.publishSet(ctx) == nil {
		w.ensureConsumer(ctx)
	}
}

// deregister removes the worker from the servers. This is necessary even if
// register has failed, because the servers may have stored a heartbeat whose
// reply was lost.
func (w *worker) deregister() {
	ctx, cancel := context.WithTimeout(context.Background(), jet.RequestTimeout)
	defer cancel()
	gone := &nats.Msg{Subject: w.heartbeatSubject()}
	if !w.conn.HasKey() {
		gone.Header = wire.DeleteHeader()
	}
	if _, err := w.conn.JS.PublishMsg(ctx, gone); err != nil {
		w.opts.Notice("could not deregister: clients list this worker for another " + w.conn.Times.WorkerTimeout.String() + ": " + err.Error())
	}
}
