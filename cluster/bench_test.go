package cluster_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert"
	"concert/cluster"
	"concert/cluster/internal/wire"
	"concert/cluster/server"
	"concert/goroutines"
)

// benched returns a client of a new cluster in this process. The cluster has a
// server, and a worker with two slots. If keyed is true, the cluster uses keys
// and TLS.
func benched(b *testing.B, keyed bool) (context.Context, *cluster.Executor) {
	b.Helper()
	var url string
	var client, work cluster.Access
	if keyed {
		k := newKeyring(b)
		client, work = k.access(server.Client, "client"), k.access(server.Worker, "worker")
		url = guarded(b, k).URL()
	} else {
		s, err := server.New(nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { s.Close() })
		client, work = cluster.Access{InProcess: s}, cluster.Access{InProcess: s}
	}
	ctx, stop := context.WithCancel(context.Background())
	pool := goroutines.New(2, nil)
	done := make(chan error)
	go func() { done <- cluster.Serve(ctx, url, pool, &cluster.ServeOptions{Access: work, Slots: 2}) }()
	b.Cleanup(func() {
		stop()
		<-done
		pool.Close()
	})
	ex, err := cluster.Dial(ctx, url, &cluster.Options{Access: client})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ex.Close() })
	concert.Submit(ctx, ex, square, 1).Result(ctx)
	return ctx, ex
}

func BenchmarkMap(b *testing.B) {
	b.Run("open", func(b *testing.B) { benchMap(b, false) })
	b.Run("keys", func(b *testing.B) { benchMap(b, true) })
}

func benchMap(b *testing.B, keyed bool) {
	ctx, ex := benched(b, keyed)
	b.ResetTimer()
	for _, err := range concert.Map(ctx, ex, square, upTo(b.N)) {
		if err != nil {
			b.Fatal(err)
		}
	}
}

var square = concert.Register("cluster_test.square", func(_ context.Context, n int) (int, error) { return n * n, nil })

// BenchmarkRoundTrip measures tasks that run sequentially.
func BenchmarkRoundTrip(b *testing.B) {
	b.Run("open", func(b *testing.B) { benchRoundTrip(b, false) })
	b.Run("keys", func(b *testing.B) { benchRoundTrip(b, true) })
}

func benchRoundTrip(b *testing.B, keyed bool) {
	ctx, ex := benched(b, keyed)
	for b.Loop() {
		if _, err := concert.Submit(ctx, ex, square, 1).Result(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBare does the same work as BenchmarkMap and BenchmarkRoundTrip,
// with the same streams, but without package cluster. It publishes a task,
// consumes it, and publishes its result. When the result is stored, it
// acknowledges the task. Then it consumes the result, and acknowledges it.
// It has no cancellation, no fairness and no contexts.
func BenchmarkBare(b *testing.B) {
	b.Run("map", func(b *testing.B) { bare(b, 1024) })
	b.Run("roundtrip", func(b *testing.B) { bare(b, 1) })
}

func bare(b *testing.B, window int) {
	s, err := server.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var unacked sync.Map // tasks that are not acknowledged yet, by the subject of the result
	worker := bareJetStream(b, s, func(m *nats.Msg) {
		if task, ok := unacked.LoadAndDelete(m.Subject); ok {
			task.(jetstream.Msg).Ack()
		}
	})
	client := bareJetStream(b, s, func(*nats.Msg) {})
	if err := wire.Setup(ctx, client, 1, time.Minute); err != nil {
		b.Fatal(err)
	}
	consume := func(js jetstream.JetStream, stream string, take func(jetstream.Msg)) {
		c, err := js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{Name: "bare", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: -1})
		if err != nil {
			b.Fatal(err)
		}
		going, err := c.Consume(take, jetstream.PullMaxMessages(2048))
		if err != nil {
			b.Fatal(err)
		}
		context.AfterFunc(ctx, going.Stop)
	}
	consume(worker, wire.TaskStream, func(m jetstream.Msg) {
		subject := "concert.result.anyone.session." + strings.TrimPrefix(m.Headers().Get(jetstream.MsgIDHeader), "task")
		unacked.Store(subject, m)
		worker.PublishMsgAsync(&nats.Msg{Subject: subject, Data: m.Data()})
	})
	places := make(chan struct{}, window)
	var left sync.WaitGroup
	left.Add(b.N)
	consume(client, wire.ResultStream, func(m jetstream.Msg) {
		m.Ack()
		<-places
		left.Done()
	})
	body := make([]byte, 200) // about the size of an envelope
	b.ResetTimer()
	for i := range b.N {
		places <- struct{}{}
		client.PublishMsgAsync(&nats.Msg{Subject: "concert.task.bare.anyone", Data: body, Header: nats.Header{jetstream.MsgIDHeader: {"task" + strconv.Itoa(i)}}})
	}
	left.Wait()
}

func bareJetStream(b *testing.B, s *server.Server, acked func(*nats.Msg)) jetstream.JetStream {
	b.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(1<<14),
		jetstream.WithPublishAsyncAckHandler(func(_ jetstream.JetStream, m *nats.Msg, _ *jetstream.PubAck) { acked(m) }))
	if err != nil {
		b.Fatal(err)
	}
	return js
}
