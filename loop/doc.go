// Package loop is an event loop. It corresponds to asyncio in Python. Its
// coroutines run one at a time and switch only where they await, so data that
// they share needs no lock.
//
//	err := loop.Run(ctx, nil, func(ctx context.Context, g *loop.Group) error {
//		visits := map[string]int{} // of all connections, without a lock
//		return loop.Serve(ctx, listener, func(ctx context.Context, c net.Conn) {
//			name, err := bufio.NewReader(c).ReadString('\n') // other coroutines run in the meantime
//			if err != nil {
//				return
//			}
//			visits[name]++
//			fmt.Fprintf(c, "visit %d\n", visits[name])
//		})
//	})
//
// # The model
//
//	          await: release the scheduler lock            event: join the run queue
//	running -----------------------------------> waiting ----------------------------> ready
//	   ^                                                                                 |
//	   +----------------- first in the run queue: acquire the scheduler lock ------------+
//
// A coroutine is a goroutine that runs only while it holds the scheduler
// lock of the loop. An await is a call of this package that has a context
// and may wait: Sleep, Queue.Get, a Read of a [Conn], Task.Wait. An await
// that waits hands the lock to the coroutine that has been ready for the
// longest time. The await returns after its event has happened, as soon as
// the coroutine has acquired the lock again. The code between two awaits is
// one step. No other coroutine runs during a step. A call without a context
// never lets another coroutine run.
//
// So the loop is one fair lock around goroutines. [Block], which is for
// blocking calls outside of this package, releases the lock, makes the call,
// and acquires the lock again. All of Go works in a coroutine: stacks,
// panics, defer, locked threads. Coroutines made with iter.Pull would switch
// two to three times as fast. But they do not support runtime.LockOSThread,
// runtime.Goexit and panics. If such a coroutine does not run to its end, it
// is leaked.
//
// # The rules
//
//   - Coroutines are children of a [Group], which waits for them ([WithGroup]).
//     So no coroutine is left behind, and no error is lost. The first error
//     cancels the other children. A panic is an error.
//   - When the context of a coroutine has ended, every await that uses this
//     context returns the cause of the context as its error. So a coroutine
//     cannot ignore a cancellation by mistake. [WithTimeout], [WithCancel] and
//     [Shield] derive contexts. Contexts that package context derives work as
//     well, at a slightly higher cost.
//   - An await that fails lets other coroutines run. An await that succeeds at
//     once, such as a Get from a queue that has items, does not let them run.
//   - All queues are first in, first out: the run queue, and the queues of
//     coroutines that wait for the same thing. If a coroutine is canceled at
//     the moment when it is handed an item, there are two cases: either its
//     wait succeeds and it gets the item, or the next coroutine gets the
//     item.
//   - A context belongs to the coroutine for which it was made, and is valid
//     while this coroutine runs. A function of this package panics if it is
//     called with the context of another coroutine. Other goroutines may call
//     cancel functions, the methods of contexts, [Task.Cancel], [Group.Cancel]
//     and the methods of [Loop]. With a [Portal], they can run a function as a
//     coroutine.
//   - Waits of package concert with the context of a coroutine let other
//     coroutines run. So a coroutine can await any future by its Result.
//     [Offload] submits a function to an executor and awaits it.
//   - What a coroutine does in a step synchronizes before the next step of any
//     other coroutine.
//
// # Reports
//
// If a coroutine holds the loop for longer than 100 ms, the loop reports the
// coroutine and its stack, while the coroutine still runs ([Options.Stall]). If
// all coroutines wait and nothing can wake them, their waits fail with a
// [*DeadlockError] that says which coroutine waits for what. [Loop.Tree] shows
// the coroutines at any time. In profiles, their goroutines have the label
// "loop". Tests can use virtual time ([Options.Virtual]). Package
// [concert/loop/looptest] runs a test with many orders of execution.
//
// # The corners
//
// The loop cannot detect that another goroutine uses the context of a
// coroutine while that coroutine runs. It also cannot detect that another
// goroutine calls a function without a context, such as [Queue.TryPut]. The
// race detector can detect this. A coroutine that blocks without this
// package, for example on a channel, is reported as a coroutine that holds
// the loop.
//
// A coroutine that calls runtime.LockOSThread must call
// runtime.UnlockOSThread before it returns, because its goroutine may later
// run another coroutine.
//
// # When to use it
//
// A Go program needs no event loop to wait for many things: goroutines do
// this on all processors, and a switch between goroutines is as fast as a
// switch between coroutines. Use a loop if many connections share state, and
// the rules of this state span several pieces of data. With goroutines, it
// would be easy to forget a lock, or to hold a lock during a wait. Also use
// a loop for simulations and tests that must be repeatable, or if you prefer
// the style of asyncio. A loop uses one processor, except for functions in
// Block or Offload.
package loop
