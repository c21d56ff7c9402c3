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
// Every half second, a recorder for each executor takes the statistics of the
// executor, and what it has seen of the tasks. Both become a frame, which is a
// line of JSON. The hub keeps the last frames. Each page takes the frames that
// it has not received yet. So a page that is slow, or that was away, costs no
// memory: it gets a complete frame instead of the missed frames.
//
// # The rules
//
//   - Without a page, the package does nothing. A minute after the last page is
//     closed, it forgets what it has recorded.
//   - Memory is bounded: by the number of spans, functions, causes of failures,
//     running tasks and frames, whatever the executors do.
//   - The numbers of tasks are those of [concert.Stats], so they are exact. The
//     stream of tasks, the rows of functions and the causes of failures are
//     from the tasks that the recorder has seen. Of more than about 1000 tasks
//     a second, the page draws a sample, and says that it shows one of N tasks.
//     An executor that ends more than 5000 tasks a second (20,000 if they take
//     longer than 20 ms) is observed for a part of each half second. The page
//     then marks estimates.
//   - Texts of tasks are never HTML: the script inserts them as text.
//
// # Security
//
// The page shows names, labels, errors and tracebacks of tasks. So serve it
// behind the authentication of the program, or on an address that only
// trusted users can reach. The handler itself refuses two kinds of attacks by
// other web sites: it accepts a host name only if [Options] lists it, because
// an attacker's name may point to the address of this server (DNS rebinding).
// And it accepts an action only as a POST of the same origin with the token
// that is in the page.
package dashboard
