package dashboard

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// writeTime is the time in which a page must receive frames. After it, the
// connection is closed, and the page connects again.
const writeTime = 15 * time.Second

// serveEvents sends frames as server-sent events, until the page leaves. The id
// of an event names the Dashboard and the frame. A browser that connects again
// sends the id of the last event that it has received.
func (d *Dashboard) serveEvents(w http.ResponseWriter, r *http.Request) {
	if !d.hub.join() {
		http.Error(w, "dashboard: too many pages are open, or the program ends", http.StatusServiceUnavailable)
		return
	}
	defer d.hub.leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // turns off the buffering of proxies
	if r.Method == http.MethodHead {
		return
	}
	control := http.NewResponseController(w)
	defer control.SetWriteDeadline(time.Time{})
	number := d.frameOf(r.Header.Get("Last-Event-ID"))
	for {
		frames, last, changed, over := d.hub.after(number)
		control.SetWriteDeadline(time.Now().Add(writeTime)) // ignores the error, because not all writers have deadlines
		for i, f := range frames {
			id := last - int64(len(frames)-1-i)
			if _, err := fmt.Fprintf(w, "retry: 1000\nid: %s.%d\ndata: %s\n\n", d.epoch, id, f); err != nil {
				return
			}
		}
		if err := control.Flush(); err != nil || over {
			return
		}
		number = last
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// frameOf returns the number of the frame with an id, or 0 if the id is not of
// this Dashboard.
func (d *Dashboard) frameOf(id string) int64 {
	text, ok := strings.CutPrefix(id, d.epoch+".")
	if !ok {
		return 0
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return number
}
