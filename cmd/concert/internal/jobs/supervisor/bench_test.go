//go:build unix

package supervisor

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// benchVariable makes the test binary run benchJobs commands in one way.
	benchVariable = "CONCERT_TEST_BENCH"

	benchJobs    = 1000
	benchWorkers = 2
)

// bench is one turn of BenchmarkTrue. It runs in a separate process.
func bench() {
	path, err := exec.LookPath("true")
	if err != nil {
		panic(err)
	}
	switch os.Getenv(benchVariable) {
	case "":
		return
	case "Run":
		s, err := Start(nil)
		if err != nil {
			panic(err)
		}
		inWorkers(func() error {
			_, err := s.Run(context.Background(), Job{Args: []string{"true"}})
			return err
		})
		if err := s.Close(); err != nil {
			panic(err)
		}
	case "exec":
		inWorkers(func() error { return exec.Command(path).Run() })
	}
	os.Exit(0)
}

// inWorkers calls f benchJobs times, in benchWorkers goroutines.
func inWorkers(f func() error) {
	var wg sync.WaitGroup
	for range benchWorkers {
		wg.Go(func() {
			for range benchJobs / benchWorkers {
				if err := f(); err != nil {
					panic(err)
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkTrue runs the program true with Run, os/exec and xargs. The three
// ways take turns, so that other load of the machine affects all of them. The
// metrics are the time and the processor time of a command, also relative to
// xargs. The processor time includes the supervisor.
func BenchmarkTrue(b *testing.B) {
	path, err := exec.LookPath("true")
	if err != nil {
		b.Skip(err)
	}
	ways := []string{"Run", "exec", "xargs"}
	wall, cpu := map[string]time.Duration{}, map[string]time.Duration{}
	for b.Loop() {
		for _, way := range ways {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), benchVariable+"="+way)
			if way == "xargs" {
				cmd = exec.Command("xargs", fmt.Sprint("-P", benchWorkers), "-n1", path)
				cmd.Stdin = strings.NewReader(strings.Repeat("x\n", benchJobs))
			}
			start := time.Now()
			if err := cmd.Run(); err != nil {
				b.Fatal(way, err)
			}
			wall[way] += time.Since(start)
			cpu[way] += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		}
	}
	for _, way := range ways {
		b.ReportMetric(float64(wall[way].Microseconds())/float64(b.N*benchJobs), way+"-µs/job")
		b.ReportMetric(float64(cpu[way].Microseconds())/float64(b.N*benchJobs), way+"-cpu-µs/job")
		b.ReportMetric(float64(wall[way])/float64(wall["xargs"]), way+"/xargs")
		b.ReportMetric(float64(cpu[way])/float64(cpu["xargs"]), way+"-cpu/xargs")
	}
}
