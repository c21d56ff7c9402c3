package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// parse decodes frames.
func parse(t *testing.T, frames [][]byte) (all []parsed) {
	t.Helper()
	for _, text := range frames {
		var f parsed
		if err := json.Unmarshal(text, &f); err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	return all
}

// parsed is a frame as a page sees it.
type parsed struct {
	Full    bool
	Ended   bool
	Paused  bool
	Time    int64
	Sources []struct {
		ID       int
		Name     string
		Stats    statsFrame
		Points   [][]float64
		Spans    [][]any
		Sampled  bool
		Failures failureTable
	}
}

func newHub() *hub {
	h := new(hub)
	h.init(func() bool { return false })
	return h
}

// openHub returns a hub with a feed and a page that is open, after the first
// frame. The end of the test closes both.
func openHub(t *testing.T, f *Feed) *hub {
	h := newHub()
	h.add(newRecorder("feed", f))
	h.join()
	t.Cleanup(func() {
		h.leave()
		h.close()
	})
	synctest.Wait()
	return h
}

// TestHub_Idle: the hub must observe only while a page is open, and for a
// minute afterwards. Then it must forget what it has recorded.
func TestHub_Idle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Feed
		h := newHub()
		h.add(newRecorder("feed", &f))
		synctest.Wait()
		if n := f.observersNow(); n != 0 {
			t.Errorf("before the first page, %d observers are attached", n)
		}
		h.join()
		run(&f, 1, "f", time.Millisecond, nil)
		time.Sleep(3 * time.Second)
		_, last, _, _ := h.after(0)
		h.leave()
		time.Sleep(keepFor - time.Second)
		if n := f.observersNow(); n != 1 {
			t.Errorf("before the end of a minute, %d observers are attached", n)
		}
		time.Sleep(2 * time.Second)
		if n := f.observersNow(); n != 0 {
			t.Errorf("after a minute, %d observers are attached", n)
		}
		time.Sleep(time.Hour)
		h.join()
		synctest.Wait()
		frames, _, _, _ := h.after(last)
		all := parse(t, frames)
		if len(all) != 1 || !all[0].Full || len(all[0].Sources[0].Points) != 1 || len(all[0].Sources[0].Spans) != 0 || all[0].Sources[0].Stats.Done != 1 {
			t.Errorf("a page that returns gets %+v", all)
		}
		h.leave()
		h.close()
	})
}

// TestHub_After: a connected page must get each frame once. A page that was
// away for a short time must get the missing frames, and a page that was away
// for longer must get a complete frame.
func TestHub_After(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Feed
		h := openHub(t, &f)
		frames, last, changed, _ := h.after(0)
		if all := parse(t, frames); len(all) != 1 || !all[0].Full {
			t.Fatalf("the first frame is %+v", all)
		}
		if frames, _, _, _ := h.after(last); len(frames) != 0 {
			t.Errorf("%d frames without a change", len(frames))
		}
		run(&f, 1, "f", time.Millisecond, nil)
		<-changed
		frames, next, _, _ := h.after(last)
		if all := parse(t, frames); next != last+1 || len(all) != 1 || all[0].Full || len(all[0].Sources[0].Spans) != 1 || len(all[0].Sources[0].Points) != 1 {
			t.Errorf("frame %d is %+v", next, all)
		}
		time.Sleep((keptFrames - 1) * interval)
		synctest.Wait()
		frames, end, _, _ := h.after(next)
		if all := parse(t, frames); int(end-next) != len(all) || len(all) < keptFrames-2 || all[0].Full {
			t.Errorf("after %d intervals there are %d frames, from %d to %d", keptFrames-1, len(all), next, end)
		}
		time.Sleep(2 * interval)
		synctest.Wait()
		frames, _, _, _ = h.after(last)
		if all := parse(t, frames); len(all) != 1 || !all[0].Full || len(all[0].Sources[0].Spans) != 1 {
			t.Errorf("a page that was away gets %+v", all)
		}
		if frames, _, _, _ = h.after(end + 1000); len(frames) != 1 {
			t.Errorf("a page with an unknown frame gets %d frames", len(frames))
		}
	})
}

// TestHub_Close: the last frame must have the final numbers, and must say that
// it is the last frame.
func TestHub_Close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Feed
		h := newHub()
		remove := h.add(newRecorder("other", new(Feed)))
		h.add(newRecorder("feed", &f))
		h.join()
		synctest.Wait()
		_, last, _, over := h.after(0)
		if over {
			t.Error("the hub is over before its end")
		}
		remove()
		run(&f, 1, "f", time.Millisecond, nil)
		h.mu.Lock()
		h.closed = true // a page connects while close is called
		h.mu.Unlock()
		if frames, _, _, _ := h.after(0); parse(t, frames)[0].Ended {
			t.Error("a frame before the last one says that it is the last one")
		}
		h.mu.Lock()
		h.closed = false
		h.mu.Unlock()
		h.close()
		frames, _, _, over := h.after(last)
		all := parse(t, frames)
		if !over || len(all) != 1 || !all[0].Ended || len(all[0].Sources) != 1 || all[0].Sources[0].Name != "feed" || all[0].Sources[0].Stats.Done != 1 {
			t.Errorf("over %v; the last frame is %+v", over, all)
		}
		if n := f.observersNow(); n != 0 {
			t.Errorf("after the end, %d observers are attached", n)
		}
		if h.join() {
			t.Error("a page can join after the end")
		}
		h.close() // may be called again
	})
}

// TestHub_Points: the memory must be bounded for any time that a page is open.
func TestHub_Points(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Feed
		h := newHub()
		r := newRecorder("feed", &f)
		h.add(r)
		h.join()
		for i := range uint64(3 * maxPoints) {
			for j := range uint64(10) {
				run(&f, 10*i+j+1, "f", time.Millisecond, nil)
			}
			time.Sleep(interval)
		}
		h.leave()
		h.close()
		if n := len(r.points); n < maxPoints || n > 2*maxPoints {
			t.Errorf("%d points", n)
		}
		if n := len(r.spans); n < maxSpans || n > 2*maxSpans {
			t.Errorf("%d spans", n)
		}
		if n := len(h.frames); n != keptFrames {
			t.Errorf("%d frames", n)
		}
	})
}

// TestHub_Details: a frame must have the traceback of a failure if the failure
// is new or the frame is complete, and not otherwise.
func TestHub_Details(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Feed
		h := openHub(t, &f)
		_, last, _, _ := h.after(0)
		details := func(number int64) (found []string) {
			frames, _, _, _ := h.after(number)
			for _, frame := range parse(t, frames) {
				for _, g := range frame.Sources[0].Failures.Groups {
					found = append(found, g.Detail)
				}
			}
			return found
		}
		run(&f, 1, "f", time.Millisecond, traced{"first"})
		time.Sleep(interval)
		synctest.Wait()
		run(&f, 2, "f", time.Millisecond, traced{"second"})
		time.Sleep(interval)
		synctest.Wait()
		if got := details(last); len(got) != 3 || got[0] == "" || got[1] != "" || got[2] == "" {
			t.Errorf("the new frames have %q", got)
		}
		if got := details(0); len(got) != 2 || got[0] == "" || got[1] == "" {
			t.Errorf("a complete frame has %q", got)
		}
	})
}

// TestDashboard_ReplayFails: it must be possible to replay tasks again after a
// failed replay.
func TestDashboard_ReplayFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := true
		d := New(&Options{OnReplay: func(_ context.Context, t Task) error {
			if away && t.ID == 2 {
				return errors.New("the server is away")
			}
			return nil
		}})
		defer d.Close()
		var f Feed
		d.Add("feed", &f)
		d.hub.join()
		defer d.hub.leave()
		synctest.Wait()
		run(&f, 1, "f", time.Millisecond, errors.New("refused"))
		run(&f, 2, "f", time.Millisecond, errors.New("refused"))
		replay := action{Do: "replay", Source: 1}
		if _, err := d.do(t.Context(), replay); err == nil || err.Error() != "1 of 2 replayed: the server is away" {
			t.Errorf("while the server is away: %v", err)
		}
		away = false
		if text, err := d.do(t.Context(), replay); err != nil || text != "1 of 1 replayed" {
			t.Errorf("later: %q, %v", text, err)
		}
	})
}
