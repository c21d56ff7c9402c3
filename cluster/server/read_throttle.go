package server

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	nats "github.com/nats-io/nats-server/v2/server"
	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"

	"concert/cluster/internal/wire"
)

// A NATS server reads from a connection as fast as messages arrive. It queues
// the messages that its streams have not handled, and has one queue for all
// keys. So a client that publishes without waiting for the answers delays all
// other clients, and makes the server use more and more memory.
//
// A throttle limits the delay and the memory. It measures the time until the
// streams answer, and the number of waiting messages. If an answer takes longer
// than maxAnswerTime, or if more than maxBacklog messages wait, the throttle
// slows down the key that sends most: the server pauses between two reads of
// each connection of this key. While answers are late and the key still sends
// most, the pauses double. Otherwise, the pauses get shorter in steps.
//
// A client that waits for answers is rarely slowed down, because it sends less
// while answers are late. The messages of a client that is slowed down are not
// lost: they wait in the client.
type throttle struct {
	server *Server
	nc     *client.Conn
	queued int             // number of waiting messages at the last measurement: see backlogGrows
	logged *rate.Sometimes // limits the number of log records
	pacing sync.WaitGroup  // goroutines that pause reads; some end only when their connection is closed

	mu    sync.Mutex
	conns map[string]net.Conn // guarded by mu: TLS connections by remote address; some may be closed
	prune int                 // guarded by mu: size of conns at which closed connections are removed
	paces map[string]*pace    // guarded by mu: by key
}

const (
	probePeriod   = 250 * time.Millisecond // time between two measurements
	maxAnswerTime = 400 * time.Millisecond // if an answer takes longer, a queue is long
	maxBacklog    = 1 << 15                // maximum number of messages that wait in queues, and of requests that wait for an answer
	samplePeriod  = 50 * time.Millisecond  // time over which the traffic of each key is counted

	// A key that sends less is not slowed down.
	minMessageRate = 4000    // per second
	minByteRate    = 8 << 20 // per second

	// Pauses between two reads of a connection. A read has 16 KiB at most.
	initialPause = 20 * time.Millisecond
	minPause     = 5 * time.Millisecond
	maxPause     = time.Second

	readTime = time.Millisecond // time in which the server can read, between two pauses
)

// pace is the state of the pauses of one key.
type pace struct {
	pause time.Duration       // pause between two reads; 0 if the key is no longer slowed down
	held  map[string]struct{} // connections that have a goroutine which pauses their reads
}

// traffic is what the connections of a key have sent.
type traffic struct{ messages, bytes int64 }

func newThrottle(s *Server) *throttle {
	return &throttle{
		server: s, logged: &rate.Sometimes{First: 1, Interval: recordPeriod},
		conns: map[string]net.Conn{}, prune: 64, paces: map[string]*pace{},
	}
}

// opened adds a connection to t.conns. It is called before the TLS handshake of
// the connection.
func (t *throttle) opened(conn net.Conn) {
	if _, ok := conn.(syscall.Conn); !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.conns) >= t.prune {
		for address, c := range t.conns {
			if isClosed(c) {
				delete(t.conns, address)
			}
		}
		t.prune = 2*len(t.conns) + 64
	}
	t.conns[conn.RemoteAddr().String()] = conn
}

// isClosed reports whether a connection in throttle.conns is closed.
func isClosed(conn net.Conn) bool {
	raw, err := conn.(syscall.Conn).SyscallConn()
	return err != nil || raw.Control(func(uintptr) {}) != nil
}

// run measures, and slows down keys, until the server stops. nc is the server's
// own connection.
func (t *throttle) run(nc *client.Conn) {
	t.nc = nc
	tick := time.NewTicker(probePeriod)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-t.server.ctx.Done():
			return
		}
		if grows := t.backlogGrows(); grows || t.answersLate() {
			t.slowDown()
		} else {
			t.relax()
		}
		t.hold()
	}
}

// probes returns requests that measure the time until an answer. They have no
// effect, because the streams and the JetStream API refuse them. There is one
// request for each queue that a client can fill.
func probes() (all []*client.Msg) {
	refused := client.Header{jetstream.ExpectedStreamHeader: {"none"}}
	for _, subject := range []string{
		wire.TaskSubject("probe", "probe"), wire.BlobSubject("probe.probe", 0),
		wire.ResultSubject(wire.TaskID{Client: "probe", Session: "probe", Number: "probe"}),
		wire.ResultSubject(wire.TaskID{Client: "probe", Number: "probe"}),
	} {
		all = append(all, &client.Msg{Subject: subject, Header: refused})
	}
	for _, request := range []string{"INFO", "DELETE"} { // each has a queue of its own
		all = append(all, &client.Msg{Subject: "$JS.API.CONSUMER." + request + "." + wire.ResultStream + ".probe"})
	}
	return all
}

// answersLate reports whether an answer takes longer than maxAnswerTime.
func (t *throttle) answersLate() bool {
	ctx, cancel := context.WithTimeout(t.server.ctx, maxAnswerTime)
	defer cancel()
	all := probes()
	late := make(chan bool, len(all))
	for _, m := range all {
		go func() {
			_, err := t.nc.RequestMsgWithContext(ctx, m)
			late <- err != nil && ctx.Err() != nil
		}()
	}
	for range all {
		if <-late {
			return true
		}
	}
	return false
}

// backlogGrows reports whether more than maxBacklog messages wait and their
// number has grown since the last call.
func (t *throttle) backlogGrows() bool {
	before := t.queued
	t.queued = 0
	for _, q := range *t.server.server.Ipqueuesz(&nats.IpqueueszOptions{}) {
		t.queued += q.Pending
	}
	if a, err := t.server.server.LookupAccount(commonAccount); err == nil {
		t.queued += a.NumPendingAllResponses()
	}
	return t.queued > maxBacklog && t.queued > before
}

// sent returns what the open connections of each key have sent.
func (t *throttle) sent() map[string]traffic {
	all, err := t.server.server.Connz(&nats.ConnzOptions{Username: true, Limit: maxListedConnections})
	if err != nil {
		return nil
	}
	sums := map[string]traffic{}
	for _, c := range all.Conns {
		if c.Account != commonAccount { // the account of the server itself and of admins
			s := sums[c.Account]
			sums[c.Account] = traffic{s.messages + c.InMsgs, s.bytes + c.InBytes}
		}
	}
	return sums
}

const maxListedConnections = 1 << 20 // in one request

// slowDown slows down the key that sends most, if the key exceeds one of the
// minimum rates.
func (t *throttle) slowDown() {
	begin, before := time.Now(), t.sent()
	select {
	case <-time.After(samplePeriod):
	case <-t.server.ctx.Done():
		return
	}
	key := busiest(before, t.sent(), time.Since(begin))
	if key == "" {
		return
	}
	t.mu.Lock()
	p := t.paces[key]
	if p == nil {
		p = &pace{held: map[string]struct{}{}}
		t.paces[key] = p
	}
	p.pause = max(initialPause, min(2*p.pause, maxPause))
	pause := p.pause
	t.mu.Unlock()
	t.logged.Do(func() {
		slog.Warn("server: slowing down a key: its messages arrive faster than the server handles them", "key", key, "pause", pause)
	})
}

// busiest returns the key that has sent most between two counts, relative to
// the minimum rates. It returns "" if no key has exceeded a minimum rate.
func busiest(before, after map[string]traffic, d time.Duration) (key string) {
	highest := d.Seconds()
	for k, a := range after {
		b := before[k] // zero if the key has connected after the first count
		load := max(float64(a.messages-b.messages)/minMessageRate, float64(a.bytes-b.bytes)/minByteRate)
		if load > highest {
			key, highest = k, load
		}
	}
	return key
}

func (t *throttle) relax() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, p := range t.paces {
		if p.pause = p.pause * 7 / 8; p.pause < minPause {
			p.pause = 0
		}
		if p.pause == 0 && len(p.held) == 0 {
			delete(t.paces, key)
		}
	}
}

// hold pauses the reads of all connections of the keys that are slowed down.
func (t *throttle) hold() {
	t.mu.Lock()
	keys := make([]string, 0, len(t.paces))
	for key, p := range t.paces {
		if p.pause > 0 {
			keys = append(keys, key)
		}
	}
	t.mu.Unlock()
	for _, key := range keys {
		all, err := t.server.server.Connz(&nats.ConnzOptions{Account: key, Limit: maxListedConnections})
		if err != nil {
			continue
		}
		t.mu.Lock()
		p := t.paces[key]
		for _, c := range all.Conns {
			address := net.JoinHostPort(c.IP, strconv.Itoa(c.Port))
			conn := t.conns[address]
			if _, held := p.held[address]; held || conn == nil {
				continue
			}
			p.held[address] = struct{}{}
			t.pacing.Go(func() { t.pace(p, address, conn) })
		}
		t.mu.Unlock()
	}
}

// pace pauses between the reads of a connection until its key is no longer
// slowed down, or the connection is closed. It holds the lock of the
// connection's reads, so the server waits as if no data had arrived.
func (t *throttle) pace(p *pace, address string, conn net.Conn) {
	defer func() {
		t.mu.Lock()
		delete(p.held, address)
		t.mu.Unlock()
	}()
	raw, err := conn.(syscall.Conn).SyscallConn()
	for err == nil {
		t.mu.Lock()
		pause := p.pause
		t.mu.Unlock()
		if pause == 0 {
			return
		}
		err = raw.Read(func(uintptr) bool { t.sleep(pause); return true })
		t.sleep(readTime)
	}
}

// sleep waits, unless the server stops.
func (t *throttle) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-t.server.ctx.Done():
	}
}
