//go:build linux

package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"concert/benchmarks/commands"
)

// sample has the measurements of one run of a command, in seconds and MiB.
type sample struct {
	wall   float64
	synced float64 // the wall time until all files are on the disk
	cpu    float64 // user and system time
	memory float64 // the peak of the resident memory
}

// errSkipped reports that a tool cannot download a row.
var errSkipped = errors.New("skipped")

// runOnce runs a tool once, and compares its files with the files of the
// server. It removes large files. Small files stay until the end of all rows,
// because ext4 creates files slowly next to many files that were removed in
// the last minute.
func runOnce(s *site, t *tool, r row) (sample, error) {
	work, err := os.MkdirTemp(filepath.Dir(s.dir), "run-")
	if err != nil {
		return sample{}, err
	}
	if r.size >= mib {
		defer os.RemoveAll(work)
	}
	out := filepath.Join(work, "out")
	if err := os.Mkdir(out, 0o755); err != nil {
		return sample{}, err
	}
	cmd, err := t.command(s, r, work, out)
	if err != nil {
		return sample{}, err
	}
	if cmd == nil {
		return sample{}, errSkipped
	}
	dir, err := os.Open(out)
	if err != nil {
		return sample{}, err
	}
	defer dir.Close()
	if err := unix.Syncfs(int(dir.Fd())); err != nil {
		return sample{}, err
	}
	var output bytes.Buffer
	cmd.Stderr = &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begin := time.Now()
	err = cmd.Run()
	m := sample{wall: time.Since(begin).Seconds()}
	if err != nil {
		return m, fmt.Errorf("%s: %w\n%s", cmd, err, output.String())
	}
	if err := unix.Syncfs(int(dir.Fd())); err != nil {
		return m, err
	}
	m.synced = time.Since(begin).Seconds()
	state := cmd.ProcessState
	m.cpu = (state.UserTime() + state.SystemTime()).Seconds()
	if u, ok := state.SysUsage().(*syscall.Rusage); ok {
		m.memory = float64(u.Maxrss) / 1024
	}
	return m, s.check(r, out)
}

// measure runs all tools on a row, and prints its table.
func measure(s *site, all []*tool, r row) error {
	if err := s.create(r); err != nil {
		return err
	}
	if r.size >= mib {
		defer s.remove(r)
	}
	if err := warmUp(s, r); err != nil {
		return err
	}
	samples := make([][]sample, len(all))
	skipped := make([]bool, len(all))
	for round := range r.rounds {
		for n := range all {
			i := (round + n) % len(all)
			if skipped[i] {
				continue
			}
			m, err := runOnce(s, all[i], r)
			if errors.Is(err, errSkipped) {
				skipped[i] = true
				continue
			}
			if err != nil {
				return err
			}
			samples[i] = append(samples[i], m)
		}
	}
	printRow(all, samples, r)
	return nil
}

// warmUp reads the files of the server, so that they are in memory.
func warmUp(s *site, r row) error {
	return s.check(r, s.files)
}

// printRow prints the table of a row. A ratio is relative to the peer with the
// lowest median.
func printRow(all []*tool, samples [][]sample, r row) {
	fmt.Printf("\n%s; %d rounds\n\n| tool | wall, s | ratio | wall and sync, s | ratio | CPU, s | ratio | memory, MiB |\n|---|---|---|---|---|---|---|---|\n", r.about, r.rounds)
	measures := []func(sample) float64{
		func(m sample) float64 { return m.wall },
		func(m sample) float64 { return m.synced },
		func(m sample) float64 { return m.cpu },
	}
	best := make([][]float64, len(measures)) // for each measure, the values of the peer with the lowest median
	for k, of := range measures {
		var peers [][]float64
		for i, t := range all {
			if t.peer && len(samples[i]) > 0 {
				peers = append(peers, commands.Values(samples[i], of))
			}
		}
		if len(peers) > 0 {
			best[k] = slices.MinFunc(peers, func(a, b []float64) int { return cmp.Compare(commands.Median(a), commands.Median(b)) })
		}
	}
	for i, t := range all {
		if len(samples[i]) == 0 {
			fmt.Printf("| %s | cannot | | | | | | |\n", t.name)
			continue
		}
		fmt.Printf("| %s ", t.name)
		for k, of := range measures {
			v := commands.Values(samples[i], of)
			fmt.Printf("| %.3f | %.2f ", commands.Median(v), commands.Ratio(v, best[k]))
		}
		fmt.Printf("| %.0f |\n", slices.Max(commands.Values(samples[i], func(m sample) float64 { return m.memory })))
	}
}

// available returns an error if a program is missing.
func available(programs ...string) error {
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Errorf("%w; install Debian's packages nginx-light, curl, wget2 and aria2", err)
		}
	}
	return nil
}
