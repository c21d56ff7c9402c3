//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// livePage reads the frames of the live page of a command that is started,
// until the command closes the page.
type livePage struct {
	client *http.Client
	url    string
	token  string
}

var livePageLine = regexp.MustCompile(`live page: (http://127\.0\.0\.1:[0-9]+/)(\?token=[A-Z2-7]+)`)

// openLive opens the page whose URL is in the lines that a command prints.
func openLive(t *testing.T, lines *bufio.Scanner) *livePage {
	t.Helper()
	for lines.Scan() {
		m := livePageLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		p := &livePage{client: &http.Client{Jar: jar}}
		reply, err := p.client.Get(m[1] + m[2])
		if err != nil {
			t.Fatal(err)
		}
		defer reply.Body.Close()
		p.url = reply.Request.URL.String()
		page := new(strings.Builder)
		if _, err := bufio.NewReader(reply.Body).WriteTo(page); err != nil {
			t.Fatal(err)
		}
		p.token = regexp.MustCompile(`name="concert-token" content="([^"]+)"`).FindStringSubmatch(page.String())[1]
		return p
	}
	t.Fatal("the command prints no URL")
	return nil
}

// liveFrame is a frame of the page.
type liveFrame struct {
	Ended   bool
	Paused  bool
	Sources []struct {
		ID    int
		Stats struct {
			Queued, Running int
			Done, Failed    int64
		}
		Running  []struct{ Task, Name, Input string }
		Failures struct {
			Groups []struct {
				Name, Text, Detail string
				Count              int
			}
		}
	}
}

// frames yields the frames.
func (p *livePage) frames(t *testing.T) func(yield func(liveFrame) bool) {
	return func(yield func(liveFrame) bool) {
		reply, err := p.client.Get(p.url + "events")
		if err != nil {
			t.Fatal(err)
		}
		defer reply.Body.Close()
		lines := bufio.NewScanner(reply.Body)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				var f liveFrame
				if err := json.Unmarshal([]byte(text), &f); err != nil {
					t.Fatal(err)
				}
				if !yield(f) {
					return
				}
			}
		}
	}
}

// act presses a button.
func (p *livePage) act(t *testing.T, body string) {
	t.Helper()
	r, err := http.NewRequest("POST", p.url+"action", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Concert-Token", p.token)
	reply, err := p.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if reply.StatusCode != 200 {
		text, _ := bufio.NewReader(reply.Body).ReadString('\n')
		t.Errorf("%s: status %d: %s", body, reply.StatusCode, text)
	}
}

// TestMap_Web: the live page shows the jobs, with the standard error of those
// that fail. Its buttons pause the run and cancel a job, which then has failed.
// The command ends while the page is open.
func TestMap_Web(t *testing.T) {
	dir := t.TempDir()
	// Job 1 fails when the page is open, job 2 runs until it is canceled, and
	// job 3 waits for its turn.
	cmd := process(t, "map", "--web", "-j", "1", "--unordered", "sh", "-c",
		`case $0 in 1) while [ ! -e opened ]; do sleep 0.01; done; echo "no such color: 17" >&2; exit 3;; 2) exec sleep 1000;; *) echo job $0; touch ended;; esac`, ":::", "1", "2", "3")
	cmd.Dir = dir
	errors, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(errors)
	page := openLive(t, lines)
	printed := make(chan string)
	go func() {
		var text strings.Builder
		for lines.Scan() {
			text.WriteString(lines.Text() + "\n")
		}
		printed <- text.String()
	}()
	state := "opens"
	var last liveFrame
	details := map[string]string{} // by text; a frame has only those that are new
	for f := range page.frames(t) {
		last = f
		s := f.Sources[0]
		for _, g := range s.Failures.Groups {
			details[g.Text] += g.Detail
		}
		switch {
		case state == "opens" && s.Stats.Running == 1:
			if s.Stats.Queued != 2 {
				t.Errorf("before the end of a job, the page has %+v", s)
			}
			if err := os.WriteFile(filepath.Join(dir, "opened"), nil, 0o666); err != nil {
				t.Fatal(err)
			}
			state = "runs"
		case state == "runs" && len(s.Running) == 1 && s.Running[0].Input == "2 (2)":
			if s.Stats.Done != 1 || s.Stats.Failed != 1 || s.Stats.Queued != 1 || s.Running[0].Task != "2" || s.Running[0].Name != "sh" {
				t.Errorf("while job 2 runs, the page has %+v", s)
			}
			page.act(t, `{"do":"pause"}`)
			page.act(t, `{"do":"cancel","source":1,"task":"2"}`)
			state = "paused"
		case state == "paused" && s.Stats.Failed == 2:
			if !f.Paused || s.Stats.Running != 0 {
				t.Errorf("while the run is paused, the page has %+v", f)
			}
			if _, err := os.Stat(filepath.Join(dir, "ended")); err == nil {
				t.Error("a job has started while the run was paused")
			}
			page.act(t, `{"do":"resume"}`)
			state = "resumed"
		}
	}
	text := <-printed
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 1 || out.String() != "job 3\n" {
		t.Errorf("exit code %d, output %q", code, out.String())
	}
	if !strings.Contains(text, "the live page has paused the run") || !strings.Contains(text, "the live page has continued the run") {
		t.Errorf("the messages are %q", text)
	}
	if !strings.Contains(text, "2 of 3 jobs failed") || !strings.Contains(text, "canceled on the live page") {
		t.Errorf("the summary is %q", text)
	}
	s := last.Sources[0]
	if !last.Ended || s.Stats.Done != 3 || s.Stats.Failed != 2 || len(s.Failures.Groups) != 2 {
		t.Fatalf("the last frame is %+v", last)
	}
	var found []string
	for _, g := range s.Failures.Groups {
		found = append(found, g.Text)
		if strings.HasPrefix(g.Text, "exit code 3") && !strings.Contains(details[g.Text], "no such color: 17") {
			t.Errorf("the detail of the failure is %q", details[g.Text])
		}
	}
	if all := strings.Join(found, "; "); !strings.Contains(all, "exit code 3") || !strings.Contains(all, "canceled on the live page") {
		t.Errorf("the failures are %s", all)
	}
}

// TestGet_Web: the live page shows a file while it is downloaded, and the
// failure of another one.
func TestGet_Web(t *testing.T) {
	opened, release := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/missing" {
			<-opened
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Length", "2000")
		w.Write(make([]byte, 1000))
		w.(http.Flusher).Flush()
		select {
		case <-release:
			w.Write(make([]byte, 1000))
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	cmd := process(t, "get", "--web", "-d", t.TempDir(), server.URL+"/missing", server.URL+"/a.iso")
	errors, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(errors)
	page := openLive(t, lines)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines.Scan() {
		}
	}()
	var last liveFrame
	open, seen := false, false
	for f := range page.frames(t) {
		last = f
		s := f.Sources[0]
		if !open {
			open = true
			close(opened)
		}
		if !seen && len(s.Running) == 1 && strings.HasPrefix(s.Running[0].Input, "2 (http") && strings.HasSuffix(s.Running[0].Input, "/a.iso)") && s.Stats.Failed == 1 {
			seen = true
			close(release)
		}
	}
	<-read
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	s := last.Sources[0]
	if !seen || !last.Ended || s.Stats.Done != 2 || s.Stats.Failed != 1 || len(s.Failures.Groups) != 1 || !strings.Contains(s.Failures.Groups[0].Text, "404") {
		t.Errorf("the last frame is %+v", last)
	}
}
