package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert"
	"concert/cluster/internal/jet"
	"concert/cluster/internal/members"
	"concert/cluster/internal/wire"
	"concert/executor"
)

// offline is an executor without a connection. The test acts as the servers and
// the workers: it decides when a call is published, runs, or has a result.
type offline struct {
	e    *Executor
	task *executor.Task // the task that was submitted last

	mu      sync.Mutex
	started int // guarded by mu: number of tasks that have started
}

const offlineContract = "contract"

var offlineEcho = concert.Register("cluster.test.offline", func(_ context.Context, n int) (int, error) { return n, nil })

func newOffline(t *testing.T) *offline {
	o := &offline{}
	e := &Executor{
		opts: Options{Grace: time.Minute}, client: wire.Anyone, session: "session", consumesKept: true, wake: make(chan struct{}, 1), allSettled: make(chan struct{}),
		queues: map[string]*funcQueue{}, calls: map[string]*call{}, subscribers: map[*executor.Task]*subscriber{}, claiming: map[*executor.Task]bool{},
		callNumbers: map[*executor.Task]string{}, encoding: map[*executor.Task]*funcQueue{}, inflight: map[string]int{}, retrying: map[string]int{}, members: members.NewView(jet.DefaultTimes(), func() {}),
		conn: jet.NewFake(),
	}
	e.conn.JS = &fakeStreams{link: e.conn}
	e.ctx, e.stop = context.WithCancel(t.Context())
	e.group = executor.NewRemoteGroup((*groupQueue)(e), executor.Limits{}, func(event concert.Event) {
		if event.Kind == concert.TaskStarted {
			o.mu.Lock()
			o.started++
			o.mu.Unlock()
		}
	})
	o.e = e
	return o
}

// fakeStreams acknowledges all publications at once, and stores no messages.
type fakeStreams struct {
	jetstream.JetStream
	link *jet.Conn
	mu   sync.Mutex
	sent []string // guarded by mu: the cancellations that were published
}

func (f *fakeStreams) PublishMsgAsync(msg *nats.Msg, _ ...jetstream.PublishOpt) (jetstream.PubAckFuture, error) {
	if strings.HasPrefix(msg.Subject, wire.CancelPrefix) {
		f.mu.Lock()
		f.sent = append(f.sent, string(msg.Data))
		f.mu.Unlock()
	}
	f.link.TakeNote(msg)
	return nil, nil
}

// canceledTries returns the tries for which cancellations were published.
func (f *fakeStreams) canceledTries() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var tries []string
	for _, body := range f.sent {
		_, try, _ := strings.Cut(body, ".")
		tries = append(tries, try)
	}
	return tries
}

func (o *offline) Execute(_ context.Context, t *executor.Task) error {
	o.e.group.Adopt(t)
	o.task = t
	return nil
}
func (*offline) Width() int                        { return 1 }
func (o *offline) Stats() concert.Stats            { return o.e.group.Stats() }
func (o *offline) Watch(w concert.Observer) func() { return o.e.group.Watch(w) }
func (*offline) Close() error                      { return nil }
func (*offline) Shutdown(context.Context) error    { return nil }

// submit submits a task, and makes the executor claim it.
func (o *offline) submit(ctx context.Context, n int) *concert.Future[int] {
	fut := concert.Submit(ctx, o, offlineEcho, n)
	e, t := o.e, o.task
	e.mu.Lock()
	q := e.queueLocked(t.Function())
	e.claiming[t] = false
	e.mu.Unlock()
	e.claim(q, t, offlineContract, 1)
	return fut
}

// calls returns the calls in the table, by number.
func (o *offline) calls() map[string]*call {
	o.e.mu.Lock()
	defer o.e.mu.Unlock()
	return maps.Clone(o.e.calls)
}

// result delivers the outcome that a worker has stored.
func (o *offline) result(out wire.Outcome) {
	o.e.onResult(&fakeResult{data: out.Encode()})
}

// fakeResult is a message of the stream of results.
type fakeResult struct {
	jetstream.Msg
	data []byte
}

func (f *fakeResult) Data() []byte    { return f.data }
func (f *fakeResult) Subject() string { return "" }
func (f *fakeResult) Ack() error      { return nil }

// modelSubscriber is a Submit in the model of TestSubscriber_Model.
type modelSubscriber struct {
	fut      *concert.Future[int]
	cancel   context.CancelFunc
	deadline time.Time // zero for none
	left     bool
	cause    string // why it was canceled
	want     string // the outcome, or "" while it waits
}

// modelCall is a call in the model.
type modelCall struct {
	subscribers []*modelSubscriber
	try         int
	published   bool
	canceled    bool
	lostAt      time.Time // when a canceled call times out
	deadline    time.Time // the deadline in the published message; zero for none
}

// outcome returns the name of the outcome of a Submit, or "" if it waits.
func (s *modelSubscriber) outcome() string {
	select {
	case <-s.fut.Done():
	default:
		return ""
	}
	n, err := s.fut.Result(context.Background())
	switch {
	case err == nil:
		return fmt.Sprint(n)
	case errors.Is(err, ErrLost):
		return "lost"
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	return err.Error()
}

// subscriberModel is a simple model of the Executor. It contains the call of
// each id, and the outcomes that the Submits must have.
type subscriberModel struct {
	calls map[string]*modelCall // by id
	all   []*modelSubscriber
	tries int
	gone  []string // the tries for which cancellations must be published
}

func (m *subscriberModel) submit(id string, s *modelSubscriber) {
	m.all = append(m.all, s)
	if c := m.calls[id]; c != nil && !c.canceled {
		c.subscribers = append(c.subscribers, s)
		return
	} else if c != nil {
		m.settle(c, func(s *modelSubscriber) string { return s.cause })
	}
	m.begin(id, []*modelSubscriber{s})
}

func (m *subscriberModel) begin(id string, subscribers []*modelSubscriber) {
	m.tries++
	m.calls[id] = &modelCall{subscribers: subscribers, try: m.tries}
}

func (m *subscriberModel) leave(id string, s *modelSubscriber) {
	c := m.calls[id]
	if s.left || s.want != "" {
		return
	}
	s.left, s.cause = true, "canceled"
	if !s.deadline.IsZero() && !time.Now().Before(s.deadline) {
		s.cause = "deadline"
	}
	switch {
	case len(c.subscribers) > 1:
		c.subscribers = slices.DeleteFunc(c.subscribers, func(o *modelSubscriber) bool { return o == s })
		s.want = s.cause
	case !c.published:
		s.want = s.cause
		delete(m.calls, id)
	default:
		c.canceled = true
		c.lostAt = time.Now().Add(time.Minute)
		m.gone = append(m.gone, strings.ToLower(fmt.Sprint(c.try)))
	}
}

func (m *subscriberModel) settle(c *modelCall, want func(s *modelSubscriber) string) {
	for _, s := range c.subscribers {
		s.want = want(s)
	}
}

func (m *subscriberModel) end(id string, want func(s *modelSubscriber) string) {
	m.settle(m.calls[id], want)
	delete(m.calls, id)
}

// TestSubscriber_Model: after each of many random events for the calls of two
// ids, the Executor must be in the same state as the model: the same Submits
// must have settled, with the same outcomes.
func TestSubscriber_Model(t *testing.T) {
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) { runSubscriberModel(t, seed) })
		if t.Failed() {
			return
		}
	}
}

func runSubscriberModel(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	o := newOffline(t)
	m := &subscriberModel{calls: map[string]*modelCall{}}
	ids := []string{"a", "b"}
	number := func(id string) string {
		return wire.Digest(fmt.Sprintf("%s\x00%d\x00%s", "cluster.test.offline", -1, id))
	}
	var log []string
	expire := func(until time.Time) { // does what happens until a time: contexts end, and canceled calls time out
		for {
			next, event := until, func() {}
			more := false
			for _, id := range ids {
				c := m.calls[id]
				if c == nil {
					continue
				}
				if c.canceled && !c.lostAt.After(next) {
					next, more, event = c.lostAt, true, func() { m.end(id, func(*modelSubscriber) string { return "lost" }) }
				}
				for _, s := range c.subscribers {
					if !s.left && !s.deadline.IsZero() && !s.deadline.After(next) {
						next, more, event = s.deadline, true, func() { m.leave(id, s) }
					}
				}
			}
			time.Sleep(time.Until(next))
			synctest.Wait()
			event()
			if !more {
				return
			}
		}
	}
	for step := range 60 {
		id := ids[rng.IntN(len(ids))]
		c, real := m.calls[id], o.calls()[number(id)]
		stale := wire.Outcome{ID: wire.TaskID{Client: wire.Anyone, Number: number(id)}, WorkerID: "w"}
		event := ""
		switch k := rng.IntN(11); {
		case k < 3 || c == nil:
			s := &modelSubscriber{}
			ctx := WithID(context.Background(), id)
			if d := rng.IntN(4); d > 0 {
				// No two deadlines are equal, so the order in which the
				// contexts end is known.
				s.deadline = time.Now().Add(time.Duration(d)*20*time.Second + time.Duration(step)*time.Millisecond)
				ctx, s.cancel = context.WithDeadline(ctx, s.deadline)
			} else {
				ctx, s.cancel = context.WithCancel(ctx)
			}
			event = "submit, deadline in " + time.Until(s.deadline).String()
			m.submit(id, s)
			s.fut = o.submit(ctx, step)
		case k < 5:
			s := c.subscribers[rng.IntN(len(c.subscribers))]
			event = fmt.Sprintf("cancel %d of %d", slices.Index(c.subscribers, s), len(c.subscribers))
			if rng.IntN(2) == 0 {
				s.cancel()
			} else {
				s.fut.Cancel()
			}
			synctest.Wait()
			m.leave(id, s)
		case k == 5:
			event = "found no result, and published"
			if !c.published {
				c.published = true
				c.deadline = c.subscribers[0].deadline
				o.e.resend(real)
			}
		case k == 6 && c.published:
			event = "starts, or is away"
			h := wire.Hint{Number: number(id), WorkerID: wire.NewWorkerID(wire.Anyone), Retrying: rng.IntN(3) == 0}
			o.e.onHint(wire.Anyone, h.Encode())
		case k == 7 && c.published:
			event = "has a result"
			out := stale
			out.Value = wire.Value{Encoded: executor.Encoded{}}
			encoded := valueOf(t, step)
			out.Value = wire.Value{Encoded: encoded}
			m.end(id, func(*modelSubscriber) string { return fmt.Sprint(step) })
			o.result(out)
		case k == 8 && c.published:
			event = "is stopped by its worker, whose clock may be ahead"
			out := stale
			out.Stopped, out.Try, out.Err = true, real.try, executor.EncodeError(context.DeadlineExceeded)
			if c.canceled {
				out.Err = executor.EncodeError(context.Canceled)
				m.end(id, func(s *modelSubscriber) string { return s.cause })
				o.result(out)
				break
			}
			if c.deadline.IsZero() {
				break
			}
			var more []*modelSubscriber
			expired := &modelCall{}
			for _, s := range c.subscribers {
				if s.deadline.IsZero() || s.deadline.UnixMilli() > c.deadline.UnixMilli() {
					more = append(more, s)
				} else {
					expired.subscribers = append(expired.subscribers, s)
				}
			}
			delete(m.calls, id)
			m.settle(expired, func(*modelSubscriber) string { return "deadline" })
			if len(more) > 0 {
				m.begin(id, more)
			}
			o.result(out)
		case k == 9:
			event = "a report of another try"
			out := stale
			out.Dropped, out.Try, out.Err = true, "other", executor.EncodeError(context.Canceled)
			o.result(out)
		default:
			d := time.Duration(rng.IntN(20)) * time.Second
			event = "wait " + d.String()
			expire(time.Now().Add(d))
		}
		synctest.Wait()
		log = append(log, fmt.Sprintf("%d: %s: %s", step, id, event))
		if bad := m.differs(o, number); bad != "" {
			t.Fatalf("seed %d: %s after:\n%s", seed, bad, strings.Join(log, "\n"))
		}
	}
	for _, id := range ids { // settle the remaining calls
		if c := m.calls[id]; c != nil {
			real := o.calls()[number(id)]
			o.e.failLost(real)
			m.end(id, func(*modelSubscriber) string { return "lost" })
		}
	}
	synctest.Wait()
	if bad := m.differs(o, number); bad != "" {
		t.Fatalf("seed %d: %s at the end of:\n%s", seed, bad, strings.Join(log, "\n"))
	}
	for _, s := range m.all {
		s.cancel()
	}
	o.e.stop()
	o.e.background.Wait()
}

// valueOf returns a value in the form in which a worker returns it.
func valueOf(t *testing.T, n int) executor.Encoded {
	_, v, err := executor.Prepare(offlineEcho, n)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// differs describes how the executor differs from the model, or returns "".
func (m *subscriberModel) differs(o *offline, number func(id string) string) string {
	for i, s := range m.all {
		if got := s.outcome(); got != s.want {
			return fmt.Sprintf("Submit %d has the outcome %q, want %q", i, got, s.want)
		}
	}
	e := o.e
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.calls) != len(m.calls) || e.inflight[offlineContract] != len(m.calls) {
		return fmt.Sprintf("there are %d calls, %d of them counted, want %d", len(e.calls), e.inflight[offlineContract], len(m.calls))
	}
	waiting := 0
	for id, c := range m.calls {
		real := e.calls[number(id)]
		waiting += len(c.subscribers)
		if real == nil || len(real.subscribers) != len(c.subscribers) || real.published != c.published || real.canceled != c.canceled {
			return fmt.Sprintf("call %s differs: %+v, want %+v", id, real, c)
		}
	}
	if e.unsettled != waiting || len(e.subscribers) != waiting {
		return fmt.Sprintf("%d subscribers and %d tasks are counted, want %d", e.unsettled, len(e.subscribers), waiting)
	}
	away := 0
	for _, c := range e.calls {
		if c.retrying {
			away++
		}
	}
	if e.retrying[offlineContract] != away {
		return fmt.Sprintf("%d calls are counted as waiting for another attempt, want %d", e.retrying[offlineContract], away)
	}
	if got := e.conn.JS.(*fakeStreams).canceledTries(); len(got) != len(m.gone) {
		return fmt.Sprintf("the canceled tries are %q, want %q", got, m.gone)
	}
	return ""
}

// TestSubscriber_JoinsEnding: if a Submit arrives while the subscribers of a
// call with its id settle, the Submit must not join this call. It must have a
// new call, which finds the kept result.
func TestSubscriber_JoinsEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffline(t)
		ctx := WithID(t.Context(), "a")
		first := o.submit(ctx, 1)
		var before *call
		for _, before = range o.calls() {
		}
		var second *concert.Future[int]
		o.e.settleEach(before, func(s *subscriber) {
			second = o.submit(ctx, 2)
			s.settle(-1, valueOf(t, 1), nil)
		})
		if n, err := first.Result(t.Context()); n != 1 || err != nil {
			t.Errorf("the first Submit has %d, %v", n, err)
		}
		calls := o.calls()
		if len(calls) != 1 {
			t.Fatalf("there are %d calls, want one of the second Submit", len(calls))
		}
		for _, after := range calls {
			if after == before || after.try == before.try {
				t.Error("the second Submit has joined the call that was ending")
			}
			o.e.settle(after, -1, valueOf(t, 1), nil)
		}
		if n, err := second.Result(t.Context()); n != 1 || err != nil {
			t.Errorf("the second Submit has %d, %v", n, err)
		}
		o.e.stop()
		o.e.background.Wait()
	})
}

// TestSubscriber_Start: if a subscriber joins while the call runs, the
// subscriber must start at once. If it joins between two attempts, it must
// start with the next attempt.
func TestSubscriber_Start(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffline(t)
		ctx := WithID(t.Context(), "a")
		started := func(want int) {
			t.Helper()
			synctest.Wait()
			o.mu.Lock()
			defer o.mu.Unlock()
			if o.started != want {
				t.Errorf("%d Submits have started, want %d", o.started, want)
			}
		}
		o.submit(ctx, 1)
		var c *call
		for _, c = range o.calls() {
		}
		o.submit(ctx, 2)
		o.e.resend(c)
		started(0)
		hint := func(away bool) {
			h := wire.Hint{Number: c.id.Number, WorkerID: wire.NewWorkerID(wire.Anyone), Retrying: away}
			o.e.onHint(wire.Anyone, h.Encode())
		}
		hint(false)
		started(2)
		o.submit(ctx, 3)
		started(3)
		hint(true)
		o.submit(ctx, 4)
		started(3)
		hint(false)
		started(4)
		o.e.failLost(c)
		o.e.stop()
		o.e.background.Wait()
	})
}

// TestSubscriber_Leave: if a subscriber is canceled, the old slice of
// subscribers must not change, because other goroutines may iterate over it.
func TestSubscriber_Leave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffline(t)
		ctx := WithID(t.Context(), "a")
		first := o.submit(ctx, 1)
		o.submit(ctx, 2)
		var c *call
		for _, c = range o.calls() {
		}
		seen := c.subscribers
		before := slices.Clone(seen)
		first.Cancel()
		synctest.Wait()
		if !slices.Equal(seen, before) || len(c.subscribers) != 1 || c.subscribers[0] != before[1] {
			t.Errorf("the old slice of subscribers %v has become %v, and the new slice is %v", before, seen, c.subscribers)
		}
		o.e.failLost(c)
		o.e.stop()
		o.e.background.Wait()
	})
}
