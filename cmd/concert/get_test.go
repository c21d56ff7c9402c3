package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"concert/cmd/concert/internal/cli"
	"concert/cmd/concert/internal/get"
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

// TestGet_JSON: with --json, each line of the output must be an event.
func TestGet_JSON(t *testing.T) {
	f := newFaulty()
	defer f.Close()
	_, out, _ := call(t.Context(), "get", "--json", "-d", t.TempDir(), f.URL+"/plain/a", f.URL+"/missing/m")
	var kinds []string
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
		var e get.Event
		d.DisallowUnknownFields()
		if err := d.Decode(&e); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		kinds = append(kinds, e.Event)
	}
	slices.Sort(kinds)
	if !slices.Equal(kinds, []string{"done", "failed", "summary"}) {
		t.Errorf("events are %q", kinds)
	}
}
