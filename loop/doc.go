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
//	            await: hand on the baton                    woken: stand in line
//	running -------------------------------> waiting ------------------------------> ready
//	   ^                                                                               |
//	   +--------------------------- the first in line gets the baton ------------------+
//
// A coroutine is a goroutine that runs while it holds the loop's baton, which
// is a lock. An await is a call of this package that has a context and may
// wait: Sleep, Queue.Get, a Read of a [Conn], Task.Wait. It hands the baton to
// the coroutine that has been ready for longest. It returns when the event that
// it waits for has happened and it is the coroutine's turn again. Everything
// between two awaits is one step, in which no other coroutine runs. A call
// without a context does not switch.
//
// So the loop is one fair lock around goroutines. [Block], for calls that block
// elsewhere, is unlock, call, lock. All of Go works as outside of a loop:
// stacks, panics, defer, locked threads. Coroutines on iter.Pull would switch
// two to three times as fast, but they break on runtime.LockOSThread,
// runtime.Goexit and panics, and a coroutine that does not run to its end is
// leaked.
//
// # The rules
//
//   - Coroutines are children of a [Group], which waits for them ([WithGroup]).
//     So none is forgotten, and no error is lost. The first error cancels the
//     other children; a panic is an error.
//   - The contexts of coroutines are cancel scopes. Once a context has ended,
//     every await with it fails with its cause. So a coroutine cannot ignore a
//     cancellation by mistake. [WithTimeout], [WithCancel] and [Shield] make
//     such contexts. Those that package context derives from them work as well,
//     at a slightly higher cost.
//   - An await that fails lets other coroutines run. An await that succeeds at
//     once, such as a Get from a queue that has items, does not.
//   - All queues are first in, first out: that of ready coroutines, and those
//     of coroutines that wait for the same thing. If a coroutine is canceled at
//     the moment in which it is handed an item, either its wait succeeds and it
//     gets the item, or the next coroutine gets it.
//   - A context belongs to the coroutine that it was made for, and is valid
//     while that coroutine runs. A function of this package panics if it gets
//     another context. Other goroutines may call cancel functions, the methods
//     of contexts, [Task.Cancel], [Group.Cancel] and the methods of [Loop]. By
//     a [Portal], they become coroutines for some time.
//   - Waits of package concert with a coroutine's context let other coroutines
//     run. So a coroutine can await any future by its Result. [Offload] submits
//     a function to an executor and awaits it.
//   - What a coroutine does in a step synchronizes before the next step of any
//     other.
//
// # What is reported
//
// A coroutine that holds the loop for longer than 100 ms is reported while it
// does so, with its stack ([Options.Stall]). If all coroutines wait and nothing
// can wake them, their waits fail with a [*DeadlockError] that says which
// coroutine waits for what. [Loop.Tree] shows the coroutines at any time. In
// profiles, their goroutines have the label "loop". Tests can use virtual time
// ([Options.Virtual]), and package [concert/loop/looptest] runs a test with
// many orders of execution.
//
// # The corners
//
// The loop cannot detect that another goroutine uses the context of a coroutine
// while that coroutine runs, or that another goroutine calls a function without
// a context, such as [Queue.TryPut]; the race detector finds the latter. A
// coroutine that blocks without this package, on a channel for example, is
// reported as holding the loop.
//
// A coroutine that calls runtime.LockOSThread must undo it before it returns,
// because its goroutine may run another coroutine then.
//
// # When to use it
//
// Go needs no event loop to wait for many things: goroutines do that, on all
// processors, and a switch between two of them costs no more. Use a loop for
// state that many connections share and whose rules span several pieces of
// data, where it is easy to forget a lock or to hold it during a wait; for
// simulations and tests that must be repeatable; or if you prefer the style of
// asyncio. A loop uses one processor, except for functions in Block or Offload.
package loop
