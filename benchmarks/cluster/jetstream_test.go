package cluster

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// bare does only the necessary steps of a task: publish the task, consume it,
// publish its result, acknowledge the task when the result is stored, consume
// the result, and acknowledge the result. Concert does the same steps and more
// work. So bare shows the lower limit of the time. There are no cancellations,
// no fairness, no contexts, no codec and no pool: the worker publishes the
// result in the callback that receives the task.
type bare struct {
	client jetstream.JetStream
	places chan struct{} // has an element for each outstanding task; its capacity is the maximum number of outstanding tasks
	left   sync.WaitGroup
	last   int // the number of the newest task; all numbers are different, because the servers drop duplicates
}

const (
	taskStream   = "BARE_TASKS"
	resultStream = "BARE_RESULTS"
)

func newBare(b *testing.B, outstanding int) *bare {
	b.Helper()
	url := start(b, "server")
	life, stop := context.WithCancel(ctx)
	b.Cleanup(stop)
	var unacked sync.Map // tasks that the worker has not acknowledged, by the subject of the result
	worker := connect(b, url, func(m *nats.Msg) {
		if task, ok := unacked.LoadAndDelete(m.Subject); ok {
			task.(jetstream.Msg).Ack() // the benchmark does not wait for this call, so the call may run after the end of the benchmark
		}
	})
	p := &bare{client: connect(b, url, func(*nats.Msg) {}), places: make(chan struct{}, outstanding)}

	// Streams and consumers have the same settings as the ones of concert.
	for _, c := range []jetstream.StreamConfig{
		{Name: taskStream, Subjects: []string{"bare.task.*.*"}, MaxMsgsPerSubject: 4096},
		{Name: resultStream, Subjects: []string{"bare.result.*.*.*"}, MaxMsgsPerSubject: 1, MaxAge: 2 * time.Hour},
	} {
		c.Storage, c.Retention, c.Duplicates, c.MaxMsgSize = jetstream.FileStorage, jetstream.WorkQueuePolicy, 30*time.Second, 1<<20
		c.Discard, c.DiscardNewPerSubject = jetstream.DiscardNew, true
		if _, err := p.client.CreateStream(ctx, c); err != nil {
			b.Fatal(err)
		}
	}
	consume := func(js jetstream.JetStream, stream string, c jetstream.ConsumerConfig, take func(jetstream.Msg)) {
		c.Durable, c.AckPolicy, c.MaxAckPending = "bare", jetstream.AckExplicitPolicy, -1
		consumer, err := js.CreateConsumer(ctx, stream, c)
		if err != nil {
			b.Fatal(err)
		}
		consuming, err := consumer.Consume(take, jetstream.PullMaxMessages(2048))
		if err != nil {
			b.Fatal(err)
		}
		context.AfterFunc(life, consuming.Stop)
	}
	tasks := jetstream.ConsumerConfig{FilterSubject: "bare.task.contract.*", AckWait: 30 * time.Second, MaxDeliver: -1, MaxWaiting: 1 << 13}
	consume(worker, taskStream, tasks, func(m jetstream.Msg) {
		subject := "bare.result.anyone.session." + strings.TrimPrefix(m.Headers().Get(jetstream.MsgIDHeader), "task")
		unacked.Store(subject, m)
		_, err := worker.PublishMsgAsync(&nats.Msg{Subject: subject, Data: m.Data()})
		check(err)
	})
	results := jetstream.ConsumerConfig{FilterSubject: "bare.result.anyone.session.*", AckWait: 5 * time.Second}
	consume(p.client, resultStream, results, func(m jetstream.Msg) {
		check(m.Ack())
		<-p.places
		p.left.Done()
	})
	return p
}

// run runs n tasks.
func (p *bare) run(n int) {
	body := make([]byte, 200) // about the size of concert's messages
	p.left.Add(n)
	for range n {
		p.places <- struct{}{}
		p.last++
		id := "task" + strconv.Itoa(p.last)
		_, err := p.client.PublishMsgAsync(&nats.Msg{Subject: "bare.task.contract.anyone", Data: body, Header: nats.Header{jetstream.MsgIDHeader: {id}}})
		check(err)
	}
	p.left.Wait()
}

// connect connects to the server. For each message that the server has stored,
// it calls the function in the parameter stored.
func connect(b *testing.B, url string, stored func(*nats.Msg)) jetstream.JetStream {
	b.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(1<<14),
		jetstream.WithPublishAsyncAckHandler(func(_ jetstream.JetStream, m *nats.Msg, _ *jetstream.PubAck) { stored(m) }),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, err error) { check(err) }))
	if err != nil {
		b.Fatal(err)
	}
	return js
}

func BenchmarkJetStream(b *testing.B) {
	b.Run("outstanding", func(b *testing.B) { timed(b, *tasks, newBare(b, 1024).run) })
	b.Run("one at a time", func(b *testing.B) { timed(b, *tasks/10, newBare(b, 1).run) })
}
