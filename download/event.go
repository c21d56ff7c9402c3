package download

import "time"

// EventKind is the kind of an event.
type EventKind string

// The kinds of events.
const (
	EventWait     EventKind = "wait"     // another call downloads the same file; Get blocks until it has ended
	EventHash     EventKind = "hash"     // Get reads bytes that it has, for their digest; Done of Total bytes are read
	EventStart    EventKind = "start"    // an attempt starts; it is number Attempt
	EventReply    EventKind = "reply"    // a reply has arrived; Status, URL and Total describe it, and Done bytes of an earlier attempt are continued
	EventProgress EventKind = "progress" // Done bytes of the file have arrived; while Get compares bytes that it has, Done is the number of equal bytes
	EventRetry    EventKind = "retry"    // an attempt failed with Err; the next one starts after Delay
)

// Event describes a step of a download.
type Event struct {
	Kind    EventKind
	URL     string        // the URL of the request or, in a reply, the URL after redirects; without secrets
	Attempt int           // the number of the attempt; the first one is 1
	Status  int           // the status of the reply
	Done    int64         // the number of bytes that have arrived
	Total   int64         // the size of the file; -1 if it is unknown
	Delay   time.Duration // the time until the next attempt
	Err     error         // the error of the attempt
}

func (j *job) emit(e Event) {
	if j.OnEvent != nil {
		if e.URL == "" {
			e.URL = j.shown[j.urlIndex()]
		}
		e.Attempt = j.attempt
		j.OnEvent(e)
	}
}
