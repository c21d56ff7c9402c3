// Package output captures the output of jobs, and prints it.
//
//	Begin --> files --> job --> Finish --> Output --> journal (by the caller)
//	  ^                                      |
//	  |                                      v
//	Store: pairs of files                   Done --> Results: files of each job
//	       memory, up to 4 MiB               |
//	       overflow file                     v
//	                                        Printer: in order of numbers --> stdout, stderr
//
// # Model
//
// A Store has the output of jobs that run, and of jobs that wait until their
// output is printed. A job writes directly into two unnamed files. So no
// goroutine copies its output, and no file is left after a kill of the
// program. A Printer prints the output of jobs grouped by job, which is the
// default, or line by line. In the mode Ungroup, jobs write to the stdout and
// stderr of the program, and the Printer prints nothing.
//
// # Rules
//
//  1. Neither the number of jobs nor the size of their output increases the
//     memory and the number of open files. Further output goes to one overflow
//     file.
//  2. Disk space is released while the output is printed, in steps of 1 MiB.
//  3. Another job gets the same file only if no process can still have it
//     open.
//  4. Each job has file descriptions of its own. So flags that a job sets for
//     its files, such as O_DIRECT, and locks have no effect on later jobs.
//  5. If the reader of the output is slow, Done waits. So the backlog of a
//     Printer only contains jobs that must wait for a job with a lower number.
//  6. After an error of the Store, only one job fails. An error of stdout or
//     stderr ends the Printer, and all later calls return this error.
package output
