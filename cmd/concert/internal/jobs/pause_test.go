package jobs

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestGate_Pause: no job may pass the gate while the gate is paused, even if
// the delay of the job ends in this time. The end of the run must end the
// wait.
func TestGate_Pause(t *testing.T) {
	for name, o := range map[string]*options{"without limits": {}, "with a delay": {delay: time.Second}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate(o, func(string) {})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				passed := make(chan bool)
				pass := func() { passed <- g.pass(ctx) }
				waits := func() {
					t.Helper()
					time.Sleep(time.Hour)
					select {
					case <-passed:
						t.Error("a job has passed while the gate was paused")
					default:
					}
				}
				go pass()
				if !<-passed {
					t.Error("a job has not passed")
				}
				if o.delay > 0 {
					go pass()
					synctest.Wait() // returns when the job waits for the delay
				}
				g.pause(true)
				g.pause(true) // again, without an effect
				if o.delay == 0 {
					go pass()
				}
				waits()
				g.pause(false)
				if !<-passed {
					t.Error("after the pause, a job has not passed")
				}
				g.pause(true)
				go pass()
				waits()
				cancel()
				if <-passed {
					t.Error("a job has passed after the end of the run")
				}
			})
		})
	}
}
