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

// newRiver returns a client of River that calls the function work for each job.
// The parameter workers is the maximum number of jobs that the client runs at a
// time. The parameter synchronous, on or off, is the value of PostgreSQL's
// setting synchronous_commit.
func newRiver(b *testing.B, synchronous string, workers int, work func()) *river.Client[pgx.Tx] {
	b.Helper()
	config, err := pgxpool.ParseConfig(start(b, "postgres", postgresPrograms(b), synchronous))
	if err != nil {
		b.Fatal(err)
	}
	config.MaxConns = submitters + 8 // so no submitter waits for a connection
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
		// The minimum time between two fetches. River fetches at most as many
		// jobs at a time as there are workers. The default is 100 ms. River
		// permits no time shorter than FetchCooldownMin.
		FetchCooldown: river.FetchCooldownMin,
		// River's own benchmark uses this value. Polling finds jobs without a
		// notification: if several jobs are inserted within a cooldown, River
		// gets a notification of the first job alone.
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
// stored. The channel has room for n events. A report by the job itself would
// be too early, because up to 10,000 completed jobs may wait to be stored.
func completed(b *testing.B, c *river.Client[pgx.Tx], n int) <-chan *river.Event {
	b.Helper()
	events, cancel := c.SubscribeConfig(&river.SubscribeConfig{
		Kinds:    []river.EventKind{river.EventKindJobCompleted},
		ChanSize: n + 1, // River drops events while the channel is full
	})
	b.Cleanup(cancel)
	return events
}

func insert(c *river.Client[pgx.Tx], n int) {
	_, err := c.Insert(ctx, job{n}, nil)
	check(err)
}

// insertMany inserts n jobs with COPY, in batches of a thousand. This is the
// fastest way that River has.
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
		// concert's worker has two slots, so River is measured with two
		// workers first. River fetches as many jobs at a time as it has
		// workers, and fetching takes most of the time. So River is faster
		// with more workers. Its authors found that a thousand workers are
		// best for jobs that do nothing. River takes up to 250 ms to store the
		// end of the last tasks (see below). So the cases with more workers
		// run more tasks, for which this time hardly counts.
		outstanding("InsertManyFast", 2, *tasks/4, insertMany)
		for _, workers := range []int{100, 300, 1000} {
			outstanding("InsertManyFast", workers, *tasks*2, insertMany)
		}
		outstanding("Insert", 100, *tasks/2, func(c *river.Client[pgx.Tx], n int) {
			each(submitters, n, func(i int) { insert(c, i) })
		})

		// As with asynq, the job itself reports its end. This favors River,
		// because the submitter is in the same process, and because the end is
		// not stored yet.
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
		// As with concert, the measured time includes storing the end of the
		// task. While fewer than a hundred completions wait, River stores them
		// only every 250 ms, because it is made for many jobs.
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
