package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

type job struct {
	N int `json:"n"`
}

func (job) Kind() string { return "nop" }

// newRiver returns a client of River, which runs up to workers jobs
// concurrently, and calls work for each job. synchronous is the setting
// synchronous_commit of PostgreSQL, on or off.
func newRiver(b *testing.B, synchronous string, workers int, work func()) *river.Client[pgx.Tx] {
	b.Helper()
	config, err := pgxpool.ParseConfig(start(b, "postgres", postgresPrograms(b), synchronous))
	if err != nil {
		b.Fatal(err)
	}
	config.MaxConns = submitters + 8 // no submitter waits for a connection
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		b.Fatal(err)
	}
	known := river.NewWorkers()
	river.AddWorker(known, river.WorkFunc(func(context.Context, *river.Job[job]) error {
		work()
		return nil
	}))
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		// The default is 100 ms, and in that time River fetches as many jobs as
		// there are workers. This is the minimum.
		FetchCooldown: river.FetchCooldownMin,
		// As in River's own benchmark. The poll is for jobs whose notification
		// is lost: of those that are inserted within a cooldown, only the first
		// one is notified.
		FetchPollInterval: 20 * time.Millisecond,
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}},
		Workers:           known,
		Logger:            slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := client.Start(ctx); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { client.Stop(ctx) })
	return client
}

// completed returns a channel with an event for each job whose completion is
// stored. The channel has room for n events. The job itself would report its
// end earlier, because up to 10,000 completed jobs may wait to be stored.
func completed(b *testing.B, c *river.Client[pgx.Tx], n int) <-chan *river.Event {
	b.Helper()
	events, cancel := c.SubscribeConfig(&river.SubscribeConfig{
		Kinds:    []river.EventKind{river.EventKindJobCompleted},
		ChanSize: n + 1, // events would be dropped if it were full
	})
	b.Cleanup(cancel)
	return events
}

func insert(c *river.Client[pgx.Tx], n int) {
	_, err := c.Insert(ctx, job{n}, nil)
	check(err)
}

// insertMany inserts n jobs in batches of a thousand with COPY, River's fastest
// way.
func insertMany(c *river.Client[pgx.Tx], n int) {
	for first := 0; first < n; first += 1000 {
		batch := make([]river.InsertManyParams, min(1000, n-first))
		for i := range batch {
			batch[i].Args = job{first + i}
		}
		_, err := c.InsertManyFast(ctx, batch)
		check(err)
	}
}

func BenchmarkRiver(b *testing.B) {
	for _, synchronous := range []string{"on", "off"} {
		commit := ", synchronous_commit " + synchronous
		outstanding := func(name string, workers, n int, insert func(c *river.Client[pgx.Tx], n int)) {
			b.Run(fmt.Sprint("outstanding/", name, ", workers ", workers, commit), func(b *testing.B) {
				client := newRiver(b, synchronous, workers, func() {})
				events := completed(b, client, n)
				timed(b, n, func(n int) {
					insert(client, n)
					for range n {
						<-events
					}
				})
			})
		}
		// Two slots, like concert's worker: River fetches as many jobs at a
		// time as it has workers, and fetching takes most of the time. With
		// more workers River does what it can. Its authors found a thousand
		// best for jobs that do nothing. These cases run more tasks, because
		// storing the end of the last tasks takes up to 250 ms, see below,
		// which should not count.
		outstanding("InsertManyFast", 2, *tasks/4, insertMany)
		for _, workers := range []int{100, 300, 1000} {
			outstanding("InsertManyFast", workers, *tasks*2, insertMany)
		}
		outstanding("Insert", 100, *tasks/2, func(c *river.Client[pgx.Tx], n int) {
			each(submitters, n, func(i int) { insert(c, i) })
		})

		// As with asynq, the job itself reports its end, in the same process
		// and before the end is stored, which favors River.
		b.Run("one at a time/worked"+commit, func(b *testing.B) {
			done := make(chan struct{})
			client := newRiver(b, synchronous, 2, func() { done <- struct{}{} })
			timed(b, *tasks/10, func(n int) {
				for i := range n {
					insert(client, i)
					<-done
				}
			})
		})
		// Like concert: until the end is stored. Below a hundred completions,
		// River stores them every 250 ms only; it is made for many.
		b.Run("one at a time/completed"+commit, func(b *testing.B) {
			client := newRiver(b, synchronous, 2, func() {})
			events := completed(b, client, 1)
			timed(b, max(1, *tasks/1000), func(n int) {
				for i := range n {
					insert(client, i)
					<-events
				}
			})
		})
	}
}
