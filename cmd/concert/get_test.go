package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"concert/cmd/concert/internal/cli"
)

// The scripts in testdata/get test the whole command.

// TestGet_PerHost: a server must never have more concurrent requests than
// --per-host permits.
func TestGet_PerHost(t *testing.T) {
	f := newFaulty()
	defer f.Close()
	args := []string{"get", "-d", t.TempDir(), "--per-host", "3", "--jobs", "10"}
	for i := range 10 {
		args = append(args, fmt.Sprint(f.URL, "/held/f", i))
	}
	go func() {
		for f.busy.Load() < 3 && t.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
		f.release()
	}()
	if code, _, errOut := call(t.Context(), args...); code != cli.ExitOK || f.most.Load() > 3 {
		t.Errorf("exit %d, %d requests at once, want at most 3\n%s", code, f.most.Load(), errOut)
	}
}

// eventSchema is the part of docs/get-events.schema.json that the tests use.
type eventSchema struct {
	Defs map[string]struct {
		Properties map[string]struct {
			Type    any
			Const   string
			Minimum *float64
		}
		Required []string
	} `json:"$defs"`
}

func readEventSchema(t *testing.T) (s eventSchema) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "get-events.schema.json"))
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// check returns what is wrong with an event.
func (s *eventSchema) check(event map[string]any) error {
	kind, _ := event["event"].(string)
	def, ok := s.Defs[kind]
	if !ok {
		return fmt.Errorf("unknown event %q", kind)
	}
	var all []error
	for _, name := range def.Required {
		if _, ok := event[name]; !ok {
			all = append(all, fmt.Errorf("%s: no field %s", kind, name))
		}
	}
	for name, v := range event {
		p, ok := def.Properties[name]
		if !ok {
			all = append(all, fmt.Errorf("%s: the schema has no field %s", kind, name))
			continue
		}
		types, _ := p.Type.([]any)
		if p.Type != nil && types == nil {
			types = []any{p.Type}
		}
		if p.Type != nil && !slices.ContainsFunc(types, func(want any) bool { return isOfType(v, want.(string)) }) {
			all = append(all, fmt.Errorf("%s: %s is %v, want %v", kind, name, v, p.Type))
		}
		if n, ok := v.(float64); ok && p.Minimum != nil && n < *p.Minimum {
			all = append(all, fmt.Errorf("%s: %s is %v, less than %v", kind, name, n, *p.Minimum))
		}
		if p.Const != "" && v != p.Const {
			all = append(all, fmt.Errorf("%s: %s is %v, want %s", kind, name, v, p.Const))
		}
	}
	return errors.Join(all...)
}

func isOfType(v any, want string) bool {
	switch v := v.(type) {
	case nil:
		return want == "null"
	case string:
		return want == "string"
	case bool:
		return want == "boolean"
	case float64:
		return want == "number" || want == "integer" && v == float64(int64(v))
	case map[string]any:
		return want == "object"
	}
	return false
}

// readEvents parses the output of --json, and checks each event.
func readEvents(t *testing.T, out string) (events []map[string]any) {
	t.Helper()
	s := readEventSchema(t)
	for line := range strings.Lines(out) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if err := s.check(e); err != nil {
			t.Errorf("%v\nin %s", err, line)
		}
		events = append(events, e)
	}
	return events
}

// TestGet_JSON: with --json, each line of the output must be an event of the
// schema, and all kinds of events occur.
func TestGet_JSON(t *testing.T) {
	t.Parallel()
	f := newFaulty()
	defer f.Close()
	dir := t.TempDir()
	list := filepath.Join(dir, "list")
	lines := fmt.Sprintf("%[1]s/plain/a sha256=%[2]s\n%[1]s/missing/m\n%[1]s/busy/503/b\n%[1]s/drip/d\n", f.URL, checksum("a"))
	if err := os.WriteFile(list, []byte(lines), 0o666); err != nil {
		t.Fatal(err)
	}
	args := []string{"get", "--json", "-d", dir, "-i", list}
	_, first, _ := call(t.Context(), args...)
	_, second, _ := call(t.Context(), args...)
	_, planned, _ := call(t.Context(), append(args, "--dry-run")...)
	var kinds []string
	for _, e := range readEvents(t, first+second+planned) {
		kind := e["event"].(string)
		kinds = append(kinds, kind)
		switch kind {
		case "done":
			if e["size"] != 10000.0 || e["resumed"] != 0.0 || e["status"] != 200.0 || e["final_url"] != e["url"] {
				t.Errorf("done: %v", e)
			}
		case "failed":
			if e["status"] != 404.0 || e["kept"] != 0.0 || e["attempts"] != 1.0 {
				t.Errorf("failed: %v", e)
			}
		case "retry":
			if e["status"] != 503.0 || e["delay"] != 1.0 || e["attempt"] != 1.0 {
				t.Errorf("retry: %v", e)
			}
		case "progress":
			if e["total"] != 10000.0 {
				t.Errorf("progress: %v", e)
			}
		case "summary":
			if e["files"] != 4.0 || e["failed"] != 1.0 || e["done"].(float64)+e["present"].(float64) != 3 {
				t.Errorf("summary: %v", e)
			}
		}
		if kind == "present" && strings.HasSuffix(e["url"].(string), "/a") && e["digests"].(map[string]any)["sha256"] != checksum("a") {
			t.Errorf("present: %v", e)
		}
	}
	for kind := range readEventSchema(t).Defs {
		if !slices.Contains(kinds, kind) {
			t.Errorf("no event %q in\n%s%s", kind, first, second)
		}
	}
}

// TestGet_EventTable: the tables of docs/get.md must have the fields of the
// schema.
func TestGet_EventTable(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "get.md"))
	if err != nil {
		t.Fatal(err)
	}
	for kind, def := range readEventSchema(t).Defs {
		_, section, found := strings.Cut(string(text), "\n### "+kind+"\n")
		if !found {
			t.Errorf("no section %q", kind)
			continue
		}
		if kind == "present" {
			continue // has the fields of done
		}
		section, _, _ = strings.Cut(section, "\n### ")
		if n := strings.Count(section, "\n| `"); n != len(def.Properties) {
			t.Errorf("%s: %d rows for %d fields", kind, n, len(def.Properties))
		}
		for name := range def.Properties {
			if !strings.Contains(section, "\n| `"+name+"` |") {
				t.Errorf("%s: no row for %s", kind, name)
			}
		}
	}
}

// TestGet_KeptOfLostFiles: a file of a host that was given up may have a part.
// Its event must have the number of bytes, although it got no attempt.
func TestGet_KeptOfLostFiles(t *testing.T) {
	f := newFaulty()
	defer f.Close()
	dir := t.TempDir()
	short := f.URL + "/short/b"
	if code, _, errOut := call(t.Context(), "get", "-d", dir, "--retries", "0", short); code != cli.ExitFailed {
		t.Fatalf("exit %d: %s", code, errOut)
	}
	f.Close()
	code, out, errOut := call(t.Context(), "get", "--json", "-d", dir, "--retries", "0", "--jobs", "1", f.URL+"/plain/a", short)
	if code != cli.ExitFailed {
		t.Fatalf("exit %d: %s", code, errOut)
	}
	kept := map[any]any{}
	for _, e := range readEvents(t, out) {
		if e["event"] == "failed" || e["event"] == "summary" {
			kept[e["url"]] = e["kept"]
		}
	}
	if kept[short] != 5000.0 || kept[nil] != 5000.0 || kept[f.URL+"/plain/a"] != 0.0 {
		t.Errorf("kept: %v; want 5000 of b, and in the summary\n%s", kept, out)
	}
}

// brokenWriter is a standard output that cannot be written.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no reader") }

// TestGet_BrokenOutput: if the standard output cannot be written, the exit code
// is 1, with a message.
func TestGet_BrokenOutput(t *testing.T) {
	f := newFaulty()
	defer f.Close()
	for _, flag := range []string{"--json", "--quiet"} {
		t.Run(flag, func(t *testing.T) {
			dir := t.TempDir()
			var errOut bytes.Buffer
			code := run(t.Context(), []string{"get", flag, "-d", dir, f.URL + "/plain/a"}, brokenWriter{}, &errOut)
			if code != cli.ExitFailed || !strings.Contains(errOut.String(), "cannot write to the standard output: no reader") {
				t.Errorf("exit %d, %s", code, errOut.String())
			}
			if b, err := os.ReadFile(filepath.Join(dir, "a")); err != nil || !bytes.Equal(b, body("a")) {
				t.Errorf("the file: %v", err)
			}
		})
	}
}

// TestGet_ManyFailures: many failures must be grouped by reason, except with
// --quiet.
func TestGet_ManyFailures(t *testing.T) {
	f := newFaulty()
	defer f.Close()
	args := []string{"get", "-d", t.TempDir()}
	for i := range 50 {
		args = append(args, fmt.Sprint(f.URL, "/missing/f", i))
	}
	for i := range 30 {
		args = append(args, fmt.Sprint(f.URL, "/down/4", i+10, "/g", i))
	}
	for name, row := range map[string]struct {
		flags []string
		lines int
	}{"grouped": {nil, 22}, "all": {[]string{"--quiet"}, 81}} {
		t.Run(name, func(t *testing.T) {
			code, _, errOut := call(t.Context(), slices.Insert(slices.Clone(args), 1, append(row.flags, "--retries", "0")...)...)
			_, text, _ := strings.Cut(errOut, "80 of 80 files failed:\n")
			if n := strings.Count(text, "\n") + 1; code != cli.ExitFailed || n != row.lines {
				t.Errorf("exit %d, %d lines, want %d:\n%s", code, n, row.lines, text)
			}
			if name == "grouped" && !strings.Contains(text, `  50 files: cannot get it: the server replied "404 Not Found", such as http://`) {
				t.Errorf("not grouped:\n%s", text)
			}
			if name == "grouped" && (!strings.HasSuffix(text, " for other reasons (the lines above have all)\n") || strings.Count(errOut, "\nfailed  ") < 79) {
				t.Errorf("a failure is not printed:\n%s", errOut)
			}
		})
	}
}
