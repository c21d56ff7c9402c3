package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"concert"
	"concert/cluster"
	"concert/cluster/server"
	"concert/cmd/concert/internal/cli"
)

// printed returns the status as the command prints it.
func printed(t *testing.T, s *status) string {
	t.Helper()
	var out bytes.Buffer
	if err := s.print(&out, cli.Style{}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestStatus_Printed(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	ann, box := "U"+strings.Repeat("A", 55), "U"+strings.Repeat("B", 54)+"Z"
	s := &status{
		Time: now,
		Workers: []cluster.Worker{
			{Key: box, Host: "one", Pid: 17, Capabilities: "c", Functions: []string{"f", "g"}, Slots: 4, Running: 4, Finished: 120, Failed: 3, Since: now.Add(-75 * time.Minute), Heard: now.Add(-2 * time.Second)},
			{Key: box, Host: "one", Pid: 18, Capabilities: "c", Functions: []string{"f", "g"}, Slots: 4, Since: now.Add(-time.Second), Heard: now.Add(time.Second)}, // the clocks differ
			{Key: ann, Host: "two", Pid: 19, Capabilities: "d", Functions: []string{"h"}, Slots: 1, Draining: true, Since: now.Add(-50 * time.Hour), Heard: now.Add(-3 * time.Second)},
			{Key: ann, Host: "two", Pid: 20, Capabilities: "d", Functions: []string{"h"}, Slots: 1, Since: now.Add(-5 * time.Hour), Heard: now.Add(-9 * time.Second)},
		},
		Queues: []cluster.Queue{{Capabilities: "c", Client: ann, Tasks: 7}, {Capabilities: "gone", Client: "anyone", Tasks: 1}},
		Dead:   1,
		Names:  map[string]string{box: "box"},
	}
	want := `4 workers, 4 of 10 slots taken
  name       host  pid  state     running  done  failed  up      heard
  box        one   17   busy      4/4      120   3       75 min  2 s ago
  box        one   18   ready     0/4      0     0       1 s     0 s ago
  UAAA…AAAA  two   19   stopping  0/1      0     0       2 d     3 s ago
  UAAA…AAAA  two   20   silent    0/1      0     0       5 h     9 s ago
  workers  slots  functions
  2        8      f, g
  2        2      h
8 tasks waiting
  client     tasks  for
  UAAA…AAAA  7      f, g
  anyone     1      functions that no worker offers
1 dead letter: concert status --dead lists them
`
	if got := printed(t, s); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestStatus_Columns: lines must have at most 80 columns, however long the
// names are, and an ellipsis must show that a name was cut.
func TestStatus_Columns(t *testing.T) {
	now := time.Now()
	long := strings.Repeat("long-", 13)[:64]
	key := "U" + strings.Repeat("A", 55)
	s := &status{
		Time: now,
		Workers: []cluster.Worker{{
			Key: key, Host: long, Pid: 4194304, Capabilities: "c", Functions: []string{long + "f", "g"}, Slots: 65536, Running: 65535,
			Finished: 123456789012, Failed: 1234567, Since: now.Add(-100 * time.Minute), Heard: now.Add(-9 * time.Second),
		}},
		Queues: []cluster.Queue{{Capabilities: "c", Client: key, Tasks: 32768}},
		Names:  map[string]string{key: long},
	}
	got := printed(t, s)
	for line := range strings.Lines(got) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if n := strings.Count(got, ellipsis); n != 5 { // the name, the host, the functions twice, the client
		t.Errorf("%d texts were cut, want 5:\n%s", n, got)
	}
}

func TestFunctionList(t *testing.T) {
	long := strings.Repeat("f", 40)
	for want, names := range map[string][]string{
		"":                          nil,
		"a, b, c, d":                {"a", "b", "c", "d"},
		"m:f":                       {"python:0:m:f", "python:1:m:f"},
		long + " and 2 more":        {long, long + "g", "h"},
		long + ", g and 1 more":     {long, "g", strings.Repeat("h", 20)},
		long + long + " and 1 more": {long + long, "h"},
	} {
		if got := functionList(names); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

var hold = concert.Register("print_status_test.hold", func(ctx context.Context, n int) (int, error) {
	<-ctx.Done()
	return n, ctx.Err()
})

// TestStatus_Names: status must show the names of the keys of a worker and of a
// client, and not the public keys. As JSON, it must have both, and the time at
// which the worker was heard.
func TestStatus_Names(t *testing.T) {
	k, err := server.NewKeyring(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	access := func(role server.Role, name string) cluster.Access {
		t.Helper()
		text, err := k.Add(role, name)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return cluster.Access{Key: file}
	}
	ann, box, boss := access(server.Client, "ann"), access(server.Worker, "box"), access(server.Admin, "boss")
	s, err := server.New(&server.Options{Listen: "127.0.0.1:0", Keyring: k})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() }) // after the worker has stopped
	if err := s.Setup(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	serveUntilEnd(t, s.URL(), box, "print_status_test.hold")
	ex, err := cluster.Dial(t.Context(), s.URL(), &cluster.Options{Access: ann, Notice: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	concert.Submit(ctx, ex, hold, 1)
	status := func(args ...string) string {
		t.Helper()
		var out, errOut bytes.Buffer
		if code := cli.Main(t.Context(), commands, append([]string{"status", "--url", s.URL(), "--key", boss.Key}, args...), &out, &errOut); code != cli.ExitOK {
			t.Fatal(code, errOut.String())
		}
		return out.String()
	}
	out := ""
	for begin := time.Now(); !strings.Contains(out, "1 worker,") || !strings.Contains(out, "1 task waiting"); time.Sleep(10 * time.Millisecond) {
		if out = status(); time.Since(begin) > 30*time.Second {
			t.Fatal("no worker is there, or no task is waiting:\n" + out)
		}
	}
	if !strings.Contains(out, "\n  box   ") || !strings.Contains(out, "\n  ann     1 ") || strings.Contains(out, ellipsis) {
		t.Error(out)
	}
	var v struct {
		Workers []struct {
			Key   string
			Heard time.Time
		}
		Queues []struct{ Client string }
		Names  map[string]string
	}
	if err := json.Unmarshal([]byte(status("--json")), &v); err != nil || len(v.Workers) != 1 || len(v.Queues) != 1 {
		t.Fatalf("%v, %+v", err, v)
	}
	if heard := v.Workers[0].Heard; heard.Before(begin) || heard.After(time.Now()) {
		t.Errorf("heard at %v, want a time after %v", heard, begin)
	}
	if v.Names[v.Workers[0].Key] != "box" || v.Names[v.Queues[0].Client] != "ann" {
		t.Errorf("%+v", v)
	}
}
