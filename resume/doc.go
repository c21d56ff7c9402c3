// Package resume records the results of function calls in a journal, so that a
// program that was interrupted continues where it stopped.
//
//	j, err := resume.Open("work.journal", nil)
//	...
//	defer j.Close()
//	for n, err := range resume.Map(ctx, ex, j, count, slices.Values(paths)) { ... }
//
// The first run of this program calls count for each path. If the program is
// killed, the next run calls count only for the paths without a record. The
// loop receives all results, as if the program had never stopped.
//
// # The model
//
// A [Journal] maps a [Key] to a record. A key is the digest of what identifies
// a call: its function and its input. A record says whether the call succeeded,
// and has information in JSON and any number of data, such as the result.
//
//	              Find: a record? --yes--> its data
//	input --> key -----|
//	              no: call the function --> Append --> data file --sync-->
//	                                                   journal   --sync--> durable
//
// [Map] does all this for functions on any executor. A program that needs its
// own kind of calls uses [Journal.Find] and [Journal.Append].
//
// # The files
//
// The journal FILE is a text file. The first line is the header, and each
// further line is one record in JSON:
//
//	{"key":"<32 hex digits>","ok":true,"data":[DATA, ...],"info":INFO,"sum":"<8 hex digits>"}
//
// The last field is a checksum (CRC-32C) of the line before it. The line
// contains up to 4 KiB of DATA as base64 text. Larger DATA are in a second
// file, FILE.data. The line then has their place: [offset, length, checksum].
// FILE.data exists only if there are such data. Both files only grow. To move
// a journal, move both files. To start again, remove both files.
//
// # The rules
//
//   - Append returns when its record is durable: it survives a kill of the
//     process and a loss of power. Concurrent calls share the time that the
//     disk needs.
//   - The data of a record are durable before the record is written. So a
//     record never refers to missing data.
//   - If a key has several records, the last one counts.
//   - One process at a time uses a journal. Open fails with [ErrInUse] if
//     another process has it open, or this process itself.
//   - A killed process or a loss of power can leave a partial line at the end.
//     A failing disk can change any byte, and FILE.data can be removed. Open
//     ignores such damaged lines without an error, and their calls run again.
//     [Journal.Damaged] returns their number.
//   - Open never changes a file that is not a journal.
//   - If the disk is full, Append returns the error, and the journal has no
//     part of the record. When there is space again, Append works again.
//   - Numbers in the files are never trusted: a size is compared with the file
//     before it is used.
//
// # The corners
//
// The journal does not know the code of a function. If old results are wrong
// because a function has changed, start with a new journal.
//
// An open journal needs about 50 bytes of memory for each key.
//
// Some space in FILE.data may stay unused: when Append fails while it writes
// there, and when the process is killed before it writes the record.
//
// Records are durable only if the file system and the disk keep what they have
// synced. Locks of files do not work on some network file systems. There, two
// processes may write to one journal, and damage it. On systems other than
// Unix and Windows, there are no locks.
//
// Checksums detect accidents. They do not protect against an attacker who can
// write to the files.
package resume
