// Package jobs is the command "concert map": it runs a command, or calls a
// Python function, once for each input, concurrently and resumably.
//
// # The model
//
// A job is the command or the function with one input. An attempt is one run
// of a job. A job that fails may have further attempts. A job is settled when
// it will not run again. It is complete when the job itself and all earlier
// jobs are printed.
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
//   - The queue decides which job starts next. It limits the number of jobs
//     that have begun and not finished, and the number of jobs that are ahead
//     of the oldest incomplete job.
//   - For all kinds of jobs, the workers are goroutines of one pool. So all
//     kinds of jobs have the same scheduling, the adaptive limit of -j auto,
//     and the measurements of --choose. A worker waits for the attempt.
//   - The runner makes an attempt: commandRunner by package supervisor,
//     pythonRunner in interpreters or in a cluster. There are a few more
//     workers than concurrent commands. The jobs of the additional workers
//     wait in the supervisor, and begin when the supervisor starts them.
//   - A settled job is recorded, then printed. While the disk writes the record,
//     the worker runs the next job.
//
// # The end of a run
//
// Two contexts end a run: engine.starting and engine.running. When the first
// one ends, no further attempt starts, and the current attempts finish. The
// reason is --halt soon, or an error of the inputs or of the journal. When the
// second one ends, the current attempts are canceled, too. The reason is
// --halt now, Ctrl-C, or a closed pipe. In both cases, each job that was taken
// from the queue settles, because the printer needs every number. Jobs that
// were not started or were canceled are not recorded: the next run runs them.
//
// # The rules
//
//  1. A recorded job never runs again, except for a failed job with
//     --retry-failed. A job is recorded before it is printed.
//  2. The memory for incomplete jobs is bounded: the limits are maxOpen and
//     maxAhead jobs, and those of package output.
//  3. Keys need memory for each job, so they are only made if a flag needs
//     them. No other memory grows with the number of jobs.
//
// # The corners
//
// If job 1 takes long, later jobs run until maxAhead jobs wait for job 1. With
// --unordered, no job waits for another.
//
// A percentage for --halt has an effect only when the number of inputs is
// known. For arguments and files, it is known at the start; for a pipe, at its
// end.
package jobs
