// Chat is a chat server on an event loop. Clients send and receive lines:
//
//	go run ./examples/chat                      on 127.0.0.1:7777
//	go run ./examples/chat -listen :9000
//
// To talk, run nc 127.0.0.1 7777 in two windows or more. The first line is
// your name. Every later line is sent to all users, except for the line /who,
// which lists the users. After Ctrl-C, the server says goodbye to all users,
// and ends.
//
// All connections share the list of users and the latest lines. A coroutine
// does not await while it changes this state. So no other coroutine sees a
// half-finished change, and no lock is needed.
//
// Exit codes: 0 after Ctrl-C, 1 if the server could not listen or failed later,
// 2 for wrong usage.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"concert/loop"
)

const (
	longest   = 1000            // the maximum number of bytes in a line
	unread    = 64              // the maximum number of lines that wait for a client
	remember  = 5               // the number of earlier lines that a new client gets
	patience  = time.Minute     // the time for which the server waits for the name of a client
	goodbye   = 2 * time.Second // the time for which the server tries to send its last line
	shortName = 20              // the maximum number of bytes in a name
)

func main() {
	address := flag.String("listen", "127.0.0.1:7777", "the address to listen on")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "chat: unexpected argument %q; see -help\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	listener, err := net.Listen("tcp", *address)
	if err == nil {
		fmt.Println("listening on", listener.Addr())
		err = serve(ctx, listener)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(1)
	}
}

// serve serves the connections of a listener, until ctx ends.
func serve(ctx context.Context, listener net.Listener) error {
	return loop.Run(ctx, &loop.Options{Name: "chat"}, func(ctx context.Context, _ *loop.Group) error {
		r := &room{members: map[string]*loop.Queue[string]{}}
		return loop.Serve(ctx, listener, r.welcome)
	})
}

// room has the state that all connections share.
type room struct {
	members map[string]*loop.Queue[string] // the queue of lines for each client, by name
	said    []string                       // the last lines
}

// welcome is the coroutine that reads from a connection.
func (r *room) welcome(ctx context.Context, c net.Conn) {
	fmt.Fprintln(c, "your name?")
	c.SetReadDeadline(time.Now().Add(patience))
	lines := bufio.NewScanner(c)
	lines.Buffer(make([]byte, 0, 256), longest)
	if !lines.Scan() {
		return
	}
	c.SetReadDeadline(time.Time{})
	name, mine, err := r.enter(lines.Text())
	if err != nil {
		fmt.Fprintln(c, err)
		return
	}
	loop.WithGroup(ctx, func(ctx context.Context, g *loop.Group) error {
		loop.Current(ctx).SetName("reads from %s", name)
		writer := g.Go(func(ctx context.Context) error { return write(ctx, c, mine) })
		writer.SetName("writes to %s", name)
		for lines.Scan() {
			if line := strings.TrimSpace(lines.Text()); line == "/who" {
				mine.TryPut("here: " + strings.Join(slices.Sorted(maps.Keys(r.members)), ", "))
			} else if line != "" {
				// The client receives its own line, too. The server reads the
				// next line only when the queue of the client had room for the
				// current line. So a client cannot send lines faster than it
				// receives them.
				heard := append([]string{name + ": " + line}, r.say(name+": "+line, mine)...)
				if !putAll(ctx, mine, heard) {
					break
				}
			}
		}
		r.leave(name, mine)
		return nil
	})
}

// enter adds a client to the room. It does not await, so no other client can
// get the same name at the same time.
func (r *room) enter(line string) (name string, mine *loop.Queue[string], err error) {
	name = strings.TrimSpace(line)
	switch {
	case name == "" || len(name) > shortName:
		return "", nil, fmt.Errorf("a name has 1 to %d bytes", shortName)
	case r.members[name] != nil:
		return "", nil, fmt.Errorf("the name %s is taken", name)
	}
	r.say(name+" comes", nil)
	mine = loop.NewQueue[string](unread)
	for _, line := range r.said {
		mine.TryPut(line)
	}
	r.members[name] = mine
	return name, mine, nil
}

// putAll puts lines into a queue. It awaits free space in the queue, and
// returns false if the queue is closed.
func putAll(ctx context.Context, to *loop.Queue[string], lines []string) bool {
	for _, line := range lines {
		if to.Put(ctx, line) != nil {
			return false
		}
	}
	return true
}

// say sends a line to all users, except to the user with the given queue. It
// does not wait for a user whose queue is full, but removes this user. For
// each removed user, it returns a line that reports this.
func (r *room) say(line string, but *loop.Queue[string]) (notices []string) {
	if r.said = append(r.said, line); len(r.said) > remember {
		r.said = slices.Delete(r.said, 0, 1)
	}
	for name, lines := range r.members {
		if lines != but && !lines.TryPut(line) {
			delete(r.members, name)
			lines.Close()
			notices = append(notices, name+" leaves")
		}
	}
	for _, n := range slices.Clone(notices) {
		notices = append(notices, r.say(n, but)...)
	}
	return notices
}

// leave removes a user, unless the user was removed earlier.
func (r *room) leave(name string, lines *loop.Queue[string]) {
	if r.members[name] == lines {
		delete(r.members, name)
		lines.Close()
		r.say(name+" leaves", nil)
	}
}

// write is the coroutine that writes to a connection. When the queue is closed
// and empty, write closes the connection. This also ends the coroutine that
// reads from the connection.
func write(ctx context.Context, c net.Conn, lines *loop.Queue[string]) error {
	raw := c
	defer raw.Close()
	c = loop.Conn(ctx, c)
	for line, err := range lines.All(ctx) {
		if err != nil { // the server is shutting down
			ctx, cancel := loop.WithTimeout(loop.Shield(ctx), goodbye)
			defer cancel()
			io.WriteString(loop.Conn(ctx, c), "goodbye\n")
			return err
		}
		if _, err := fmt.Fprintln(c, line); err != nil {
			return nil
		}
	}
	return nil
}
