// Package dashboard serves a live page of executors: which worker runs which
// task, the throughput and the queue over time, the latency of each function,
// and the failures by cause.
//
//	http.Handle("/debug/concert/", dashboard.Handler(pool, interpreters))
//
// The page is one HTML file, one script and one style sheet, which are part of
// the program. It loads nothing from the network. It works under any prefix
// whose pattern ends in a slash.
//
// # The model
//
//	executor --Stats--------------------------> recorder --frame--> hub --events--> page 1
//	         --Observer, while a page is open-> (bounded)            |    -------> page 2
//	                                                            last frames
//
// Every half second, the recorder of each executor makes a frame from the
// statistics of the executor and the tasks that it has seen. A frame is a line
// of JSON. The hub keeps the last frames. Each page takes the frames that it
// has not received yet. A page that is slow, or that was away, gets a complete
// frame instead of the missed frames. So such a page costs no memory.
//
// # The rules
//
//   - Without a page, the package does nothing. A minute after the last page is
//     closed, it forgets what it has recorded.
//   - Memory is bounded: there are limits for the number of spans, functions,
//     causes of failures, running tasks and frames.
//   - The numbers of tasks come from [concert.Stats], so they are exact. The
//     stream of tasks, the rows of functions and the causes of failures come
//     from the tasks that the recorder has seen. If there are more than about
//     1000 tasks a second, the page draws a sample, and says that it shows one
//     of N tasks. If an executor ends more than 5000 tasks a second (20,000 if
//     they take longer than 20 ms), it is observed only for a part of each
//     half second. Then some numbers are estimates, and the page marks them.
//   - Texts of tasks are never HTML: the script inserts them as text.
//
// # Security
//
// The page shows names, labels, errors and tracebacks of tasks. So serve it
// behind the authentication of the program, or on an address that only trusted
// users can reach. The handler itself prevents two kinds of attacks by other
// web sites. It accepts a host name only if [Options] lists it, because a name
// of an attacker may point to the address of this server (DNS rebinding). It
// accepts an action only as a POST of the same origin with the token that is
// in the page.
package dashboard
