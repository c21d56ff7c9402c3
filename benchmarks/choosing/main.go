// Command choosing checks the verdicts of package choose. It measures each
// workload under every model at every level, without package choose. Then it
// runs package choose repeatedly, also while another program computes, and
// compares the recommended points to the best point.
//
//	go run ./benchmarks/choosing -only cpu,wait -runs 3 -budget 10s
//	go run ./benchmarks/choosing -load 0.5 -bursts    next to a program that computes
//	go run ./benchmarks/choosing -table results.json  all loads, two budgets, about three hours
//	go run ./benchmarks/choosing -adaptive            package adaptive instead, four minutes
//
// With -table, each result is appended to the file. If the command is
// interrupted, the same command line continues. At the end it prints the tables
// of docs/choose.md. With more -runs than before, it adds runs.
//
// With -adaptive it compares the adaptive limit to the best fixed limit, on
// HTTP servers that handle some number of requests concurrently.
//
// Nothing else should run on the machine.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"concert/processes"
)

func main() {
	processes.Main()
	log.SetFlags(0)
	runs := flag.Int("runs", 5, "how often to run choose, for each workload, load and budget")
	budget := flag.Duration("budget", 20*time.Second, "time limit of each run of choose")
	only := flag.String("only", "", "names of workloads, separated by commas")
	highest := flag.Int("max", 64, "highest concurrency")
	load := flag.Float64("load", 0, "while choose measures, run a program that uses this share of one processor, 0 to 1")
	bursts := flag.Bool("bursts", false, "the program of -load computes in bursts of up to 0.7 s, and not steadily")
	length := flag.Duration("length", 600*time.Millisecond, "how long to measure a point")
	table := flag.String("table", "", "measure with all loads, with -budget and with 5 s, and keep the results in this `file`")
	tuning := flag.Bool("adaptive", false, "compare the adaptive limit to fixed limits, and do not run choose")
	compute := flag.Bool("compute", false, "run as the program that -load starts")
	flag.Parse()
	if *load < 0 || *load > 1 {
		log.Fatal("-load takes a number from 0 to 1")
	}
	other := neighbor{*load, *bursts}
	if *compute {
		other.run()
		return
	}
	if *tuning {
		if err := compareAdaptive(context.Background(), *highest, *length, other); err != nil {
			log.Fatal(err)
		}
		return
	}
	scenarios := []scenario{{*budget, *load, *bursts}}
	if *table != "" {
		scenarios = allScenarios(5*time.Second, *budget)
		flag.Visit(func(f *flag.Flag) {
			if f.Name == "load" || f.Name == "bursts" {
				scenarios = slices.DeleteFunc(scenarios, func(c scenario) bool { return c.Load != *load || c.Bursts != *bursts })
			}
		})
		if len(scenarios) == 0 {
			log.Fatal("-table has the loads 0, 0.25, 0.5 and 1, and -bursts only with 0.25 and 0.5")
		}
	}
	all, done, err := workloads()
	if err != nil {
		log.Fatal(err)
	}
	if *only != "" {
		if all, err = named(all, strings.Split(*only, ",")); err != nil {
			done()
			log.Fatal(err)
		}
	}
	s := study{workloads: all, highest: *highest, length: *length, runs: *runs, scenarios: scenarios}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = s.open(*table)
	if err == nil {
		err = s.measure(ctx)
	}
	stop()
	done()
	if err != nil {
		log.Fatal(err)
	}
	s.print(os.Stdout, os.Stderr)
}

// named returns the workloads with the given names.
func named(all []*workload, ids []string) (some []*workload, err error) {
	for _, id := range ids {
		i := slices.IndexFunc(all, func(w *workload) bool { return w.id == id })
		if i < 0 {
			return nil, fmt.Errorf("-only: there is no workload %q", id)
		}
		some = append(some, all[i])
	}
	return some, nil
}
