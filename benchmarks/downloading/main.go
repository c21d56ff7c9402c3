//go:build linux

// Command downloading compares "concert get" with curl, wget2 and aria2: it
// runs whole commands, which download the same files from an nginx on this
// machine. docs/performance.md has the results.
//
//	go run ./benchmarks/downloading                   all rows, in at most 10 minutes
//	go run ./benchmarks/downloading -only small,tls   two rows
//	go run ./benchmarks/downloading -scale 0.1        a tenth of the files or bytes
//	go run ./benchmarks/downloading -before OLD       also measure another build of concert
//
// A round runs each command once, in an order that rotates from round to round.
// Before each command, all earlier writes are on the disk. The ratios are
// medians of the ratios within a round, because the speed of a machine changes
// from minute to minute. The files of each command are compared with those of
// the server.
//
// It needs Debian's packages nginx-light, curl, wget2 and aria2, and 6 GB of
// space. It needs Linux.
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
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() (err error) {
	rounds := flag.Int("rounds", 0, "rounds of each row; 0 means the number of the row")
	only := flag.String("only", "", "names of rows, separated by commas")
	scale := flag.Float64("scale", 1, "factor for the number of small files and the size of large files")
	parent := flag.String("dir", "", "directory for temporary files (default: the directory of the system)")
	concert := flag.String("concert", "", "the concert to measure; the default is built from this source")
	before := flag.String("before", "", "another concert, to measure in the same rounds")
	flag.Parse()

	if err := available("nginx", "curl", "wget2", "aria2c"); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(*parent, "downloading-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if *concert == "" {
		if *concert, err = commands.Build(dir); err != nil {
			return err
		}
	}
	all := tools(*concert, *before)
	rows := rowsAt(*scale)
	if *only != "" {
		rows = slices.DeleteFunc(rows, func(r row) bool { return !slices.Contains(strings.Split(*only, ","), r.id) })
	}
	site, err := startSite(dir)
	if err != nil {
		return err
	}
	defer site.close()
	fmt.Printf("%s, %s/%s, %d processors\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	for _, t := range all {
		fmt.Printf("%s: %s\n", t.name, t.version())
	}
	for _, r := range rows {
		if *rounds > 0 {
			r.rounds = *rounds
		}
		if err := measure(site, all, r); err != nil {
			return fmt.Errorf("%s: %w", r.id, err)
		}
	}
	fmt.Println("\nWhat each tool checks:")
	for _, t := range all {
		fmt.Printf("- %s: %s\n", t.name, t.checks)
	}
	return nil
}
