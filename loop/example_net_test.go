package loop_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"concert/loop"
)

// A Read ends when its context ends. The program can use the connection
// afterwards.
func ExampleConn() {
	loop.Run(context.Background(), nil, func(ctx context.Context, g *loop.Group) error {
		client, server := net.Pipe()
		defer client.Close()
		g.After(20*time.Millisecond, func(ctx context.Context) error {
			defer server.Close()
			_, err := io.WriteString(loop.Conn(ctx, server), "hello\n")
			return err
		})
		short, cancel := loop.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		_, err := loop.Conn(short, client).Read(make([]byte, 1))
		fmt.Println(err)
		line, err := bufio.NewReader(loop.Conn(ctx, client)).ReadString('\n')
		fmt.Print(line)
		return err
	})
	// Output:
	// context deadline exceeded
	// hello
}

// The server and its client are coroutines of one loop.
func ExampleServe() {
	err := loop.Run(context.Background(), nil, func(ctx context.Context, g *loop.Group) error {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		g.Background(func(ctx context.Context) error {
			return loop.Serve(ctx, listener, func(ctx context.Context, c net.Conn) {
				io.WriteString(c, "welcome")
			})
		})
		c, err := loop.Dial(ctx, "tcp", listener.Addr().String())
		if err != nil {
			return err
		}
		defer c.Close()
		text, err := io.ReadAll(c)
		fmt.Printf("%s\n", text)
		return err
	})
	fmt.Println(err)
	// Output:
	// welcome
	// <nil>
}

func ExampleDial() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer listener.Close()
	loop.Run(context.Background(), nil, func(ctx context.Context, g *loop.Group) error {
		c, err := loop.Dial(ctx, "tcp", listener.Addr().String())
		if err != nil {
			return err
		}
		defer c.Close()
		fmt.Println("connected to the listener:", c.RemoteAddr().String() == listener.Addr().String())
		return nil
	})
	// Output: connected to the listener: true
}

// Two goroutines use a map of the loop without a lock.
func ExampleOpen() {
	portal := loop.Open(context.Background(), nil)
	visits := map[string]int{}
	done := make(chan error)
	for range 2 {
		go func() {
			done <- portal.Run(context.Background(), func(context.Context) error {
				visits["Ann"]++
				return nil
			})
		}()
	}
	fmt.Println(<-done, <-done)
	fmt.Println(portal.Close(), visits)
	// Output:
	// <nil> <nil>
	// <nil> map[Ann:2]
}
