package download_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"concert/download"
)

// times are dates that a clock with a wrong time gives to files.
var times = map[string]time.Time{
	"1970":      time.Unix(0, 0),
	"yesterday": time.Now().Add(-24 * time.Hour),
	"tomorrow":  time.Now().Add(24 * time.Hour),
	"2100":      time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
}

// TestGet_ClockChanged: Get must continue a part for all times of its files,
// because the clock may jump between two runs.
func TestGet_ClockChanged(t *testing.T) {
	for name, at := range times {
		t.Run(name, func(t *testing.T) {
			s := newSite(3_000_000)
			dir, url := interrupted(t, s)
			for _, suffix := range []string{".part", ".part.json"} {
				if err := os.Chtimes(filepath.Join(dir, "file.bin"+suffix), at, at); err != nil {
					t.Fatal(err)
				}
			}
			got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
			if err != nil || got.Resumed != int64(len(s.body)/2) {
				t.Errorf("Get() = %+v, %v; want it resumed", got, err)
			}
			wantWhole(t, dir, s.body)
		})
	}
}

// TestGet_ServerClock: a second Get must find the file present, for all
// modification times that the server sends.
func TestGet_ServerClock(t *testing.T) {
	for name, at := range times {
		for _, withTag := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", tag ", withTag), func(t *testing.T) {
				s := newSite(3000)
				if s.modified = at; !withTag {
					s.tag = ""
				}
				dir, url := downloaded(t, s)
				if hasReceipt(filepath.Join(dir, "file.bin")) {
					wantPresent(t, s, download.Request{URL: url, Dir: dir}, 0)
				}
				removeReceipt(filepath.Join(dir, "file.bin"))
				wantPresent(t, s, download.Request{URL: url, Dir: dir}, 1)
			})
		}
	}
}

// TestGet_RetryAfterServerClock: a date in Retry-After counts from the date of
// the reply. The clocks of the server and of the client may differ.
func TestGet_RetryAfterServerClock(t *testing.T) {
	for name, at := range times {
		t.Run(name, func(t *testing.T) {
			s := newSite(100)
			s.handler = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Date", at.UTC().Format(http.TimeFormat))
				w.Header().Set("Retry-After", at.Add(7*time.Second).UTC().Format(http.TimeFormat))
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			_, err := once(t).Get(t.Context(), download.Request{URL: s.open(t), Dir: t.TempDir()})
			if after := wantError(t, err, true, "503").RetryAfter(); after != 7*time.Second {
				t.Errorf("RetryAfter() = %v, want 7 s", after)
			}
		})
	}
}
