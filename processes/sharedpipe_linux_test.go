package processes_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"concert"
	"concert/internal/logtest"
	"concert/processes"
)

// printLastLines starts a child process, prints lines and ends its own process.
// The child continues to run and keeps the pipes open.
var printLastLines = concert.Register("processes_test.printLastLines", func(_ context.Context, lines int) (int, error) {
	cmd := exec.Command("sleep", "60")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	for _, f := range []*os.File{os.Stdout, os.Stderr} {
		fmt.Fprintln(f, "started", cmd.Process.Pid)
		for n := range lines {
			fmt.Fprintln(f, "line", n)
		}
		fmt.Fprint(f, "end")
	}
	os.Exit(3)
	return 0, nil
})

// slowFirst is a log handler. It handles the first record slowly.
type slowFirst struct {
	slog.Handler
	first sync.Once
}

func (h *slowFirst) Handle(ctx context.Context, r slog.Record) error {
	h.first.Do(func() { time.Sleep(300 * time.Millisecond) })
	return h.Handler.Handle(ctx, r)
}

// TestOutput_AfterDeath: the handler of Options.Output is slow, and another
// process keeps the pipes of a dead worker open. The pool must still log all
// lines that the worker has printed.
func TestOutput_AfterDeath(t *testing.T) {
	var log logtest.Buffer
	p := newPool(t, 1, &processes.Options{Output: slog.New(&slowFirst{Handler: slog.NewTextHandler(&log, nil)})})
	const printed = 50
	_, err := concert.Submit(t.Context(), p, printLastLines, printed).Result(t.Context())
	p.Close()
	counts := map[string]int{}
	for _, line := range log.Lines() {
		var pid int
		_, words, _ := strings.Cut(line, " msg=")
		if n, _ := fmt.Sscanf(words, `"started %d"`, &pid); n == 1 && counts["started"] == 0 {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		word, _, _ := strings.Cut(strings.Trim(words, `"`), " ")
		counts[word]++
	}
	if counts["started"] != 2 || counts["line"] != 2*printed || counts["end"] != 2 {
		t.Errorf("the log has %v of the lines that the worker printed before it died", counts)
	}
	if e, ok := err.(*processes.WorkerError); !ok || !strings.HasSuffix(e.Stderr, "line 49\nend") {
		t.Errorf("Result() = %v, want a WorkerError with all lines that the worker printed", err)
	}
}
