//go:build linux

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"concert/benchmarks/commands"
)

// sample has the measurements of one run of a tool.
type sample struct {
	wall   float64 // in seconds
	cpu    float64 // user and system time of the tool and its jobs, in seconds
	memory memory  // the memory of the processes of the tool, without its jobs
}

// measure runs all tools on the jobs of a row, and prints a table with a line
// for each tool.
func measure(dir string, all []*tool, r row) error {
	list := filepath.Join(dir, r.id)
	if err := os.WriteFile(list, r.list(), 0o600); err != nil {
		return err
	}
	samples := make([][]sample, len(all))
	for round := range r.rounds {
		for n := range all {
			i := (round + n) % len(all)
			cmd := all[i].command(r)
			if cmd == nil {
				continue
			}
			m, err := runOnce(cmd, list, r, all[i].ordered)
			if err != nil {
				return fmt.Errorf("%s: %w", all[i].name, err)
			}
			samples[i] = append(samples[i], m)
		}
	}
	printRow(all, samples, r)
	return nil
}

// runOnce runs a tool once, and checks its output. If the row has a time
// limit, runOnce ends the tool when this time has passed.
func runOnce(cmd *exec.Cmd, list string, r row, ordered bool) (m sample, err error) {
	in, err := os.Open(list)
	if err != nil {
		return m, err
	}
	defer in.Close()
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &out, &errOut
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return m, err
	}
	peaks := make(chan memory, 1)
	stop := make(chan struct{})
	go func() { peaks <- watchMemory(cmd.Process.Pid, stop) }()
	if r.limit > 0 {
		end := time.AfterFunc(r.limit, func() { cmd.Process.Signal(syscall.SIGTERM) })
		defer end.Stop()
	}
	err = cmd.Wait()
	m.wall = time.Since(begin).Seconds()
	close(stop)
	m.memory = <-peaks
	m.cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	if r.limit > 0 {
		return m, nil
	}
	if err != nil {
		return m, fmt.Errorf("%w: %s", err, errOut.Bytes())
	}
	return m, check(out.Bytes(), r, ordered)
}

// check compares the output with the inputs.
func check(out []byte, r row, ordered bool) error {
	if !r.prints {
		return nil
	}
	lines := strings.Fields(string(out))
	if !ordered {
		slices.SortFunc(lines, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	}
	if want := strings.Fields(string(r.list())); !slices.Equal(lines, want) {
		return fmt.Errorf("the output has %d lines that differ from the %d inputs", len(lines), len(want))
	}
	return nil
}

// memory is resident memory in MiB: the whole memory, and the part that is not
// a mapped file. A page that processes share is divided among them.
type memory struct{ all, anonymous float64 }

// watchMemory returns the peaks of the memory of a process and of those
// descendants that run the same program.
func watchMemory(pid int, stop <-chan struct{}) (peak memory) {
	for {
		program, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		now := memoryOf(pid, program)
		peak.all, peak.anonymous = max(peak.all, now.all), max(peak.anonymous, now.anonymous)
		select {
		case <-stop:
			return peak
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// memoryOf returns the memory of a process and of its descendants that run the
// program. A child that has not called exec yet still shares the memory of its
// parent. This memory counts once.
func memoryOf(pid int, program string) (m memory) {
	if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err != nil || exe != program {
		return m
	}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	m = memory{mibOf(text, "\nPss:"), mibOf(text, "\nPss_Anon:")}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, t := range tasks {
		text, _ := os.ReadFile(t)
		for _, child := range strings.Fields(string(text)) {
			if n, err := strconv.Atoi(child); err == nil && !sameMemory(pid, n) {
				below := memoryOf(n, program)
				m.all, m.anonymous = m.all+below.all, m.anonymous+below.anonymous
			}
		}
	}
	return m
}

// sameMemory reports whether two processes share one address space, as after
// vfork.
func sameMemory(a, b int) bool {
	const kcmpVM = 1 // KCMP_VM
	order, _, err := unix.Syscall6(unix.SYS_KCMP, uintptr(a), uintptr(b), kcmpVM, 0, 0, 0)
	return err == 0 && order == 0
}

// mibOf returns an entry of smaps_rollup in MiB. The file has it in kB.
func mibOf(text []byte, name string) float64 {
	_, rest, _ := strings.Cut(string(text), name)
	var kib float64
	fmt.Sscan(rest, &kib)
	return kib / 1024
}

// printRow prints the table of a row: a line for each tool. A ratio is
// relative to concert map; it is the median of the ratios within each round.
func printRow(all []*tool, samples [][]sample, r row) {
	fmt.Printf("\n%s; %d rounds\n\n| tool | ordered | wall, s | ratio | CPU, s | ratio | memory, MiB | without mapped files |\n|---|---|---|---|---|---|---|---|\n", r.about, r.rounds)
	wall, cpu := func(m sample) float64 { return m.wall }, func(m sample) float64 { return m.cpu }
	for i, t := range all {
		if len(samples[i]) == 0 {
			fmt.Printf("| %s | | cannot | | | | | |\n", t.name)
			continue
		}
		order := "no"
		if t.ordered {
			order = "yes"
		}
		fmt.Printf("| %s | %s ", t.name, order)
		for _, of := range []func(sample) float64{wall, cpu} {
			v, base := commands.Values(samples[i], of), commands.Values(samples[0], of)
			fmt.Printf("| %.3f | %.2f ", commands.Median(v), commands.Ratio(v, base))
		}
		fmt.Printf("| %.0f | %.0f |\n", slices.Max(commands.Values(samples[i], func(m sample) float64 { return m.memory.all })),
			slices.Max(commands.Values(samples[i], func(m sample) float64 { return m.memory.anonymous })))
	}
}
