// Command submitfiles lists the files whose code runs during one Submit, from
// the call of Submit until Result returns. The number of these files should be
// small, so that a reader can follow a task:
//
//	go build -cover -covermode=atomic -coverpkg=concert/... -o /tmp/submitfiles ./submitfiles
//	/tmp/submitfiles
//
// For each executor, the command runs several Submits after a first one. It
// sets the coverage counters to zero before each of them, and reads the
// counters when Result has returned. A file is listed if its code ran in more
// than half of the Submits. So files for background activity, such as a
// heartbeat, are not listed. A file without statements, such as a file with
// types only, is never listed.
//
// Workers in other processes have their own counters. A task before the Submit
// sets these counters to zero, and a task after the Submit writes them to a
// file. The counters also contain the end of the first task and the beginning
// of the second task. This adds no files, because both run the same code as
// the Submit.
//
// With -funcs, the command also lists the functions.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/coverage"
	"slices"
	"strings"
	"time"

	"concert"
	"concert/cluster"
	"concert/cluster/server"
	"concert/goroutines"
	"concert/processes"
)

// runs is the number of Submits that are measured for each executor.
const runs = 9

var (
	square = concert.Register("submitfiles.square", func(_ context.Context, n int) (int, error) { return n * n, nil })
	reset  = concert.Register("submitfiles.reset", func(context.Context, int) (int, error) { return 0, coverage.ClearCounters() })
	dump   = concert.Register("submitfiles.dump", func(_ context.Context, dir string) (int, error) { return 0, write(dir) })
)

// write writes the counters of this process to a new directory.
func write(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := coverage.WriteCountersDir(dir); err != nil {
		return err
	}
	return coverage.WriteMetaDir(dir)
}

func main() {
	processes.Main()
	log.SetFlags(0)
	worker := flag.String("worker", "", "run a worker of the cluster at this `URL`")
	funcs := flag.Bool("funcs", false, "list the functions, too")
	flag.Parse()
	ctx := context.Background()
	if *worker != "" {
		pool := goroutines.New(1, nil)
		log.Fatal(cluster.Serve(ctx, *worker, pool, nil))
	}

	local := goroutines.New(1, nil)
	report(ctx, "goroutines", local, false, *funcs)

	remote, err := processes.New(1, &processes.Options{Output: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	report(ctx, "processes", remote, true, *funcs)
	remote.Close()

	s, err := server.New(&server.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-worker", s.URL())
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		log.Fatal(err)
	}
	far, err := cluster.Dial(ctx, s.URL(), nil)
	if err != nil {
		log.Fatal(err)
	}
	report(ctx, "cluster", far, true, *funcs)
	far.Close()
	cmd.Process.Kill()
	cmd.Wait()
	s.Close()
}

// report prints the files that a Submit to the executor runs in this process
// and, if remote is true, the files that it runs in the worker.
func report(ctx context.Context, name string, ex concert.Executor, remote, funcs bool) {
	dir, err := os.MkdirTemp("", "submitfiles")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	must(concert.Submit(ctx, ex, square, 1).Result(ctx))
	here, there := make([]string, runs), make([]string, runs)
	for i := range runs {
		here[i], there[i] = filepath.Join(dir, fmt.Sprint("here", i)), filepath.Join(dir, fmt.Sprint("there", i))
		if remote {
			must(concert.Submit(ctx, ex, reset, 0).Result(ctx))
			must(concert.Submit(ctx, ex, square, i).Result(ctx)) // an executor may check a function that differs from the last one, so the last one is square
		}
		time.Sleep(50 * time.Millisecond) // until the work after the last Result has ended
		if err := coverage.ClearCounters(); err != nil {
			log.Fatal(err)
		}
		_, failure := concert.Submit(ctx, ex, square, i).Result(ctx)
		if err := write(here[i]); err != nil {
			log.Fatal(err)
		}
		must(0, failure)
		if remote {
			must(concert.Submit(ctx, ex, dump, there[i]).Result(ctx))
		}
	}
	show(name+", this process", here, funcs)
	if remote {
		show(name+", worker", there, funcs)
	}
}

func must(_ int, err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// show prints the files whose code ran in more than half of the runs, with the
// number of statements that ran. Each directory has the counters of one run.
func show(title string, dirs []string, funcs bool) {
	count := make(map[string]int)      // for each file, the number of runs that ran its code
	statements := make(map[string]int) // for each file, the number of its statements that ran in a run
	names := make(map[string]int)      // for each function, the number of runs that ran it
	for _, dir := range dirs {
		for file, n := range covered(dir) {
			count[file]++
			statements[file] = max(statements[file], n)
		}
		if funcs {
			for _, f := range functions(dir) {
				names[f]++
			}
		}
	}
	var files []string
	for file, n := range count {
		if n > len(dirs)/2 && !strings.Contains(file, "/submitfiles/") {
			files = append(files, file)
		}
	}
	slices.Sort(files)
	fmt.Printf("%s: %d files\n", title, len(files))
	for _, file := range files {
		fmt.Printf("  %4d  %s\n", statements[file], file)
		for name, n := range names {
			if f, fn, _ := strings.Cut(name, " "); f == file && n > len(dirs)/2 {
				fmt.Println("            ", fn)
			}
		}
	}
}

// covered returns the number of statements that ran in each file.
func covered(dir string) map[string]int {
	out := filepath.Join(dir, "profile")
	if text, err := exec.Command("go", "tool", "covdata", "textfmt", "-i="+dir, "-o="+out).CombinedOutput(); err != nil {
		log.Fatalf("go tool covdata: %v: %s", err, text)
	}
	f, err := os.Open(out)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	n := make(map[string]int)
	lines := bufio.NewScanner(f)
	lines.Scan() // skip the mode
	for lines.Scan() {
		file, rest, _ := strings.Cut(lines.Text(), ":")
		var where string
		var statements, count int
		if _, err := fmt.Sscan(rest, &where, &statements, &count); err != nil {
			log.Fatal(err)
		}
		if count > 0 {
			n[file] += statements
		}
	}
	return n
}

// functions returns the functions that ran. Each element is the file, a space,
// and the function.
func functions(dir string) []string {
	out, err := exec.Command("go", "tool", "covdata", "func", "-i="+dir).Output()
	if err != nil {
		log.Fatal(err)
	}
	var list []string
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) == 3 && f[2] != "0.0%" {
			file, _, _ := strings.Cut(f[0], ":")
			list = append(list, file+" "+f[1])
		}
	}
	return list
}
