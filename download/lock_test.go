package download_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"concert/download"
)

var kills = flag.Int("kills", 30, "the number of processes that TestGet_Killed kills")

var discardLog = log.New(io.Discard, "", 0)

// childGet describes the Get that a child process makes.
type childGet struct {
	URL, Dir  string
	Digest    string
	Overwrite bool
	Retries   int
}

const childVariable = "CONCERT_DOWNLOAD_TEST"

// childOf returns the environment variable that makes the test binary run one
// Get.
func childOf(c childGet) string {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return childVariable + "=" + string(b)
}

// TestMain runs the tests or, in a child process, one Get.
func TestMain(m *testing.M) {
	text := os.Getenv(childVariable)
	if text == "" {
		flag.Set("test.parallel", "8") // parallel tests mostly wait
		os.Exit(m.Run())
	}
	var c childGet
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		panic(err)
	}
	r := download.Request{URL: c.URL, Dir: c.Dir, Overwrite: c.Overwrite}
	if c.Digest != "" {
		d, err := download.ParseDigest(c.Digest)
		if err != nil {
			panic(err)
		}
		r.Digests = []download.Digest{d}
	}
	attempts := 0
	r.OnEvent = func(e download.Event) { attempts = max(attempts, e.Attempt) }
	client := download.NewClient(&download.ClientOptions{Retries: c.Retries, RetryDelay: time.Millisecond})
	got, err := client.Get(context.Background(), r)
	fmt.Printf("present=%v resumed=%d attempts=%d\n", got.Present, got.Resumed, attempts)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// TestGet_Concurrent: several calls for the same file must take turns, in one
// process and in several processes. The server sends the large file once.
func TestGet_Concurrent(t *testing.T) {
	for _, size := range []int{1000, 5_000_000} {
		for _, cut := range []int{0, size / 3} {
			t.Run(fmt.Sprintf("goroutines, %d bytes, cut %d", size, cut), func(t *testing.T) {
				s := newSite(size)
				s.cut = cut
				dir, url := t.TempDir(), s.open(t)
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						client := newClient(t, download.ClientOptions{Retries: 10})
						if _, err := client.Get(t.Context(), download.Request{URL: url, Dir: dir}); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				wantWhole(t, dir, s.body)
			})
			t.Run(fmt.Sprintf("processes, %d bytes, cut %d", size, cut), func(t *testing.T) {
				s := newSite(size)
				s.cut = cut
				dir, url := t.TempDir(), s.open(t)
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						cmd := exec.Command(os.Args[0])
						cmd.Env = append(os.Environ(), childOf(childGet{URL: url, Dir: dir, Retries: 10}))
						if out, err := cmd.CombinedOutput(); err != nil {
							t.Errorf("%v: %s", err, out)
						}
					})
				}
				wg.Wait()
				wantWhole(t, dir, s.body)
			})
		}
	}
}

// TestGet_Waits: while another call holds the part, Get must emit an event and
// wait. Then it must find the file present without a request. A context that
// ends must end the wait.
func TestGet_Waits(t *testing.T) {
	s := newSite(3_000_000)
	named, proceed := make(chan struct{}), make(chan struct{})
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", s.tag)
		w.Write(s.body[:2_000_000])
		http.NewResponseController(w).Flush()
		<-proceed
		w.Write(s.body[2_000_000:])
	}
	dir, url := t.TempDir(), s.open(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		announced := false
		got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, OnEvent: func(e download.Event) {
			if e.Done > 1<<20 && !announced {
				announced = true
				close(named)
			}
		}})
		if err != nil || got.Present {
			t.Errorf("the first Get() = %+v, %v", got, err)
		}
	})
	<-named
	ctx, cancel := context.WithCancel(t.Context())
	_, err := once(t).Get(ctx, download.Request{URL: url, Dir: dir, OnEvent: func(e download.Event) {
		if e.Kind == download.EventWait {
			cancel()
		}
	}})
	wantError(t, err, false, "wait for another download")
	released := false
	got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, OnEvent: func(e download.Event) {
		if e.Kind == download.EventWait && !released {
			released = true
			close(proceed)
		}
	}})
	wg.Wait()
	if err != nil || !got.Present || hasReceipt(got.Path) && s.count() != 1 {
		t.Errorf("Get() = %+v, %v after %d requests; want it present", got, err, s.count())
	}
	wantWhole(t, dir, s.body)
}

// TestGet_Killed: a process that is killed at any moment must leave no wrong
// file, and the next process must complete the file. Files of other programs
// must stay. For Overwrite, the old file must exist until the new file is
// complete.
func TestGet_Killed(t *testing.T) {
	t.Parallel()
	s := newSite(8_000_000)
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		s.send(slowWriter{w}, r)
	}
	url := s.open(t)
	digest := sha256Of(s.body).String()
	for i := range *kills {
		c := childGet{URL: url, Dir: t.TempDir(), Overwrite: i%3 == 1, Retries: -1}
		if i%2 == 1 {
			c.Digest = digest
		}
		path := filepath.Join(c.Dir, "file.bin")
		foreign := map[string]string{"file.bin.tmp": "a", "other.part": "b", "other.part.json": "c"}
		if i%5 == 4 {
			foreign["file.bin.part"] = "d"
		}
		for name, text := range foreign {
			write(t, filepath.Join(c.Dir, name), []byte(text))
		}
		old := []byte("old")
		if c.Overwrite {
			write(t, path, old)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childOf(c))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(rand.N(60 * time.Millisecond)) // the random moment
		cmd.Process.Kill()
		cmd.Wait()
		got, err := os.ReadFile(path)
		switch {
		case err == nil && string(got) == string(s.body):
		case err == nil && c.Overwrite && string(got) == string(old):
		case err != nil && !c.Overwrite && os.IsNotExist(err):
		default:
			t.Errorf("after the kill, the file has %d bytes, %v", len(got), err)
		}
		c.Overwrite = c.Overwrite && string(got) == string(old)
		last := exec.Command(os.Args[0])
		last.Env = append(os.Environ(), childOf(c))
		out, err := last.CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		wantContent(t, path, s.body)
		for name, text := range foreign {
			wantContent(t, filepath.Join(c.Dir, name), []byte(text))
		}
		if names := files(t, c.Dir); len(names) != len(foreign)+1 {
			t.Errorf("in the directory are %q; the last process printed %q", names, strings.TrimSpace(string(out)))
		}
	}
}

// slowWriter sends the body in pieces, so that a kill hits the download.
type slowWriter struct{ http.ResponseWriter }

// Write writes the body with pauses.
func (w slowWriter) Write(b []byte) (n int, err error) {
	for len(b) > 0 && err == nil {
		var m int
		m, err = w.ResponseWriter.Write(b[:min(len(b), 1<<20)])
		n, b = n+m, b[m:]
		http.NewResponseController(w.ResponseWriter).Flush()
		time.Sleep(3 * time.Millisecond)
	}
	return n, err
}
