package progress_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"concert/progress"
)

// TestKind_Failures: if Options.Kind is set, the text must have the number of
// failed tasks of each kind, with the most frequent kind first. It must have
// at most four kinds.
func TestKind_Failures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := progress.New(io.Discard, &progress.Options{Total: 50, Kind: error.Error})
		defer d.Close()
		o := events(d.Observe)
		o.finish(0, errors.New("timeout"))
		if got := d.String(); got != "1 of 50 tasks, 1 failed (1 timeout)" {
			t.Errorf("String() = %q", got)
		}
		for i := range 6 {
			for range i + 1 {
				o.finish(1, fmt.Errorf("exit code %d", i))
			}
		}
		if got := d.String(); got != "22 of 50 tasks, 22 failed (3 exit code 2, 2 exit code 1, 1 timeout, 1 exit code 0, 15 other)" {
			t.Errorf("String() = %q", got)
		}
	})
}

// TestLeft_UnbegunTasks: tasks that settled without a start took no time. They
// must not make the estimated time for the other tasks shorter.
func TestLeft_UnbegunTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := progress.New(io.Discard, &progress.Options{Total: 100})
		defer d.Close()
		o := events(d.Observe)
		for task := range uint64(60) {
			o.cancel(task)
		}
		time.Sleep(10 * time.Second)
		for task := range uint64(10) {
			o.start(100 + task)
			o.finish(100+task, nil)
		}
		if got := d.String(); got != "70 of 100 tasks, 60 failed, 30 s left" {
			t.Errorf("String() = %q", got)
		}
	})
}
