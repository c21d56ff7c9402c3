package cluster_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy forwards TCP connections to a server. The network can fail and recover:
//
//	open --> cut --> open        connections end, and new ones are refused
//	open --> silent --> open     connections stay, and transfer nothing, as after a power failure
type proxy struct {
	to string
	l  net.Listener

	mu      sync.Mutex
	state   proxyState            // guarded by mu
	changed *sync.Cond            // uses mu; signals that the state has changed
	conns   map[net.Conn]struct{} // guarded by mu
	over    bool                  // guarded by mu: the test has ended
}

type proxyState int

const (
	open proxyState = iota
	cut
	silent
)

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{to: to, l: l, conns: map[net.Conn]struct{}{}}
	p.changed = sync.NewCond(&p.mu)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		p.over = true
		p.mu.Unlock()
		p.set(cut)
		running.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.l.Addr().String() }

func (p *proxy) set(s proxyState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = s
	p.changed.Broadcast()
	if s == silent {
		return
	}
	for c := range p.conns { // also after silent, because the peers of such connections may have given up
		c.Close()
	}
	clear(p.conns)
}

func (p *proxy) serve(from net.Conn) {
	defer from.Close()
	if !p.enter(from) {
		return
	}
	to, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer to.Close()
	if !p.enter(to) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pass(to, from) })
	both.Go(func() { p.pass(from, to) })
	both.Wait()
}

// enter adds a connection, unless the state is cut. While the state is silent,
// enter waits.
func (p *proxy) enter(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = struct{}{}
	for p.state == silent {
		p.changed.Wait()
	}
	if p.state == cut || p.over {
		delete(p.conns, c)
		return false
	}
	return true
}

// pass copies data from one connection to the other. While the state is silent,
// pass waits.
func (p *proxy) pass(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		p.mu.Lock()
		for p.state == silent {
			p.changed.Wait()
		}
		p.mu.Unlock()
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err == io.EOF || err != nil {
			return
		}
	}
}
