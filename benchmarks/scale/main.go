// Command scale starts a cluster with one or three servers and many light
// workers, and measures the processor time of each part. Each server is a
// process on this machine. docs/scale.md has the results.
//
//	go run ./benchmarks/scale                                          three servers, 300 workers
//	go run ./benchmarks/scale -servers 1 -workers 1000 -clients 10
//	go run ./benchmarks/scale -workers 300 -nap 100ms -tasks 30000     tasks that wait
//
// All workers are in one process, and each worker has its own connection. All
// clients are in the process of the benchmark. All processes share the
// processors of this machine. So the important result of this command is the
// processor time that each server needs for a task and for a worker. It needs
// Linux.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"concert"
	"concert/cluster"
)

type settings struct {
	servers, workers, slots, clients, tasks, trips int
	nap, idle                                      time.Duration
	keys, sync                                     bool
}

func main() {
	log.SetFlags(0)
	if role := os.Getenv(roleVariable); role != "" {
		if err := roles[role](); err != nil {
			log.Fatalf("%s: %v", role, err)
		}
		return
	}
	var s settings
	flag.IntVar(&s.servers, "servers", 3, "how many servers: 1 or 3")
	flag.IntVar(&s.workers, "workers", 300, "how many workers")
	flag.IntVar(&s.slots, "slots", 1, "how many tasks each worker runs at a time")
	flag.IntVar(&s.clients, "clients", 1, "how many clients")
	flag.IntVar(&s.tasks, "tasks", 30_000, "how many tasks all clients together submit")
	flag.IntVar(&s.trips, "trips", 300, "how many tasks one client then submits, one at a time")
	flag.DurationVar(&s.nap, "nap", 0, "how long a task waits")
	flag.DurationVar(&s.idle, "idle", 10*time.Second, "how long to measure the processes while there are no tasks")
	flag.BoolVar(&s.keys, "keys", true, "with keys and TLS")
	flag.BoolVar(&s.sync, "sync", false, "servers write each message to the disk before they acknowledge it")
	flag.Parse()
	if err := s.run(); err != nil {
		log.Fatal(err)
	}
}

// nap is the function of the tasks: it waits for the given number of
// nanoseconds.
var nap = concert.Register("scale.nap", func(ctx context.Context, ns int64) (int64, error) {
	if ns == 0 {
		return 0, nil
	}
	select {
	case <-time.After(time.Duration(ns)):
		return ns, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
})

func (s *settings) run() (err error) {
	if s.servers != 1 && s.servers != 3 {
		return fmt.Errorf("%d servers: want 1 or 3", s.servers)
	}
	site, err := newSite(s)
	if err != nil {
		return err
	}
	defer site.close()
	fmt.Printf("%s, %s/%s, %d processors; %d servers, %d workers with %d slots, %d clients; keys and TLS: %v; sync: %v\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), s.servers, s.workers, s.slots, s.clients, s.keys, s.sync)
	ctx := context.Background()

	begin := time.Now()
	if err := site.startWorkers(s); err != nil {
		return err
	}
	fmt.Printf("all workers are listed after %v\n", time.Since(begin).Round(time.Millisecond))
	clients := make([]*cluster.Executor, s.clients)
	for i := range clients {
		if clients[i], err = cluster.Dial(ctx, site.url, &cluster.Options{Access: site.client, Client: fmt.Sprint("client", i)}); err != nil {
			return err
		}
		defer clients[i].Close()
	}
	if err := s.work(ctx, clients, s.workers*s.slots); err != nil { // so that the clients know how long a task runs
		return err
	}

	before := site.usage()
	time.Sleep(s.idle)
	site.report(fmt.Sprintf("\nno tasks, for %v", s.idle), before, s.idle, 0)

	before, begin = site.usage(), time.Now()
	if err := s.work(ctx, clients, s.tasks); err != nil {
		return err
	}
	took := time.Since(begin)
	ideal := time.Duration(s.tasks) * s.nap / time.Duration(s.workers*s.slots)
	site.report(fmt.Sprintf("\n%d tasks of %v in %v, %.0f per second; ideal duration %v", s.tasks, s.nap, took.Round(time.Millisecond), float64(s.tasks)/took.Seconds(), ideal), before, took, s.tasks)

	var trips []time.Duration
	for range s.trips {
		begin := time.Now()
		if _, err := concert.Submit(ctx, clients[0], nap, 0).Result(ctx); err != nil {
			return err
		}
		trips = append(trips, time.Since(begin))
	}
	if slices.Sort(trips); len(trips) > 0 {
		fmt.Printf("\none at a time: median %v, 99th percentile %v\n", trips[len(trips)/2].Round(time.Microsecond), trips[len(trips)*99/100].Round(time.Microsecond))
	}
	return nil
}

// work makes the clients submit tasks, and waits until all tasks have ended.
// The parameter tasks is the total number of tasks.
func (s *settings) work(ctx context.Context, clients []*cluster.Executor, tasks int) error {
	errs := make([]error, len(clients))
	var all sync.WaitGroup
	for i, ex := range clients {
		all.Go(func() {
			for _, err := range concert.MapUnordered(ctx, ex, nap, func(yield func(int64) bool) {
				for n := i; n < tasks; n += len(clients) {
					if !yield(int64(s.nap)) {
						return
					}
				}
			}) {
				if err != nil {
					errs[i] = err
					return
				}
			}
		})
	}
	all.Wait()
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("client %d: %w", i, err)
		}
	}
	return nil
}

// report prints the resources that each process has used since the measurement
// in the parameter before. It also prints them per task, unless the parameter
// tasks is 0.
func (s *site) report(title string, before map[string]usage, took time.Duration, tasks int) {
	fmt.Println(title)
	now := s.usage()
	fmt.Println("\n| process | of one processor | us per task | memory, MiB | tasks stream | results stream |")
	fmt.Println("|---|---|---|---|---|---|")
	leaders := s.leaders()
	for _, name := range append(slices.Clone(s.names), clients) {
		cpu := now[name].cpu - before[name].cpu
		each := ""
		if tasks > 0 {
			each = fmt.Sprintf("%.1f", float64(cpu.Microseconds())/float64(tasks))
		}
		var leads [2]string
		for i, l := range leaders {
			if strings.HasPrefix(name, "server") && l == name {
				leads[i] = "leads"
			}
		}
		fmt.Printf("| %s | %.1f%% | %s | %.0f | %s | %s |\n", name, 100*cpu.Seconds()/took.Seconds(), each, float64(now[name].memory)/(1<<20), leads[0], leads[1])
	}
}
