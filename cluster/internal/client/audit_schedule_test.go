package client

import (
	"strconv"
	"testing"
	"time"

	"concert/cluster/internal/wire"
)

// TestAudit_Schedule: for any number of outstanding calls, each call must be
// audited within the time that audit.go states. No audit may have more calls
// than one request may have.
func TestAudit_Schedule(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	for _, row := range []struct {
		name  string
		calls int
		doubt bool          // the client reconnects a minute after the calls were sent
		most  time.Duration // maximum time from the send, or from the reconnection, until all calls are audited
	}{
		{"few", 10, false, 35 * time.Second},
		{"as many as one capability set may have", wire.MaxTasksPerClient, false, 110 * time.Second},
		{"10,000", 10_000, false, 230 * time.Second},
		{"after the connection was lost", 10_000, true, 40 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := &Executor{calls: map[string]*call{}}
			for i := range row.calls {
				c := &call{try: strconv.Itoa(i), sentAt: start, sequence: uint64(i + 1)}
				e.calls[c.try] = c
			}
			now, from := start, start
			if row.doubt {
				for _, c := range e.calls {
					c.finding = &finding{at: start.Add(50 * time.Second), state: wire.Queued}
				}
				now = start.Add(time.Minute)
				from, e.auditBefore = now, now
			}
			left := row.calls
			for left > 0 {
				calls, soon := e.dueCalls(now, wire.MaxAudited)
				if len(calls) > wire.MaxAudited {
					t.Fatalf("an audit has %d calls", len(calls))
				}
				for _, a := range calls {
					if a.call.finding == nil || a.call.finding.at.Before(from) {
						left--
					}
					a.call.finding = &finding{at: now, state: wire.Queued}
				}
				if left > 0 && now.Sub(from) > row.most {
					t.Fatalf("%d calls are not audited yet after %v", left, now.Sub(from))
				}
				now = now.Add(auditPeriod)
				if soon {
					now = now.Add(auditPause - auditPeriod)
				}
			}
			t.Logf("all calls are audited after %v", now.Sub(from))
		})
	}
}

// TestFinding_Due: a call must be due in each of these cases: AuditAge after it
// was sent or audited, after auditAll was called, and auditPause after an audit
// that found it absent.
func TestFinding_Due(t *testing.T) {
	sent := time.Unix(1_000_000, 0)
	at := func(s int) time.Time { return sent.Add(time.Duration(s) * time.Second) }
	for _, row := range []struct {
		name         string
		finding      *finding
		doubted, now int
		want         bool
	}{
		{"just sent", nil, -1, 0, false},
		{"sent for long", nil, -1, 30, true},
		{"sent before auditAll", nil, 1, 2, true},
		{"audited", &finding{at: at(30), state: wire.Queued}, -1, 59, false},
		{"audited for long", &finding{at: at(30), state: wire.Queued}, -1, 60, true},
		{"audited before auditAll", &finding{at: at(30), state: wire.Queued}, 31, 31, true},
		{"answered", &finding{at: at(30), state: wire.Answered}, -1, 59, false},
		{"absent", &finding{at: at(30), state: wire.Absent}, -1, 31, true},
		{"absent a moment ago", &finding{at: at(30), state: wire.Absent}, -1, 30, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := row.finding.due(sent, at(row.doubted), at(row.now)); got != row.want {
				t.Errorf("due() = %v, want %v", got, row.want)
			}
		})
	}
}
