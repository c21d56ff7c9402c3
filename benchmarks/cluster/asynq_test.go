package cluster

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
)

// newAsynq returns a client of asynq and starts a number of servers, which is
// asynq's word for workers. The parameter concurrency is the maximum number of
// tasks that a server runs at a time. For each task, the server calls the
// function handle. A server polls its queue. If the queue is empty, the server
// sleeps. The parameter interval is the mean time of this sleep.
//
// No results are returned. A handler could store a result with its task, and
// the submitter would have to poll for the result by the id of the task. That
// would be another write and some reads for each task, and is not measured
// here. Instead, the handler reports the end of the task to the submitter. This
// favors asynq, because the handler and the submitter are in the same process,
// and because the end of the task is not stored yet.
func newAsynq(b *testing.B, servers, concurrency int, interval time.Duration, handle func()) *asynq.Client {
	b.Helper()
	redis := asynq.RedisClientOpt{Addr: start(b, "redis", redisServer(b))}
	for range servers {
		worker := asynq.NewServer(redis, asynq.Config{Concurrency: concurrency, TaskCheckInterval: interval, LogLevel: asynq.FatalLevel})
		err := worker.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
			handle()
			return nil
		}))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(worker.Shutdown)
	}
	client := asynq.NewClient(redis)
	b.Cleanup(func() { client.Close() })
	return client
}

func enqueue(c *asynq.Client, n int) {
	_, err := c.EnqueueContext(ctx, asynq.NewTask("nop", []byte(strconv.Itoa(n))))
	check(err)
}

func BenchmarkAsynq(b *testing.B) {
	// concert's worker has two slots. asynq is also measured with 20 slots,
	// because a task still occupies its slot while its end is stored. One
	// goroutine of a server fetches all tasks of the server from Redis, one
	// after the other. So asynq gets faster with more servers, but not with
	// more slots.
	for _, c := range []struct{ servers, concurrency int }{{1, 2}, {1, 20}, {4, 20}} {
		b.Run(fmt.Sprint("outstanding/servers ", c.servers, ", concurrency ", c.concurrency), func(b *testing.B) {
			var left sync.WaitGroup
			client := newAsynq(b, c.servers, c.concurrency, time.Millisecond, left.Done)
			timed(b, *tasks, func(n int) {
				left.Add(n)
				each(submitters, n, func(i int) { enqueue(client, i) })
				left.Wait()
			})
		})
	}
	// If there is one task at a time, the result depends on the interval. The
	// default of asynq is a second. If the interval is shorter, servers poll an
	// empty queue more often.
	for _, interval := range []time.Duration{time.Second, time.Millisecond} {
		b.Run(fmt.Sprint("one at a time/interval ", interval), func(b *testing.B) {
			n := *tasks / 10
			if interval == time.Second {
				n = max(1, *tasks/2000)
			}
			done := make(chan struct{})
			client := newAsynq(b, 1, 2, interval, func() { done <- struct{}{} })
			timed(b, n, func(n int) {
				for i := range n {
					enqueue(client, i)
					<-done
				}
			})
		})
	}
}
