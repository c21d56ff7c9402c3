package cluster

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/cluster"
	"concert/cluster/server"
	"concert/cmd/concert/internal/cli"
)

// TestLive_Take: the numbers of the page must not decrease when a worker
// leaves, and each dead letter must count as one failure.
func TestLive_Take(t *testing.T) {
	l := &live{ended: map[string][2]int64{}}
	at := time.Now()
	worker := func(id string, running int, finished, failed int64) cluster.Worker {
		return cluster.Worker{ID: id, Host: "h", Slots: 4, Running: running, Finished: finished, Failed: failed, Capabilities: "c", Functions: []string{"f"}, Heard: at}
	}
	letter := func(n uint64) cluster.DeadLetter {
		return cluster.DeadLetter{Number: n, Function: "f", Index: 3, Label: "cat", Reason: "its workers were lost", At: at}
	}
	take := func(s status, letters ...cluster.DeadLetter) {
		s.Time = at
		l.mu.Lock()
		defer l.mu.Unlock()
		l.takeLocked(&s, letters)
	}
	take(status{Workers: []cluster.Worker{worker("a", 2, 100, 3), worker("b", 0, 50, 0)}, Queues: []cluster.Queue{{Capabilities: "c", Client: "x", Tasks: 7}}}, letter(4))
	s := l.Stats()
	if s.Workers != 2 || s.Busy != 1 || s.Running != 2 || s.Queued != 5 || s.Done != 150 || s.Failed.Errors != 3 || s.Submitted != 157 {
		t.Errorf("the numbers are %+v", s)
	}
	tables := l.Tables()
	if len(tables) != 3 || len(tables[0].Rows) != 2 || tables[2].Rows[0][2] != "f" {
		t.Errorf("the tables are %+v", tables)
	}
	var seen []string
	stop := l.Watch(func(e concert.Event) { seen = append(seen, fmt.Sprint(e.Kind, " ", e.Task, " ", e.Input, " ", e.Err)) })
	take(status{Workers: []cluster.Worker{worker("b", 0, 60, 0)}}, letter(5))
	stop()
	take(status{}, letter(6))
	if s := l.Stats(); s.Workers != 0 || s.Done != 160 || s.Failed.Errors != 3 || s.Queued != 0 {
		t.Errorf("after the workers have left, the numbers are %+v", s)
	}
	l.drop(6)
	stop = l.Watch(func(e concert.Event) {
		if e.Task == 6 {
			t.Error("a dead letter that was replayed is shown to a page that opens")
		}
	})
	stop()
	if l.next != 7 {
		t.Errorf("the next dead letter has number %d", l.next)
	}
	want := []string{"finished 4 f: input 3 (cat) its workers were lost", "finished 5 f: input 3 (cat) its workers were lost"}
	if !slices.Equal(seen, want) {
		t.Errorf("the page got %q, want %q", seen, want)
	}
}

// TestStatus_Web: with --web, the command must serve the tables of the
// status until Ctrl-C. Then it must end, even if the page is open.
func TestStatus_Web(t *testing.T) {
	s, err := server.New(&server.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Setup(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	printed, errOut := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- cli.Main(ctx, []cli.Command{Status}, []string{"status", "--web", "--url", s.URL()}, io.Discard, errOut)
		errOut.Close()
	}()
	r := bufio.NewReader(printed)
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, r)
	url := regexp.MustCompile(`http://\S+`).FindString(line)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	page, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	page.Body.Close()
	events, err := client.Get(page.Request.URL.String() + "events")
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	found, ended := false, false
	lines := bufio.NewScanner(events.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if strings.Contains(lines.Text(), `"title":"Waiting tasks"`) && !found {
			found = true
			cancel()
		}
		ended = ended || strings.Contains(lines.Text(), `"ended":true`)
	}
	if c := <-code; c != cli.ExitSignal || !found || !ended {
		t.Errorf("exit code %d, tables %v, last frame %v", c, found, ended)
	}
}
