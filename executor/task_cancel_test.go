package executor_test

import (
	"context"
	"errors"
	"testing"

	"concert"
	"concert/executor"
)

// shelf is an executor that keeps tasks and runs none.
type shelf struct {
	group *executor.WorkerGroup
	tasks []*executor.Task
}

func (s *shelf) Execute(_ context.Context, t *executor.Task) error {
	s.group.Adopt(t)
	s.tasks = append(s.tasks, t)
	return nil
}
func (s *shelf) Width() int                       { return 1 }
func (s *shelf) Stats() executor.Stats            { return s.group.Stats() }
func (s *shelf) Watch(o executor.Observer) func() { return s.group.Watch(o) }
func (s *shelf) Close() error                     { return nil }
func (s *shelf) Shutdown(context.Context) error   { return nil }
func (s *shelf) Again(*executor.Task)             {}
func (s *shelf) Dropped()                         {}
func (s *shelf) Withdraw(*executor.Task) bool     { return true }

// TestTask_Expire: Expire cancels a queued task only if its submitter's context
// has ended, and only once.
func TestTask_Expire(t *testing.T) {
	s := &shelf{}
	s.group = executor.NewRemoteGroup(s, executor.Limits{}, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	fut := concert.Submit(ctx, s, func(context.Context, int) (int, error) { return 0, nil }, 1)
	if s.tasks[0].Expire() || !s.tasks[0].Waiting() {
		t.Error("the task expires before its context ends")
	}
	why := errors.New("not wanted")
	cancel(why)
	if !s.tasks[0].Expire() {
		t.Error("the task does not expire")
	}
	if _, err := fut.Result(t.Context()); !errors.Is(err, why) || !errors.Is(err, concert.ErrCanceled) && !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if s.tasks[0].Expire() {
		t.Error("the task expires twice")
	}
}
