package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"concert/cmd/concert/internal/cli"
)

// How get behaves as a whole is in testdata/get.

// TestGetPerHost: a server never has more requests at once than it should.
func TestGetPerHost(t *testing.T) {
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

// TestGetJSON: each line of --json is an event, and nothing else.
func TestGetJSON(t *testing.T) {
	f := newFaulty()
	defer f.Close()
	_, out, _ := call(t.Context(), "get", "--json", "-d", t.TempDir(), f.URL+"/plain/a", f.URL+"/missing/m")
	var kinds []string
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
		var e event
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

// TestGetHelp: what the help lists is what there is; completion relies on it.
func TestGetHelp(t *testing.T) {
	var listed, defined []string
	for _, f := range cli.HelpFlags(getHelp) {
		listed = append(listed, strings.TrimLeft(f.Name, "-"))
	}
	getFlags(new(getOptions)).VisitAll(func(f *flag.Flag) { defined = append(defined, f.Name) })
	slices.Sort(listed)
	if want := slices.Sorted(slices.Values(append(defined, "h"))); !slices.Equal(listed, want) {
		t.Errorf("the help lists %q, and there are %q", listed, want)
	}
}

func TestSpread(t *testing.T) {
	var list []wanted
	for _, h := range strings.Split("aaaabbc", "") {
		list = append(list, wanted{host: h})
	}
	var got string
	for _, w := range spread(list) {
		got += w.host
	}
	if got != "abcabaa" {
		t.Errorf("spread() = %s, want abcabaa", got)
	}
}

func FuzzParseList(f *testing.F) {
	f.Add("http://h/a name=b sha256=" + checksum("a") + "\n# c\n\nhttps://h/c")
	f.Add("http://h/a name=../b")
	f.Add(strings.Repeat("x", 100_000))
	f.Fuzz(func(t *testing.T, s string) {
		list, err := parseList(strings.NewReader(s), "list")
		if err != nil {
			if !strings.HasPrefix(err.Error(), "list:") {
				t.Errorf("error without a line: %v", err)
			}
			return
		}
		for _, w := range list {
			if w.name == "" || w.host == "" || !filepath.IsLocal(w.name) {
				t.Errorf("%q: %+v", s, w)
			}
		}
	})
}
