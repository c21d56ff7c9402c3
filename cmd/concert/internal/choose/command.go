package choose

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"concert"
	"concert/choose"
	"concert/choose/usage"
	"concert/cmd/concert/internal/cli"
	"concert/goroutines"
)

// placeholder stands for the input in a command's arguments.
const placeholder = "{}"

// fill inserts the input into a command.
func fill(command []string, input string) []string {
	filled := make([]string, len(command), len(command)+1)
	found := false
	for i, a := range command {
		filled[i] = strings.ReplaceAll(a, placeholder, input)
		found = found || i > 0 && strings.Contains(a, placeholder)
	}
	if !found {
		filled = append(filled, input)
	}
	return filled
}

// stderrGrace is the time to wait for the end of standard error after a
// command has ended. The wait is needed if another process still has the
// pipe open.
const stderrGrace = 20 * time.Millisecond

// commandGrace is the time in which a command must end after a signal, and a
// Python function after its interruption. After this time, it is killed.
const commandGrace = 2 * time.Second

// runCommand calls the function run with a command that has its own process
// group. When ctx ends, runCommand sends a signal to the group, waits for
// the command for at most commandGrace, and then kills the group. The output
// of the command is discarded. But if the command fails, the error contains
// the last line of the command's standard error.
func runCommand(ctx context.Context, argv []string, run func(*exec.Cmd) error) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	// If cmd.Stderr were not a file, cmd.Wait would wait until all processes
	// that the command leaves behind have closed the pipe.
	cmd.Stderr = w
	stderr := &tail{max: 1000}
	read := make(chan struct{})
	go func() {
		defer close(read)
		io.Copy(stderr, r)
	}()
	kill := ownGroup(cmd)
	cmd.WaitDelay = commandGrace
	cli.AddCleanup(cmd, kill)
	err = run(cmd)
	cli.RemoveCleanup(cmd)
	w.Close()
	r.SetReadDeadline(time.Now().Add(stderrGrace))
	<-read
	if ctx.Err() != nil {
		killGroup(cmd)
		return context.Cause(ctx)
	}
	if err == nil {
		return nil
	}
	if line := stderr.lastLine(); line != "" {
		err = fmt.Errorf("%w: %s", err, line)
	}
	return fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
}

// tail is a Writer that keeps the last bytes.
type tail struct {
	max  int
	text []byte
}

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.text = append(t.text, b...)
	if extra := len(t.text) - t.max; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(b), nil
}

func (t *tail) lastLine() string {
	lines := bytes.Split(bytes.TrimSpace(t.text), []byte("\n"))
	return strings.ToValidUTF8(string(lines[len(lines)-1]), "?")
}

// commandJob returns the job of a command.
func commandJob(command, inputs []string) (*job, error) {
	if strings.Contains(command[0], placeholder) {
		return nil, cli.UsageError{Text: "the program itself cannot be " + placeholder}
	}
	program, err := exec.LookPath(command[0])
	if err != nil {
		return nil, cli.UsageError{Text: err.Error()}
	}
	resolved := append([]string{program}, command[1:]...)
	run := func(ctx context.Context, input string) (struct{}, error) {
		err := runCommand(ctx, fill(resolved, input), (*exec.Cmd).Run)
		return struct{}{}, err
	}
	models := []choose.Model{
		{Name: "sequential execution", Code: func(int) string { return mapLine(command, 1) }},
		{
			Name: "processes",
			Open: func(n int, o concert.Observer) (concert.Executor, error) {
				return goroutines.New(n, &goroutines.Options{Observer: o}), nil
			},
			Code: func(n int) string { return mapLine(command, n) },
			Note: "Each run is a process of its own, so threads, an event loop or a lock would make no difference, and were not tried.",
		},
	}
	return &job{
		what: strings.Join(command, " "),
		run: func(ctx context.Context, opts *choose.Options) (*choose.Report, error) {
			opts.Profile = func(ctx context.Context, i int) (used usage.Usage, err error) {
				err = runCommand(ctx, fill(resolved, inputs[i]), func(cmd *exec.Cmd) (err error) {
					used, err = usage.Command(cmd)
					return err
				})
				return used, err
			}
			return choose.Run(ctx, run, inputs, models, opts)
		},
		close: func() {},
	}, nil
}
