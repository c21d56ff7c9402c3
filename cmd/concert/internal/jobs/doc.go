// Package jobs is the command "concert map": it runs a command, or calls a
// Python function, once for each input, concurrently and resumably.
//
// # The model
//
// A job is the command or the function with one input. An attempt is one run of
// a job. A job that fails may have further attempts. A job is settled when it
// will not run again, and complete when it and all jobs before it are printed.
//
//	inputs --> feed --> queue --Map--> worker: gate, attempt, runner --> settle
//	                     ^  |                        |                     |
//	                     |  +--- recorded jobs ------|-----------------> journal
//	                     +------------ retry --------+                     |
//	                     |                                                 v
//	                     +---------------- finish <-------------------- printer
//
// The parts are:
//
//   - feed reads the inputs lazily and makes jobs of them. It checks whether
//     the journal has a record of the job.
//   - The queue decides which job starts next, and limits how many jobs have
//     begun and not finished, and how many are ahead of the oldest one that is
//     not complete.
//   - The workers are goroutines of one pool, whatever runs the jobs. So the
//     same scheduling, the adaptive limit of -j auto, and the measurements of
//     --choose work for all kinds of jobs. A worker waits for the attempt.
//   - The runner makes an attempt: commandRunner by package supervisor,
//     pythonRunner in interpreters or in a cluster. There are a few more workers
//     than concurrent commands: their jobs wait in the supervisor, and their
//     attempts begin when it starts them.
//   - A settled job is recorded, then printed. While the disk writes the record,
//     the worker runs the next job.
//
// # The end of a run
//
// Two contexts end a run: engine.starting and engine.running. When the first
// one ends, no further attempt starts, and the current attempts finish: this is
// --halt soon, or an error of the inputs or of the journal. When the second one
// ends, the current attempts are canceled, too: this is --halt now, Ctrl-C, or
// a closed pipe. In both cases, each job that was taken from the queue settles,
// because the printer needs every number. Jobs that were not started or were
// canceled are not recorded: the next run runs them.
//
// # The rules
//
//  1. A job that is recorded never runs again, unless --retry-failed says so. A
//     job is recorded before it is printed.
//  2. Everything that is kept for a job that is not complete is bounded: by
//     maxOpen and maxAhead jobs, and by the limits of package output.
//  3. Keys need memory for each job, so they exist only with flags that use
//     them. Nothing else grows with the number of jobs.
//
// # The corners
//
// If job 1 takes long, the others run ahead until maxAhead jobs wait for it.
// With --unordered nothing waits.
//
// A percentage for --halt counts only when the number of inputs is known: at
// once for arguments and files, and at the end of a pipe.
package jobs
