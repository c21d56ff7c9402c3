//go:build unix

package loop_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"concert/loop"
)

// TestSignals_InOrder: the sequence must yield each signal, even if it arrives
// while another signal is handled. The sequence must end when the context ends.
func TestSignals_InOrder(t *testing.T) {
	got := make(chan os.Signal, 1)
	signal.Notify(got, syscall.SIGUSR1) // the first call starts a goroutine that does not end
	signal.Stop(got)
	quiet(t)
	err := loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
		send := func() { syscall.Kill(os.Getpid(), syscall.SIGUSR1) }
		n := 0
		short, cancel := loop.WithCancel(ctx)
		g.After(time.Millisecond, func(context.Context) error { send(); return nil })
		for s := range loop.Signals(short, syscall.SIGUSR1) {
			if s != syscall.SIGUSR1 {
				t.Errorf("signal %v", s)
			}
			switch n++; n {
			case 1:
				send() // during the body of the range
			case 2:
				g.After(time.Millisecond, func(context.Context) error { cancel(errTest); return nil })
			}
		}
		if n != 2 || !errors.Is(context.Cause(short), errTest) {
			t.Errorf("%d signals, want 2; %v", n, context.Cause(short))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func ExampleSignals() {
	loop.Run(context.Background(), nil, func(ctx context.Context, g *loop.Group) error {
		g.After(10*time.Millisecond, func(context.Context) error {
			return syscall.Kill(os.Getpid(), syscall.SIGHUP)
		})
		for s := range loop.Signals(ctx, syscall.SIGHUP) {
			fmt.Println("received", s)
			break
		}
		return nil
	})
	// Output: received hangup
}
