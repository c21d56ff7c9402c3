// Package loop is an event loop: what asyncio is in Python. Its coroutines run one at a time
// and switch only where they await, so what they share needs no lock.
//
//	err := loop.Run(ctx, nil, func(ctx context.Context, g *loop.Group) error {
//		visits := map[string]int{} // of all connections, without a lock
//		return loop.Serve(ctx, listener, func(ctx context.Context, c net.Conn) {
//			name, err := bufio.NewReader(c).ReadString('\n') // others run meanwhile
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
// A coroutine is a goroutine that runs while it has the loop's baton. An await is a call of this
// package that is given a context and may wait: Sleep, Queue.Get, a Read of a [Conn], Task.Wait. It
// hands the baton to the coroutine that has been ready for longest and returns when the thing that it
// waits for has happened and it is the coroutine's turn again. Everything between two awaits is one
// step, in which no other coroutine runs. What takes no context does not switch.
//
// So the loop is one fair lock around goroutines: [Block], for what waits elsewhere, is unlock, call, lock. All of Go
// works inside of it as it does outside: stacks, panics, defer, locked threads. The alternative, coroutines on
// iter.Pull, switches two to three times as fast, and breaks on runtime.LockOSThread, runtime.Goexit and panics, and leaks
// what is not run to its end.
//
// # The rules
//
//   - Coroutines are children of a [Group], which waits for them ([WithGroup]): none is forgotten, no
//     error is lost. The first error cancels the siblings; a panic is an error.
//   - The contexts of coroutines are cancel scopes. Once one has ended, every await that is given it fails with its
//     cause, for as long as it is used: a cancellation cannot be swallowed. [WithTimeout], [WithCancel] and [Shield] make
//     them; those that package context makes from them work, too, for a little more.
//   - An await that fails lets others run; one that succeeds at once, as a Get from a queue that has items, does not.
//   - All queues are first in, first out: of coroutines that are ready, and of those that wait for the same thing. What is
//     handed to a coroutine in the instant in which it is cancelled is either its own, and its wait
//     succeeds, or goes to the next.
//   - A context is for the coroutine that it was made for, while that runs. A function of this package that is given
//     another panics. From other goroutines there are cancel functions, the methods of contexts, [Task.Cancel], [Group.Cancel], those of
//     [Loop], and [Portal], by which they become coroutines for a while.
//   - Waits of package concert that are given a coroutine's context let the loop go on: any future can be
//     awaited by its Result. [Offload] hands work to an executor and awaits it.
//   - What one coroutine did in a step synchronizes before the next step of any other.
//
// # What is reported
//
// A coroutine that holds the loop for longer than 100 ms is reported while it does so, with its stack ([Options.Stall]). When all
// wait and nothing can wake them, the waits fail with a [*DeadlockError] that says who waits for what. [Loop.Tree] shows the
// coroutines at any time, and profiles have the label "loop". Tests have virtual time ([Options.Virtual]), and package
// [concert/loop/looptest] runs one under many interleavings.
//
// # The corners
//
// What cannot be detected: a goroutine other than the coroutine's that uses its context just while the
// coroutine runs; a call without a context, such as [Queue.TryPut], from another goroutine (the race detector sees it); a
// coroutine that blocks by other means than this package's, on a channel say: it is reported as holding the loop.
//
// A coroutine that calls runtime.LockOSThread has to undo it before it returns, as its goroutine may run another one then.
//
// # Whether to use it
//
// Go does not need an event loop to wait for many things: goroutines do, on all processors, and a switch between them costs no
// more. The loop is for state that many connections share and whose invariants span several pieces of data, where a lock
// is easily forgotten or held across a wait; for simulations and tests that need to be repeated exactly; and for who
// brings asyncio's way of thinking along. It uses one processor, but for what is in Block or offloaded.
package loop
