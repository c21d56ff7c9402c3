package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestMain runs the program instead of the tests if the variable is set.
func TestMain(m *testing.M) {
	if os.Getenv("CONCERT_TEST_EXAMPLE") != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestExample(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-listen", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "CONCERT_TEST_EXAMPLE=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	// The first task that fails is task 10.
	for failed := false; !failed && t.Context().Err() == nil; {
		reply, err := http.Get(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(reply.Body)
		reply.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		metrics := string(text)
		if !strings.Contains(metrics, `concert_executor_up{executor="requests"} 1`) {
			t.Fatal(metrics)
		}
		const none = `concert_tasks_finished_total{executor="requests",outcome="error"} 0`
		failed = !strings.Contains(metrics, none)
	}
}
