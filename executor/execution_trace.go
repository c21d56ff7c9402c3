package executor

import (
	"context"
	"runtime/trace"
)

// callTraced is callFunction while an execution trace of package runtime/trace
// is recorded. The call of a Submit is a task of this trace, with one region. A
// call of a Map is only a region, because it may be short. If Map was called
// within a task of the trace, the region belongs to that task. Tasks and
// regions have the name of the function.
func callTraced[In, Out any](t *Task, ctx context.Context, fn func(context.Context, In) (Out, error), in In) (Out, error) {
	name := t.Name()
	if t.status.Load()&ofMap == 0 {
		var task *trace.Task
		ctx, task = trace.NewTask(ctx, name)
		defer task.End()
	}
	defer trace.StartRegion(ctx, name).End()
	if t.group == nil || t.group.Lock == nil {
		return fn(ctx, in)
	}
	return underLock(t.group.Lock, ctx, fn, in)
}
