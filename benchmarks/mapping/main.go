//go:build linux

// Command mapping compares "concert map" with xargs, GNU parallel, parallel of
// moreutils, and a plain loop over os/exec. It starts each tool as a command,
// and all tools run the same jobs. docs/performance.md has the results.
//
//	go run ./benchmarks/mapping                     all rows, in about 10 minutes
//	go run ./benchmarks/mapping -only true,sleep    two rows
//	go run ./benchmarks/mapping -before OLD         also measure another build of concert
//
// A round runs each tool once, in an order that rotates from round to round.
// The ratios are medians of the ratios within a round, because the speed of a
// machine changes from minute to minute. If the jobs of a row print something,
// the output is compared with the expected output.
//
// It needs Debian's packages parallel, moreutils and findutils. It needs Linux.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"slices"
	"strings"

	"concert/benchmarks/commands"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) > 1 && os.Args[1] == plainFlag {
		if err := runPlain(os.Args[2:]); err != nil {
			log.Fatal(err)
		}
		return
	}
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	rounds := flag.Int("rounds", 0, "rounds of each row; 0 means the number of the row")
	only := flag.String("only", "", "names of rows, separated by commas")
	concert := flag.String("concert", "", "the concert to measure; the default is built from this source")
	before := flag.String("before", "", "another concert, to measure in the same rounds")
	flag.Parse()
	dir, err := os.MkdirTemp("", "mapping-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if *concert == "" {
		if *concert, err = commands.Build(dir); err != nil {
			return err
		}
	}
	all, err := tools(*concert, *before)
	if err != nil {
		return err
	}
	fmt.Printf("%s, %s/%s, %d processors\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	for _, t := range all {
		fmt.Printf("%s: %s\n", t.name, t.version)
	}
	for _, r := range rows {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), r.id) {
			continue
		}
		if *rounds > 0 {
			r.rounds = *rounds
		}
		if err := measure(dir, all, r); err != nil {
			return fmt.Errorf("%s: %w", r.id, err)
		}
	}
	return nil
}
