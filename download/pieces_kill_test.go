package download_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"concert/download"
)

// killedVariable is the name of an environment variable. It has the request
// for the process that TestPieces_KilledProcess starts and kills.
const killedVariable = "CONCERT_TEST_KILLED_DOWNLOAD"

// TestPieces_KilledProcess kills processes at random moments while they
// download a file with several connections. Between two kills it interrupts
// downloads, so that the state records pieces. At the end, the file must be
// right.
func TestPieces_KilledProcess(t *testing.T) {
	if text := os.Getenv(killedVariable); text != "" {
		var r download.Request
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatal(err)
		}
		download.Get(t.Context(), r)
		return
	}
	t.Parallel()
	if testing.Short() {
		t.Skip("starts many processes")
	}
	const size = 20*mib + 11
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 3))
			s := newRangeServer(size)
			s.slow()
			url, dir := s.open(t), t.TempDir()
			part := filepath.Join(dir, "large.bin.part")
			for round := range 6 {
				if round%2 == 0 {
					kept := int64(0)
					if _, err := os.Stat(part); err == nil {
						kept = lastState(t, dir).sum()
					}
					interrupt(t, url, dir, 1+random.IntN(6), kept+1+random.Int64N(size/8))
				}
				_, before := s.requests()
				killDownload(t, s, download.Request{URL: url, Dir: dir, Connections: 1 + random.IntN(6)}, before+random.IntN(size/3))
				if _, err := os.Stat(part); err == nil {
					t.Logf("round %d: recorded %v", round, lastState(t, dir))
				} else {
					break // the process completed the file before it was killed
				}
			}
			_, err := piecesClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: url, Dir: dir, Connections: 1 + random.IntN(6)})
			if err != nil {
				t.Fatal(err)
			}
			checkLarge(t, dir, s.body)
		})
	}
}

// killDownload starts a process that downloads a file, and kills it after the
// server has sent a number of bytes.
func killDownload(t *testing.T, s *rangeServer, r download.Request, after int) {
	t.Helper()
	text, err := json.Marshal(struct {
		URL, Dir    string
		Connections int
	}{r.URL, r.Dir, r.Connections})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestPieces_KilledProcess$")
	cmd.Env = append(os.Environ(), killedVariable+"="+string(text))
	reached := make(chan struct{}, 1)
	s.mu.Lock()
	s.watch = func(bytes int) {
		if bytes >= after {
			select {
			case reached <- struct{}{}:
			default:
			}
		}
	}
	s.mu.Unlock()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	select {
	case <-reached:
	case <-ended: // the process has completed the file
	}
	cmd.Process.Kill()
	<-ended
	s.mu.Lock()
	s.watch = nil
	s.mu.Unlock()
}
