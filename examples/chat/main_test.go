package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// start starts a server. At the end of the test, the server is stopped.
func start(t *testing.T) (address string, stop func()) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, listener) }()
	stop = func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("serve() = %v", err)
		}
		done <- context.Canceled
	}
	t.Cleanup(stop)
	return listener.Addr().String(), stop
}

// client is a connection of a test.
type client struct {
	net.Conn
	t     *testing.T
	lines *bufio.Scanner
}

func dial(t *testing.T, address string) *client {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{c, t, bufio.NewScanner(c)}
}

func (c *client) say(line string) { fmt.Fprintln(c, line) }

func (c *client) hear(want ...string) {
	c.t.Helper()
	for _, want := range want {
		if c.lines.Scan(); c.lines.Text() != want {
			c.t.Errorf("received %q, %v; want %q", c.lines.Text(), c.lines.Err(), want)
		}
	}
}

func TestChat_Conversation(t *testing.T) {
	address, stop := start(t)
	ann, bob := dial(t, address), dial(t, address)
	ann.hear("your name?")
	ann.say("Ann")
	ann.hear("Ann comes")
	ann.say("anybody there?")
	ann.hear("Ann: anybody there?")
	bob.hear("your name?")
	bob.say(" Bob ")
	bob.hear("Ann comes", "Ann: anybody there?", "Bob comes")
	ann.hear("Bob comes")
	bob.say("/who")
	bob.hear("here: Ann, Bob")
	bob.say("hello")
	ann.hear("Bob: hello")
	bob.hear("Bob: hello")

	for name, answer := range map[string]string{
		"Ann":                   "the name Ann is taken",
		"":                      "a name has 1 to 20 bytes",
		strings.Repeat("x", 21): "a name has 1 to 20 bytes",
	} {
		other := dial(t, address)
		other.hear("your name?")
		other.say(name)
		other.hear(answer)
		if other.lines.Scan() {
			t.Errorf("after %q: %q", answer, other.lines.Text())
		}
	}

	bob.Close()
	ann.hear("Bob leaves")
	stop()
	ann.hear("goodbye")
}

// TestChat_ClientDoesNotRead: if a client does not read, the server must
// disconnect it, and other clients must not wait for it.
func TestChat_ClientDoesNotRead(t *testing.T) {
	address, _ := start(t)
	idle, busy := dial(t, address), dial(t, address)
	idle.say("idle")
	idle.hear("your name?", "idle comes") // from here on, this client does not read
	busy.hear("your name?")
	busy.say("busy")
	go func() {
		line := strings.Repeat("x", 900)
		for range 100_000 {
			if _, err := fmt.Fprintln(busy, line); err != nil {
				return
			}
		}
	}()
	for busy.lines.Scan() {
		if busy.lines.Text() == "idle leaves" {
			return
		}
	}
	t.Errorf("the idle client was not disconnected: %v", busy.lines.Err())
}

// TestChat_EndlessLine: if a client sends a line without an end, the server
// must disconnect it, and must not send the line to users.
func TestChat_EndlessLine(t *testing.T) {
	address, _ := start(t)
	c := dial(t, address)
	c.say("endless")
	c.hear("your name?", "endless comes")
	io.Copy(c, strings.NewReader(strings.Repeat("x", 5000)))
	for c.lines.Scan() {
		if text := c.lines.Text(); strings.Contains(text, "xxx") {
			t.Errorf("received %q", text)
		}
	}
}
